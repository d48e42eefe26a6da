"""From numbers to pixels: linear and logarithmic scales, their ticks, how a number is written."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from softgrad.results import number

__all__ = ["AbstractScale", "Linear", "Log", "pretty"]

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Spans below this share of the values are rounding noise: drawn as one value.
_NOISE = 1e-12


def pretty(value: float, figures: int = 4) -> str:
    """Write a number as everywhere in softgrad, to `figures` figures, as it is set in print.

    >>> pretty(-0.557612), pretty(-0.557612, figures=2), pretty(-4.2e-7), pretty(3)
    ('−0.5576', '−0.56', '−4.2e−7', '3')
    """
    if not isinstance(value, (int, np.integer)) and figures < 4:
        value = float(f"{value:.{figures}g}")
    return _printed(number(value))


@dataclass(frozen=True)
class AbstractScale(ABC):
    """Maps data in [low, high] onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @abstractmethod
    def straighten(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantity in which the axis is even."""

    @abstractmethod
    def ticks(self) -> list[tuple[float, str]]:
        """Return the marked values with their labels."""

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the pixels of `values`."""
        low, high = self.straighten(np.array([self.low, self.high]))
        share = (self.straighten(np.asarray(values, dtype=float)) - low) / (high - low)
        pixels: NDArray[np.float64] = self.start + share * (self.end - self.start)
        return pixels


@dataclass(frozen=True)
class Linear(AbstractScale):
    """An even axis.

    >>> Linear.around(0.03, 0.97, 0, 100).ticks()[:3]
    [(0.0, '0'), (0.2, '0.2'), (0.4, '0.4')]
    """

    step: float

    @classmethod
    def around(cls, low: float, high: float, start: float, end: float) -> Linear:
        """Return the axis that holds [low, high] and ends on ticks."""
        tight = cls.tight(low, high, start, end)
        step = tight.step
        low, high = math.floor(tight.low / step) * step, math.ceil(tight.high / step) * step
        return cls(low, high, start, end, step)

    @classmethod
    def tight(cls, low: float, high: float, start: float, end: float) -> Linear:
        """Return the axis of exactly [low, high]."""
        low, high = _apart(low, high)
        return cls(low, high, start, end, _nice_step((high - low) / 5))

    @classmethod
    def counting(cls, low: float, high: float, start: float, end: float) -> Linear:
        """Return the axis of exactly [low, high], marked at whole numbers only."""
        low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
        return cls(low, high, start, end, max(1.0, _nice_step((high - low) / 5)))

    def straighten(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values

    def ticks(self) -> list[tuple[float, str]]:
        # The tolerance keeps an end that is a tick up to rounding.
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        exponent = math.floor(math.log10(self.step) + 1e-9)
        values = [round(k * self.step, max(0, -exponent)) for k in range(first, last + 1)]
        return [(value, _tick_label(value, exponent, max(map(abs, values)))) for value in values]


@dataclass(frozen=True)
class Log(AbstractScale):
    """An axis of positive numbers on which equal ratios are equally long.

    >>> Log.around(1e-9, 1.0, 0, 100).ticks()[0]
    (1e-08, '10⁻⁸')
    """

    @classmethod
    def around(cls, low: float, high: float, start: float, end: float) -> Log:
        """Return the axis that holds [low, high], with at least one decade on it."""
        low, high = math.log10(low), math.log10(high)
        room = max(0.05 * (high - low), 0.5 * (1 - (high - low)), 0.04)
        # Past these the ends would underflow or overflow.
        return cls(10 ** max(low - room, -307.0), 10 ** min(high + room, 307.0), start, end)

    def straighten(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log10(values)

    def ticks(self) -> list[tuple[float, str]]:
        low, high = math.log10(self.low), math.log10(self.high)
        step = max(1, math.ceil(_nice_step((high - low) / 6)))
        first, last = math.ceil(low / step), math.floor(high / step)
        multiples = (1,) if high - low > 2.5 else (1, 2, 5)
        values = [
            float(f"{m}e{k * step}")
            for k in range(first - (len(multiples) > 1), last + 1)
            for m in multiples
        ]
        values = [value for value in values if self.low <= value <= self.high]
        plain = all(1e-3 <= value <= 1e4 for value in values)
        return [(value, number(value) if plain else _power_label(value)) for value in values]


def _apart(low: float, high: float) -> tuple[float, float]:
    """Return two ends with room between them, also where all the data are one value."""
    if high - low > max(_NOISE * max(abs(low), abs(high)), 1e-300):
        return low, high
    return (0.0, 1.0) if low == 0 else (low - abs(low) / 2, high + abs(high) / 2)


def _nice_step(rough: float) -> float:
    """Return the number 1, 2 or 5 times a power of ten that is next above `rough`, or nearly."""
    exponent = math.floor(math.log10(rough))
    mantissa = next(m for m in (1, 2, 5, 10) if rough <= 1.1 * m * 10.0**exponent)
    return float(f"{mantissa}e{exponent}")


def _tick_label(value: float, exponent: int, largest: float) -> str:
    """Write a tick with the decimals that its step needs, and no more."""
    if value == 0:
        return "0"
    if 1e-3 <= largest < 1e6 and exponent >= -6:
        return _printed(f"{value:.{max(0, -exponent)}f}")
    decimals = max(0, math.floor(math.log10(abs(value)) + 1e-9) - exponent)
    return _printed(f"{value:.{decimals}e}")


def _printed(written: str) -> str:
    """Give a number a true minus sign, and its exponent no padding."""
    mantissa, e, exponent = written.partition("e")
    return (f"{mantissa}e{int(exponent)}" if e else mantissa).replace("-", "−")


def _power_label(value: float) -> str:
    mantissa, exponent = f"{value:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return power if mantissa == "1" else f"{mantissa}×{power}"
