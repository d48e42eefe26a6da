"""One pass over 100,000 rows of 10,000 classes, beside its two bare products.

`partial_fit` goes once through the rows; of every mini-batch the two products that a linear layer
needs, x Wᵀ and gᵀ x, are then run by themselves at the same sizes, in turns, so that what disturbs
the machine disturbs both.
"""

from __future__ import annotations

import time

import numpy as np

import softgrad as sg
from benchmarks.training.watched import Clock
from softgrad.bench.goals import WithinFloor
from softgrad.bench.measurement import Measured, Measurement, Verdict
from softgrad.bench.resident import peak_resident

__all__ = ["bare_products", "measure"]

_PART = 10_000
"""Rows of one call, after which the bare products have their turn."""

_WITHIN, _MEBIBYTES = 1.3, 477
"""The goals: times the products, and half a gigabyte of memory beyond X."""


def measure(
    clock: Clock = time.perf_counter,
    N: int = 100_000,
    D: int = 300,
    K: int = 10_000,
    batch: int = 1000,
) -> Measured:
    """Return what a pass takes, and its peak of memory beyond X."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D), np.float32), rng.integers(0, K, N)
    model = sg.SoftmaxClassifier(solver="adam", batch_size=batch)
    before, part = peak_resident(), min(_PART, N // 2)
    model.partial_fit(X[:part], y[:part], classes=np.arange(K))  # kernels compiled, threads awake
    passes, products, mebibytes = [], [], 0.0
    for start in range(part, N, part):
        rows = slice(start, start + part)
        started = clock()
        model.partial_fit(X[rows], y[rows])
        passes.append(clock() - started)
        if not products:
            mebibytes = (peak_resident() - before) / 2**20
        products.append(bare_products(len(X[rows]), D, K, batch, clock))
    whole, floor = N / (N - part), "2 bare products"
    ours = Measurement("softgrad", "ours", "softgrad", floor, seconds=whole * sum(passes),
                       mebibytes=mebibytes)  # fmt: skip
    bare = Measurement(floor, "floor", "NumPy", seconds=whole * sum(products))
    verdicts = [
        *WithinFloor(_WITHIN).judge([ours, bare]),
        Verdict("softgrad", f"≤ {_MEBIBYTES} MiB beyond X", mebibytes, mebibytes <= _MEBIBYTES),
    ]
    shape = f"{N} × {D} × {K}, one pass"
    return Measured("many classes", shape, len(passes), (ours, bare), tuple(verdicts))


def bare_products(N: int, D: int, K: int, batch: int, clock: Clock) -> float:
    """Return the seconds of the products of a pass over N rows."""
    rng = np.random.default_rng(0)
    x, W = rng.standard_normal((batch, D), np.float32), rng.standard_normal((K, D), np.float32)
    z, W_bar = np.empty((batch, K), np.float32), np.empty((K, D), np.float32)
    started = clock()
    for _ in range(N // batch):
        np.matmul(x, W.T, out=z)
        np.matmul(z.T, x, out=W_bar)
    return clock() - started
