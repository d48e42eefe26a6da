"""Mistakes with the cotangent: ignored, taken from the wrong place, or not used linearly."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.operators.operator import Operator, changed_cotangent
from benchmarks.checker.subject import Array, Function, Pair, as_tuple, codes

__all__ = ["OPERATORS"]


def _outputs(pair: Pair) -> tuple[Array, ...]:
    return tuple(map(np.asarray, as_tuple(pair.forward(*pair.inputs))))


def _is_array(pair: Pair) -> bool:
    return all(y.size > 1 for y in _outputs(pair))


def _rows(pair: Pair) -> bool:
    return all(y.ndim > 1 and y.shape[0] > 1 for y in _outputs(pair))


def _is_square(pair: Pair) -> bool:
    return all(y.ndim == 2 and y.shape[0] == y.shape[1] for y in _outputs(pair))


def _is_several(pair: Pair) -> bool:
    return len(_outputs(pair)) > 1


def _output_as_factor(pair: Pair) -> Function:
    """Use the output where the cotangent times the output was not asked for."""

    def backward(*arguments: Any) -> Any:
        *inputs, g = arguments
        outputs = as_tuple(pair.forward(*inputs))
        scaled = tuple((y * v).astype(v.dtype) for y, v in zip(outputs, as_tuple(g), strict=True))
        return pair.backward(*inputs, scaled if isinstance(g, tuple) else scaled[0])

    return backward


def _second_ignored(pair: Pair) -> Function:
    return lambda *a: pair.backward(*a[:-1], (a[-1][0], *(0 * g for g in a[-1][1:])))


OPERATORS = [
    *changed_cotangent({
        "g-ignored": ("cotangent", np.ones_like),
        "g-squared": ("cotangent", lambda g: g * g),
        "g-absolute": ("cotangent", np.abs),
        "g-sign": ("cotangent", np.sign),
        "g-plus-1": ("cotangent", lambda g: g + 1),
        "g-clipped": ("cotangent", lambda g: np.clip(g, -0.5, 0.5)),
        "g-positive-part": ("cotangent", lambda g: np.maximum(g, 0)),
        "g-not-below-0.01": ("cotangent", lambda g: (
            np.where(abs(g) < 0.01, 0.01, g).astype(g.dtype))),
    }),
    *changed_cotangent({
        "g-of-length-1": ("cotangent", lambda g: g / np.sqrt((g * g).sum())),
        "g-largest-alone": ("cotangent", lambda g: g * (abs(g) == abs(g).max())),
        "g-rolled": ("cotangent axis", lambda g: np.roll(g, 1, -1)),
        "g-reversed": ("cotangent axis", lambda g: g[..., ::-1]),
        "g-mean": ("cotangent", lambda g: g.mean() + 0 * g),
        "g-sum": ("cotangent", lambda g: g.sum() + 0 * g),
        "g-first-of-row": ("cotangent", lambda g: g[..., :1] + 0 * g),
        "g-centred": ("cotangent projection-term", lambda g: g - g.mean(axis=-1, keepdims=True)),
        "g-last-dropped": ("cotangent subset", lambda g: (
            g * (np.arange(g.shape[-1]) < g.shape[-1] - 1))),
    }, _is_array),
    *changed_cotangent({
        "g-of-first-row": ("cotangent", lambda g: g[:1] + 0 * g),
        "g-mean-of-rows": ("cotangent axis", lambda g: g.mean(axis=0, keepdims=True) + 0 * g),
        "g-rows-rolled": ("cotangent axis", lambda g: np.roll(g, 1, 0)),
        "g-memory-transposed": ("cotangent axis", lambda g: g.T.reshape(g.shape)),
    }, _rows),
    *changed_cotangent({"g-transposed": ("cotangent axis", lambda g: g.T)}, _is_square),
    Operator("g-times-output", codes("cotangent chain-term wrong-variable"), _output_as_factor),
    Operator(
        "g-second-ignored", codes("cotangent chain-term severed"), _second_ignored, _is_several
    ),
]  # fmt: skip
