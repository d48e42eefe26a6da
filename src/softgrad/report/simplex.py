"""Paths of three probabilities in the triangle whose corners are the certain answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from softgrad.errors import mismatch
from softgrad.report.colours import PALETTE, stroke
from softgrad.report.paths import thin
from softgrad.report.scales import pretty
from softgrad.report.svg import Attributes, Piece, drawing, join, stack, tag, text
from softgrad.report.words import FONT_SIZE, width_of

__all__ = ["Path", "Triangle", "simplex"]

# Closer than this a point adds nothing to see.
_STEP = 0.7


@dataclass(frozen=True)
class Path:
    """The probabilities [T, 3] at each step of one run."""

    name: str
    points: ArrayLike
    colour: int | None = None
    """Which of the palette's, where it means something; else paths count from 0."""


@dataclass(frozen=True)
class Triangle:
    """Where the corners are, in pixels, and how they are drawn."""

    side: float = 300.0
    margin: float = 60.0
    """Room for the corners' names on the left and on the right."""
    top: float = 24.0

    @property
    def corners(self) -> NDArray[np.float64]:
        """Lower left, lower right, top [3, 2]."""
        low, height = self.top + self.side * math.sqrt(0.75), self.top
        left, right = self.margin, self.margin + self.side
        return np.array([(left, low), (right, low), ((left + right) / 2, height)])

    @property
    def width(self) -> float:
        """With the corners' names."""
        return self.side + 2 * self.margin

    @property
    def height(self) -> float:
        """With the corners' names."""
        return self.top + self.side * math.sqrt(0.75) + 28

    def drawn(self, names: Sequence[str]) -> Markup:
        """Draw the sides, lines at a quarter, a half and three quarters, and the names."""
        corners = self.corners
        faint: Attributes = {"stroke": "currentColor", "stroke_opacity": 0.13}
        parts = []
        for k in range(3):
            here, others = corners[k], np.delete(corners, k, axis=0)  # [2], [2, 2]
            for share in (0.25, 0.5, 0.75):
                ends = share * here + (1 - share) * others
                parts.append(tag("path", d=_through(ends), **faint))
        strong: Attributes = {"stroke": "currentColor", "stroke_opacity": 0.45}
        outline = _through(corners) + "z"
        sides = tag("path", d=outline, fill="none", stroke_linejoin="round", **strong)
        return join(*parts, sides, self._named(names))

    def _named(self, names: Sequence[str]) -> Markup:
        (left, low), (right, _), (middle, top) = self.corners.tolist()
        places = [(left, low + 14), (right, low + 14), (middle, top - 14)]
        # Under a corner there is room to the nearer edge only on one side: half of it on both.
        limits = (2 * self.margin, 2 * self.margin, 2 * self.margin + 40)
        return join(
            *(
                text(name, x, y, anchor="middle", limit=limit)
                for name, (x, y), limit in zip(names, places, limits, strict=True)
            )
        )


_PLANE = Triangle()


def simplex(paths: Sequence[Path], corners: Sequence[str], title: str) -> Markup:
    """Draw paths on the triangle of all three-class probabilities.

    A ring is a start and a dot an end; a path that does not move is both, one in the other.

    Parameters
    ----------
    paths : sequence of Path
        At least one; rows are probabilities of three classes, at any speed.
    corners : sequence of str, length 3
        Names of the classes: lower left, lower right, top.
    title : str
        What the picture shows, in a few words.

    Returns
    -------
    Markup
        One <svg> element.

    Raises
    ------
    ValueError
        There is no path, rows are not probabilities of three classes, or not three corners.

    Examples
    --------
    >>> path = Path("ascent", [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    >>> simplex([path], ["a", "b", "c"], "One output climbs").startswith("<svg")
    True
    """
    if not paths:
        raise ValueError(mismatch("paths", "at least one Path", "none"))
    if len(corners) != 3:
        raise ValueError(mismatch("corners", "3 names", len(corners)))
    points = [_probabilities(path) for path in paths]
    colours = [i if path.colour is None else path.colour for i, path in enumerate(paths)]
    plane = Piece(
        join(
            _PLANE.drawn(corners),
            *(_draw(colour, p @ _PLANE.corners) for colour, p in zip(colours, points, strict=True)),
        ),
        _PLANE.width,
        _PLANE.height,
    )
    words = [
        f"{path.name}: from {_triple(p[0])} to {_triple(p[-1])}"
        for path, p in zip(paths, points, strict=True)
    ]
    return drawing(stack([plane, _legend(paths, colours)], gap=6), title, "; ".join(words))


