"""What is said about a derivative: every sentence is decided by its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from softgrad.explain.derivatives import Derivative
from softgrad.explain.structure import Structure
from softgrad.results import number

__all__ = ["words_for"]


def words_for(
    name: str, kind: str, found: Derivative, structure: Structure | None
) -> Iterator[str]:
    """Yield what the derivative is, how it is built, and why it need not be stored."""
    yield _what(name, kind, found)
    if structure is None:
        yield (
            "The slopes to the left and to the right differ: there is a kink here, and no "
            "derivative. The numbers below are the means of both sides."
        )
    else:
        yield from _blocks(found)
        yield from _pattern(kind, found, structure)
        yield from _null_space(kind, found, structure)
    if kind == "Jacobian":
        yield (
            f"In backpropagation it becomes a vector: Jᵀ times ∂L/∂y, of shape {found.y_shape}, "
            f"is ∂L/∂x, of the shape {found.x_shape} of x."
        )
    yield from _cost(kind, found)


def _what(name: str, kind: str, found: Derivative) -> str:
    if kind == "number":
        slope = number(float(found.blocks[0, 0, 0]))
        return f"x is a number and so is {name}(x): the derivative is the slope {slope}."
    if kind == "gradient":
        return (
            f"{name}(x) is one number: the derivative is a gradient, one slope for each entry "
            f"of x, and has the shape of x."
        )
    y, x = math.prod(found.y_shape), math.prod(found.x_shape)
    return (
        f"Each of the {y} outputs has a slope in each of the {x} inputs: the derivative is a "
        "Jacobian, the matrix of all the slopes."
    )


def _blocks(found: Derivative) -> Iterator[str]:
    B, m, n = found.blocks.shape
    if B > 1 and m * n > 1:
        zero = "exactly zero" if found.error is None else "zero within the error bar"
        yield (
            f"It is block diagonal: {B} rows, {m} × {n} numbers each; between different rows it "
            f"is {zero}."
        )


def _pattern(kind: str, found: Derivative, structure: Structure) -> Iterator[str]:
    """Say which entries are zero."""
    if kind == "number":
        return
    B, m, n = found.blocks.shape
    if structure.pattern == "zero":
        yield "Every entry is zero here."
    elif structure.pattern == "diagonal" or (B > 1 and m == n == 1):
        yield (
            "It is diagonal: every output depends on its own input alone, and applying it is an "
            "elementwise product."
        )
    elif structure.pattern == "dense" and m == 1:
        yield "No entry is zero: every input counts."
    elif structure.pattern == "dense":
        row = " of its row" if B > 1 else ""
        where = "Each block" if B > 1 else "It"
        yield f"{where} is dense: no entry is zero, every output depends on every input{row}."
    else:
        blocks = " of its blocks" if B > 1 else ""
        yield f"{structure.zeros} of the {found.blocks.size} entries{blocks} are zero."


def _null_space(kind: str, found: Derivative, structure: Structure) -> Iterator[str]:
    """Say what is symmetric, what sums to zero, and the rank."""
    _, m, n = found.blocks.shape
    if kind != "Jacobian" or m * n == 1 or structure.pattern == "zero":
        return
    if structure.symmetric and structure.pattern != "diagonal":
        yield "It is symmetric: J = Jᵀ, so mv and rmv are the same product."
    if structure.rows_sum_to_zero:
        yield (
            "Its rows sum to zero: to first order, adding the same to all inputs of a row changes "
            "no output."
        )
    if structure.columns_sum_to_zero:
        yield (
            "Its columns sum to zero: to first order, the sum of the outputs of a row stays as it "
            "is."
        )
    least, greatest = structure.least_rank, structure.greatest_rank
    full = min(m, n)
    if greatest < full:
        rank = str(greatest) if least == greatest else f"{least} to {greatest}"
        yield f"Its rank is {rank} of {full}: directions are lost, and it has no inverse."


def _cost(kind: str, found: Derivative) -> Iterator[str]:
    """Say what the matrix would cost, or how well it is known."""
    if found.error is not None:
        yield (
            f"Measured by differences: each entry ± {found.error:.1g} (root mean square over "
            "the entries)."
        )
    if kind != "Jacobian":
        return
    B, m, n = found.blocks.shape
    full = math.prod(found.y_shape + found.x_shape)
    text = f"The matrix never has to be stored: written out it has {full} numbers"
    if B > 1:
        text += f", {B * m * n} of them in the blocks"
    if found.stored is not None:
        text += f"; the object that applies it keeps {found.stored}"
    yield f"{text}."
