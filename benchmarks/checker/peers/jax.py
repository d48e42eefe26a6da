"""jax.test_util.check_grads, reverse mode, around the same NumPy pair."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from benchmarks.checker.cases import Case
from benchmarks.checker.peers.peer import Peer
from benchmarks.checker.subject import as_tuple

__all__ = ["JAX"]


def _function(case: Case) -> Any:
    """Return a jax.custom_vjp that runs outside of any trace, on concrete arrays."""
    pair, run = case.right, case.backward()

    def arguments(arrays: Any) -> list[Any]:
        inputs = list(pair.inputs)
        for place, array in zip(pair.floating, arrays, strict=True):
            inputs[place] = np.array(array)
        return inputs

    @jax.custom_vjp
    def function(*arrays: Any) -> Any:
        outputs = pair.forward(*arguments(arrays))
        made = tuple(jnp.asarray(y) for y in as_tuple(outputs))
        return made if isinstance(outputs, tuple) else made[0]

    def forward(*arrays: Any) -> Any:
        return function(*arrays), arrays

    def backward(arrays: Any, g: Any) -> Any:
        g = tuple(map(np.array, g)) if isinstance(g, tuple) else np.array(g)
        answers = as_tuple(run(*arguments(arrays), g))
        if len(answers) == len(pair.inputs):
            answers = tuple(answers[place] for place in pair.floating)
        return tuple(None if a is None else jnp.asarray(a) for a in answers)

    function.defvjp(forward, backward)
    return function


def _accepts(case: Case) -> bool:
    with jax.enable_x64(case.point.dtype == "float64"):
        points = tuple(jnp.asarray(x) for x in case.right.points)
        check_grads(_function(case), points, order=1, modes=["rev"])
    return True


def _takes(case: Case) -> bool:
    # Its arrays cannot be overwritten. In half precision it refuses nearly everything.
    return not case.is_breach and case.point.dtype in ("float64", "float32")


JAX = Peer(
    "jax check_grads",
    "a jax.custom_vjp around the pair, run on concrete arrays, order 1, reverse mode, default "
    "tolerances; float64 and float32",
    _takes,
    _accepts,
)
