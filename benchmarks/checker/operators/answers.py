"""Mistakes in what is returned: factors, signs, orders, and places that are forgotten."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.operators.operator import Operator, changed_answer, returned
from benchmarks.checker.subject import Array, Function, Pair, codes

__all__ = ["OPERATORS"]


def _rows(pair: Pair) -> bool:
    return pair.points[0].ndim > 1 and pair.points[0].shape[0] > 1


def _is_square(pair: Pair) -> bool:
    return pair.points[0].ndim == 2 and len(set(pair.points[0].shape)) == 1


def _wider_than(width: int) -> Any:
    return lambda pair: pair.points[0].shape[-1] > width


def _several(pair: Pair) -> bool:
    return len(pair.points) > 1


def _length(x: Array) -> int:
    return x.shape[0] if x.ndim else 1


def _width(x: Array) -> int:
    return x.shape[-1] if x.ndim else 1


def _only(x: Array, chosen: Any) -> Array:
    """Return zeros but at the chosen entries."""
    out = np.zeros_like(x)
    out[chosen] = x[chosen]
    return out


def _without(x: Array, dropped: Any) -> Array:
    out = x.copy()
    out[dropped] = 0
    return out


def _spoilt(x: Array, place: Any, value: float) -> Array:
    out = x.copy()
    out[place] = value
    return out


def _after(start: int) -> Any:
    return (..., slice(start, None))


def _doubled(x: Array, chosen: Any) -> Array:
    return np.where(chosen, 2 * x, x)


FACTORS = changed_answer({
    "zero": ("zero", lambda x: 0 * x),
    "none": ("severed zero", lambda x: None),
    "negated": ("sign", lambda x: -x),
    "doubled": ("scale", lambda x: 2 * x),
    "halved": ("scale", lambda x: x / 2),
    "one-per-cent-more": ("scale", lambda x: 1.01 * x),
    "over-size": ("scale", lambda x: x / x.size),
    "over-length": ("scale", lambda x: x / _length(x)),
    "times-length": ("scale", lambda x: x * _length(x)),
    "over-width": ("scale", lambda x: x / _width(x)),
    "times-width": ("scale", lambda x: x * _width(x)),
    "over-root-of-width": ("scale", lambda x: x / math.sqrt(_width(x))),
    "doubled-when-large": ("scale subset", lambda x: 2 * x if x.size > 50 else x),
})  # fmt: skip

NONLINEAR = changed_answer({
    "absolute": ("cotangent sign", np.abs),
    "clipped": ("cotangent arithmetic", lambda x: np.clip(x, -(m := np.median(np.abs(x))), m)),
    "of-length-1": ("cotangent scale", lambda x: x / max(float(np.sqrt((x**2).sum())), 1e-12)),
    "rounded-to-tenths": ("arithmetic cotangent", lambda x: np.round(x, 1)),
})  # fmt: skip

PLACES = changed_answer({
    "reversed": ("axis", lambda x: x[..., ::-1]),
    "rolled": ("axis", lambda x: np.roll(x, 1, -1)),
    "middle-missing": ("subset", lambda x: _without(x.ravel(), x.size // 2).reshape(x.shape)),
    "last-column-missing": ("subset", lambda x: _without(x, (..., -1))),
    "every-other": ("subset", lambda x: _without(x, (..., slice(1, None, 2)))),
    "one-not-a-number": ("subset arithmetic", lambda x: _spoilt(x, (..., -1), np.nan)),
    "one-infinite": ("subset arithmetic", lambda x: _spoilt(x, (..., 0), np.inf)),
    "centred": ("projection-term chain-term", lambda x: x - x.mean(axis=-1, keepdims=True)),
}, _wider_than(1)) + changed_answer({
    "tail-of-16-missing": ("subset", lambda x: _without(x, _after(_width(x) // 16 * 16))),
    "last-16-missing": ("subset", lambda x: _without(x, _after(-16))),
}, _wider_than(16)) + changed_answer({
    "tail-of-32-missing": ("subset", lambda x: _without(x, _after(_width(x) // 32 * 32))),
    "first-block-of-32-alone": ("subset", lambda x: _only(x, (..., slice(32)))),
}, _wider_than(32)) + changed_answer({
    "rows-reversed": ("axis", lambda x: x[::-1]),
    "rows-rolled": ("axis", lambda x: np.roll(x, 1, 0)),
    "first-row-alone": ("subset", lambda x: _only(x, 0)),
    "last-row-alone": ("subset unreduced-broadcast", lambda x: _only(x, -1)),
    "first-row-missing": ("subset", lambda x: _without(x, 0)),
    "last-row-missing": ("subset", lambda x: _without(x, -1)),
    "first-row-everywhere": ("axis subset unreduced-broadcast cotangent", lambda x: (
        x[:1] + 0 * x)),
    "mean-of-rows-everywhere": ("axis unreduced-broadcast cotangent", lambda x: (
        x.mean(axis=0, keepdims=True) + 0 * x)),
    "row-not-a-number": ("subset arithmetic", lambda x: _spoilt(x, 0, np.nan)),
    "memory-transposed": ("axis", lambda x: x.T.reshape(x.shape)),
}, _rows) + changed_answer({"transposed": ("axis", lambda x: x.T)}, _is_square)  # fmt: skip

BY_INPUT = changed_answer({
    "where-negative-missing": ("subset", lambda x_bar, x: np.where(x < 0, 0, x_bar)),
    "where-negative-sign": ("subset sign", lambda x_bar, x: np.where(x < 0, -x_bar, x_bar)),
    "at-maximum-doubled": ("subset", lambda x_bar, x: (
        _doubled(x_bar, x == x.max(axis=-1, keepdims=True)))),
    "decayed": ("cotangent chain-term", lambda x_bar, x: (
        x_bar + 0.1 * np.where(abs(x) < 1e30, x, 0))),
}, with_input=True)  # fmt: skip


def _entries(change: Any) -> Any:
    """Return a mutation that changes the tuple of answers."""

    def mutate(pair: Pair) -> Function:
        return lambda *arguments: returned(tuple(change(pair.gradients(*arguments))))

    return mutate


def _one(name: str, accepted: str, place: int, change: Any) -> Operator:
    """Return an operator that changes one answer of several."""

    def entries(answers: tuple[Any, ...]) -> Any:
        at = place % len(answers)
        return (change(x) if i == at else x for i, x in enumerate(answers))

    return Operator(name, codes(accepted), _entries(entries), _several)


SOME = [
    _one("first-input-zero", "zero severed", 0, lambda x: 0 * x),
    _one("last-input-zero", "zero severed", -1, lambda x: 0 * x),
    _one("first-input-none", "severed zero", 0, lambda x: None),
    _one("last-input-none", "severed zero", -1, lambda x: None),
    _one("first-input-negated", "sign", 0, lambda x: -x),
    _one("last-input-negated", "sign", -1, lambda x: -x),
    _one("first-input-doubled", "scale", 0, lambda x: 2 * x),
    _one("last-input-doubled", "scale", -1, lambda x: 2 * x),
    _one("last-input-over-length", "scale", -1, lambda x: x / _length(x)),
    _one("last-input-reversed", "axis", -1, lambda x: x[..., ::-1]),
    Operator(
        "first-two-swapped", codes("axis"), _entries(lambda a: (a[1], a[0], *a[2:])), _several
    ),
    Operator("last-entry-left-out", codes("severed"), _entries(lambda a: a[:-1]), _several),
]

OPERATORS = [*FACTORS, *NONLINEAR, *PLACES, *BY_INPUT, *SOME]