def _probabilities(path: Path) -> NDArray[np.float64]:
    points = np.asarray(path.points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(mismatch("points", "of shape (T, 3), not empty", f"shape {points.shape}"))
    # Half-precision probabilities add up to 1 within a thousandth.
    sums = points.sum(axis=1)
    if not ((points >= -1e-3).all() and (np.abs(sums - 1) < 1e-2).all()):
        raise ValueError(mismatch("points", "probabilities, each row adding up to 1", "others"))
    return points


def _triple(p: NDArray[np.float64]) -> str:
    return f"({', '.join(pretty(value, 3) for value in p.tolist())})"


def _draw(place: int, path: NDArray[np.float64]) -> Markup:
    """Draw one path [T, 2]: its line, two arrow heads, a ring at the start, a dot at the end."""
    colour = PALETTE[place % len(PALETTE)]
    path = _spaced(path)
    line = tag("path", d=_through(path), fill="none", stroke_linejoin="round", **stroke(place))
    (x0, y0), (x1, y1) = path[0].tolist(), path[-1].tolist()
    return join(
        line if len(path) > 1 else "",
        *(_arrow_head(path, share, colour) for share in (0.35, 0.7)),
        tag("circle", cx=x0, cy=y0, r=5.5, fill="none", stroke=colour, stroke_width=2),
        tag("circle", cx=x1, cy=y1, r=3.5, fill=colour),
    )


def _spaced(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop points that lie closer to the one kept before than can be seen."""
    kept = [path[0]]
    for point in path[1:]:
        if math.dist(point, kept[-1]) >= _STEP:
            kept.append(point)
    return np.stack(kept)


def _arrow_head(path: NDArray[np.float64], share: float, colour: str) -> Markup:
    """Draw the head that lies at `share` of the path's length; short paths have none."""
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    if lengths[-1] < 40:
        return Markup("")
    # The direction over some pixels, not over one step, which may be tiny or noisy.
    behind, here = (
        np.array([np.interp(at, lengths, path[:, k]) for k in (0, 1)])
        for at in (share * lengths[-1] - 6, share * lengths[-1] + 2)
    )
    if math.dist(behind, here) < 1:
        return Markup("")
    along = (here - behind) / math.dist(behind, here)
    across = 4.5 * np.array([-along[1], along[0]])
    corners = np.stack([here, here - 9 * along + across, here - 9 * along - across])
    return tag("path", d=_through(corners) + "z", fill=colour)


def _through(points: NDArray[np.float64]) -> str:
    return thin(points[:, 0], points[:, 1])


def _legend(paths: Sequence[Path], colours: Sequence[int]) -> Piece:
    """Name the paths where there are several, and explain the marks."""
    rows = [_entry(c, path.name) for c, path in zip(colours, paths, strict=True)]
    return stack([*(rows if len(rows) > 1 else []), _marks()], gap=3)


def _entry(colour: int, name: str) -> Piece:
    width = _PLANE.width
    line = tag("line", x1=2, y1=8, x2=22, y2=8, **stroke(colour))
    return Piece(join(line, text(name, 30, 8, limit=width - 30)), width, 16)


def _marks() -> Piece:
    ring = tag("circle", cx=12, cy=8, r=5.5, fill="none", stroke="currentColor", stroke_width=2)
    after = 30 + width_of("start") + 24
    dot = tag("circle", cx=after, cy=8, r=3.5)
    parts = join(ring, text("start", 30, 8), dot, text("end", after + 12, 8))
    return Piece(parts, after + 12 + width_of("end"), FONT_SIZE + 4)
