"""The confusion matrix of a classifier: what is right in blue, what is wrong in orange."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from softgrad.errors import mismatch
from softgrad.report.colours import RGB, hexadecimal, sequential
from softgrad.report.grid import draw_grid
from softgrad.report.panels import MOST_WITH_NUMBERS, labelled
from softgrad.report.strongest import MOST, merge_rows, strongest
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, tag, text
from softgrad.report.words import width_of

__all__ = ["confusion_matrix"]


def confusion_matrix(
    counts: ArrayLike, labels: Sequence[str] | None = None, title: str = "Confusion matrix"
) -> Markup:
    """Draw how often class k (row) was taken for class j (column).

    Right and wrong answers have a colour scale each, or a few errors among many right answers
    would be invisible. Of more than 64 classes the 63 with the most errors are drawn, and all
    others as one, within which nothing counts as an error.

    Parameters
    ----------
    counts : array_like, shape (K, K)
        Whole numbers; row: true class, column: predicted class.
    labels : sequence of str, length K
        Names of the classes; the numbers from 0 where none are given.
    title : str
        What the picture shows, in a few words.

    Returns
    -------
    Markup
        One <svg> element.

    Raises
    ------
    ValueError
        The counts are not a square of whole numbers ≥ 0, or there are not K labels.

    Examples
    --------
    >>> "47 of 50 are right" in confusion_matrix([[24, 1], [2, 23]], ["cat", "dog"])
    True
    """
    matrix = np.asarray(counts, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(mismatch("counts", "of shape (K, K), not empty", f"shape {matrix.shape}"))
    if not (np.isfinite(matrix).all() and (matrix >= 0).all() and (matrix % 1 == 0).all()):
        raise ValueError(mismatch("counts", "whole numbers from 0", "others among them"))
    axis = labelled(labels, len(matrix), "labels")
    right, total = int(np.trace(matrix)), int(matrix.sum())

    errors = matrix - np.diag(np.diag(matrix))
    kept = strongest(errors.sum(axis=0) + errors.sum(axis=1))
    small, rows = merge_rows(matrix, labelled(axis.labels, len(matrix), "labels", "true"), kept)
    turned, columns = merge_rows(
        small.T, labelled(axis.labels, len(matrix), "labels", "predicted"), kept
    )
    small = turned.T

    share = f"{100 * right / total:.1f} %" if total else "none"
    words = [f"{right} of {total} are right ({share})."]
    if len(kept) < len(matrix):
        words.append(f"The {MOST - 1} classes with the most errors; all others are one.")
    numbers = None
    if len(small) <= MOST_WITH_NUMBERS:
        # An empty cell is a zero: what is left to see is what happened.
        numbers = [[f"{count:.0f}" if count else "" for count in row] for row in small.tolist()]
    grid = draw_grid(_colours(small), rows, columns, numbers)
    pieces = [grid, _legend(small), *(line_of_text(note, quiet=True) for note in words[1:])]
    return drawing(stack(pieces), title, " ".join(words))


def _colours(counts: NDArray[np.float64]) -> RGB:
    """Colour right answers by their share of the class, wrong ones by that of the worst cell."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # [K, K]
    diagonal = np.eye(len(counts), dtype=bool)
    worst = np.where(diagonal, 0, shares).max() or 1.0
    # No error is so rare that its cell looks empty.
    wrong = np.where(shares > 0, 0.15 + 0.85 * shares / worst, 0)
    return np.where(diagonal[..., None], sequential(shares), sequential(wrong, warm=True))


def _legend(counts: NDArray[np.float64]) -> Piece:
    """Draw the two colours with the counts that have them."""
    right = np.diag(counts)
    most = (counts - np.diag(right)).max()
    entries = [(f"right: {right.min():.0f} to {right.max():.0f} of a class", False)]
    if most:
        entries.append((f"wrong: {most:.0f} at most in a cell", True))
    parts, x = [], 0.0
    for words, warm in entries:
        colour = hexadecimal(sequential(0.8, warm=warm))
        parts += [tag("rect", x=x, y=2, width=12, height=12, fill=colour), text(words, x + 18, 8)]
        x += 18 + width_of(words) + 18
    return Piece(join(*parts), x, 16)
