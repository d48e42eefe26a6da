"""The tour: five questions about the softmax layer, answered on one row of real data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softgrad.arrays import Array
from softgrad.checker import Report, check
from softgrad.errors import mismatch
from softgrad.explain import tour_answers as answers
from softgrad.explain.compare import Comparison, compare
from softgrad.explain.follow import Followed, follow
from softgrad.explain.hidden_softmax import HiddenSoftmax, hidden_softmax
from softgrad.explain.tour_answers import Answer, Sample
from softgrad.explain.training import Training
from softgrad.maps import softmax
from softgrad.nn import Linear, Network
from softgrad.results import Block, Paragraph, Result

__all__ = ["Tour", "take_tour"]

_FOLLOWED = 3
"""As many outputs are followed: they fill a triangle."""
_STEPS = 50
_CHECKED_ROWS = 16
_HEADS = ("softmax", "sigmoid", "sigmoid-all")


@dataclass(frozen=True, eq=False)
class Tour(Result):
    """All that `softgrad demo` shows, in the terminal and in its report."""

    schema: ClassVar[str] = "softgrad.tour/1"

    training: Training
    sample: Sample
    comparison: Comparison
    """Several heads on the last layer, for the sample."""
    followed: Followed
    """Gradient ascent on one output, from the logits of the sample's likeliest classes."""
    followed_classes: tuple[str, ...]
    followed_sum: Followed
    """The same on the plain sum of the outputs."""
    hidden: HiddenSoftmax
    right: Report
    """The check of softmax's backward."""
    wrong: Report
    """The check of h(1 − h) alone."""
    answers: tuple[Answer, ...]

    def blocks(self) -> Iterable[Block]:
        """Yield questions, answers, and the two checks."""
        for number, answer in enumerate(self.answers, start=1):
            yield Paragraph("")
            yield Paragraph(f"{number}. {answer.question}", "title")
            yield from answer.blocks
        yield Paragraph("")
        yield Paragraph("And is a gradient right? A check decides.", "title")
        for report in (self.right, self.wrong):
            yield from report.blocks()


def take_tour(training: Training, network: Network, X: Array, y: Array) -> Tour:
    """Answer the five questions with a trained network and rows that it has not seen.

    Parameters
    ----------
    training : Training
        How it was trained.
    network : Network
        Its last two layers are a linear layer and softmax.
    X : array [N, D]
        Standardised rows.
    y : int array [N]
        Their classes.

    Returns
    -------
    Tour

    Raises
    ------
    ValueError
        The network ends otherwise, or has fewer than three classes.
    """
    last = network.layers[-2] if len(network.layers) > 1 else None
    if not isinstance(last, Linear) or len(training.classes) < _FOLLOWED:
        expected = f"one with {_FOLLOWED} classes or more that ends in Linear and softmax"
        raise ValueError(mismatch("network", expected, repr(network.layers)))
    row = _most_undecided(network, X)
    sample = Sample.of(network, X[row], int(y[row]), training.classes)
    x = network.activations(X[row])[-3]
    comparison = compare(x, last.W, sample.target, last.b, _HEADS)

    likeliest = np.argsort(-sample.p, kind="stable")[:_FOLLOWED]
    start = sample.logits[likeliest]
    followed = follow(softmax, "output", index=1, start=start, steps=_STEPS)
    followed_sum = follow(softmax, "sum", start=start, steps=_STEPS)
    followed_classes = tuple(training.classes[k] for k in likeliest)

    hidden = hidden_softmax(X[row], sample.target, len(training.classes))
    logits = np.stack([network.activations(x)[-2] for x in X[:_CHECKED_ROWS]])
    return Tour(
        training=training,
        sample=sample,
        comparison=comparison,
        followed=followed,
        followed_classes=followed_classes,
        followed_sum=followed_sum,
        hidden=hidden,
        right=check(softmax, softmax_backward, logits),
        wrong=check(softmax, h_times_one_minus_h, logits),
        answers=(
            answers.why_a_matrix(sample),
            answers.how_it_becomes_a_vector(sample),
            answers.what_differs_with_sigmoid(sample, comparison),
            answers.what_follows_the_output(followed_classes, followed, followed_sum),
            answers.how_it_passes_a_hidden_softmax(hidden),
        ),
    )


def softmax_backward(z: Any, p_bar: Any) -> Array:
    """Return Jᵀ·p_bar."""
    return softmax.vjp(z, p_bar)


def h_times_one_minus_h(z: Any, p_bar: Any) -> Array:
    """Return what many write: the diagonal of J alone."""
    p = softmax(z)
    return p * (1 - p) * p_bar


def _most_undecided(network: Network, X: Array) -> int:
    """Return the row whose Jacobian has the largest trace, Σ p(1 − p)."""
    p = network.probabilities(X)  # [N, K]
    return int(np.argmax((p * (1 - p)).sum(axis=-1)))
