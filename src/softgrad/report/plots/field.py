"""`plot_simplex_field`: which way the gradient of an objective moves the outputs of softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from softgrad.explain.objectives import Objective, choose_objective
from softgrad.maps import softmax
from softgrad.report.colours import PALETTE, sequential
from softgrad.report.plots.canvas import PLAIN, SMALL, axes_or_new, one_each
from softgrad.report.plots.triangle import MOVING, draw_triangle, on_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_simplex_field"]

_PARTS = 15
"""As many steps has a side of the triangle."""
_LENGTH = 0.72 / _PARTS
_STILL = 1e-12
_PALEST = 0.3
"""The share of the scale's blue that is nearest to white: less would not be seen on white."""


def plot_simplex_field(
    objective: str = "log",
    *,
    index: int | None = None,
    weights: Any = None,
    ascend: bool = True,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which way a step along a gradient in the logits moves three probabilities.

    Arrows have one length, and their colour is the speed ‖J Jᵀ g‖, with g the objective's gradient
    in the outputs. Where nothing moves there is a dot.

    Parameters
    ----------
    objective : {"log", "output", "weighted", "sum", "entropy"}
        As in `softgrad.follow`. Ascent on ``"log"``, log p[index], is descent on the cross-entropy.
    index : int, optional
        The output, for ``"log"`` and ``"output"``.
    weights : array [3], optional
        For ``"weighted"``.
    ascend : bool
        False descends.
    labels : sequence of str, length 3, optional
        Names of the classes: lower left, lower right, top. By default p[0], p[1], p[2].
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        `plot_path` draws on it.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    TypeError
        `index` or `weights` is missing or not of use, or `ax` is something else.
    ValueError
        There is no such objective, there are not three labels or weights, or `ax` is polar or of
        another projection.
    IndexError
        There is no such output.

    Examples
    --------
    >>> import softgrad as sg
    >>> from softgrad.plot import plot_path, plot_simplex_field
    >>> ax = plot_simplex_field("log", index=0)
    >>> ax = plot_path(sg.follow(sg.softmax, "log", index=0, start=[0.0, 1.0, 2.0]), ax=ax)
    """
    goal = choose_objective(objective, index, weights, 3)
    corners = one_each(labels, [f"p[{k}] = 1" for k in range(3)])
    p = _lattice()
    velocity = np.stack([_velocity(goal, row) for row in p]) * (1 if ascend else -1)  # [M, 3]
    speed = np.linalg.norm(velocity, axis=1)
    moves = speed > _STILL

    ax = axes_or_new(ax, 4.6, 4.2)
    draw_triangle(ax, corners)
    ax.plot(*on_plane(p[~moves]).T, "o", color=PALETTE[0], markersize=2.5)
    if moves.any():
        _draw_arrows(ax, on_plane(p[moves]), on_plane(velocity[moves]), speed[moves])
    way = "Ascent" if ascend else "Descent"
    still = "" if moves.any() else ": nothing moves"
    ax.set_title(f"{way} on {goal.formula}{still}", **PLAIN)
    return ax


def _lattice() -> NDArray[np.float64]:
    """Return points inside the triangle, evenly spread [M, 3]."""
    n = _PARTS
    steps = [(i, j, n - i - j) for i in range(1, n) for j in range(1, n - i)]
    return np.array(steps) / n


def _velocity(goal: Objective, p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how p [3] changes as the logits move along the objective's gradient."""
    z = np.log(p)
    _, _, z_bar = goal.at(softmax, z)
    return np.asarray(softmax.jvp(z, z_bar))


def _draw_arrows(
    ax: Axes, start: NDArray[np.float64], along: NDArray[np.float64], speed: NDArray[np.float64]
) -> None:
    along = along / np.linalg.norm(along, axis=1, keepdims=True) * _LENGTH
    arrows = ax.quiver(
        *(start - along / 2).T,
        *along.T,
        speed,
        cmap=_blues(ax),
        clim=(0, float(speed.max())),
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.006,
        headwidth=3.6,
        headlength=4.2,
        headaxislength=3.8,
        zorder=2,
        gid=MOVING,
    )
    bar = ax.figure.colorbar(arrows, ax=ax, shrink=0.6, pad=0.02)
    bar.set_label("speed of p", **SMALL)
    bar.outline.set_visible(False)


def _blues(ax: Axes) -> Any:
    """Return colours from slow to fast: away from the page's, whether it is white or black."""
    from matplotlib.colors import ListedColormap, to_rgba

    *page, opacity = to_rgba(ax.figure.get_facecolor())
    is_dark = opacity * (1 - np.mean(page)) > 0.5
    shares = np.linspace(_PALEST, 1, 256)
    return ListedColormap(sequential(shares[::-1] if is_dark else shares) / 255)
