"""The checker's verdicts on several gradients: a table, and the errors beside what they may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from softgrad.checker import Report
from softgrad.errors import mismatch
from softgrad.explain.layer_checks import LayerCheck
from softgrad.report.colours import PALETTE
from softgrad.report.scales import Log, pretty
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, tag, text
from softgrad.report.words import LABEL_GAP, shorten, width_of
from softgrad.results import Table, Tone

__all__ = ["checks_table", "errors_chart", "tone_of", "verdicts"]

_MOST = 24
_WIDTH, _PITCH, _TOP = 460.0, 26.0, 22.0
_LONGEST_LABEL = 190.0
# Errors stand no further out: 0 below the rounding of float64, what is not finite above all.
_LEAST, _LARGEST = 1e-17, 1e3
_COLOURS = {"pass": PALETTE[0], "fail": PALETTE[1], "inconclusive": PALETTE[4]}


def verdicts(reports: Sequence[Report]) -> str:
    """Say how many checks passed, as the beginning of a sentence."""
    given = [report.verdict for report in reports]
    failed, undecided = given.count("fail"), given.count("inconclusive")
    if given == ["pass"]:
        return "The gradient check passes"
    if not failed and not undecided:
        return f"All {len(given)} gradient checks pass"
    others = [f"{failed} failed"] * bool(failed) + [f"{undecided} inconclusive"] * bool(undecided)
    return f"{given.count('pass')} of {len(given)} gradient checks pass: {', '.join(others)}"


def tone_of(reports: Sequence[Report]) -> Tone:
    """Return the tone of the worst verdict."""
    given = {report.verdict for report in reports}
    if "fail" in given:
        return "bad"
    return "plain" if "inconclusive" in given else "good"


def checks_table(checks: Sequence[LayerCheck], of: str = "gradient of") -> Table:
    """Return one line a check: its verdict, its error and what the differences leave open."""
    rows = tuple(
        (
            check.name,
            check.report.verdict,
            _size(check.report.relative_error),
            _size(check.report.error_bar),
            check.report.oracle,
        )
        for check in checks
    )
    return Table((of, "verdict", "relative error", "error bar", "compared with"), rows)


def _size(value: float | None) -> str | float:
    return "—" if value is None else value


def errors_chart(checks: Sequence[LayerCheck], title: str) -> Markup:
    """Draw each relative error on one logarithmic axis, beside what rounding explains.

    A dot on its grey bar, of as many error bars as the checker forgives, is rounding; one beyond
    it is an error. Of more than 24 checks those with the largest errors are drawn.

    Parameters
    ----------
    checks : sequence of LayerCheck
        At least one.
    title : str
        What the picture shows, in a few words.

    Returns
    -------
    Markup
        One <svg> element.

    Raises
    ------
    ValueError
        There is no check.
    """
    if not checks:
        raise ValueError(mismatch("checks", "at least one LayerCheck", "none"))
    shown = list(checks)
    if len(checks) > _MOST:
        worst = sorted(range(len(checks)), key=lambda i: -_error(checks[i].report))[:_MOST]
        shown = [checks[i] for i in sorted(worst)]
    left = max(width_of(shorten(check.name, _LONGEST_LABEL)) for check in shown) + LABEL_GAP
    compared = [check.report for check in shown if check.report.relative_error is not None]
    # The axis holds 1, where an error is as large as the gradient.
    sizes = [1.0, *map(_error, compared), *map(_forgiven, compared)]
    scale = Log.around(min(sizes), max(sizes), left + 8, _WIDTH - 12)
    bottom = _TOP + len(shown) * _PITCH
    chart = join(
        text("relative error", scale.start, 6, quiet=True),
        _axis(scale, bottom),
        *(_row(check, _TOP + (i + 0.5) * _PITCH, scale) for i, check in enumerate(shown)),
    )
    pieces, words = [Piece(chart, _WIDTH, bottom + 24), _legend()], [*map(_describe, shown)]
    if len(shown) < len(checks):
        words.append(f"{len(shown)} of {len(checks)} checks: those with the largest errors")
        pieces.append(line_of_text(words[-1], quiet=True))
    return drawing(stack(pieces), title, "; ".join(words))


def _error(report: Report) -> float:
    return _within(report.relative_error)


def _forgiven(report: Report) -> float:
    return _within(report.error_bar)


def _within(size: float | None) -> float:
    return float(np.clip(np.nan_to_num(size or 0.0, nan=_LARGEST), _LEAST, _LARGEST))


def _axis(scale: Log, bottom: float) -> Markup:
    parts = []
    for value, label in scale.ticks():
        x = float(scale(value))
        ends = {"x1": x, "y1": _TOP, "x2": x, "y2": bottom}
        parts.append(tag("line", **ends, stroke="currentColor", stroke_opacity=0.13))
        parts.append(text(label, x, bottom + 12, anchor="middle", quiet=True))
    return join(*parts)


def _row(check: LayerCheck, y: float, scale: Log) -> Markup:
    name = text(check.name, scale.start - 8 - LABEL_GAP, y, anchor="end", limit=_LONGEST_LABEL)
    if check.report.relative_error is None:
        return join(name, text("nothing to compare", scale.start, y, quiet=True))
    forgiven, error = (float(scale(size(check.report))) for size in (_forgiven, _error))
    bar = tag(
        "rect", x=scale.start, y=y - 6, width=forgiven - scale.start, height=12, fill_opacity=0.16
    )
    return join(name, bar, tag("circle", cx=error, cy=y, r=5, fill=_COLOURS[check.report.verdict]))


def _legend() -> Piece:
    """Explain the bar and the dots."""
    bar = tag("rect", x=0, y=2, width=24, height=12, fill_opacity=0.16)
    words = "explained by rounding"
    parts, x = [bar, text(words, 30, 8)], 30 + width_of(words) + 20
    for verdict in ("pass", "fail"):
        parts += [tag("circle", cx=x, cy=8, r=5, fill=_COLOURS[verdict]), text(verdict, x + 10, 8)]
        x += 10 + width_of(verdict) + 20
    return Piece(join(*parts), x, 16)


def _describe(check: LayerCheck) -> str:
    error = check.report.relative_error
    size = "nothing to compare" if error is None else f"relative error {pretty(error)}"
    return f"{check.name}: {check.report.verdict}, {size}"
