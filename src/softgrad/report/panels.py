"""Labelled matrices, and their strongest rows and columns where not all have room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from softgrad.errors import mismatch
from softgrad.report.grid import Axis
from softgrad.report.scales import pretty
from softgrad.report.strongest import MOST, merge_rows, strongest

__all__ = ["MOST_WITH_NUMBERS", "Panel", "Reduced", "labelled", "reduce_panels"]

MOST_WITH_NUMBERS = 12
"""Rows or columns of cells in which numbers stand."""


@dataclass(frozen=True)
class Panel:
    """One matrix [R, C] with a title; labels count from 0 where none are given."""

    matrix: ArrayLike
    title: str = ""
    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    row_title: str = ""
    column_title: str = ""
    figures: int | None = None
    """Of a number in a cell; as many as have room where it is not said."""
    key_row: int | None = None
    """A row that is never left out; of many it is the first, whose label always has room."""


@dataclass(frozen=True)
class Reduced:
    """A panel that has room: rows and columns past `MOST` are merged into the last one."""

    matrix: NDArray[np.float64]
    title: str
    rows: Axis
    columns: Axis
    merged: tuple[int, int]
    limit: float
    figures: int | None = None

    @property
    def numbers(self) -> list[list[str]] | None:
        """The values as written, to fewer figures where many stand side by side; None: too many."""
        n_rows, n_columns = self.matrix.shape
        if max(n_rows, n_columns) > MOST_WITH_NUMBERS:
            return None
        room = 4 if n_columns <= 5 else 3 if n_columns <= 8 else 2
        figures = self.figures or room
        return [[pretty(value, figures) for value in row] for row in self.matrix.tolist()]

    @property
    def notes(self) -> list[str]:
        """What must be said on the picture: what was merged, and what is not finite."""
        notes = [
            f"{MOST - 1} strongest {name} of {MOST + merged}; "
            f"the last: sum of the other {merged + 1}"
            for name, merged in zip(("rows", "columns"), self.merged, strict=True)
            if merged
        ]
        unknown = int((~np.isfinite(self.matrix)).sum())
        return [*notes, f"grey: {unknown} not finite"] if unknown else notes


def labelled(labels: Sequence[str] | None, count: int, name: str, title: str = "") -> Axis:
    """Return the axis of `count` labels, the numbers from 0 where none are given."""
    if labels is None:
        return Axis(tuple(map(str, range(count))), title)
    if len(labels) != count:
        raise ValueError(mismatch(name, f"{count} labels", len(labels)))
    return Axis(tuple(map(str, labels)), title)


def reduce_panels(panels: Sequence[Panel]) -> list[Reduced]:
    """Make panels small enough to draw; those of one size keep the same rows and columns.

    Raises
    ------
    ValueError
        As for `heat_map`.
    """
    matrices = [_matrix(panel) for panel in panels]
    row_strengths = [np.abs(matrix).max(axis=1) for matrix in matrices]
    for panel, strengths in zip(panels, row_strengths, strict=True):
        if panel.key_row is not None:
            strengths[panel.key_row] = np.inf
    rows = map(_key_first, panels, _kept(row_strengths))
    columns = _kept([np.abs(matrix).max(axis=0) for matrix in matrices])
    return list(map(_reduced, panels, matrices, rows, columns))


def _matrix(panel: Panel) -> NDArray[np.float64]:
    matrix = np.asarray(panel.matrix, dtype=float)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(mismatch("matrix", "of shape (R, C), not empty", f"shape {matrix.shape}"))
    return matrix


def _kept(strengths: Sequence[NDArray[np.float64]]) -> list[NDArray[np.intp]]:
    """Return the places that stay on each axis, the same on all that are as long."""

    def largest(n: int) -> NDArray[np.float64]:
        of_all: NDArray[np.float64] = np.max([s for s in strengths if len(s) == n], axis=0)
        return of_all

    return [strongest(largest(len(s))) for s in strengths]


def _key_first(panel: Panel, kept: NDArray[np.intp]) -> NDArray[np.intp]:
    if panel.key_row is None or len(kept) <= MOST_WITH_NUMBERS:
        return kept
    return np.concatenate([[panel.key_row], kept[kept != panel.key_row]])


def _reduced(
    panel: Panel,
    matrix: NDArray[np.float64],
    kept_rows: NDArray[np.intp],
    kept_columns: NDArray[np.intp],
) -> Reduced:
    rows = labelled(panel.rows, matrix.shape[0], "rows", panel.row_title)
    columns = labelled(panel.columns, matrix.shape[1], "columns", panel.column_title)
    seen = np.abs(matrix[np.ix_(kept_rows, kept_columns)])
    small, rows = merge_rows(matrix, rows, kept_rows)
    turned, columns = merge_rows(small.T, columns, kept_columns)
    return Reduced(
        turned.T,
        panel.title,
        rows,
        columns,
        merged=(matrix.shape[0] - len(rows.labels), matrix.shape[1] - len(columns.labels)),
        limit=float(np.where(np.isfinite(seen), seen, 0.0).max()),
        figures=panel.figures,
    )
