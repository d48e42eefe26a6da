"""The linear layer: y = W·x + b for every row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import DTypeLike

from softgrad.arrays import Array, describe
from softgrad.errors import mismatch
from softgrad.nn.arguments import (
    check_callable,
    check_flag,
    float_dtype,
    positive_integer,
    random_generator,
)
from softgrad.nn.initialisers import Initialiser, glorot_uniform, zeros
from softgrad.nn.layer import AbstractLayer, ParameterGradients, Pullback, numpy_array

__all__ = ["Linear"]


@final
@dataclass(init=False, eq=False, repr=False)
class Linear(AbstractLayer):
    """y = W·x + b: the pre-activations of a layer of a network.

    Parameters
    ----------
    inputs, outputs : int
        D and K, at least 1.
    seed : int or numpy.random.Generator
        Where the weights come from; a generator is advanced, so that layers can share one.
    bias : bool
        Whether there is a b; it starts at 0.
    initialiser : callable
        ``(rng, (K, D)) -> W``, such as `glorot_uniform` or `he_normal`.
    dtype : dtype
        float64 or float32, of W and b.

    Attributes
    ----------
    W : array [K, D]
    b : array [K] or None

    Raises
    ------
    ValueError
        `inputs` or `outputs` is not a positive integer, `seed` is negative, or the initialiser's
        shape is wrong.
    TypeError
        `dtype` is neither float64 nor float32, or another argument is of the wrong kind.

    Derivative
    ----------
    x_bar = Wᵀ·y_bar, and over all rows W_bar = Σ y_bar xᵀ and b_bar = Σ y_bar.

    Examples
    --------
    >>> layer = Linear.of([[1.0, 2.0], [0.0, -1.0]], [0.5, 0.0])
    >>> y, pullback = layer.linearize([[3.0, 4.0]])
    >>> y
    array([[11.5, -4. ]])
    >>> x_bar, gradients = pullback([[1.0, 10.0]])
    >>> x_bar, gradients["W"]
    (array([[ 1., -8.]]), array([[ 3.,  4.],
           [30., 40.]]))
    """

    W: Array  # [K, D]
    b: Array | None  # [K]

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        seed: int | np.random.Generator,
        bias: bool = True,
        initialiser: Initialiser = glorot_uniform,
        dtype: DTypeLike = np.float64,
    ) -> None:
        shape = positive_integer("outputs", outputs), positive_integer("inputs", inputs)
        rng, dtype = random_generator(seed), float_dtype(dtype)
        check_flag("bias", bias)
        check_callable("initialiser", initialiser, "a function, such as glorot_uniform")
        W = numpy_array("initialiser(rng, shape)", initialiser(rng, shape))
        if W.shape != shape:
            expected = f"one that returns shape {shape}"
            raise ValueError(mismatch("initialiser", expected, describe(W)))
        self.W = np.array(W, dtype=dtype, order="C")
        self.b = np.zeros(shape[0], dtype=dtype) if bias else None

    @classmethod
    def of(cls, W: Any, b: Any = None) -> Linear:
        """Return a layer with a copy of the weights W [K, D], and of b [K] if there is one."""
        W = numpy_array("W", W)
        if W.ndim != 2:
            raise ValueError(mismatch("W", "of shape [K, D]", describe(W)))
        dtype, (outputs, inputs) = W.dtype, W.shape
        if b is not None:
            b = numpy_array("b", b)
            if b.shape != (outputs,):
                raise ValueError(mismatch("b", f"of shape {(outputs,)}", describe(b)))
            dtype = np.result_type(W, b)
        has_bias = b is not None
        layer = cls(inputs, outputs, seed=0, bias=has_bias, initialiser=zeros, dtype=dtype)
        layer.W[:] = W
        if layer.b is not None:
            layer.b[:] = b
        return layer

    @property
    def parameters(self) -> Mapping[str, Array]:
        return {"W": self.W} if self.b is None else {"W": self.W, "b": self.b}

    def linearize(self, x: Any) -> tuple[Array, Pullback]:
        # The same memory order gives the same bits, whatever the strides were.
        x = np.ascontiguousarray(numpy_array("x", x))
        if x.ndim == 0 or x.shape[-1] != self.W.shape[1]:
            raise ValueError(mismatch("x", f"of shape [..., {self.W.shape[1]}]", describe(x)))
        y = x @ self.W.T  # [..., K]
        if self.b is not None:
            y = y + self.b

        def pullback(y_bar: Any) -> tuple[Array, ParameterGradients]:
            y_bar = np.ascontiguousarray(numpy_array("y_bar", y_bar))
            if y_bar.shape != y.shape:
                raise ValueError(mismatch("y_bar", f"of shape {y.shape}", describe(y_bar)))
            rows, x_rows = y_bar.reshape(-1, y.shape[-1]), x.reshape(-1, x.shape[-1])
            gradients = {"W": rows.T @ x_rows}  # [K, D]
            if self.b is not None:
                gradients["b"] = rows.sum(axis=0)  # [K]
            return y_bar @ self.W, gradients

        return y, pullback

    def __repr__(self) -> str:
        outputs, inputs = self.W.shape
        return f"Linear({inputs}, {outputs}{', bias=False' if self.b is None else ''})"
