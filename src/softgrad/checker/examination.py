"""One check, step by step: exact tests, oracle, differences, comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.differences import Differences
from softgrad.checker.exact import describe, exact_tests
from softgrad.checker.oracle import choose_oracle
from softgrad.checker.probes import cotangents, directions, nudged
from softgrad.checker.report import Finding
from softgrad.checker.richardson import norm
from softgrad.checker.subject import Arrays, Subject, Vector, flat, is_floating
from softgrad.checker.verdict import Comparison, backward_noise

__all__ = ["Examination"]

_DOUBLE, _SINGLE = 2.0**-52, 2.0**-23
_CLOSE = 2.0**-27
"""Differences are refined until their bar is this part of the slopes."""


class Examination:
    """What a check has seen so far; `run` raises `Ended` where it cannot go on."""

    def __init__(self, subject: Subject, seed: int, probes: int) -> None:
        self.findings: list[Finding] = []
        self.oracle = "none"
        self.relative: tuple[float | None, float | None] = (None, None)
        self._subject = subject
        self._rng = np.random.default_rng(seed)
        self._probes = probes

    def run(self, reference: Callable[..., Any] | None) -> None:
        """Run the check from its first call to its last."""
        subject, rng = self._subject, self._rng
        outputs = subject.first_outputs()
        _demand_finite(flat(outputs))
        cotangent = cotangents(rng, outputs, self._probes)
        gradients = self._gradients(cotangent)  # [C, inputs]
        change = self._change(cotangent[0], gradients[0])
        floats = [np.finfo(a.dtype) for a in (*subject.points, *outputs) if is_floating(a)]
        epsilon = max(float(info.eps) for info in floats)
        # Products that underflow are rounded to multiples of the smallest number, and add up.
        smallest = max(float(info.smallest_subnormal) for info in floats)
        slack = _slack(gradients, change, epsilon) + 16 * flat(outputs).size * smallest
        self.findings += exact_tests(subject, cotangent, gradients, slack)

        oracle, said = choose_oracle(subject, outputs, reference)
        self.findings += said
        self.oracle = oracle.name
        probes = directions(rng, subject, oracle.points, self._probes)  # [D, inputs]
        weights = np.stack([flat(c) for c in cotangent])  # [C, outputs]
        # What a float64 run of a layer's backward takes is kept back.
        calls = (37 if self._probes == 3 else 74) - subject.forwards_per_vjp
        differences = Differences(subject, oracle, probes, weights, calls)
        noise = backward_noise(gradients, change, probes, epsilon)
        if gradients.any():
            noise += smallest * norm(probes) / math.sqrt(len(probes))
        comparison = _compare(probes @ gradients.T, differences, noise, epsilon)
        by_rounding = comparison.disagrees or comparison.noise > comparison.numeric.bar
        open_yet = by_rounding and comparison.finding().level != "note"
        if epsilon > _SINGLE or (epsilon > _DOUBLE and open_yet):
            double = self._in_double(cotangent[0])
            comparison = comparison.in_double(gradients[0], double, probes)
        if comparison.vanishes:
            comparison = replace(comparison, constant=not differences.varies_elsewhere())
        self.relative = comparison.relative()
        self.findings.append(comparison.finding())

    def _gradients(self, cotangent: list[Arrays]) -> Vector:
        subject = self._subject
        answers = [subject.pull_back(subject.points, c) for c in cotangent]
        self.findings += describe(subject, answers[0])
        gradients = np.stack([subject.vector(entries) for entries in answers])
        broken = int(np.count_nonzero(~np.isfinite(gradients[0])))
        if not np.isfinite(gradients).all():
            text = f"{broken} of the gradient's {gradients.shape[1]} entries are not finite"
            raise Ended("fail", f"{text}, and the forward is finite.")
        return gradients

    def _change(self, cotangent: Arrays, gradient: Vector) -> Vector:
        """Return how the gradient changes when the inputs move by one unit in the last place."""
        subject = self._subject
        try:
            entries = subject.pull_back(nudged(self._rng, subject), cotangent)
        except Ended:  # one unit outside the domain: nothing is learnt
            return np.zeros_like(gradient)
        return np.nan_to_num(subject.vector(entries) - gradient)

    def _in_double(self, cotangent: Arrays) -> Vector | None:
        """Return the gradient that the same backward gives in float64, None where it cannot."""
        subject = self._subject
        wide = tuple(point.astype(np.float64) for point in subject.points)
        double = tuple(c.astype(np.float64) if c.dtype.kind == "f" else c for c in cotangent)
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
    if broken or outputs.size == 0:
        text = f"{broken} of the forward's {outputs.size} output numbers are not finite"
        raise Ended("doubt", f"{text}: there is nothing to compare with.")


def _slack(gradients: Vector, change: Vector, epsilon: float) -> float:
    """Return the difference that rounding may make between two calls of the backward."""
    largest = float(np.abs(gradients).max())
    # What moves the answer by more than this is not rounding: state, or a kink.
    rounding = min(float(np.abs(change).max()), float(np.sqrt(epsilon)) * largest)
    return 64 * (epsilon * largest + rounding)


def _compare(
    analytic: Vector, differences: Differences, noise: float, epsilon: float
) -> Comparison:
    """Refine the differences until they are close; where they disagree, as far as they go."""
    # In float16 a float64 run of the backward is compared too, and that sees more.
    first = noise / 10 if epsilon <= _SINGLE else 0.0
    for enough, part in ((first, _CLOSE), (0.0, 0.0)):
        estimate = differences.refine(enough, part)
        if estimate is None:
            text = "The forward cannot be evaluated around this point: at every step that was"
            raise Ended("doubt", f"{text} tried it raises or returns numbers that are not finite.")
        hidden = differences.hidden
        scale, rounding = differences.scale, differences.epsilon
        comparison = Comparison(analytic, estimate, noise, scale, rounding, epsilon, hidden)
        if not comparison.disagrees:
            break
    return comparison
