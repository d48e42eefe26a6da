"""The rows that a model is most confidently wrong about, with the gradient that they send back."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from softgrad.explain.judged import Judged
from softgrad.report import png
from softgrad.report.colours import RGB
from softgrad.report.heat_map import heat_map
from softgrad.report.page import Figure, Fold
from softgrad.report.scales import pretty
from softgrad.report.sentences import named
from softgrad.report.svg import Piece, drawing, join, text
from softgrad.results import Table

__all__ = ["mistakes_figures", "mistakes_fold"]

_DRAWN, _LISTED = 6, 40
_PIXEL = re.compile(r"pixel_(\d+)_(\d+)")
_THUMBNAIL = 72.0
_INK, _PAPER = np.array([0x1D, 0x21, 0x27]), np.array([0xF7, 0xF7, 0xF5])


def mistakes_figures(judged: Judged) -> tuple[Figure, ...]:
    """Draw p − t of the rows that are wrong and most certain; and the rows, where they are pixels.

    No figure where no row is wrong.
    """
    rows = _most_confident(judged)[:_DRAWN]
    if not len(rows):
        return ()
    p = judged.probabilities[rows]  # [R, K]
    t = np.eye(len(judged.classes))[judged.y[rows]]
    first = rows[0]
    said = judged.predicted[first]
    through, sums = "sigmoid and binary cross-entropy", ""
    if judged.sums_to_one:
        through, sums = "softmax and cross-entropy", ", and every row sums to 0"
    words = (
        f"p − t, what each row sends back through {through}: orange lowers a logit, blue raises "
        f"it{sums}. Row {judged.numbers[first]} is {named(judged.classes[judged.y[first]])}; for "
        f"the model it is {named(judged.classes[said])}, with probability "
        f"{pretty(judged.probabilities[first, said])}."
    )
    svg = heat_map(
        p - t,
        "Most confidently wrong",
        [f"row {judged.numbers[row]}" for row in rows],
        judged.classes,
        column_title="logit of class",
    )
    return (*_pixels(judged, rows), Figure(svg, words))


def mistakes_fold(judged: Judged) -> tuple[Fold, ...]:
    """Return the wrong rows as a table, the most certain first."""
    wrong = _most_confident(judged)
    rows = tuple(
        (
            str(judged.numbers[row]),
            named(judged.classes[judged.y[row]]),
            float(judged.probabilities[row, judged.y[row]]),
            named(judged.classes[judged.predicted[row]]),
            float(judged.probabilities[row, judged.predicted[row]]),
        )
        for row in wrong[:_LISTED]
    )
    if not rows:
        return ()
    columns = ("row", "class", "its probability", "said", "with probability")
    part = f"{len(rows)} of {len(wrong)}, the most certain" if len(rows) < len(wrong) else ""
    return (Fold("Every row that is wrong", (Table(columns, rows, part),)),)


def _most_confident(judged: Judged) -> NDArray[np.intp]:
    """Return the rows that are wrong, the most certain first."""
    wrong = np.flatnonzero(judged.predicted != judged.y)
    certainty = judged.probabilities[wrong].max(axis=1)
    return wrong[np.argsort(-certainty, kind="stable")]


def _label(judged: Judged, row: int) -> str:
    true, said = judged.classes[judged.y[row]], judged.classes[judged.predicted[row]]
    return f"{true} → {said}"


def _pixels(judged: Judged, rows: NDArray[np.intp]) -> tuple[Figure, ...]:
    """Draw rows whose features are the pixels of a picture, by their names."""
    shape = _shape(judged.features)
    if shape is None:
        return ()
    X = judged.X[rows].reshape(-1, *shape)
    low, span = float(X.min()), float(np.ptp(X)) or 1.0
    pieces = []
    for k, (row, picture) in enumerate(zip(rows.tolist(), X, strict=True)):
        x = k * (_THUMBNAIL + 14)
        image = png.image(_grey((picture - low) / span), x, 0, _THUMBNAIL, _THUMBNAIL)
        middle = x + _THUMBNAIL / 2
        below = text(_label(judged, row), middle, _THUMBNAIL + 12, anchor="middle", limit=80)
        number = f"row {judged.numbers[row]}"
        under = text(number, middle, _THUMBNAIL + 28, anchor="middle", limit=80, quiet=True)
        pieces.append(join(image, below, under))
    piece = Piece(join(*pieces), len(rows) * (_THUMBNAIL + 14) - 14, _THUMBNAIL + 36)
    words = "The rows themselves, as pictures: the true class, and what the model says."
    return (Figure(drawing(piece, "The rows as pictures", words), words),)


def _shape(features: tuple[str, ...]) -> tuple[int, int] | None:
    """Return height and width where columns are called pixel_0_0, pixel_0_1, … in this order."""
    found = [_PIXEL.fullmatch(name) for name in features]
    places = [(int(match[1]), int(match[2])) for match in found if match]
    if len(places) < len(features) or not places:
        return None
    height, width = places[-1][0] + 1, places[-1][1] + 1
    return (height, width) if places == list(np.ndindex(height, width)) else None


def _grey(shares: NDArray[np.float64]) -> RGB:
    colours = _PAPER + (_INK - _PAPER) * shares[..., None]
    return np.asarray(np.rint(colours), dtype=np.uint8)
