"""The constants that a gradient is wrongly multiplied by: sizes, parameters, and their roots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations

import numpy as np

from softgrad.checker.probes import coarsest_epsilon
from softgrad.checker.subject import AnyArray, Arrays, Subject

__all__ = ["Constant", "Factor", "agreed", "told"]

_MINUS = "−1"
_ZERO = 1e-9
"""On a twin, in double precision, a factor of 0 is no larger; a product of sizes is."""


@dataclass(frozen=True)
class Constant:
    """A factor in words: ``"1/N"``, and what N is."""

    text: str
    meaning: str = ""

    def put(self, sentence: str) -> str:
        """Return a sentence with the factor in the place of ``{}``."""
        filled = sentence.format(self.text)
        return f"{filled[:-1]}, {self.meaning}." if self.meaning else filled

    @property
    def also(self) -> str:
        """What is said where another mistake is said before."""
        if self.text == _MINUS:
            return "The gradient also has the wrong sign."
        return self.put("The gradient is also {} times what it must be.")


@dataclass(frozen=True)
class Factor:
    """A factor and the point at which it was seen."""

    value: float
    subject: Subject
    outputs: Arrays
    accuracy: float = 1e-5
    """How well the value is known, as a part of it."""


def told(one: Factor, other: Factor, here: Factor) -> Constant | None:
    """Return what a factor is at two points of a twin and at the inputs; None if not the same."""
    here = replace(here, accuracy=max(1e-3, 4 * coarsest_epsilon(here.subject.points)))
    values = [factor.value for factor in (one, other, here)]
    for plain, near in ((0.0, _ZERO), (-1.0, here.accuracy)):
        gaps = [abs(value - plain) for value in values]
        if max(gaps[:2]) <= near and gaps[2] <= here.accuracy:
            return Constant(f"{plain:g}")
    constant = agreed(one, other, here) or _first(_quotients, one, other, here)
    # How near to 1 it is tells how well it must be known: another ε in a norm is no factor.
    c, off = abs(values[0]), abs(values[0] - 1)
    steady = np.ptp(values[:2]) <= min(1e-5 * c, 1e-2 * off)
    steady = steady and np.ptp(values) <= min(1e-3 * c, max(0.1 * off, 1e-6 * c))
    if constant is None:
        return Constant(_in_digits(values[0])) if steady else None
    shapes = [[np.shape(value) for value in its.subject.values] for its in (one, here)]
    if steady and shapes[0] == shapes[1] and "put" in constant.meaning:
        # No other size of an in- or output was tried.
        return Constant(_in_digits(values[0]), f"which is {constant.text} here: {constant.meaning}")
    return constant


def agreed(*factors: Factor, signed: bool = False) -> Constant | None:
    """Return what a factor is, such as 1/N; None where no words fit it at all of the points.

    With `signed` it may be −1, too.
    """
    if signed and all(abs(factor.value + 1) <= factor.accuracy for factor in factors):
        return Constant(_MINUS)
    return _first(_constants, *factors)


def _first(
    table: Callable[[Subject, Arrays], Iterator[tuple[Constant, float]]], *factors: Factor
) -> Constant | None:
    tables = [dict(table(factor.subject, factor.outputs)) for factor in factors]
    for constant in tables[0]:
        seen = zip(factors, tables, strict=True)
        off = ((f, abs(f.value - values.get(constant, np.inf))) for f, values in seen)
        if all(error <= factor.accuracy * abs(factor.value) for factor, error in off):
            return constant
    return None


def _in_digits(c: float) -> str:
    """Write a number, as a fraction where that is shorter, and so that it differs from 1."""
    text = f"{c:.6g}"
    fraction = Fraction(c).limit_denominator(100)
    near = abs(c - fraction) <= 1e-7 * abs(c)
    if near and len(text) > len(str(fraction)) + 2:
        return str(fraction)
    return f"1 {'+' if c > 1 else '−'} {abs(c - 1):.2g}" if text == "1" else text


def _constants(subject: Subject, outputs: Arrays) -> Iterator[tuple[Constant, float]]:
    """Yield words and values, the likeliest first; none of them is 1 or 0."""
    named = (*_lengths(subject, outputs), *_parameters(subject))
    for power, form in ((1.0, "{}"), (0.5, "√{}"), (2.0, "{}²"), (3.0, "{}³")):
        for letter, what, number in (("2", "", 2.0), *named):
            if number <= 0 or number == 1:
                continue
            value = number**power
            text = form.format(letter) if power < 2 or what else f"{value:g}"
            meaning = f"{letter} being {what}" if what else ""
            yield Constant(text, meaning), value
            yield Constant(f"1/{text}", meaning), 1 / value
            yield Constant(f"−{text}", meaning), -value
            yield Constant(f"−1/{text}", meaning), -1 / value


def _quotients(subject: Subject, outputs: Arrays) -> Iterator[tuple[Constant, float]]:
    """Yield quotients of lengths, as where a sum is divided by one and must be by another."""
    counts = (*_lengths(subject, outputs), *_sums(subject))
    for (_, what, number), (_, other, divisor) in permutations(counts, 2):
        if number and divisor and number != divisor:
            yield Constant("n/m", f"n being {what} and m {other}"), number / divisor


def _lengths(subject: Subject, outputs: Arrays) -> Iterator[tuple[str, str, float]]:
    for name, value in zip(subject.names, subject.values, strict=True):
        if isinstance(value, np.ndarray):
            letters = "NK" if value.ndim == 2 and name == "input 0" else "n" * value.ndim
            for axis, length in enumerate(value.shape):
                yield letters[axis], f"the length of axis {axis} of {name}", float(length)
    for output in outputs:
        for axis, length in enumerate(output.shape):
            yield "n", f"the length of axis {axis} of the output", float(length)
        yield "n", "the number of outputs", float(output.size)
    for name, value in zip(subject.names, subject.values, strict=True):
        if isinstance(value, np.ndarray):
            yield "n", f"the number of entries of {name}", float(value.size)
            for axis, length in enumerate(value.shape):
                if value.ndim > 2 and length:
                    text = f"the number of entries of {name} but for axis {axis}"
                    yield "n", text, float(value.size / length)


def _sums(subject: Subject) -> Iterator[tuple[str, str, float]]:
    """Yield how many entries masks keep."""
    for name, value in zip(subject.names, subject.values, strict=True):
        if isinstance(value, np.ndarray) and value.dtype.kind in "biu" and _is_mask(value):
            yield "n", f"the sum of {name}", float(value.sum())


def _parameters(subject: Subject) -> Iterator[tuple[str, str, float]]:
    for name, value in zip(subject.names, subject.values, strict=True):
        if isinstance(value, (int, float, np.ndarray)) and np.size(value) == 1:
            number = float(np.asarray(value).reshape(-1)[0])
            yield "c", name, number
            yield "c", f"1 − {name}", 1 - number
        elif isinstance(value, (np.ndarray, list)) and np.asarray(value).dtype.kind in "biuf":
            array = np.asarray(value)
            if array.dtype.kind in "iu" and not _is_mask(array):
                text = f"the number of entries of {name} that are not negative"
                yield "n", text, float(np.count_nonzero(array >= 0))
            elif array.size:
                yield "c", f"the sum of {name}", float(array.sum(dtype=np.float64))
                yield "c", f"the mean of {name}", float(array.mean(dtype=np.float64))
                yield "c", f"the largest entry of {name}", float(array.max())


def _is_mask(array: AnyArray) -> bool:
    """Whether integers stand for what is kept and what is not."""
    return bool(array.size) and set(np.unique(array)) == {0, 1}
