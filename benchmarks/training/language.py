"""Training on the standard library's source beside the bare products of its head.

The vocabulary has all types of the library, 50,000 at most. Of one epoch the first tokens are
trained on, and after every mini-batch the head's three matrix products are run by themselves, x Wᵀ,
g W and gᵀ x, at the same sizes. What disturbs the machine disturbs both, though not alike: a step
waits for its threads more often than three products do.

Peak memory is that of the whole process, the corpus read and a part of it trained on, before the
bare products have their arrays.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.training.watched import Clock
from softgrad.bench.goals import WithinFloor
from softgrad.bench.measurement import Measured, Measurement, Verdict
from softgrad.bench.resident import peak_resident
from softgrad.learn.language import Corpus, LanguageModel, Step, read_corpus, train

__all__ = ["BareProducts", "measure"]

_TYPES = 50_000

_WITHIN, _MEBIBYTES = 1.5, 954
"""The goals: times the products, and a gigabyte of memory."""

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


def measure(
    clock: Clock = time.perf_counter,
    tokens: int = 100_000,
    dim: int = 64,
    size: int = 1024,
    source: str = "stdlib",
) -> Measured:
    """Return what an epoch takes, judged by mini-batches of some tokens, and the peak of memory."""
    corpus = read_corpus(source, min_count=1, max_types=_TYPES)
    model = LanguageModel.start(corpus.vocabulary, dim=dim)
    times_of_steps(corpus, model, (_UNTIMED + 1) * size, size, None, clock)
    mebibytes = peak_resident() / 2**20
    bare = BareProducts(size, dim, len(corpus.vocabulary))
    steps, products = times_of_steps(corpus, model, tokens // size * size, size, bare, clock)
    M, floor = len(corpus.training.ids), "3 bare products"
    an_epoch = M / (size * len(steps))
    ours = Measurement("softgrad", "ours", "softgrad", floor, seconds=an_epoch * sum(steps),
                       mebibytes=mebibytes)  # fmt: skip
    bare_ones = Measurement(floor, "floor", "NumPy", seconds=an_epoch * sum(products))
    verdicts = [
        *WithinFloor(_WITHIN).judge([ours, bare_ones]),
        Verdict("softgrad", f"≤ {_MEBIBYTES} MiB in all", mebibytes, mebibytes <= _MEBIBYTES),
    ]
    shape = f"{M:,} tokens × {dim} × {len(corpus.vocabulary)} types, one epoch"
    return Measured("language model", shape, len(steps), (ours, bare_ones), tuple(verdicts))


def times_of_steps(
    corpus: Corpus,
    model: LanguageModel,
    tokens: int,
    size: int,
    bare: BareProducts | None,
    clock: Clock,
) -> tuple[list[float], list[float]]:
    """Return the seconds of every step of training, and of the bare products after it."""
    steps: list[float] = []
    products: list[float] = []
    started = clock()

    def on_step(step: Step) -> None:
        nonlocal started
        steps.append(clock() - started)
        if bare is not None:
            started = clock()
            bare()
            products.append(clock() - started)
        started = clock()

    train(model, corpus.training.ids[:tokens], batch_size=size, on_step=on_step)
    return steps[_UNTIMED:], products[_UNTIMED:]
