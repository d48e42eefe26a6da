"""Training on the standard library's source beside the bare products of its head.

    python -m benchmarks.language [--tokens 100000] [--dim 64] [--batch-size 1024] [--threads N]

The vocabulary has all types of the library, 50,000 at most. Of one epoch the first tokens are
trained on, and after every mini-batch the head's three matrix products are run by themselves, x Wᵀ,
g W and gᵀ x, at the same sizes. What disturbs the machine disturbs both, though not alike: a step
waits for its threads more often than three products do. So the ratio of processor times is there as
well; on a busy machine, OMP_NUM_THREADS=1 and --threads 1 leave it the least to be disturbed by.

Peak memory is that of the whole process, the corpus read and a part of it trained on, before the
bare products have their arrays. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from softgrad.bench.machine import Machine
from softgrad.bench.resident import peak_resident
from softgrad.kernels.threads import get_num_threads, set_num_threads
from softgrad.learn.language import Corpus, LanguageModel, Step, read_corpus, train

Times: TypeAlias = NDArray[np.float64]

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


def clocks() -> Times:
    """Return what the clock shows, and the processor time that this process has had."""
    return np.array([time.perf_counter(), time.process_time()])


def times_of_steps(
    corpus: Corpus, model: LanguageModel, tokens: int, size: int, bare: BareProducts | None
) -> tuple[Times, Times]:
    """Return both times of every step of training, and of the bare products after it."""
    steps, products, started = [], [], clocks()

    def on_step(step: Step) -> None:
        nonlocal started
        steps.append(clocks() - started)
        if bare is not None:
            started = clocks()
            bare()
            products.append(clocks() - started)
        started = clocks()

    train(model, corpus.training.ids[:tokens], batch_size=size, on_step=on_step)
    return np.array(steps[_UNTIMED:]), np.array(products[_UNTIMED:])


def measure(tokens: int, dim: int, size: int, source: str = "stdlib") -> dict[str, Any]:
    """Return what a share of an epoch takes, and whether the goals are met."""
    corpus = read_corpus(source, min_count=1, max_types=TYPES)
    model = LanguageModel.start(corpus.vocabulary, dim=dim)
    times_of_steps(corpus, model, (_UNTIMED + 1) * size, size, None)
    gigabytes = peak_resident() / 1e9
    bare = BareProducts(size, dim, len(corpus.vocabulary))
    tokens = tokens // size * size  # whole mini-batches
    steps, products = times_of_steps(corpus, model, tokens, size, bare)
    ratio, of_processor = steps.sum(axis=0) / products.sum(axis=0)
    M, each = len(corpus.training.ids), steps[:, 0].mean() / size
    return {
        "machine": str(Machine.this()),
        "threads": {"softgrad": get_num_threads(), "OMP_NUM_THREADS": os.getenv("OMP_NUM_THREADS")},
        "types": len(corpus.vocabulary),
        "dim": dim,
        "batch_size": size,
        "steps": len(steps),
        "tokens_per_second": 1 / each,
        "epoch": {"tokens": M, "seconds": M * each},
        "step_milliseconds": 1e3 * float(np.median(steps[:, 0])),
        "products_milliseconds": 1e3 * float(np.median(products[:, 0])),
        "ratio": float(ratio),
        "ratio_of_processor_time": float(of_processor),
        "gigabytes": gigabytes,
        "goals": GOALS,
        "reached": {
            "ratio": bool(ratio <= GOALS["ratio"]),
            "gigabytes": gigabytes <= GOALS["gigabytes"],
        },
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=100_000, help="that are trained on")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--threads", type=int, help="of softgrad; BLAS has OMP_NUM_THREADS")
    given = parser.parse_args()
    if given.threads is not None:
        set_num_threads(given.threads)
    print(json.dumps(measure(given.tokens, given.dim, given.batch_size), indent=2))


if __name__ == "__main__":
    main()
