"""The verdict: what the backward says against what the differences say, with no fixed tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from softgrad.checker.formats import narrowest
from softgrad.checker.report import Finding, Level
from softgrad.checker.richardson import Estimate, norm, rms
from softgrad.checker.subject import Vector

__all__ = ["Comparison", "backward_noise"]

_SINGLE = 2.0**-23
SAFETY = 8.0
"""The error bar is so many times what differences and rounding leave open: an RMS of few slopes."""
RESOLUTION = 0.01
"""The error bar must be below this part of the slopes for a pass (or 64 epsilon)."""


@dataclass(frozen=True)
class Comparison:
    """Slopes from the backward and from differences; the bars that belong to both."""

    analytic: Vector  # [D, C]
    numeric: Estimate
    noise: float
    """The backward's own rounding, as an RMS of slopes."""
    scale: float
    """The slopes of a function that varies by its own size over its inputs' own size."""
    rounding: float
    """The spacing at 1 in the outputs that are differenced."""
    epsilon: float
    """The coarsest spacing at 1 in the backward's arithmetic."""
    hidden: float
    """Slopes that a forward which did not move at all may hide; 0 where it moved."""
    double_agrees: bool = False
    """Whether the same backward, run in float64, agrees with the differences."""
    refuted: tuple[float, float] | None = None
    """Error and bar of that run, where float16's rounding does not explain the error."""
    suspect: bool = False
    """Whether float16's rounding may hide an error that no float64 run has ruled out."""
    constant: bool = False
    """Whether the forward has the same value far from here."""
    truth: str = "differences"
    """What of the forward the backward is compared with, in a word."""

    @property
    def open(self) -> float:
        """What the differences and the backward's rounding leave open, an RMS."""
        return self.numeric.bar + self.noise

    @property
    def bar(self) -> float:
        """The error bar: a right backward errs by no more, and what errs by more is wrong."""
        return SAFETY * self.open + self.hidden

    @property
    def error(self) -> float:
        """RMS(analytic − numeric)."""
        return rms(self.analytic - self.numeric.value)

    @property
    def size(self) -> float:
        """RMS(numeric)."""
        return rms(self.numeric.value)

    @property
    def disagrees(self) -> bool:
        """Whether the error is beyond the bar, and the differences have settled."""
        unsettled = SAFETY * self.numeric.bar
        if self.refuted is not None:
            return True
        settled = unsettled < self.size or unsettled <= math.sqrt(self.rounding) * self.scale
        return settled and math.inf > self.error > self.bar

    @property
    def resolves(self) -> bool:
        """Whether the bar is small against the slopes."""
        limit = max(RESOLUTION, 64 * self.epsilon) * self.size
        seen = self.size > 0 and math.isfinite(self.error)
        return seen and self.bar <= limit

    @property
    def vanishes(self) -> bool:
        """Whether both are zero to within a bar that is itself at the level of rounding."""
        limit = SAFETY * self.open
        both = max(self.size, rms(self.analytic)) <= limit
        return math.isfinite(self.error) and both and limit <= np.sqrt(self.epsilon) * self.scale

    def relative(self) -> tuple[float | None, float | None]:
        """Return error and bar relative to the slopes; None where those are mere rounding."""
        if self.size <= SAFETY * self.numeric.bar and self.size <= np.sqrt(2.0**-52) * self.scale:
            return None, None
        error, bar = self.refuted or (self.error, self.bar)
        return error / self.size, bar / self.size

    def finding(self) -> Finding:
        """Say in one sentence what the comparison shows."""
        if self.disagrees:
            return self._failure()
        if self.suspect:
            return Finding("doubt", self._suspicion())
        if self.resolves:
            return Finding("note", f"The backward agrees with the {self.truth} of the forward.")
        if self.vanishes:
            text = "The gradient is zero to within rounding, in the backward and in the differences"
            if self.constant:
                return Finding("note", f"{text}, and the forward is constant.")
            advice = "check at a point where it has a slope that can be seen"
            return Finding("doubt", f"{text}, but the forward is not constant: {advice}.")
        if self.double_agrees:
            return self._rounded()
        return Finding("doubt", self._doubt())

    def _rounded(self) -> Finding:
        text = f"The same backward run in float64 agrees with the {self.truth}"
        small = self.error <= max(0.01, 32 * self.epsilon) * self.size
        level: Level = "note" if small else "doubt"
        return Finding(level, f"{text}; its rounding here is {self._part(self.error)}.")

    def in_double(self, given: Vector, double: Vector | None, probes: Vector) -> Comparison:
        """Add what `double`, the gradient of the same backward run in float64, says of `given`."""
        wider = None if double is None else self._explained(given, double, probes)
        if wider is None and self.epsilon > _SINGLE:
            # A wrong formula hides in float16's rounding: what nothing explains does not pass.
            refuted = None if double is None else self._refuted(given, double, probes)
            return replace(self, suspect=True, refuted=refuted)
        return wider or self

    def _refuted(self, given: Vector, double: Vector, probes: Vector) -> tuple[float, float] | None:
        """Return error and bar of `double` if it is wrong, and not for such rounding as `given`'s.

        None where it is right, or nothing can be said.
        """
        slopes = self.numeric.value[:, 0]
        error, rounding = rms(probes @ double - slopes), rms(probes @ (given - double))
        # Rounded to a narrower format on its way, it would be no better than `given`.
        own = max(rounding, self.epsilon * rms(slopes))
        bar = SAFETY * max(self.numeric.bar, own)
        return (error, bar) if error > bar and not narrowest(double) else None

    def _explained(self, given: Vector, double: Vector, probes: Vector) -> Comparison | None:
        """Widen the noise by what `double`, the same backward run in float64, says of it.

        None where that run is wrong too, or too near to the gradient `given` to explain the error.
        """
        error = rms(probes @ double - self.numeric.value[:, 0])
        exact = backward_noise(double[None], np.zeros_like(double), probes, 2.0**-52)
        bar = self.numeric.bar + exact
        limit = SAFETY * bar + self.hidden
        if self.epsilon > _SINGLE:
            limit = min(limit, max(bar, RESOLUTION / SAFETY * self.size))
        if error > limit:
            return None
        rounding = _response(given - double, probes) + 4 * self.epsilon * self.scale
        wider = replace(self, noise=self.noise + rounding, double_agrees=True)
        return None if wider.disagrees else wider

    def _failure(self) -> Finding:
        size = rms(self.analytic)
        if size == 0:
            text = "The backward returns zero, and the forward does change."
        elif self.size <= SAFETY * self.numeric.bar:
            text = "The backward returns a gradient where the differences of the forward show none."
        else:
            text = f"The backward disagrees with the {self.truth} of the forward."
        return Finding("fail", text)

    def _suspicion(self) -> str:
        return (
            f"The backward is {self._part(self.error)} away from the {self.truth} of the forward, "
            "and no float64 run of it shows that this is rounding: check it in float64."
        )

    def _doubt(self) -> str:
        if not math.isfinite(self.error):
            return "The slopes are too large to be compared in float64: check in smaller units."
        if self.hidden:
            return "The forward does not move at all at small steps: rounding may hide a slope."
        if self.numeric.kink > self.open / 2:
            return (
                "The forward has different slopes on both sides of this point (a kink or a tie): "
                "it is not differentiable here, and differences cannot judge the backward."
            )
        if self.numeric.bar > self.noise:
            return (
                "The differences of the forward do not settle: their error bar is "
                f"{self._part(self.numeric.bar)} (rounding, noise, or variation over tiny steps)."
            )
        return (
            "The backward changes by more than its size can bear when its inputs move by one unit "
            f"in the last place: by {self._part(self.noise)} (rounding, a kink or a tie)."
        )

    def _part(self, bar: float) -> str:
        return f"{bar / self.size:.1g} of the slopes" if self.size else f"{bar:.1g} and the slope 0"


def backward_noise(gradients: Vector, change: Vector, probes: Vector, epsilon: float) -> float:
    """Return the RMS rounding of the backward's slopes.

    `change` is how its answer moved when the inputs moved by one unit in the last place; entries
    of the answer also carry a rounding of their own, and long sums in them some more.
    """
    own = norm(_rms_rows(gradients) * _rms_rows(probes))
    factor = epsilon * (4 + np.sqrt(gradients.shape[1]) / 16)
    return _response(change, probes) + float(factor) * own


def _response(change: Vector, probes: Vector) -> float:
    """Return what a change of the gradient makes of the slopes, entries together and apart."""
    return math.hypot(rms(probes @ change), norm(change * _rms_rows(probes)))


def _rms_rows(rows: Vector) -> Vector:
    largest = float(np.abs(rows).max()) or 1.0  # no square over- or underflows
    return np.asarray(largest * np.sqrt(np.mean((rows / largest) ** 2, axis=0)))
