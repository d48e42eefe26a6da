"""One check, step by step: exact tests, oracle, differences, comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.constants import without_constants
from softgrad.checker.derivative import Derivative
from softgrad.checker.differences import Differences
from softgrad.checker.exact import describe, exact_tests, redrawn
from softgrad.checker.formats import is_floating, limits
from softgrad.checker.kinks import Kinks
from softgrad.checker.oracle import Oracle, choose_oracle
from softgrad.checker.probes import (
    FINEST,
    cotangents,
    directions,
    far_from_one,
    nudged,
    nudged_cotangent,
    smaller,
)
from softgrad.checker.report import Finding
from softgrad.checker.richardson import Estimate, norm, rms
from softgrad.checker.subject import Arrays, Entries, Subject, Vector, flat, moved
from softgrad.checker.ties import hidden_tie
from softgrad.checker.verdict import Comparison, backward_noise
from softgrad.results import number

__all__ = ["CALLS_ALIKE", "Examination", "fluctuation"]

_DOUBLE, _SINGLE = 2.0**-52, 2.0**-23
_CLOSE = 2.0**-27
"""Differences are refined until their bar is this part of the slopes."""
_EXACT = "derivative"
_RANDOM = (
    "Two calls of the forward with the same inputs differ (relative difference {}): it draws "
    "random numbers or keeps state, and nothing can be compared. Fix its seed in every call."
)
CALLS_ALIKE = 6
"""The calls of a forward that must agree before a backward is called wrong."""
_ALL_KINKS = (
    "The forward has a kink or a tie at every entry that is probed: it is not differentiable here, "
    "and differences cannot judge the backward."
)


class Examination:
    """What a check has seen so far; `run` raises `Ended` where it cannot go on."""

    _subject: Subject

    def __init__(self, seed: int, probes: int) -> None:
        self.findings: list[Finding] = []
        self.oracle = "none"
        self.relative: tuple[float | None, float | None] = (None, None)
        self._rng = np.random.default_rng(seed)
        self._probes = probes
        self._tie: Callable[[], str | None] = lambda: None

    def run(self, subject: Subject) -> None:
        """Run the check from its first call to its last."""
        rng = self._rng
        self._subject = subject
        self._visit_elsewhere()
        outputs = subject.first_outputs()
        _demand_finite(flat(outputs))
        cotangent = cotangents(rng, outputs, self._probes)
        answers, cotangent, shrunk = self._pull_back(cotangent)
        # At once, while what the last forward has kept is still there.
        again = subject.pull_back_again(cotangent[0])
        kept, said = without_constants(subject, answers, flat(outputs))
        self.findings += said
        answers = [tuple(entries[i] for i in kept) for entries in answers]
        again = None if again is None else tuple(again[i] for i in kept)
        gradients = self._gradients(answers)  # [C, inputs]
        change = self._change(cotangent[0], gradients[0])
        formats = [limits(a.dtype) for a in (*subject.points, *outputs) if is_floating(a)]
        epsilon = max(its.epsilon for its in formats)
        # Products that underflow are rounded to multiples of the smallest number, and add up.
        smallest = max(its.smallest for its in formats)
        slack = _slack(gradients, change, epsilon) + 16 * flat(outputs).size * smallest
        # Where all terms of the answer cancel, as in saturated rows, they were of this size.
        slack += 16 * epsilon * _largest(flat(cotangent[0])) * _largest(flat(outputs))
        exact = exact_tests(
            subject, cotangent, gradients, again, slack, epsilon == _DOUBLE, many=not shrunk
        )
        drawn = redrawn(subject, cotangent[0], gradients[0], slack)
        self.findings += [drawn] if drawn else []
        oracle, said = choose_oracle(subject, outputs)
        if exact and self._fluctuation(oracle):
            exact = []  # the backward draws other numbers as well
        self.findings += exact + said
        self.oracle = oracle.name
        probes = directions(rng, subject, oracle.points, self._probes)  # [D, inputs]
        weights = np.stack([flat(c) for c in cotangent])  # [C, outputs]
        # What a float64 run of a layer's backward takes is kept back.
        calls = (37 if self._probes == 3 else 74) - subject.forwards_per_vjp
        differences = Differences(subject, oracle, probes, weights, calls)
        if far_from_one(subject, oracle.points):
            # The forward's own variation tells over which scale it is to be probed.
            own = directions(rng, subject, oracle.points, self._probes, of="input")
            differences.take(own)
        self._look_for_severed(answers[0], differences)
        kinks = Kinks(subject, differences, gradients, epsilon, self.findings)
        first = differences.directions[0]
        kinked = kinks.found(first)
        if kinked.size:
            if kinked.size == np.count_nonzero(first):
                raise Ended("doubt", _ALL_KINKS)
            differences.leave_out(kinked)
        elif kinks.curved:
            # Near a pole an entry varies over its own size, and its slope hides all others.
            own = directions(rng, subject, oracle.points, self._probes, of="entry")
            if differences.take(own):
                differences.thin_out()
        probes = differences.directions
        slopes = self._without_differences(
            Derivative(subject, oracle, probes, weights), differences
        )
        noise = backward_noise(gradients, change, probes, epsilon)
        if gradients.any():
            noise += smallest * norm(probes) / math.sqrt(len(probes))
        comparison = _compare(gradients, differences, slopes, noise, epsilon)
        by_rounding = comparison.disagrees or comparison.noise > comparison.numeric.bar
        open_yet = by_rounding and comparison.finding().level != "note"
        if epsilon > _SINGLE or (epsilon > _DOUBLE and open_yet):
            double = self._in_double(cotangent[0])
            comparison = comparison.in_double(gradients[0], double, differences.directions)
        if comparison.vanishes:
            comparison = replace(comparison, constant=not differences.varies_elsewhere())
        if comparison.finding().level != "note" and differences.spare > 0:
            drift = self._fluctuation(oracle)
            bar = comparison.numeric.bar + drift * differences.scale / FINEST
            comparison = replace(comparison, numeric=replace(comparison.numeric, bar=bar))
        self.relative = comparison.relative()
        found = comparison.finding()
        if found.level == "fail" and all(other.level != "fail" for other in self.findings):
            self._tie = partial(hidden_tie, flat(subject.points), differences, gradients)
        self.findings.append(found)

    def excuse(self) -> str | None:
        """Say why a gradient that differs from the slopes is not wrong; None where it is."""
        with suppress(Ended):
            return self._subject.excuse() or self._tie()
        return None

    def _visit_elsewhere(self) -> None:
        """Run a layer's forward at another point first: what it keeps for good is wrong later."""
        subject = self._subject
        if not subject.forwards_per_vjp:
            return
        other = np.random.default_rng(0)
        move = directions(other, subject, subject.points, 1)[0] / 4
        with suppress(Ended):
            subject.evaluate(moved(subject.points, move))

    def _fluctuation(self, oracle: Oracle) -> float:
        """Return how far two calls with the same inputs are apart, relative to the outputs.

        Raises
        ------
        Ended
            So far that nothing can be compared.
        """
        own, drift = oracle.outputs, math.inf
        with suppress(Ended):
            values = flat(self._subject.evaluate(oracle.points, oracle.function))
            if values.size == own.size:
                drift = rms(values - own) / (rms(own) or 1.0)
        if drift > math.sqrt(oracle.epsilon):
            raise Ended("doubt", _RANDOM.format(number(drift)))
        return drift

    def _pull_back(self, cotangent: list[Arrays]) -> tuple[list[Entries], list[Arrays], bool]:
        """Return one answer a cotangent; where one overflows, all to smaller cotangents.

        A power of two: what was computed before is scaled, and one call is made again.
        """
        subject, shrunk = self._subject, False
        answers: list[Entries] = []
        for place in range(len(cotangent)):
            entries = subject.pull_back(subject.points, cotangent[place])
            if not (shrunk or np.isfinite(subject.vector(entries)).all()):
                shrunk = True
                cotangent = [tuple(map(smaller, c)) for c in cotangent]
                answers = [
                    tuple(None if entry is None else smaller(entry) for entry in its)
                    for its in answers
                ]
                entries = subject.pull_back(subject.points, cotangent[place])
            answers.append(entries)
        return answers, cotangent, shrunk

    def _without_differences(
        self, derivative: Derivative, differences: Differences
    ) -> Estimate | None:
        """Return slopes that are exact but for rounding; None where there are none to trust."""
        exact = derivative.estimate(differences)
        if exact:
            self.oracle = self.oracle.replace("Richardson", derivative.name)
        elif derivative.refusal:
            self.findings.append(Finding("note", derivative.refusal))
        return exact

    def _look_for_severed(self, entries: Entries, differences: Differences) -> None:
        """Find inputs on which the forward depends, and whose gradient is None."""
        subject = self._subject
        missing = [
            entry is None and point.size > 0
            for entry, point in zip(entries, subject.points, strict=True)
        ]
        if not any(missing):
            return
        parts = [
            np.full(point.size, none) for none, point in zip(missing, subject.points, strict=True)
        ]
        if differences.moves_with(np.concatenate(parts)):
            places = [p for p, none in zip(subject.floating, missing, strict=True) if none]
            names = ", ".join(subject.names[place] for place in places)
            text = f"No gradient reaches {names}: the chain is severed, for it is None"
            self.findings.append(Finding("fail", f"{text} where the forward does change."))

    def _gradients(self, answers: list[Entries]) -> Vector:
        subject = self._subject
        self.findings += describe(subject, answers[0])
        gradients = np.stack([subject.vector(entries) for entries in answers])
        broken = int(np.count_nonzero(~np.isfinite(gradients).all(axis=0)))
        if broken:
            text = f"{broken} of the gradient's {gradients.shape[1]} entries are not finite"
            raise Ended("fail", f"{text}, and the forward is finite.")
        return gradients

    def _change(self, cotangent: Arrays, gradient: Vector) -> Vector:
        """Return how the gradient changes when all it is of moves by one unit in the last place."""
        subject, rng = self._subject, self._rng
        try:
            entries = subject.pull_back(nudged(rng, subject), nudged_cotangent(rng, cotangent))
        except Ended:  # one unit outside the domain: nothing is learnt
            return np.zeros_like(gradient)
        return np.nan_to_num(subject.vector(entries) - gradient)

    def _in_double(self, cotangent: Arrays) -> Vector | None:
        """Return the gradient that the same backward gives in float64, None where it cannot."""
        subject = self._subject
        wide = tuple(point.astype(np.float64) for point in subject.points)
        double = tuple(c.astype(np.float64) if is_floating(c) else c for c in cotangent)
        try:
            entries = subject.pull_back(wide, double)
        except Ended:
            return None
        if any(entry is not None and entry.dtype != np.float64 for entry in entries):
            return None
        gradient = subject.vector(entries)
        return gradient if np.isfinite(gradient).all() else None


