"""What a map is: one required method, and every derivative that follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from softgrad.arrays import (
    Array,
    Layout,
    adapter_for,
    boolean_mask,
    describe,
    namespace,
    quiet,
    real_array,
    same_kind,
)
from softgrad.errors import mismatch
from softgrad.linear import AbstractJacobian, AbstractLinearMap, OnAxis

__all__ = ["AbstractMap"]


class AbstractMap(ABC):
    """A differentiable map of arrays that treats the rows along one axis independently.

    A map implements `linearize_rows` for the class axis last; `linearize` brings it to any axis,
    array library and dtype. Arrays are NumPy, PyTorch or JAX arrays or any others with the array
    API; numbers and nested lists become NumPy arrays; results are of the same kind as `x`.

    Every derivative takes ``axis`` (an integer, −1) and ``where`` (a mask that broadcasts to `x`;
    False entries take no part). All of them raise TypeError for what is not real numbers, an axis
    that is not an integer, or arrays of different libraries, and ValueError for shapes that differ.
    """

    takes_numbers: ClassVar[bool] = False
    """Whether a single number, without any axis, is an input."""

    @abstractmethod
    def linearize_rows(self, x: Array, where: Array | None) -> tuple[Array, AbstractJacobian]:
        """Return y and the Jacobian at x [..., K]: float32 or float64, the class axis last."""

    def linearize(
        self, x: Any, *, axis: int = -1, where: Any = None
    ) -> tuple[Array, AbstractLinearMap]:
        """Return the value and the Jacobian, an object that is applied: ``y, J``.

        ``J.mv(x_dot)`` and ``J.rmv(y_bar)`` take and return arrays of the shapes of `x` and `y`;
        ``J.as_matrix()`` is [*batch, K, K] for any class axis.
        """
        layout, y, rows = self._at(x, axis, where)
        jacobian = OnAxis(rows, layout)
        with quiet():
            y = layout.from_rows(y, jacobian.out_axes)
        return y, rows if layout.is_rows else jacobian

    def __call__(self, x: Any, *, axis: int = -1, where: Any = None) -> Array:
        """Return the value of the map; PyTorch's autograd goes through it by `vjp` and `hvp`."""
        adapter = adapter_for(x)
        if adapter is not None:
            return adapter.map_value(self, x, axis, where)
        return self.linearize(x, axis=axis, where=where)[0]

    def jvp(self, x: Any, x_dot: Any, *, axis: int = -1, where: Any = None) -> Array:
        """Return J·x_dot, the rate of change of the output as `x` moves along `x_dot`."""
        return self.linearize(x, axis=axis, where=where)[1].mv(_like("x_dot", x_dot, x))

    def vjp(self, x: Any, y_bar: Any, *, axis: int = -1, where: Any = None) -> Array:
        """Return Jᵀ·y_bar, what backpropagation hands on for an incoming gradient `y_bar`."""
        return self.linearize(x, axis=axis, where=where)[1].rmv(_like("y_bar", y_bar, x))

    def jacobian(self, x: Any, *, axis: int = -1, where: Any = None) -> Array:
        """Return the dense Jacobian of every row: [*batch, K, K], entry (i, j) = ∂y_i/∂x_j."""
        jacobian = self.linearize(x, axis=axis, where=where)[1]
        with quiet():
            return jacobian.as_matrix()

    def hvp(self, x: Any, y_bar: Any, x_dot: Any, *, axis: int = -1, where: Any = None) -> Array:
        """Return the rate of change of ``vjp(x, y_bar)`` as `x` moves along `x_dot`.

        It is the product of `x_dot` with the Hessian of ⟨y_bar, y(x)⟩.
        """
        layout, _, rows = self._at(x, axis, where)
        jacobian = OnAxis(rows, layout)
        x_dot = _shaped("x_dot", _like("x_dot", x_dot, x), jacobian.in_shape)
        y_bar = _shaped("y_bar", _like("y_bar", y_bar, x), jacobian.out_shape)
        with quiet():
            change = rows.derivative(layout.to_rows(x_dot))
            return OnAxis(change, layout).apply_transpose(y_bar)

    def _at(self, x: Any, axis: int, where: Any) -> tuple[Layout, Array, AbstractJacobian]:
        """Check the arguments, lay the rows out, and linearise there."""
        x = real_array("x", x)
        if x.ndim == 0 and not self.takes_numbers:
            raise ValueError(mismatch("x", "an array with a class axis", "a single number"))
        layout = Layout.of(x, axis)
        mask = None if where is None else layout.to_rows(boolean_mask("where", where, x))
        with quiet():
            return layout, *self.linearize_rows(layout.to_rows(x), mask)


def _like(name: str, v: Any, x: Any) -> Array:
    """Return a tangent or a cotangent as an array of x's library and dtype."""
    v, x = real_array(name, v), real_array("x", x)
    v = same_kind(name, v, x)
    with quiet():
        return v if v.dtype == x.dtype else namespace(v).astype(v, x.dtype)


def _shaped(name: str, v: Array, shape: tuple[int, ...]) -> Array:
    if tuple(v.shape) != shape:
        raise ValueError(mismatch(name, f"of shape {shape}", describe(v)))
    return v
