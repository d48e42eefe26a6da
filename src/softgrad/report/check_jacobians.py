"""The backward's Jacobian beside the measured one, and their difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.jacobians import Jacobians
from softgrad.report.heat_map import heat_maps
from softgrad.report.page import Figure
from softgrad.report.panels import Panel
from softgrad.report.scales import pretty
from softgrad.report.sentences import named

__all__ = ["jacobians_figure"]


def jacobians_figure(seen: Jacobians) -> Figure:
    """Draw three matrices on one colour scale."""
    gap = seen.analytic - seen.measured  # [M, n]
    size = float(np.abs(seen.measured).max(initial=0.0))
    wrong = np.abs(gap) > 32 * seen.bar + 1e-9 * size
    shown = {
        "your backward": seen.analytic,
        "measured": seen.measured,
        "difference": np.where(wrong, gap, 0.0),
    }
    panels = [
        Panel(matrix, title, row_title="output", column_title="input entry", figures=2)
        for title, matrix in shown.items()
    ]
    return Figure(heat_maps(panels), f"{_what(seen)} {_how_far(gap, wrong)}")


def _what(seen: Jacobians) -> str:
    shape = " × ".join(map(str, seen.shape)) or "one"
    words = (
        f"How each output changes with each entry of {named(seen.input)}, on a small twin of "
        f"{shape} entries: as your backward says, and as was measured."
    )
    if seen.rows > 1:
        words += f" Each of its {seen.rows} rows depends on itself alone; the worst is shown."
    return words


def _how_far(gap: Matrix, wrong: NDArray[np.bool_]) -> str:
    """Say where the two differ by more than rounding; what is less is drawn as 0."""
    if not wrong.any():
        worst = pretty(float(np.abs(gap).max(initial=0.0)), 2)
        return f"They agree to {worst} in every entry."
    worst = pretty(float(np.abs(gap).max()), 2)
    words = f"{int(wrong.sum())} of {wrong.size} slopes are off, by up to {worst}"
    if gap.shape[0] != gap.shape[1] or min(gap.shape) < 2:
        return f"{words}."
    diagonal = np.eye(len(gap), dtype=bool)
    if not wrong[diagonal].any():
        return f"{words}: the diagonal is right, and what lies beside it is wrong."
    if not wrong[~diagonal].any():
        return f"{words}: the diagonal is wrong, and all beside it is right."
    return f"{words}."
