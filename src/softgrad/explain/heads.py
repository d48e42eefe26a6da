"""Heads: how logits become outputs, and a loss of the outputs for one target class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from softgrad.explain.arguments import Vector
from softgrad.losses import BinaryCrossEntropy
from softgrad.maps import AbstractMap, log_sigmoid, log_softmax, sigmoid, softmax

__all__ = ["HEADS", "Head"]

ValueAndGradient = Callable[[Vector, int], tuple[float, Vector]]


@dataclass(frozen=True)
class Head:
    """A head, and its two formulas as a reader sees them."""

    outputs: AbstractMap
    loss: str
    """The loss; ``{t}`` is the target class."""
    gradient: str
    """The loss's gradient in the logits."""
    value_and_gradient: ValueAndGradient
    reach: str = ""
    """Why another class's logit takes no part, for a loss in which none does."""


def _minus_log_of_cell(log_map: AbstractMap) -> ValueAndGradient:
    def value_and_gradient(z: Vector, target: int) -> tuple[float, Vector]:
        log_p, J = log_map.linearize(z)
        z_bar = J.rmv(-_one_hot(z, target))
        return -float(log_p[target]), z_bar

    return value_and_gradient


def _sum_of_binary_losses(z: Vector, target: int) -> tuple[float, Vector]:
    loss, z_bar = BinaryCrossEntropy(reduction="sum").value_and_gradient(z, _one_hot(z, target))
    return float(loss), z_bar


def _squared_distance(z: Vector, target: int) -> tuple[float, Vector]:
    p, J = softmax.linearize(z)
    distance = p.copy()
    distance[target] = -np.delete(p, target).sum()  # p[t] − 1, with the digits of the others
    return float(distance @ distance) / 2, J.rmv(distance)


def _one_hot(z: Vector, target: int) -> Vector:
    return np.where(np.arange(z.size) == target, 1.0, 0.0)


HEADS = {
    "softmax": Head(softmax, "−log softmax(z)[{t}]", "p − t", _minus_log_of_cell(log_softmax)),
    "sigmoid": Head(
        sigmoid,
        "−log σ(z)[{t}]",
        "p − 1 for class {t}, 0 for the others",
        _minus_log_of_cell(log_sigmoid),
        "the loss reads cell {t} alone, and cell {t} of sigmoid depends on logit {t} alone",
    ),
    "sigmoid-all": Head(
        sigmoid, "Σ of the cells' binary cross-entropies", "p − t", _sum_of_binary_losses
    ),
    "softmax-squared": Head(
        softmax, "½‖softmax(z) − t‖²", "J·(p − t), J that of softmax", _squared_distance
    ),
}
