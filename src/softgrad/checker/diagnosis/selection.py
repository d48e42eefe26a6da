"""The choice among hypotheses: one that fits at two points, and no other that comes near."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from softgrad.checker.diagnosis.hypotheses import TABLE, Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.scales import in_words
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
    """RMS of what is left, as a part of the error; the worse of the two points."""
    fits: bool
    words: str | None = None
    """What the factor is, where it is not 1."""

    @property
    def code(self) -> str:
        """The name of the mistake."""
        return self.hypothesis.code

    @property
    def message(self) -> str:
        """The mistake in one sentence."""
        if "{}" in self.guess.message:
            return self.guess.message.format(self.words or f"{self.factor:.6g}")
        also = f" The gradient is also {self.words} times too large." if self.words else ""
        return self.guess.message + also


def rank(views: Views) -> list[Fit]:
    """Return the explanations, best first; equal ones stay in the table's order."""
    fits: list[Fit] = []
    for costly in (False, True):
        for hypothesis in TABLE:
            if hypothesis.costly == costly and not (costly and any(fit.fits for fit in fits)):
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
    guesses = list(hypothesis.guesses(views[0]))
    if hypothesis.costly:  # no call for the second point where the first is not explained
        guesses = [guess for guess in guesses if _is_near(guess.matrix, views[0])]
    second = {g.name: g for g in hypothesis.guesses(views[1])} if guesses else {}
    for guess in guesses:
        if guess.name not in second:
            continue
        pair = (guess.matrix, second[guess.name].matrix)
        if not all(_is_sound(hypothesis, B, view) for B, view in zip(pair, views, strict=True)):
            continue
        # A guess that is J itself explains nothing: if that fits, the factor is the mistake.
        same = all(view.is_multiple(B) for B, view in zip(pair, views, strict=True))
        if same and hypothesis.factor and not hypothesis.any_factor:
            continue
        rigid = _fit(hypothesis, guess, pair, views, 1.0)
        yield rigid
        if rigid.fits or not (hypothesis.factor or hypothesis.any_factor):
            continue
        c = _factor(pair[0], views[0])
        fitted = _fit(hypothesis, guess, pair, views, c)
        if c and (hypothesis.any_factor or fitted.words is not None):
            yield fitted


def _factor(B: Matrix, view: View) -> float:
    """Return the number that brings a guess nearest to A."""
    size = float(np.vdot(B, B))
    return float(np.vdot(B, view.A)) / size if size else 0.0


def _is_near(B: Matrix, view: View) -> bool:
    left = rms(view.A - _factor(B, view) * B)
    return left <= max(_PART * view.error, _BARS * view.bar)


def _is_sound(hypothesis: Hypothesis, B: Matrix, view: View) -> bool:
    if B.shape != view.A.shape or not np.isfinite(B).all():
        return False
    # Where A, or a guess, is nothing but rounding, any small number would fit.
    return hypothesis.vanishing or min(rms(B), rms(view.A)) > 1e-6 * rms(view.J)


def _fit(
    hypothesis: Hypothesis, guess: Guess, pair: tuple[Matrix, Matrix], views: Views, c: float
) -> Fit:
    misfit, fits = 0.0, True
    for B, view in zip(pair, views, strict=True):
        left = rms(view.A - c * B)
        misfit = max(misfit, left / max(view.error, view.bar))
        enough = max(_BARS * view.bar, 1e-12 * rms(view.A))
        # Where this point shows no error, the bar alone is asked for.
        fits = fits and left <= min(enough, max(_PART * view.error, view.bar))
    words = None
    if fits and c not in (0.0, 1.0):
        spot = views[0].spot
        accuracy = min(1e-4, max(1e-9, _BARS * views[0].bar / rms(views[0].A)))
        words = in_words(c, spot.subject, spot.outputs, accuracy)
    return Fit(hypothesis, guess, c, misfit, fits, words)
