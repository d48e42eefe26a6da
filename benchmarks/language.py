"""Training on the standard library's source beside the bare products of its head.

    python -m benchmarks.language [--tokens 100000] [--dim 64] [--batch-size 512]

The vocabulary has 50,000 types. Of one epoch the first tokens are trained on, and after every
mini-batch the head's three matrix products are run by themselves, x Wᵀ, g W and gᵀ x, at the same
sizes: what disturbs the machine disturbs both alike. Peak memory is that of the whole process, the
corpus read and a part of it trained on, before the bare products have their arrays. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np

from softgrad.bench.machine import Machine
from softgrad.bench.resident import peak_resident
from softgrad.learn.language import Corpus, LanguageModel, Step, read_corpus, train

TYPES = 50_000
GOALS = {"ratio": 1.5, "gigabytes": 1.0}

_UNTIMED = 5
"""Steps after which kernels are compiled and threads awake."""


class BareProducts:
    """The three products of a head, into arrays that exist."""

    def __init__(self, N: int, D: int, V: int) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((N, D), np.float32)
        self.W = rng.standard_normal((V, D), np.float32)
        self.z = np.empty((N, V), np.float32)
        self.x_bar, self.W_bar = np.empty_like(self.x), np.empty_like(self.W)

    def __call__(self) -> None:
        np.matmul(self.x, self.W.T, out=self.z)
        np.matmul(self.z, self.W, out=self.x_bar)
        np.matmul(self.z.T, self.x, out=self.W_bar)


def seconds_of_steps(
    corpus: Corpus, model: LanguageModel, tokens: int, size: int, bare: BareProducts | None
) -> tuple[list[float], list[float]]:
    """Return the seconds of every step of training, and of the bare products after it."""
    steps: list[float] = []
    products: list[float] = []
    started = time.perf_counter()

    def on_step(step: Step) -> None:
        nonlocal started
        steps.append(time.perf_counter() - started)
        if bare is not None:
            started = time.perf_counter()
            bare()
            products.append(time.perf_counter() - started)
        started = time.perf_counter()

    train(model, corpus.training.ids[:tokens], batch_size=size, on_step=on_step)
    return steps[_UNTIMED:], products[_UNTIMED:]


def measure(tokens: int, dim: int, size: int, source: str = "stdlib") -> dict[str, Any]:
    """Return what a share of an epoch takes, and whether the goals are met."""
    corpus = read_corpus(source, min_count=1, max_types=TYPES)
    model = LanguageModel.start(corpus.vocabulary, dim=dim)
    seconds_of_steps(corpus, model, (_UNTIMED + 1) * size, size, None)
    peak = peak_resident()
    bare = BareProducts(size, dim, len(corpus.vocabulary))
    tokens = tokens // size * size  # whole mini-batches
    steps, products = seconds_of_steps(corpus, model, tokens, size, bare)
    ratio = sum(steps) / sum(products)
    M, each = len(corpus.training.ids), sum(steps) / len(steps) / size
    return {
        "machine": str(Machine.this()),
        "types": len(corpus.vocabulary),
        "dim": dim,
        "batch_size": size,
        "steps": len(steps),
        "tokens_per_second": 1 / each,
        "epoch": {"tokens": M, "seconds": M * each},
        "step_milliseconds": 1e3 * statistics.median(steps),
        "products_milliseconds": 1e3 * statistics.median(products),
        "ratio": ratio,
        "gigabytes": peak / 1e9,
        "goals": GOALS,
        "reached": {
            "ratio": ratio <= GOALS["ratio"],
            "gigabytes": peak / 1e9 <= GOALS["gigabytes"],
        },
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=100_000, help="that are trained on")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=512)
    given = parser.parse_args()
    print(json.dumps(measure(given.tokens, given.dim, given.batch_size), indent=2))


if __name__ == "__main__":
    main()