def _demand_finite(outputs: Vector) -> None:
    broken = int(np.count_nonzero(~np.isfinite(outputs)))
    if outputs.size == 0:
        raise Ended("doubt", "The forward's outputs are empty: there is nothing to compare with.")
    if broken:
        text = f"{broken} of the forward's {outputs.size} output numbers are not finite"
        raise Ended("doubt", f"{text}: there is nothing to compare with.")


def fluctuation(subject: Subject) -> str | None:
    """Say that calls of the forward with the same inputs differ; None where a few do not."""
    seen = []
    with suppress(Ended):
        for _ in range(CALLS_ALIKE):
            seen.append(flat(subject.evaluate(subject.points)))
    if len(seen) < CALLS_ALIKE or len({values.size for values in seen}) > 1:
        return None
    drift = max(rms(values - seen[0]) for values in seen) / (rms(seen[0]) or 1.0)
    coarsest = max(limits(point.dtype).epsilon for point in subject.points)
    return _RANDOM.format(number(drift)) if drift > math.sqrt(coarsest) else None


def _slack(gradients: Vector, change: Vector, epsilon: float) -> float:
    """Return the difference that rounding may make between two calls of the backward."""
    largest = _largest(gradients)
    # What moves the answer by more than this is not rounding: state, or a kink.
    rounding = min(_largest(change), float(np.sqrt(epsilon)) * largest)
    return 64 * (epsilon * largest + rounding)


