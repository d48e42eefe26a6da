"""Backwards of softmax, right and wrong, in words that PyTorch and JAX both know."""

from __future__ import annotations

import numpy as np


def total(x):
    return x.sum(axis=-1, keepdims=True)


def right(p, g):
    return p * (g - total(g * p))


def reversed_rows(x):
    return x[np.arange(len(x))[::-1].copy()]


RULES = {
    "zero": lambda p, g: 0 * g,
    "sign": lambda p, g: -right(p, g),
    "doubled": lambda p, g: 2 * right(p, g),
    "diagonal only": lambda p, g: g * p * (1 - p),
    "identity": lambda p, g: g,
    "inner product missing": lambda p, g: g * p,
    "inner product sign": lambda p, g: p * (g + total(g * p)),
    "inner product of g": lambda p, g: p * (g - total(g)),
    "applied twice": lambda p, g: right(p, right(p, g)),
    "rows reversed": lambda p, g: reversed_rows(right(p, g)),
    "cotangent ignored": lambda p, g: right(p, (p - 1) ** 3),
    "cotangent's size": lambda p, g: right(p, abs(g)),
    "not a number": lambda p, g: right(p, g) * float("nan"),
}
