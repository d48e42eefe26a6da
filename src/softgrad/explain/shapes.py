"""`softgrad.shapes`: what the derivative of a function at a point is, and how it is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from softgrad.explain.arguments import Vector
from softgrad.explain.derivatives import Derivative, derivative_of
from softgrad.explain.names import public_name
from softgrad.explain.shapes_words import words_for
from softgrad.explain.structure import Structure
from softgrad.results import Block, Paragraph, Result, Table

__all__ = ["Shapes", "shapes"]

_SIDE = 6
"""As many rows and columns of a matrix as a terminal holds."""

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Shapes(Result):
    """The result of `softgrad.shapes`."""

    schema: ClassVar[str] = "softgrad.shapes/1"

    function: str
    x_shape: Shape
    y_shape: Shape
    kind: Literal["number", "gradient", "Jacobian"]
    derivative_shape: Shape
    """The shape of the derivative written out: that of y, then that of x; a gradient's is x's."""
    matrices: Vector  # [B, m, n]
    """The derivative as B blocks; between different blocks every entry is zero."""
    structure: Structure | None
    """None where the function has a kink, or where its derivative could not be measured."""
    unclear: bool
    """Whether it could not be measured: the numbers of `matrices` say nothing then."""
    stored: int | None
    """How many numbers its products need; None for a function of the user's own."""
    error: float | None
    """For a measured derivative: what the differences leave open, RMS over the entries."""
    words: tuple[str, ...]

    def blocks(self) -> Iterable[Block]:
        """Yield what the derivative is, its products, and its numbers."""
        what = "a number"
        if self.kind != "number":
            what = f"a {self.kind} of shape {self.derivative_shape}"
        at = f"x of shape {self.x_shape}" if self.x_shape else "a number x"
        yield Paragraph(f"The derivative of {self.function} at {at}: {what}", "title")
        for sentence in self.words:
            yield Paragraph(f"• {sentence}")
        x, y = str(self.x_shape), str(self.y_shape)
        products = (
            ("J.mv(x_dot)", x, y, "how y moves as x moves along x_dot"),
            ("J.rmv(y_bar)", y, x, "∂L/∂x from y_bar = ∂L/∂y: backpropagation"),
        )
        yield Table(("product", "takes", "returns", "which is"), products, "In the chain rule")
        if not self.unclear:
            yield self._numbers()

    def _numbers(self) -> Table:
        B, m, n = self.matrices.shape
        rows, columns = min(m, _SIDE), min(n, _SIDE)
        title = "The derivative" if B == 1 else f"Block 0 of {B}"
        if (rows, columns) != (m, n):
            title += f" (the first {rows} × {columns} of {m} × {n})"
        if self.kind == "Jacobian":
            names = tuple(f"∂y[{i}]" for i in range(rows))
        else:
            names = ("∂y",)
        body = tuple(
            (name, *self.matrices[0, i, :columns].tolist()) for i, name in enumerate(names)
        )
        return Table(("", *(f"/∂x[{j}]" for j in range(columns))), body, title)


def shapes(f: Any, x: Any, axis: int = -1, *, targets: Any = None) -> Shapes:
    """Explain the derivative of f at x: what it is, its shape and structure, and its products.

    Parameters
    ----------
    f : map, loss or callable
        A map or loss of the library, or a function of one NumPy array that returns real numbers.
        The derivative of a function is measured by differences, with 12 calls for each entry
        of x.
    x : array
        The point; it is taken in float64.
    axis : int
        The axis along which f acts; for a function of your own it tells what a row is.
    targets : array
        The targets of a loss.

    Returns
    -------
    Shapes
        Kind, shape, blocks and structure of the derivative, and how it acts in the chain rule.
        The structure comes from the form of a map's Jacobian, else from the numbers.

    Raises
    ------
    TypeError
        f is no function or returns no real numbers, or `targets` do not go with it.
    ValueError
        x is empty or not finite, or the derivative is too large to be looked at: 250 000 entries,
        and for a function 512 inputs; or a function returns something else for the same x.

    Examples
    --------
    >>> import softgrad as sg
    >>> from softgrad.explain import shapes
    >>> result = shapes(sg.softmax, [2.0, 1.0, 0.0])
    >>> result.kind, result.derivative_shape, result.structure.pattern
    ('Jacobian', (3, 3), 'dense')
    >>> shapes(sg.sigmoid, [2.0, 1.0, 0.0]).structure.pattern
    'diagonal'
    >>> shapes(lambda x: (x**2).sum(), [2.0, 1.0]).kind
    'gradient'
    """
    found = derivative_of(f, x, axis, targets)
    kind = _kind(found)
    name = public_name(f)
    return Shapes(
        name,
        found.x_shape,
        found.y_shape,
        kind,
        found.y_shape + found.x_shape,
        found.blocks,
        found.structure,
        found.unclear,
        found.stored,
        found.error,
        tuple(words_for(name, kind, found)),
    )


def _kind(found: Derivative) -> Literal["number", "gradient", "Jacobian"]:
    if found.y_shape:
        return "Jacobian"
    return "gradient" if found.x_shape else "number"
