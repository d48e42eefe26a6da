"""`plot_jacobian`: the slopes of every output in every input, as cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from softgrad.errors import mismatch
from softgrad.explain.names import public_name
from softgrad.linear import AbstractLinearMap
from softgrad.maps import AbstractMap, softmax
from softgrad.report.panels import Panel, reduce_panels
from softgrad.report.plots.canvas import PLAIN, SMALL, axes_or_new, with_notes
from softgrad.report.plots.cells import draw_cells, draw_scale, label_cells, size_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_jacobian"]


def plot_jacobian(
    at: Any,
    f: AbstractMap = softmax,
    *,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the Jacobian of a map as coloured cells: blue below zero, orange above.

    Up to 12 × 12 the values are written in the cells. Of more than 64 classes the 63 with the
    largest slopes are drawn, and the sum of all others, which the picture says.

    Parameters
    ----------
    at : array [K], or Jacobian, or array [R, C]
        Logits, at which `f` is differentiated; or what `linearize` returned, or any matrix.
    f : map
        Softmax, where none is given.
    labels : sequence of str, optional
        Names of the classes; the numbers from 0 where none are given.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    TypeError
        `f` is no map, `at` is not of real numbers, or `ax` is something else.
    ValueError
        `at` has another number of axes, is empty, or of logits whose Jacobian is not finite; there
        is not one label a class; or `ax` is polar or of another projection.

    Examples
    --------
    >>> from softgrad.plot import plot_jacobian
    >>> ax = plot_jacobian([2.0, 1.0, 0.0], labels=["cat", "dog", "fox"])
    >>> ax.figure.savefig("jacobian.pdf")  # doctest: +SKIP
    """
    matrix, title = _matrix(at, f)
    for count in matrix.shape:
        if labels is not None and len(labels) != count:
            raise ValueError(mismatch("labels", f"{count} labels", len(labels)))
    (small,) = reduce_panels([Panel(matrix, "", labels, labels)])
    R, C = small.matrix.shape
    ax = axes_or_new(ax, *size_of(R, C, numbers=small.numbers is not None))
    mesh = draw_cells(ax, small.matrix, small.numbers, small.limit)
    places = np.arange(C, dtype=np.float64)
    label_cells(ax, small.rows.labels, small.columns.labels, places)
    if small.numbers is None:
        ax.set_aspect("equal")
        draw_scale(ax, mesh)
    ax.set_title(title, **PLAIN)
    ax.set_ylabel("output", **SMALL)
    ax.set_xlabel(with_notes("input that is raised", small.notes), **SMALL)
    return ax


def _matrix(at: Any, f: AbstractMap) -> tuple[NDArray[np.float64], str]:
    """Return the matrix, and what it is."""
    if not isinstance(f, AbstractMap):
        raise TypeError(mismatch("f", "a map, such as softgrad.softmax", repr(f)))
    if isinstance(at, AbstractLinearMap):
        return np.atleast_2d(np.asarray(at.as_matrix(), dtype=np.float64)), "Jacobian"
    values = np.asarray(at)
    if values.dtype.kind not in "fiu" or values.ndim not in (1, 2) or values.size == 0:
        expected = "logits of shape [K], or a matrix, of real numbers"
        got = f"{values.dtype} of shape {values.shape}"
        error = ValueError if values.dtype.kind in "fiu" else TypeError
        raise error(mismatch("at", expected, got))
    if values.ndim == 2:
        return values.astype(np.float64), "Jacobian"
    J = np.atleast_2d(f.jacobian(values.astype(np.float64)))
    if not np.isfinite(J).all():
        raise ValueError(mismatch("at", "logits with a finite Jacobian", values.tolist()))
    return J, f"Jacobian of {public_name(f)}"
