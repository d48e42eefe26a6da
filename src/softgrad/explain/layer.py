"""What `softgrad.follow` moves: the parameters of one layer, or the pre-activations themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.arrays import quiet
from softgrad.errors import mismatch
from softgrad.explain.arguments import Vector, finite, linear_layer
from softgrad.linear import Outer
from softgrad.maps import AbstractMap
from softgrad.nn import Activation, Linear, Network

__all__ = ["Layer", "choose_layer", "parts_of"]


@dataclass(frozen=True, eq=False)
class Layer:
    """z = W x + b; without W the pre-activations are b itself."""

    W: Vector | None  # [K, D]
    b: Vector | None  # [K]
    x: Vector | None  # [D]

    @property
    def pre_activations(self) -> Vector:  # [K]
        z = self.b
        if self.W is not None and self.x is not None:
            z = self.W @ self.x if z is None else self.W @ self.x + z
        assert z is not None, "a layer has weights or a bias"
        return z

    def gradients(self, z_bar: Vector) -> tuple[Vector | None, Vector | None]:
        """Return the gradients in W and b for the gradient in z."""
        W_bar = None if self.x is None else Outer(z_bar, self.x).as_matrix()
        return W_bar, None if self.b is None else z_bar

    def moved(self, rate: float, gradients: tuple[Vector | None, Vector | None]) -> Layer:
        """Return the layer after a step."""
        W_bar, b_bar = gradients
        W = self.W if self.W is None or W_bar is None else self.W + rate * W_bar
        b = self.b if self.b is None or b_bar is None else self.b + rate * b_bar
        return Layer(W, b, self.x)


def parts_of(network: Network) -> tuple[AbstractMap, Vector, Vector | None]:
    """Return the map, W and b of a network that is one linear layer and one map.

    Raises
    ------
    TypeError
        It has other layers.
    """
    match network.layers:
        case (Linear() as linear, Activation() as activation):
            parameters = linear.parameters
            return activation.map, parameters["W"], parameters.get("b")
    expected = "a map, or a network of one linear layer and one map"
    raise TypeError(mismatch("subject", expected, f"the layers {network.layers}"))


def choose_layer(start: Any, x: Any, W: Any, b: Any) -> Layer:
    """Return what is moved: `start` alone, or W and b of a layer with the input x."""
    if start is not None:
        for name, value in (("x", x), ("W", W), ("b", b)):
            if value is not None:
                raise TypeError(mismatch(name, "left out where `start` is given", "an array"))
        return Layer(None, finite("start", start, 1, "(K,)"), None)
    if W is None or x is None:
        expected = "the pre-activations to begin with, where `W` and `x` are not given"
        raise TypeError(mismatch("start", expected, "None"))
    x, W, b = linear_layer(x, W, b)
    with quiet():
        finite_product = np.isfinite(W @ x).all()
    if not finite_product:
        raise ValueError(mismatch("W", "small enough that W x is finite", "an overflow"))
    return Layer(W, b, x)
