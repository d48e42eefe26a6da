"""What a layer is: a map with parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from softgrad.arrays import Array, describe, real_array
from softgrad.errors import mismatch

__all__ = ["AbstractLayer", "ParameterGradients", "Pullback", "numpy_array"]

ParameterGradients: TypeAlias = dict[str, Array]
"""The gradient of each parameter, by the parameter's name."""

Pullback: TypeAlias = Callable[[Array], tuple[Array, ParameterGradients]]
"""``y_bar -> (x_bar, gradients)``: a layer's backward at the point where it was run."""


class AbstractLayer(ABC):
    """A differentiable map of rows [..., D] to rows [..., K] that may have parameters.

    A layer implements `linearize` and lists its `parameters`; everything else follows. It is not
    frozen, as maps are: `forward` keeps the pullback, and optimisers move parameters in place.
    """

    _pullback: Pullback | None = None

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Array]:
        """The layer's own arrays by name; changing one in place changes the layer."""

    @abstractmethod
    def linearize(self, x: Any) -> tuple[Array, Pullback]:
        """Return the value at x and the pullback, which holds all that backward needs.

        ``pullback(y_bar)`` returns ``(x_bar, gradients)``: the gradients of ⟨y_bar, y⟩ in the
        input, and in each parameter by its name.
        """

    def __call__(self, x: Any) -> Array:
        """Return the value of the layer; nothing is kept."""
        return self.linearize(x)[0]

    def forward(self, x: Any) -> Array:
        """Return the value of the layer, and keep what `backward` needs."""
        y, self._pullback = self.linearize(x)
        return y

    def backward(self, y_bar: Any) -> Array:
        """Return the gradient in the input of the last `forward`, for the gradient at its output.

        Raises
        ------
        RuntimeError
            There was no forward.
        ValueError
            `y_bar` does not have the shape of the output.
        """
        if self._pullback is None:
            raise RuntimeError("backward needs a forward: call layer.forward(x) first")
        return self._pullback(y_bar)[0]


def numpy_array(name: str, x: Any) -> Array:
    """Return `x` as a NumPy array of real numbers.

    Raises
    ------
    TypeError
        `x` is no array of real numbers, or another library's.
    """
    x = real_array(name, x)
    if not isinstance(x, np.ndarray):
        raise TypeError(mismatch(name, "a NumPy array", f"{type(x).__module__} {describe(x)}"))
    return x
