"""What a map is: one required method, and every derivative that follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from softgrad.arrays import (
    Array,
    adapter_for,
    boolean_mask,
    describe,
    namespace,
    quiet,
    real_array,
    same_kind,
)
from softgrad.errors import mismatch
from softgrad.kernels import AUTO, Choice, How, Impl, Wanted, choose
from softgrad.layout import Layout
from softgrad.linear import AbstractJacobian, AbstractLinearMap, OnAxis
from softgrad.maps.blocks import linearize_in_blocks
from softgrad.out import check_out, is_row_buffer, overlaps, refuse_out, write

__all__ = ["AbstractMap"]


class AbstractMap(ABC):
    """A differentiable map of arrays that treats the rows along one axis independently.

    A map implements `linearize_rows` for the class axis last; `linearize` brings it to any axis,
    array library and dtype. Arrays are NumPy, PyTorch or JAX arrays or any others with the array
    API; numbers and nested lists become NumPy arrays; results are of the same kind as `x`.

    Every derivative takes ``axis`` (an integer, −1), ``where`` (a mask that broadcasts to `x`;
    False entries take no part) and ``impl`` ("auto", "reference", "numba" or "triton": what
    `softgrad.explain_impl` says is chosen). Those that return an array of x's or y's shape take
    ``out``, an array that the result is written to. All of them raise TypeError for what is not
    real numbers, an axis that is not an integer, or arrays of different libraries, and ValueError
    for shapes that differ.
    """

    takes_numbers: ClassVar[bool] = False
    """Whether a single number, without any axis, is an input."""

    no_kernel: ClassVar[str] = "there is no kernel for it"
    """Why the reference computes it, whatever the input; empty where there are kernels."""

    no_gpu_kernel: ClassVar[str] = "there is no kernel for it on a GPU"
    """The same of tensors on a GPU."""

    @abstractmethod
    def linearize_rows(
        self, x: Array, where: Array | None, how: How = AUTO
    ) -> tuple[Array, AbstractJacobian]:
        """Return y and the Jacobian at x [..., K], the class axis last, in float32 or float64.

        Where kernels are chosen x may be of half precision, and so is y if it is all that is wanted
        (`How.wanted`); what the Jacobian is made of is not. Where a product is, y may be anything.
        """

    def linearize(
        self, x: Any, *, axis: int = -1, where: Any = None, impl: Impl = "auto"
    ) -> tuple[Array, AbstractLinearMap]:
        """Return the value and the Jacobian, an object that is applied: ``y, J``.

        ``J.mv(x_dot)`` and ``J.rmv(y_bar)`` take and return arrays of the shapes of `x` and `y`;
        ``J.as_matrix()`` is [*batch, K, K] for any class axis. J may be made of y's own memory:
        what overwrites y spoils it.
        """
        at = self._at(x, axis, where, impl, "all")
        return at.value(), at.rows if at.layout.is_rows else at.jacobian

    def __call__(
        self, x: Any, *, axis: int = -1, where: Any = None, impl: Impl = "auto", out: Any = None
    ) -> Array:
        """Return the value of the map, which PyTorch and JAX differentiate by its own products."""
        adapter = adapter_for(x, where)
        if adapter is not None:
            refuse_out(out)
            return adapter.map_value(self, x, axis, where, impl)
        at = self._at(x, axis, where, impl, "value", out, of_value=True)
        return write(at.value(), out)

    def jvp(
        self,
        x: Any,
        x_dot: Any,
        *,
        axis: int = -1,
        where: Any = None,
        impl: Impl = "auto",
        out: Any = None,
    ) -> Array:
        """Return J·x_dot, the rate of change of the output as `x` moves along `x_dot`."""
        x_dot = _like("x_dot", x_dot, x)
        at = self._at(x, axis, where, impl, "product", out, of_value=True, direction=x_dot)
        return at.jacobian.mv(x_dot, out=out)

    def vjp(
        self,
        x: Any,
        y_bar: Any,
        *,
        axis: int = -1,
        where: Any = None,
        impl: Impl = "auto",
        out: Any = None,
    ) -> Array:
        """Return Jᵀ·y_bar, what backpropagation hands on for an incoming gradient `y_bar`."""
        y_bar = _like("y_bar", y_bar, x)
        at = self._at(x, axis, where, impl, "product", out, direction=y_bar)
        return at.jacobian.rmv(y_bar, out=out)

    def jacobian(self, x: Any, *, axis: int = -1, where: Any = None, impl: Impl = "auto") -> Array:
        """Return the dense Jacobian of every row: [*batch, K, K], entry (i, j) = ∂y_i/∂x_j."""
        at = self._at(x, axis, where, impl, "product")
        with quiet():
            return at.jacobian.as_matrix()

    def hvp(
        self,
        x: Any,
        y_bar: Any,
        x_dot: Any,
        *,
        axis: int = -1,
        where: Any = None,
        impl: Impl = "auto",
        out: Any = None,
    ) -> Array:
        """Return the rate of change of ``vjp(x, y_bar)`` as `x` moves along `x_dot`.

        It is the product of `x_dot` with the Hessian of ⟨y_bar, y(x)⟩.
        """
        check_out(out, real_array("x", x))
        at = self._at(x, axis, where, impl, "product")
        x_dot = _shaped("x_dot", _like("x_dot", x_dot, x), at.jacobian.in_shape)
        y_bar = _shaped("y_bar", _like("y_bar", y_bar, x), at.jacobian.out_shape)
        with quiet():
            change = at.rows.derivative(at.jacobian.rows_of(x_dot))
        return OnAxis(change, at.layout).rmv(y_bar, out=out)

    def second_derivative(
        self,
        x: Any,
        x_dot: Any,
        other: Any,
        *,
        axis: int = -1,
        where: Any = None,
        impl: Impl = "auto",
    ) -> Array:
        """Return the rate of change of ``jvp(x, x_dot)`` as `x` moves along `other`.

        It is bilinear and symmetric in the two directions, and shaped like y.
        """
        at = self._at(x, axis, where, impl, "product")
        x_dot, other = (
            _shaped(name, _like(name, v, x), at.jacobian.in_shape)
            for name, v in (("x_dot", x_dot), ("other", other))
        )
        with quiet():
            change = at.rows.derivative(at.jacobian.rows_of(other))
        return OnAxis(change, at.layout).mv(x_dot)

    def choice(self, x: Any, *, axis: int = -1, impl: Impl = "auto", **options: Any) -> Choice:
        """Return which implementation a verb takes for `x`, and why."""
        x = real_array("x", x)
        Layout.of(x, axis)  # which raises for a wrong axis
        return choose(impl, x, self.no_kernel, self.no_gpu_kernel)

    def _at(
        self,
        x: Any,
        axis: int,
        where: Any,
        impl: Impl,
        wanted: Wanted,
        out: Any = None,
        of_value: bool = False,
        direction: Any = None,
    ) -> _Linearized:
        """Check the arguments, lay the rows out, and linearise there.

        The result of one verb goes to `out`, which is shaped like the value, or else like `x`. A
        mask, and with a direction both it and `x`, are still to be read when the value is written.
        """
        x = real_array("x", x)
        if x.ndim == 0 and not self.takes_numbers:
            raise ValueError(mismatch("x", "an array with a class axis", "a single number"))
        layout = Layout.of(x, axis)
        mask = None if where is None else layout.to_rows(boolean_mask("where", where, x))
        with quiet():
            chosen, room = choose(impl, x, self.no_kernel, self.no_gpu_kernel).impl, None
            rows = layout.to_rows(x, stored=chosen != "reference")
            fits = is_row_buffer(out, layout) and tuple(out.shape) == tuple(x.shape)
            if fits and (wanted == "value" or layout.is_rows):
                read = (mask,) if direction is None else (mask, x, direction)
                others = (a for a in read if a is not None)
                room = None if overlaps(check_out(out, x), *others) else out
            how = How(chosen, room, wanted)
            at = _Linearized(layout, *linearize_in_blocks(self.linearize_rows, rows, mask, how))
        check_out(out, x, at.jacobian.out_shape if of_value else None)
        return at


@dataclass(frozen=True, eq=False)
class _Linearized:
    """A map at a point."""

    layout: Layout
    y: Array
    rows: AbstractJacobian

    @cached_property
    def jacobian(self) -> OnAxis:
        """The Jacobian for arrays laid out as the user's."""
        return OnAxis(self.rows, self.layout)

    def value(self) -> Array:
        """Return y laid out as the user's arrays."""
        with quiet():
            return self.layout.from_rows(self.y, self.jacobian.out_axes)


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
