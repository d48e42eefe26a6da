"""The triangle whose points are three probabilities, on axes of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from softgrad.report.plots.canvas import FAINT, PLAIN, SMALL, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOVING", "draw_triangle", "on_plane"]

_CORNERS = np.array([(0.0, 0.0), (1.0, 0.0), (0.5, np.sqrt(0.75))])  # [3, 2]
_MARK = "softgrad-simplex"
MOVING = "softgrad-moving"
"""The mark of a path or a field: what is drawn next has the next colour."""


def on_plane(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points [..., 2] of probabilities [..., 3]; differences go to differences."""
    return np.asarray(p @ _CORNERS)


def draw_triangle(ax: Axes, corners: Sequence[str]) -> None:
    """Draw the sides, and lines at a quarter, a half, three quarters; once on the same axes."""
    if any(patch.get_gid() == _MARK for patch in ax.patches):
        return
    for k in range(3):
        here, others = _CORNERS[k], np.delete(_CORNERS, k, axis=0)  # [2], [2, 2]
        for share in (0.25, 0.5, 0.75):
            ends = share * here + (1 - share) * others
            ax.plot(*ends.T, zorder=0, **FAINT)
    ax.fill(*_CORNERS.T, fill=False, edgecolor="0.45", linewidth=1.0, zorder=1, gid=_MARK)
    aligned = (("left", "top", -0.04), ("right", "top", -0.04), ("center", "bottom", 0.03))
    for name, (x, y), (ha, va, dy) in zip(corners, _CORNERS, aligned, strict=True):
        ax.text(x, y + dy, short(name), ha=ha, va=va, **SMALL, **PLAIN)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set(xlim=(-0.04, 1.04), ylim=(-0.12, 0.97))
