"""The choice among hypotheses: one that fits at two points, and no other that comes near."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from softgrad.checker.diagnosis.hypotheses import TABLE, Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.scales import Constant, Factor, agreed
from softgrad.checker.diagnosis.view import View
from softgrad.checker.richardson import rms

__all__ = ["Fit", "best", "rank"]

_BARS = 10.0
"""An explanation leaves no more than this many error bars."""
_PART = 1e-3
"""Nor more than this part of the error that is to be explained."""
_MARGIN = 10.0
"""The next explanation of another name must be worse by this factor."""

Views = tuple[View, View]


@dataclass(frozen=True)
class Fit:
    """A guess held against both points; a factor is fitted at the first and tried at the second."""

    hypothesis: Hypothesis
    guess: Guess
    factor: float
    misfit: float
    """RMS of what is left, as a part of the error; the worse of the points it was tried at."""
    fits: bool
    words: Constant | None = None
    """What the factor is, where it is not 1."""

    @property
    def code(self) -> str:
        """The name of the mistake."""
        return self.hypothesis.code

    @property
    def message(self) -> str:
        """The mistake in one sentence."""
        if "{}" in self.guess.message:
            return (self.words or Constant(f"{self.factor:.6g}")).put(self.guess.message)
        if self.words is None:
            return self.guess.message
        return f"{self.guess.message} {self.words.also}"


def rank(views: Views, cheap: Sequence[Fit] | None = None) -> list[Fit]:
    """Return the explanations, best first; equal ones stay in the table's order.

    Those that need further calls are tried as well where all others, `cheap`, are given.
    """
    fits = list(cheap or ())
    for hypothesis in TABLE:
        if hypothesis.costly == (cheap is not None):
            fits += _fits(hypothesis, views)
    return sorted(
        fits, key=lambda fit: (not fit.fits, fit.factor != 1, 0 if fit.fits else fit.misfit)
    )


def best(ranked: list[Fit], views: Views) -> tuple[Fit | None, Fit | None]:
    """Return the explanation to name, if one stands alone, and the next one of another code."""
    first = ranked[0] if ranked else None
    if first is None:
        return None, None
    # One that predicts the same is no rival: the table's order decides by convention.
    rivals = [fit for fit in ranked if fit.code != first.code and not fit.fits]
    runner_up = min(rivals, key=lambda fit: fit.misfit, default=None)
    if not first.fits:
        return None, runner_up
    floor = max(first.misfit, *(view.bar / view.error for view in views if view.error))
    if runner_up is not None and runner_up.misfit < _MARGIN * floor:
        return None, runner_up
    return first, runner_up


def _fits(hypothesis: Hypothesis, views: Views) -> Iterable[Fit]:
    second: dict[str, Guess] | None = None
    for guess in hypothesis.guesses(views[0]):
        if not _is_sound(hypothesis, guess.matrix, views[0]):
            continue
        factors = [1.0]
        if hypothesis.factor or hypothesis.any_factor:
            factors.append(_factor(guess.matrix, views[0]))
        left = [_left(guess.matrix, views[0], c) for c in factors]
        near = [c for c, rest in zip(factors, left, strict=True) if _is_near(rest, views[0])]
        if not near:
            rest = left[-1] if hypothesis.any_factor else left[0]
            yield Fit(hypothesis, guess, factors[-1], rest / views[0].error, False)
            continue
        if second is None:  # what the first point refutes is not asked at the second
            second = {other.name: other for other in hypothesis.guesses(views[1])}
        if guess.name in second:
            yield from _tried(hypothesis, guess, second[guess.name].matrix, views, near)


def _tried(
    hypothesis: Hypothesis, guess: Guess, other: Matrix, views: Views, factors: list[float]
) -> Iterable[Fit]:
    """Try at the second point, with the same factor, what fits at the first."""
    pair = (guess.matrix, other)
    # A guess that is J itself explains nothing: if that fits, the factor is the mistake.
    same = all(view.is_multiple(B) for B, view in zip(pair, views, strict=True))
    if not _is_sound(hypothesis, other, views[1]) or (
        same and hypothesis.factor and not hypothesis.any_factor
    ):
        return
    for c in factors:
        # A factor may be a parameter, and another number at the second point.
        both = (c, 1.0 if c == 1 else _factor(other, views[1]))
        left = [_left(B, view, k) for B, view, k in zip(pair, views, both, strict=True)]
        misfit = max(r / max(view.error, view.bar) for r, view in zip(left, views, strict=True))
        fits = all(_is_near(rest, view) for rest, view in zip(left, views, strict=True))
        words = _in_words(both, views) if fits and c != 1 else None
        if fits and c != 1 and words is None:
            steady = abs(both[0] - both[1]) <= 1e-5 * abs(c)
            if not (hypothesis.any_factor and steady):
                continue  # a number that is nowhere else explains too much
        yield Fit(hypothesis, guess, c, misfit, fits, words)
        if fits:
            return


def _in_words(factors: tuple[float, float], views: Views) -> Constant | None:
    """Return what a factor is that is the same thing at both points."""
    pairs = zip(factors, views, strict=True)
    first, second = (Factor(c, view.spot.subject, view.spot.outputs) for c, view in pairs)
    return agreed(first, second)


def _left(B: Matrix, view: View, c: float) -> float:
    return rms(view.A - c * B)


def _factor(B: Matrix, view: View) -> float:
    """Return the number that brings a guess nearest to A."""
    size = float(np.vdot(B, B))
    return float(np.vdot(B, view.A)) / size if size else 0.0


def _is_near(left: float, view: View) -> bool:
    """Whether what is left is within the error bars, and nothing next to the error."""
    # Where a point shows no error, the bar alone is asked for.
    enough = max(_BARS * view.bar, 1e-12 * view.size)
    return left <= min(enough, max(_PART * view.error, view.bar))


def _is_sound(hypothesis: Hypothesis, B: Matrix, view: View) -> bool:
    if B.shape != view.A.shape or not np.isfinite(B).all():
        return False
    # Where A, or a guess, is nothing but rounding, any small number would fit.
    return hypothesis.vanishing or min(rms(B), view.size) > 1e-6 * view.true_size
