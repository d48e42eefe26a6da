"""JAX's first and second derivatives in every mode, from one compiled program.

What `jax.test_util.check_grads` asks to order 2: forward mode against differences, reverse mode
against forward, and both for each of the two. JAX's own compiles a program for every step of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asserts import as_numpy, assert_within

STEP = 1e-5
TOLERANCE = 1e-7
"""Of central differences in float64, relative to the largest number that has to do with them."""


def assert_every_derivative(f: Callable[..., Any], *x: Any) -> None:
    """Raise unless all modes agree with differences of f, and of its first derivatives."""
    point = tuple(map(jnp.asarray, x))
    rng = np.random.default_rng(5)
    v, u, s = (_like(rng, point) for _ in range(3))
    w = _like(rng, jax.eval_shape(f, *point))

    def push(v: Any, *x: Any) -> Any:
        return jax.jvp(f, x, v)[1]

    def pull(*x: Any) -> Any:
        return jax.vjp(f, *x)[1](w)

    @jax.jit
    def everything(*x: Any) -> dict[str, Any]:
        pushed, forward_twice = jax.jvp(partial(push, v), x, u)
        pulled, forward_over_reverse = jax.jvp(pull, x, u)
        return {
            "value": f(*x),
            "along u": push(u, *x),
            "pushed": pushed,
            "pulled": pulled,
            "forward twice": forward_twice,
            "forward over reverse": forward_over_reverse,
            "reverse over forward": jax.vjp(partial(push, v), *x)[1](w),
            "reverse twice": jax.vjp(pull, *x)[1](s),
        }

    def moved(t: float) -> dict[str, Any]:
        return everything(*jax.tree.map(lambda x, u: x + t * u, point, u))

    here, up, down = everything(*point), moved(STEP), moved(-STEP)
    for derivative, of in (
        ("along u", "value"),
        ("forward twice", "pushed"),
        ("forward over reverse", "pulled"),
    ):
        parts = (here[derivative], here[of], up[of], down[of])
        for given, at, high, low in zip(*map(jax.tree.leaves, parts), strict=True):
            slope, scale = as_numpy((high - low) / (2 * STEP)), np.max(np.abs(as_numpy(at)))
            error, scale = np.abs(as_numpy(given) - slope), max(scale, np.max(np.abs(slope)))
            assert given.dtype == np.float64
            assert_within(error, TOLERANCE * scale, derivative)
    assert np.any(_flat(here["along u"]))
    for reverse, its_vector, forward, vector in (
        ("pulled", v, "pushed", w),
        ("reverse over forward", u, "forward twice", w),
        ("reverse twice", u, "forward over reverse", s),
    ):
        products = _flat(here[reverse]) * _flat(its_vector)
        expected = _flat(here[forward]) * _flat(vector)
        error, scale = abs(np.sum(products) - np.sum(expected)), np.sum(np.abs(expected))
        assert_within(error, 1e-11 * scale, reverse)


def _like(rng: np.random.Generator, arrays: Any) -> Any:
    """Return directions of the shapes of arrays."""
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), arrays)


def _flat(arrays: Any) -> Any:
    """Return all numbers in a row."""
    return np.concatenate([np.ravel(as_numpy(a)) for a in jax.tree.leaves(arrays)])
