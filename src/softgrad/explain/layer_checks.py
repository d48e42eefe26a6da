"""The gradient of every layer of a network, and of its loss, checked on real rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from softgrad.arrays import Array
from softgrad.checker import Report, check
from softgrad.explain.names import public_name
from softgrad.nn import AbstractLayer, Activation, Network, as_functions

__all__ = ["LayerCheck", "check_layers", "layer_name"]


@dataclass(frozen=True)
class LayerCheck:
    """One layer, or the loss together with the last layer, and the checker's report on it."""

    name: str
    report: Report


def check_layers(network: Network, X: Array, y: Array, seed: int = 0) -> tuple[LayerCheck, ...]:
    """Check each layer at what reaches it from the rows `X`, and the loss at its scores.

    Parameters
    ----------
    network : Network
    X : array [N, D]
    y : array [N] or [N, K]
        Targets.
    seed : int
        Seed of the checker's probes.

    Returns
    -------
    tuple of LayerCheck, length L + 1

    Raises
    ------
    TypeError, ValueError, IndexError
        `X` or `y` does not fit the network.

    Examples
    --------
    >>> import numpy as np
    >>> from softgrad.nn import build_mlp
    >>> X = np.random.default_rng(0).normal(size=(8, 5))
    >>> for at in check_layers(build_mlp(5, 3, hidden=(), seed=0), X, np.arange(8) % 3):
    ...     print(at.name, at.report.verdict)
    Linear(5, 3) pass
    softmax pass
    softmax + cross_entropy pass
    """
    return tuple(LayerCheck(name, report) for name, report in _checks(network, X, y, seed))


def layer_name(layer: AbstractLayer) -> str:
    """Return a layer's name for a reader: ``Linear(64, 10)``, ``softmax``."""
    return public_name(layer.map) if isinstance(layer, Activation) else repr(layer)


def _checks(network: Network, X: Array, y: Array, seed: int) -> Iterator[tuple[str, Report]]:
    outputs = network.activations(X)
    for layer, x in zip(network.layers, outputs, strict=False):  # the last output reaches none
        parameters = layer.parameters.values()
        yield layer_name(layer), check(*as_functions(layer), x, *parameters, seed=seed)
    last = Network([network.layers[-1]], network.loss, network.fuse)

    def loss(z: Any) -> float:
        return last.loss_value(z, y)

    def loss_gradient(z: Any, loss_bar: Any) -> Array:
        return loss_bar * last.gradients(z, y).input

    name = f"{layer_name(network.layers[-1])} + {public_name(network.loss)}"
    yield name, check(loss, loss_gradient, outputs[-2], seed=seed)
