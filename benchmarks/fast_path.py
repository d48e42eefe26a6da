"""What exactness costs: the kernels against themselves without the rounding error of x − m.

`python -m benchmarks.fast_path` prints the time of both and the error of both. The fast variant
stands here alone: softgrad has one path, the accurate one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from softgrad.bench.timing import FULL, medians
from softgrad.kernels.numba.centred import difference, times
from softgrad.kernels.numba.cross_entropy import cross_entropy
from softgrad.kernels.numba.instructions import PIECE, typed
from softgrad.kernels.numba.softmax import softmax

SHAPES = ((65536, 10), (8192, 1000), (256, 32768), (512, 131072))

ACCURATE, FAST = None, ()
"""What stands in the place of β: no temperature, and the mark of the fast variant."""


@overload(difference, **PIECE)
def _difference(x: Any, m: Any, beta: Any) -> Any:
    return (lambda x, m, beta: (x - m, typed(0.0, x))) if _is_mark(beta) else None


@overload(times, **PIECE)
def _times(x: Any, beta: Any) -> Any:
    return (lambda x, beta: x) if _is_mark(beta) else None


def _is_mark(beta: Any) -> bool:
    return isinstance(beta, types.BaseTuple) and len(beta) == 0


def main() -> None:
    """Print a line for each kernel and shape, one thread each."""
    print("kernel, float32   N × K           accurate ms  fast ms  ratio  ulp of p: accurate, fast")
    for N, K in SHAPES:
        x = (8 * np.random.default_rng(0).normal(size=(N, K))).astype(np.float32)
        errors = [_ulp(_probabilities(x[:64], beta), x[:64]) for beta in (ACCURATE, FAST)]
        for name, run in _kernels(x):
            ways = {"accurate": partial(run, ACCURATE), "fast": partial(run, FAST)}
            seconds, _ = medians(ways, FULL)
            slow, quick = 1e3 * seconds["accurate"], 1e3 * seconds["fast"]
            shape = f"{N} × {K}"
            print(f"{name:16}  {shape:14} {slow:12.2f} {quick:8.2f} {slow / quick:6.2f}", end="")
            print(f"  {errors[0]:.2f}, {errors[1]:.1f}" if name == "softmax" else "")


def _kernels(x: np.ndarray[Any, Any]) -> Iterator[tuple[str, Callable[[Any], None]]]:
    (N, K), flat, out = x.shape, x.reshape(-1), np.empty(x.size, x.dtype)
    yield "softmax", lambda beta: softmax((flat,), out, 0, N, K, (beta,))
    ids = np.random.default_rng(1).integers(K, size=N)
    ones, picked, losses = np.ones((3, N), x.dtype)
    args = (ids, ones, picked, 1, ones / N, losses, 0.0)
    yield "cross-entropy", lambda beta: cross_entropy((flat,), out, 0, N, K, (*args, beta))


def _probabilities(x: np.ndarray[Any, Any], beta: Any) -> np.ndarray[Any, Any]:
    p = np.empty_like(x)
    softmax((x.reshape(-1),), p.reshape(-1), 0, *x.shape, (beta,))
    return p


def _ulp(p: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> float:
    """Return the largest error of p, in units of its last place, where p is a normal number."""
    E = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))
    exact = E / E.sum(axis=-1, keepdims=True)
    normal = exact > np.finfo(np.float32).tiny
    return float(np.max(np.abs(p - exact)[normal] / np.spacing(exact[normal].astype(np.float32))))


if __name__ == "__main__":
    main()
