"""`plot_heads`: the gradients that several heads send into one linear layer, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from softgrad.errors import mismatch
from softgrad.explain import Comparison
from softgrad.explain.tables import largest
from softgrad.report.panels import Panel, reduce_panels
from softgrad.report.plots.canvas import PLAIN, SMALL, axes_or_new, one_each, with_notes
from softgrad.report.plots.cells import draw_cells, draw_scale, label_cells, size_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_heads"]

_COLUMNS = 6
"""As many columns of a gradient in W are drawn."""
_GAP = 0.5


def plot_heads(
    comparison: Comparison,
    *,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the gradients in W that heads send into the last layer, on one colour scale.

    A step of descent lowers orange weights and raises blue ones. Of more than six columns those
    with the largest inputs are drawn; of more than 64 classes the 63 with the largest gradients,
    and the sum of all others; the picture says both. Of more than 12 classes the target is first.

    Parameters
    ----------
    comparison : Comparison
        What `softgrad.compare` returned.
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
        `comparison` or `ax` is something else.
    ValueError
        There is not one label a class, or `ax` is polar or of another projection.

    Examples
    --------
    >>> import softgrad as sg
    >>> from softgrad.plot import plot_heads
    >>> W = [[0.1, 0.2], [0.3, 0.1], [0.0, 0.4]]
    >>> ax = plot_heads(sg.compare([1.0, 2.0], W, target=1))
    """
    if not isinstance(comparison, Comparison):
        got = type(comparison).__name__
        raise TypeError(mismatch("comparison", "what softgrad.compare returned", got))
    K, D = comparison.W.shape
    H = len(comparison.heads)
    names = one_each(labels, [str(k) for k in range(K)])
    names[comparison.target] += " (target)"
    features = largest(np.abs(comparison.x), _COLUMNS)
    C = len(features)
    side_by_side = np.concatenate([h.W_bar[:, features] for h in comparison.heads], axis=1)
    panel = Panel(side_by_side, "", names, key_row=comparison.target)  # [K, H·C]
    (small,) = reduce_panels([panel])
    written = [small.numbers and [row[h * C :][:C] for row in small.numbers] for h in range(H)]

    ax = axes_or_new(ax, *size_of(len(small.matrix), H * C, numbers=small.numbers is not None))
    starts = [h * (C + _GAP) for h in range(H)]
    blocks = np.split(small.matrix, H, axis=1)
    for head, block, numbers, left in zip(comparison.heads, blocks, written, starts, strict=True):
        mesh = draw_cells(ax, block, numbers, small.limit, left)
        ax.annotate(f"{head.name} head", (left, 0), (0, 5), textcoords="offset points")
    places = np.concatenate([left + np.arange(C) for left in starts])
    label_cells(ax, small.rows.labels, [f"x[{j}]" for j in features] * H, places)
    ax.set_xlim(0, starts[-1] + C)
    if small.numbers is None:
        draw_scale(ax, mesh)
    notes = [f"{C} of {D} columns: those with the largest inputs"] if C < D else []
    ax.set_title("Gradient in the last layer's W", pad=24, **PLAIN)
    ax.set_ylabel("row of W", **SMALL)
    ax.set_xlabel(with_notes("", [*notes, *small.notes]), **SMALL)
    return ax
