"""The constants that a gradient is wrongly multiplied by: sizes, parameters, and their roots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.subject import Arrays, Subject

__all__ = ["agreed"]


def agreed(
    here: tuple[float, Subject, Arrays],
    there: tuple[float, Subject, Arrays],
    accuracy: float = 1e-3,
) -> str | None:
    """Return what a factor is, such as ``"1/(N, the length of axis 0 of input 0)"``.

    None where no words fit it both here and there; `accuracy` is that of the factor there.
    """
    c, d = here[0], there[0]
    values = dict(_constants(*there[1:]))
    for text, value in _constants(*here[1:]):
        fits = abs(c - value) <= 1e-5 * abs(value)
        if fits and text in values and abs(d - values[text]) <= accuracy * abs(d):
            return text
    return None


def _constants(subject: Subject, outputs: Arrays) -> Iterator[tuple[str, float]]:
    """Yield words and values, the likeliest first; none of them is 1 or 0."""
    numbers = (("2", 2.0), *_lengths(subject, outputs), *_parameters(subject))
    for power, form in ((1.0, "{}"), (0.5, "√({})"), (2.0, "({})²")):
        for name, number in numbers:
            if number > 0:
                value = number**power
                text = form.format(name)
                yield text, value
                yield f"1/({text})", 1 / value
                yield f"−({text})", -value
                yield f"−1/({text})", -1 / value


def _lengths(subject: Subject, outputs: Arrays) -> Iterator[tuple[str, float]]:
    for name, value in zip(subject.names, subject.values, strict=True):
        if isinstance(value, np.ndarray):
            letters = ("N", "K") if value.ndim == 2 and name == "input 0" else ()
            for axis, length in enumerate(value.shape):
                letter = f"{letters[axis]}, " if letters else ""
                yield f"{letter}the length of axis {axis} of {name}", float(length)
    for output in outputs:
        for axis, length in enumerate(output.shape):
            yield f"the length of axis {axis} of the output", float(length)
        yield "the number of outputs", float(output.size)
    for name, value in zip(subject.names, subject.values, strict=True):
        if isinstance(value, np.ndarray):
            yield f"the number of entries of {name}", float(value.size)
            for axis, length in enumerate(value.shape):
                if value.ndim > 2 and length:
                    text = f"the number of entries of {name} but for axis {axis}"
                    yield text, float(value.size / length)


def _parameters(subject: Subject) -> Iterator[tuple[str, float]]:
    for name, value in zip(subject.names, subject.values, strict=True):
        if isinstance(value, (int, float, np.ndarray)) and np.size(value) == 1:
            number = float(np.asarray(value).reshape(-1)[0])
            yield name, number
            yield f"1 − {name}", 1 - number
        elif isinstance(value, (np.ndarray, list)) and np.asarray(value).dtype.kind in "biuf":
            array = np.asarray(value)
            if array.dtype.kind in "iu":
                yield (
                    f"the number of entries of {name} that are not negative",
                    float(np.count_nonzero(array >= 0)),
                )
            elif array.size:
                yield f"the sum of {name}", float(array.sum(dtype=np.float64))
                yield f"the mean of {name}", float(array.mean(dtype=np.float64))
                yield f"the largest entry of {name}", float(array.max())
