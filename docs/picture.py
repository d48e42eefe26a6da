"""Draw the README's picture from live results: `python docs/picture.py`."""

from __future__ import annotations

import re
from pathlib import Path as File

import numpy as np
from markupsafe import Markup

import softgrad as sg
from softgrad.report.heat_map import heat_maps
from softgrad.report.panels import Panel
from softgrad.report.simplex import Path, simplex
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, standalone

TARGET = File(__file__).parent / "_static" / "softgrad.svg"
SIDES = ("width", "height")
MARGIN = 24


def followed(start: list[float], steps: int = 300, lr: float = 0.5) -> np.ndarray:
    """Climb the gradient of the first output of softmax; return the outputs on the way."""
    logits = np.array(start)
    path = []
    for _ in range(steps):
        path.append(sg.softmax(logits))
        logits = logits + lr * sg.softmax.vjp(logits, np.array([1.0, 0.0, 0.0]))
    return np.array(path)


def pieces(svg: Markup) -> list[Piece]:
    """Return the drawings in `svg`, which stand side by side there, as parts of another one."""
    parts = []
    for part in str(svg).split("<svg ")[1:]:
        width, height = (float(re.search(rf' {side}="(\d+)"', part)[1]) for side in SIDES)
        parts.append(Piece(Markup("<svg " + part.replace(' class="wide"', "")), width, height))
    return parts


def main() -> None:
    """Write the picture."""
    z = np.array([2.0, 1.0, 0.0])
    jacobian = sg.softmax.jacobian(z)
    outputs, inputs = ["p₁", "p₂", "p₃"], ["z₁ = 2", "z₂ = 1", "z₃ = 0"]
    matrices = heat_maps(
        [
            Panel(jacobian, "Softmax's Jacobian, diag(p) − p pᵀ", outputs, inputs),
            Panel(np.diag(np.diag(jacobian)), "What p(1 − p) alone would be", outputs, inputs),
        ]
    )
    paths = [
        Path("from z = (0, 3, −1)", followed([0.0, 3.0, -1.0])),
        Path("from z = (−1, 0, 3)", followed([-1.0, 0.0, 3.0])),
    ]
    heading = "Following the gradient of p₁: it ends in a corner"
    left = stack(pieces(matrices), gap=28)
    right = stack([line_of_text(heading, bold=True), *pieces(simplex(paths, outputs, heading))])
    across = left.width + right.width + 3 * MARGIN
    both = join(left.at(MARGIN, MARGIN), right.at(left.width + 2 * MARGIN, MARGIN))
    whole = Piece(both, across, max(left.height, right.height) + 2 * MARGIN)
    title = "The softmax Jacobian, and where the gradient of one output leads"
    picture = drawing(whole, title, "Two matrices as coloured cells, and two paths on the simplex")
    TARGET.write_text(standalone(picture))


if __name__ == "__main__":
    main()
