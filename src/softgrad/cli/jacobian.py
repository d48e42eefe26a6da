"""`softgrad jacobian`: a map's outputs, its Jacobian, and what it does to a cotangent."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import click
import numpy as np
import numpy.typing as npt

from softgrad.cli.command import Output, command
from softgrad.cli.parameters import (
    NEGATIVE_NUMBERS,
    map_option,
    named_map,
    numbers,
    temperature_option,
)
from softgrad.errors import UsageError
from softgrad.results import number

if TYPE_CHECKING:
    from rich.table import Table

_NARROWEST = 6
"""No column is narrower, in characters."""
_FEWEST = 3
"""A part of fewer rows shows nothing of a matrix."""


class _Form(TypedDict):
    ends: bool
    figures: int


_FORMS: tuple[_Form, ...] = (
    {"ends": True, "figures": 4},
    {"ends": True, "figures": 2},
    {"ends": False, "figures": 2},
)
"""The fullest first: with outputs and row sums, and numbers to so many figures."""


@command(context_settings=NEGATIVE_NUMBERS)
@click.argument("logits", type=numbers)
@map_option
@temperature_option
@click.option(
    "--cotangent", type=numbers, help="Numbers g, one an output: print the VJP, Jᵀ·g, too."
)
def jacobian(
    output: Output,
    logits: npt.NDArray[np.float64],
    name: str,
    temperature: float | None,
    cotangent: npt.NDArray[np.float64] | None,
) -> None:
    """Print the outputs of a map at LOGITS, and its Jacobian.

    LOGITS are numbers with commas between them: softgrad jacobian 2,1,0
    """
    y, J = named_map(name, temperature).linearize(logits)
    outputs, matrix = np.atleast_1d(y), np.atleast_2d(J.as_matrix())  # [R], [R, C]
    if cotangent is not None and cotangent.size != outputs.size:
        expected = f"one number for each of the {outputs.size} outputs"
        raise UsageError(f"--cotangent: expected {expected}, got {cotangent.size}")
    row_sums = np.atleast_1d(J.mv(np.ones_like(logits)))
    vjp = None if cotangent is None else J.rmv(cotangent.reshape(np.shape(y)))
    output.document(
        {
            "schema": "softgrad.jacobian/1",
            "map": name,
            "temperature": temperature,
            "logits": logits,
            "outputs": outputs,
            "jacobian": matrix,
            "row_sums": row_sums,
            "cotangent": cotangent,
            "vjp": vjp,
        }
    )
    at_temperature = "" if temperature is None else f", temperature {number(temperature)}"
    title = f"{name} at z = {_tuple(logits)}{at_temperature}"
    _draw(output, title, outputs, matrix, row_sums)
    if cotangent is not None and vjp is not None:
        output.print(f"cotangent g = {_tuple(cotangent)}", f"VJP    Jᵀ·g = {_tuple(vjp)}")


def _draw(
    output: Output,
    title: str,
    outputs: npt.NDArray[np.float64],
    matrix: npt.NDArray[np.float64],
    row_sums: npt.NDArray[np.float64],
) -> None:
    """Print as large a part of the matrix as the terminal is wide."""
    from rich.text import Text

    table, side, ends = _fitting(output, outputs, matrix, row_sums)
    sums = " Row sum: J·1." if ends else ""
    output.print(
        Text(title, style="bold"),
        f"Row i, column j: the slope of output i in z[j], ∂y[i]/∂z[j].{sums}",
        table,
    )
    if not ends:
        output.print(f"outputs y = {_tuple(outputs)}")
    if max(matrix.shape) > side:
        whole = " × ".join(map(str, matrix.shape))
        shown = f"The first {min(side, len(matrix))} × {min(side, matrix.shape[1])} entries"
        output.print(f"{shown} of {whole}; --json gives all of them.")


def _fitting(
    output: Output,
    outputs: npt.NDArray[np.float64],
    matrix: npt.NDArray[np.float64],
    row_sums: npt.NDArray[np.float64],
) -> tuple[Table, int, bool]:
    """Return the fullest form that has room for all; else as many rows as have room.

    Its number of rows, and whether outputs and row sums stand in it, come with it.
    """
    room, whole = output.stdout.width, max(matrix.shape)
    boundless = output.stdout.options.update(max_width=10_000)
    most = min(whole, room // _NARROWEST)
    smaller = range(most, _FEWEST - 1, -1)
    wanted = [(form, whole) for form in _FORMS if most == whole]
    wanted += [(form, side) for form in _FORMS[1:] for side in smaller]
    for form, side in wanted:
        table = _part(side, outputs, matrix, row_sums, **form)
        if output.stdout.measure(table, options=boundless).maximum <= room:
            return table, side, form["ends"]
    return _part(1, outputs, matrix, row_sums, ends=False, figures=2), 1, False


def _part(
    side: int,
    outputs: npt.NDArray[np.float64],
    matrix: npt.NDArray[np.float64],
    row_sums: npt.NDArray[np.float64],
    *,
    ends: bool,
    figures: int,
) -> Table:
    from softgrad.cli.matrix import coloured_matrix

    part = matrix[:side, :side]
    R, C = part.shape
    return coloured_matrix(
        part,
        [f"i = {i}" for i in range(R)],
        [f"j = {j}" for j in range(C)],
        before=("output", outputs[:R]) if ends else None,
        after=("row sum", row_sums[:R]) if ends else None,
        figures=figures,
    )


def _tuple(values: npt.NDArray[np.float64]) -> str:
    shown = [number(v) for v in values[:12].tolist()]
    more = f", … {values.size} in all" if values.size > 12 else ""
    return f"({', '.join(shown)}{more})"
