"""A softmax that is not the last layer: the gradient behind it, and in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softgrad.arrays import Array
from softgrad.explain.arguments import Vector
from softgrad.explain.layer_checks import layer_name
from softgrad.maps import softmax
from softgrad.nn import Linear, Network

__all__ = ["HiddenSoftmax", "hidden_softmax"]

_STEP = 2.0**-17
"""Of the central differences: the cube root of the spacing of float64, about."""


@dataclass(frozen=True, eq=False)
class HiddenSoftmax:
    """One row's gradients around a hidden softmax p = softmax(z) of H units."""

    layers: tuple[str, ...]
    p: Vector  # [H]
    p_bar: Vector  # [H]; ∂L/∂p, behind the layer
    z_bar: Vector  # [H]; ∂L/∂z = Jᵀ·p_bar, in front of it
    diagonal_only: Vector  # [H]; p(1 − p)·p_bar
    measured: Vector  # [H]; ∂L/∂z from differences of the loss


def hidden_softmax(
    x: Array, target: int, classes: int, units: int = 6, seed: int = 0
) -> HiddenSoftmax:
    """Send a row x [D] through Linear, softmax, Linear, softmax, and its gradient back."""
    rng = np.random.default_rng(seed)
    network = Network(
        [
            Linear(x.size, units, seed=rng),
            softmax,
            Linear(units, classes, seed=rng),
            softmax,
        ]
    )
    X, t = x[None], np.array([target])
    gradients = network.gradients(X, t)
    z_bar, p_bar = gradients.outputs[0], gradients.outputs[1]
    assert z_bar is not None
    assert p_bar is not None
    z, p = (values[0] for values in network.activations(X)[1:3])
    behind = Network(network.layers[1:], network.loss)
    slopes = [
        behind.loss_value((z + step)[None], t) - behind.loss_value((z - step)[None], t)
        for step in _STEP * np.eye(units)
    ]
    return HiddenSoftmax(
        layers=tuple(map(layer_name, network.layers)),
        p=p,
        p_bar=p_bar[0],
        z_bar=z_bar[0],
        diagonal_only=p * (1 - p) * p_bar[0],
        measured=np.array(slopes) / (2 * _STEP),
    )