def _largest(values: Vector) -> float:
    return float(np.abs(values).max(initial=0.0))


def _compare(
    gradients: Vector,
    differences: Differences,
    exact: Estimate | None,
    noise: float,
    epsilon: float,
) -> Comparison:
    """Refine the differences until they are close; where they disagree, as far as they go."""
    scale = differences.scale
    if exact:
        analytic = differences.directions @ gradients.T
        return Comparison(analytic, exact, noise, scale, _DOUBLE, epsilon, hidden=0.0, truth=_EXACT)
    # In float16 a float64 run of the backward is compared too, and that sees more.
    first = noise / 10 if epsilon <= _SINGLE else 0.0
    for enough, part in ((first, _CLOSE), (0.0, 0.0)):
        estimate = differences.refine(enough, part)
        if estimate is None:
            text = "The forward cannot be evaluated around this point: at every step that was"
            text += " tried it raises or returns numbers that are not finite."
            last = f" At the last one {differences.trouble}" if differences.trouble else ""
            raise Ended("doubt", text + last)
        hidden = differences.hidden
        rounding, analytic = differences.epsilon, differences.directions @ gradients.T
        comparison = Comparison(analytic, estimate, noise, scale, rounding, epsilon, hidden)
        if not comparison.disagrees:
            break
    return comparison
