"""`plot_path`: how outputs move over the triangle of three probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from softgrad.errors import mismatch
from softgrad.explain import Followed
from softgrad.explain.follow import Trajectory
from softgrad.report.colours import PALETTE
from softgrad.report.plots.canvas import PLAIN, SMALL, add_legend, axes_or_new, one_each
from softgrad.report.plots.triangle import MOVING, draw_triangle, on_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_path"]

_HEADS = (0.35, 0.7)
"""The shares of a path's length at which there is an arrow head."""


def plot_path(paths: Any, *, labels: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the path of probabilities over the triangle: a ring at its start, a dot at its end.

    Of more than three classes the two are drawn whose probabilities move most; the third corner is
    the sum of all others, which the picture says.

    Parameters
    ----------
    paths : Followed, or array [T, K], or a mapping
        What `softgrad.follow` returned with softmax, or probabilities at T moments; or several,
        by their names.
    labels : sequence of str, length K, optional
        Names of the classes. By default p[0], p[1], ….
    ax : matplotlib.axes.Axes, optional
        Where to draw, such as what `plot_simplex_field` returned; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    TypeError
        A path or `ax` is something else.
    ValueError
        There is no path; they are no probabilities of three classes or more, or not of the same
        classes; there is not one label a class; or `ax` is polar or of another projection.

    Examples
    --------
    >>> import softgrad as sg
    >>> from softgrad.plot import plot_path
    >>> start = [0.0, 1.0, 2.0]
    >>> one = sg.follow(sg.softmax, "output", index=0, start=start)
    >>> total = sg.follow(sg.softmax, "sum", start=start)
    >>> ax = plot_path({"p[0]": one, "the sum": total})
    """
    named = dict(paths) if isinstance(paths, Mapping) else {"": paths}
    if not named:
        raise ValueError(mismatch("paths", "at least one path", "none"))
    runs = [_probabilities(path) for path in named.values()]  # [T, K] each
    K = runs[0].shape[1]
    if any(run.shape[1] != K for run in runs):
        counts = ", ".join(str(run.shape[1]) for run in runs)
        raise ValueError(mismatch("paths", "of the same classes", f"{counts} of them"))
    names = one_each(labels, [f"p[{k}] = 1" for k in range(K)])
    note = ""
    if K > 3:
        kept = _liveliest(runs)
        runs = [_merged(run, kept) for run in runs]
        names = [names[kept[0]], names[kept[1]], f"the other {K - 2}"]
        note = f"2 of {K} classes: those that move most; top: the sum of the other {K - 2}"

    ax = axes_or_new(ax, 4.4, 4.2)
    draw_triangle(ax, names)
    before = sum(artist.get_gid() == MOVING for artist in ax.get_children())
    lines = [_draw(ax, run, PALETTE[i % len(PALETTE)]) for i, run in enumerate(runs, before)]
    if len(named) > 1:
        add_legend(ax, lines, [*map(str, named)])
    if note:
        ax.text(0.5, -0.13, note, ha="center", va="top", **SMALL, **PLAIN)
    return ax


def _probabilities(path: Any) -> NDArray[np.float64]:
    """Return the rows of one path [T, K]."""
    if isinstance(path, Followed):
        path = path.trajectory
    points = np.asarray(path.outputs if isinstance(path, Trajectory) else path)
    expected = "what softgrad.follow returned, or probabilities of shape [T, K] with K of 3 or more"
    if points.dtype.kind not in "fiu":
        raise TypeError(mismatch("paths", expected, type(path).__name__))
    if points.ndim != 2 or len(points) == 0 or points.shape[1] < 3:
        raise ValueError(mismatch("paths", expected, f"shape {points.shape}"))
    points = points.astype(np.float64)
    # Half-precision probabilities add up to 1 within a thousandth.
    if not ((points >= -1e-3).all() and (np.abs(points.sum(axis=1) - 1) < 1e-2).all()):
        raise ValueError(mismatch("paths", "probabilities, each row adding up to 1", "others"))
    return points


def _liveliest(runs: Sequence[NDArray[np.float64]]) -> tuple[int, int]:
    """Return the two classes whose probabilities have the widest ranges, in their order."""
    spread = np.max([np.ptp(run, axis=0) for run in runs], axis=0)  # [K]
    one, other = sorted(np.argsort(-spread, kind="stable")[:2].tolist())
    return one, other


def _merged(run: NDArray[np.float64], kept: tuple[int, int]) -> NDArray[np.float64]:
    rest = np.delete(run, kept, axis=1).sum(axis=1)
    return np.column_stack([run[:, kept], rest])  # [T, 3]


def _draw(ax: Axes, run: NDArray[np.float64], colour: str) -> Any:
    points = on_plane(run)  # [T, 2]
    (line,) = ax.plot(*points.T, color=colour, linewidth=1.8, zorder=4, gid=MOVING)
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.8, "markersize": 9}
    ax.plot(*points[0], "o", color=colour, zorder=5, **ring)
    ax.plot(*points[-1], "o", color=colour, markersize=4, zorder=5)
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    for share in _HEADS if lengths[-1] > 0.1 else ():
        behind, here = (
            np.array([np.interp(at, lengths, points[:, k]) for k in (0, 1)])
            for at in (share * lengths[-1] - 0.02, share * lengths[-1])
        )
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": 0, "mutation_scale": 18}
        ax.annotate("", xy=tuple(here), xytext=tuple(behind), arrowprops=style, zorder=5)
    return line
