"""What is said about a derivative: every sentence is decided by its form or its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from softgrad.explain.derivatives import Derivative
from softgrad.explain.structure import Structure
from softgrad.results import counted, number

__all__ = ["words_for"]


def words_for(name: str, kind: str, found: Derivative) -> Iterator[str]:
    """Yield what the derivative is, how it is built, and why it need not be stored."""
    yield _what(name, kind, found)
    if found.unclear:
        yield (
            f"It could not be measured here: differences leave ± {found.error:.1g} open, which is "
            "not small against their slopes. The function may be noisy or move in jumps, or the "
            "entries of x lie far apart in size."
        )
    elif found.structure is None:
        yield (
            "The slopes to the left and to the right differ: there is a kink here, and no "
            "derivative. The numbers below are the means of both sides."
        )
    else:
        yield from _blocks(found)
        yield from _pattern(kind, found, found.structure)
        yield from _null_space(kind, found, found.structure)
    if kind == "Jacobian":
        yield (
            f"In backpropagation it becomes a vector: Jᵀ times ∂L/∂y, of shape {found.y_shape}, "
            f"is ∂L/∂x, of the shape {found.x_shape} of x."
        )
    yield from _cost(kind, found)


def _what(name: str, kind: str, found: Derivative) -> str:
    if kind == "number":
        slope = "its slope" if found.unclear else f"the slope {number(found.blocks.item())}"
        return f"x is a number and so is {name}(x): the derivative is {slope}."
    if kind == "gradient":
        return (
            f"{name}(x) is one number: the derivative is a gradient, one slope for each entry "
            f"of x, and has the shape of x."
        )
    y, x = math.prod(found.y_shape), math.prod(found.x_shape)
    outputs = "The one output" if y == 1 else f"Each of the {y} outputs"
    inputs = "the one input" if x == 1 else f"each of the {x} inputs"
    return (
        f"{outputs} has a slope in {inputs}: the derivative is a Jacobian, the matrix of all the "
        "slopes."
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
    numerically = "" if structure.by_form else "numerically "
    if structure.pattern == "zero":
        yield f"Every entry is {numerically}zero here."
    elif structure.pattern == "diagonal" or (B > 1 and m == n == 1):
        yield (
            f"It is {numerically}diagonal: every output depends on its own input alone, and "
            "applying it is an elementwise product."
        )
        yield from _zero_slopes(found)
    elif structure.pattern == "dense on the support":
        yield _support(found, structure)
    elif structure.pattern == "dense" and m == 1:
        yield f"No entry is {numerically}zero: every input counts."
    elif structure.pattern == "dense":
        row = " of its row" if B > 1 else ""
        where = "Each block" if B > 1 else "It"
        none = "" if structure.by_form else "no entry is numerically zero, "
        yield f"{where} is dense: {none}every output depends on every input{row}."
    else:
        yield f"{_share(structure.zeros, found)} numerically zero."
    yield from _underflow(found, structure)


def _zero_slopes(found: Derivative) -> Iterator[str]:
    """Say how many inputs of a diagonal Jacobian move nothing."""
    slopes = found.blocks.diagonal(axis1=1, axis2=2)
    still = int((slopes == 0).sum())
    if still == slopes.size:
        yield "Every slope on the diagonal is numerically zero here, so nothing passes."
    elif still:
        verb = "is" if still == 1 else "are"
        yield f"{still} of the {slopes.size} slopes on the diagonal {verb} numerically zero."


def _support(found: Derivative, structure: Structure) -> str:
    """Say where a Jacobian of the softmax family has its entries."""
    n = found.blocks.shape[2]
    least, greatest = structure.least_rank + 1, structure.greatest_rank + 1
    if greatest == 1:
        row = " of each row" if len(found.blocks) > 1 else ""
        return (
            f"Every entry is numerically zero here: 1 of the {n} outputs{row} has all the weight, "
            "and a small step of x does not move it."
        )
    above = str(greatest) if least == greatest else f"{least} to {greatest}"
    return (
        f"It is dense on the support, numerically {above} of the {n} outputs: "
        f"{_share(structure.zeros, found)} zero."
    )


def _share(zeros: int, found: Derivative) -> str:
    blocks = " of its blocks" if len(found.blocks) > 1 else ""
    return f"{zeros} of the {found.blocks.size} entries{blocks} {'is' if zeros == 1 else 'are'}"


def _underflow(found: Derivative, structure: Structure) -> Iterator[str]:
    """Say which entries are zero in float64 alone."""
    lost = int((found.blocks == 0).sum()) - structure.zeros
    if structure.by_form and structure.greatest_rank and lost:
        yield f"Numerically, {_share(lost, found)} zero: too small for float64."


def _null_space(kind: str, found: Derivative, structure: Structure) -> Iterator[str]:
    """Say what is symmetric, what sums to zero, and the rank."""
    _, m, n = found.blocks.shape
    if kind != "Jacobian" or m * n == 1 or structure.greatest_rank == 0:
        return
    numerically = "" if structure.by_form else "numerically "
    if structure.symmetric and structure.pattern != "diagonal":
        yield f"It is {numerically}symmetric: J = Jᵀ, so mv and rmv are the same product."
    if structure.rows_sum_to_zero:
        yield (
            f"Its rows sum {numerically}to zero: to first order, adding the same to all inputs of "
            "a row changes no output."
        )
    if structure.columns_sum_to_zero:
        yield (
            f"Its columns sum {numerically}to zero: to first order, the sum of the outputs of a "
            "row stays as it is."
        )
    least, greatest = structure.least_rank, structure.greatest_rank
    full = min(m, n)
    if least < full:
        rank = str(greatest) if least == greatest else f"{least} to {greatest}"
        exact = structure.by_form and structure.pattern == "dense"
        where = "" if exact else "numerically "
        yield f"Its rank is {where}{rank} of {full}: directions are lost, and it has no inverse."


def _cost(kind: str, found: Derivative) -> Iterator[str]:
    """Say what the matrix would cost, or how well it is known."""
    if found.error is not None and not found.unclear:
        yield (
            f"Measured by differences: each entry ± {found.error:.1g} (root mean square over "
            "the entries)."
        )
    full = math.prod(found.y_shape + found.x_shape)
    vectors = max(math.prod(found.y_shape), math.prod(found.x_shape))
    if kind != "Jacobian" or full <= (found.stored or vectors):
        return
    text = f"The matrix never has to be stored: written out it has {counted(full, 'number')}"
    if len(found.blocks) > 1:
        text += f", {found.blocks.size} of them in the blocks"
    if found.stored is not None:
        text += f"; its products need {found.stored}"
    yield f"{text}."
