"""Right and wrong backwards of five operations, in NumPy alone: the checker's controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Rule = Callable[..., Any]


@dataclass(frozen=True)
class Operation:
    """A forward, its right backward, wrong ones by name, and inputs at which they differ."""

    forward: Rule
    backward: Rule
    wrong: dict[str, Callable[[], Rule]]
    """Each makes a fresh rule, since some of them keep state."""
    sample: Callable[..., tuple[Any, ...]]
    """`sample(rng, shape, scale, dtype)`."""


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(z, g):
    p = softmax(z)
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


def log_softmax(z):
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_softmax_backward(z, g):
    return g - softmax(z) * g.sum(axis=-1, keepdims=True)


def cross_entropy(z, labels):
    return -log_softmax(z)[np.arange(len(z)), labels].mean()


def cross_entropy_backward(z, labels, g):
    t = np.eye(z.shape[-1], dtype=z.dtype)[labels]
    return g * (softmax(z) - t) / z.dtype.type(len(z))


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def sigmoid_backward(z, g):
    e = np.exp(-np.abs(z))
    return g * e / (1 + e) ** 2


def linear(x, W, b):
    return x @ W.T + b  # [N, K]


def linear_backward(x, W, b, g):
    return g @ W, g.T @ x, g.sum(axis=0)


def _axis0_softmax(z, g):
    return softmax_backward(z.T, g.T).T


def _where_it_matters(right, arguments):
    """Return |gradient| for a fixed cotangent, coarsely, so that rounding moves no maximum.

    An error in an entry that vanishes would be none.
    """
    g = arguments[-1]
    fixed = np.random.default_rng(0).standard_normal(g.shape).astype(g.dtype)
    size = np.abs(right(*arguments[:-1], fixed)).astype(np.float64)
    return np.round(size / (size.max() or 1), 2)


def _one_row(right):
    def rule(*arguments):
        x_bar = np.array(right(*arguments))
        x_bar[np.argmax(_where_it_matters(right, arguments).sum(axis=-1))] *= 1.5
        return x_bar

    return rule


def _one_element(right):
    def rule(*arguments):
        x_bar = np.array(right(*arguments))
        x_bar.flat[np.argmax(_where_it_matters(right, arguments))] *= 1.5
        return x_bar

    return rule


def _damaging(right):
    def rule(*arguments):
        result = right(*arguments)
        arguments[-1][...] *= 2
        return result

    return rule


def _damaging_input(right):
    def rule(x, *rest):
        result = right(x, *rest)
        x += 1
        return result

    return rule


def _accumulating(right):
    kept = []

    def rule(*arguments):
        kept.append(right(*arguments))
        return np.sum(kept, axis=0)

    return rule


def _common(right):
    """Mistakes that any backward of one array can have."""
    rules = {
        "zero": lambda x, *rest: 0 * right(x, *rest),
        "sign": lambda *a: -right(*a),
        "doubled": lambda *a: 2 * right(*a),
        "one per cent": lambda *a: right(*a) * np.asarray(1.01, a[0].dtype),
        "rows averaged": lambda *a: right(*a) / a[0].dtype.type(a[0].shape[0]),
        "cotangent ignored": lambda *a: right(*a[:-1], np.ones_like(a[-1])),
        "cotangent squared": lambda *a: right(*a[:-1], a[-1] ** 2),
        "cotangent's size": lambda *a: right(*a[:-1], np.abs(a[-1])),
        "cotangent clipped": lambda *a: right(*a[:-1], np.clip(a[-1], -1, 1)),
        "constant added": lambda *a: right(*a) + np.asarray(0.01, a[0].dtype),
        "not a number": lambda *a: right(*a) * np.asarray(np.nan, a[0].dtype),
        "flattened": lambda *a: right(*a).ravel(),
        "integers": lambda *a: right(*a).astype(int),
        "none": lambda *a: None,
    }
    made = {name: (lambda rule=rule: rule) for name, rule in rules.items()}
    for name, wrap in {
        "one row": _one_row,
        "one element": _one_element,
        "cotangent overwritten": _damaging,
        "input overwritten": _damaging_input,
        "accumulating": _accumulating,
    }.items():
        made[name] = lambda wrap=wrap: wrap(right)
    return made


def _fixed(**rules):
    return {name.replace("_", " "): (lambda rule=rule: rule) for name, rule in rules.items()}


def _s(z):
    return softmax(z)


def _sum(a):
    return a.sum(axis=-1, keepdims=True)


_SOFTMAX_WRONG = _fixed(
    diagonal_only=lambda z, g: g * _s(z) * (1 - _s(z)),
    identity=lambda z, g: g,
    inner_product_missing=lambda z, g: g * _s(z),
    inner_product_sign=lambda z, g: _s(z) * (g + _sum(g * _s(z))),
    inner_product_of_g=lambda z, g: _s(z) * (g - _sum(g)),
    inner_product_mean=lambda z, g: _s(z) * (g - (g * _s(z)).mean(-1, keepdims=True)),
    inner_product_not_weighted=lambda z, g: _s(z) * g - _sum(g * _s(z)),
    jacobian_rows_summed=lambda z, g: g * (_s(z) - _s(z) * _sum(_s(z))),
    applied_twice=lambda z, g: softmax_backward(z, softmax_backward(z, g)),
    at_the_output=lambda z, g: softmax_backward(_s(z), g),
    axis_0=_axis0_softmax,
    off_diagonal_sign=lambda z, g: _s(z) * (1 - _s(z)) * g + _s(z) * (_sum(g * _s(z)) - g * _s(z)),
    one_batch_inner_product=lambda z, g: _s(z) * (g - (g * _s(z)).sum()),
    rows_reversed=lambda z, g: softmax_backward(z, g)[::-1],
    classes_rolled=lambda z, g: np.roll(softmax_backward(z, g), 1, axis=-1),
)

_LOG_SOFTMAX_WRONG = _fixed(
    identity=lambda z, g: g,
    sum_missing=lambda z, g: g - _s(z),
    sum_sign=lambda z, g: g + _s(z) * _sum(g),
    sum_weighted=lambda z, g: g - _s(z) * _sum(g * _s(z)),
    mean_for_sum=lambda z, g: g - _s(z) * g.mean(-1, keepdims=True),
    diagonal_only=lambda z, g: g * (1 - _s(z)),
    one_over_p=lambda z, g: g - _sum(g) / z.dtype.type(z.shape[-1]) + 0 * z,
    of_softmax=softmax_backward,
)


def _onehot(z, labels):
    return np.eye(z.shape[-1], dtype=z.dtype)[labels]


_CROSS_ENTROPY_WRONG = _fixed(
    sum_for_mean=lambda z, t, g: g * (_s(z) - _onehot(z, t)),
    target_missing=lambda z, t, g: g * _s(z) / z.dtype.type(len(z)),
    reversed_sign=lambda z, t, g: g * (_onehot(z, t) - _s(z)) / z.dtype.type(len(z)),
    target_row_only=lambda z, t, g: (
        g * _onehot(z, t) * (_s(z) - _onehot(z, t)) / z.dtype.type(len(z))
    ),
    divided_by_classes=lambda z, t, g: g * (_s(z) - _onehot(z, t)) / z.dtype.type(z.size),
    softmax_twice=lambda z, t, g: g * (_s(_s(z)) - _onehot(z, t)) / z.dtype.type(len(z)),
)

_SIGMOID_WRONG = _fixed(
    identity=lambda z, g: g,
    square=lambda z, g: g * sigmoid(z) ** 2,
    at_the_output=lambda z, g: g * z * (1 - z),
    not_multiplied=lambda z, g: g * (1 - sigmoid(z)),
    transposed=lambda z, g: sigmoid_backward(z, g)[::-1],
)


def _linear(name, change):
    def rule(x, W, b, g):
        return change(x, W, b, g, *linear_backward(x, W, b, g))

    return {name.replace("_", " "): lambda: rule}


_LINEAR_WRONG = {}
for _name, _change in {
    "zero": lambda x, W, b, g, xb, Wb, bb: (0 * xb, 0 * Wb, 0 * bb),
    "x zero": lambda x, W, b, g, xb, Wb, bb: (0 * xb, Wb, bb),
    "bias unreduced": lambda x, W, b, g, xb, Wb, bb: (xb, Wb, g),
    "bias mean": lambda x, W, b, g, xb, Wb, bb: (xb, Wb, bb / g.dtype.type(len(g))),
    "bias last row": lambda x, W, b, g, xb, Wb, bb: (xb, Wb, g[-1]),
    "bias none": lambda x, W, b, g, xb, Wb, bb: (xb, Wb, None),
    "bias kept dims": lambda x, W, b, g, xb, Wb, bb: (xb, Wb, bb[None]),
    "weight transposed": lambda x, W, b, g, xb, Wb, bb: (xb, Wb.T, bb),
    "weight sign": lambda x, W, b, g, xb, Wb, bb: (xb, -Wb, bb),
    "weight mean": lambda x, W, b, g, xb, Wb, bb: (xb, Wb / g.dtype.type(len(g)), bb),
    "entry missing": lambda x, W, b, g, xb, Wb, bb: (xb, Wb),
    "swapped": lambda x, W, b, g, xb, Wb, bb: (Wb, xb, bb),
}.items():
    _LINEAR_WRONG |= _linear(_name, _change)


def _logits(rng, shape, scale, dtype):
    return ((scale * rng.standard_normal(shape)).astype(dtype),)


def _labelled(rng, shape, scale, dtype):
    return (*_logits(rng, shape, scale, dtype), rng.integers(0, shape[1], shape[0]))


def _layer(rng, shape, scale, dtype):
    sizes = (shape, (7, shape[1]), (7,))
    return tuple((scale * rng.standard_normal(size)).astype(dtype) for size in sizes)


OPERATIONS = {
    "softmax": Operation(
        softmax, softmax_backward, _common(softmax_backward) | _SOFTMAX_WRONG, _logits
    ),
    "log_softmax": Operation(
        log_softmax,
        log_softmax_backward,
        _common(log_softmax_backward) | _LOG_SOFTMAX_WRONG,
        _logits,
    ),
    "cross_entropy": Operation(
        cross_entropy,
        cross_entropy_backward,
        _common(cross_entropy_backward) | _CROSS_ENTROPY_WRONG,
        _labelled,
    ),
    "sigmoid": Operation(
        sigmoid, sigmoid_backward, _common(sigmoid_backward) | _SIGMOID_WRONG, _logits
    ),
    "linear": Operation(linear, linear_backward, _LINEAR_WRONG, _layer),
}
