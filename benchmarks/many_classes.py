"""One pass over 100,000 rows of 10,000 classes, beside its two bare products.

    python -m benchmarks.many_classes [--rows 100000] [--classes 10000] [--threads N]

`partial_fit` goes once through the rows; of every mini-batch the two products that a linear layer
needs, x Wᵀ and gᵀ x, are then run by themselves at the same sizes, in turns, so that what disturbs
the machine disturbs both. Peak memory is that of the pass beyond X. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np

import softgrad as sg
from softgrad.bench.machine import Machine
from softgrad.bench.resident import peak_resident
from softgrad.kernels.threads import get_num_threads, set_num_threads

GOALS = {"ratio": 1.3, "gigabytes": 0.5}
_PART = 10_000
"""Rows of one call, after which the bare products have their turn."""


def bare_products(N: int, D: int, K: int, batch: int) -> float:
    """Return the seconds of the products of a pass over N rows."""
    rng = np.random.default_rng(0)
    x, W = rng.standard_normal((batch, D), np.float32), rng.standard_normal((K, D), np.float32)
    z, W_bar = np.empty((batch, K), np.float32), np.empty((K, D), np.float32)
    started = time.perf_counter()
    for _ in range(N // batch):
        np.matmul(x, W.T, out=z)
        np.matmul(z.T, x, out=W_bar)
    return time.perf_counter() - started


def measure(N: int, D: int, K: int, batch: int) -> dict[str, Any]:
    """Return what a pass takes, and whether the goals are met."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D), np.float32), rng.integers(0, K, N)
    model = sg.SoftmaxClassifier(solver="adam", batch_size=batch)
    before, classes = peak_resident(), np.arange(K)
    model.partial_fit(X[:_PART], y[:_PART], classes=classes)  # kernels compiled, threads awake
    passes, products, gigabytes = [], [], 0.0
    for start in range(_PART, N, _PART):
        part = slice(start, start + _PART)
        started = time.perf_counter()
        model.partial_fit(X[part], y[part])
        passes.append(time.perf_counter() - started)
        if not products:
            gigabytes = (peak_resident() - before) / 1e9
        products.append(bare_products(len(X[part]), D, K, batch))
    ratio = sum(passes) / sum(products)
    return {
        "machine": str(Machine.this()),
        "threads": {"softgrad": get_num_threads(), "OMP_NUM_THREADS": os.getenv("OMP_NUM_THREADS")},
        "rows": N,
        "columns": D,
        "classes": K,
        "batch_size": batch,
        "seconds": sum(passes) * N / (N - _PART),
        "ratio": ratio,
        "gigabytes": gigabytes,
        "goals": GOALS,
        "reached": {"ratio": ratio <= GOALS["ratio"], "gigabytes": gigabytes <= GOALS["gigabytes"]},
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=300)
    parser.add_argument("--classes", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=1000)
    parser.add_argument("--threads", type=int, help="of softgrad; BLAS has OMP_NUM_THREADS")
    given = parser.parse_args()
    if given.threads is not None:
        set_num_threads(given.threads)
    measured = measure(given.rows, given.columns, given.classes, given.batch_size)
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
