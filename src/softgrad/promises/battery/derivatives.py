"""Forward mode, second derivatives, and the gradients of a linear layer in front."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.promises.measures import ulps
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import AnyArray, Rows, exactly, random_rows
from softgrad.promises.subject import Subject, labels_of, random_direction
from softgrad.promises.suites import SUITES

__all__ = ["PROMISES"]


def _forward(subject: Subject) -> Iterator[Measured]:
    for rows in (random_rows(4, 6), random_rows(4, 6, dtype="float64")):
        z_dot = random_direction(len(rows), rows.classes, rows.z.dtype)
        triples = zip(rows.exact, labels_of(rows), z_dot, strict=True)
        exact = [subject.suite.exact.jvp(z, t, exactly(dot)) for z, t, dot in triples]
        yield Measured(ulps(subject.slopes(rows, z_dot), exact, rows.dtype), str(rows))


def _second(subject: Subject) -> Iterator[Measured]:
    for rows in (random_rows(4, 6), random_rows(4, 6, dtype="float64")):
        y_bar = subject.cotangent(rows)
        z_dot = random_direction(len(rows), rows.classes, rows.z.dtype)
        of_rows = zip(rows.exact, labels_of(rows), y_bar, z_dot, strict=True)
        exact = [
            subject.suite.exact.hvp(z, t, exactly(bar), exactly(dot)) for z, t, bar, dot in of_rows
        ]
        yield Measured(ulps(subject.bends(rows, y_bar, z_dot), exact, rows.dtype), str(rows))


def _layer(subject: Subject) -> Iterator[Measured]:
    # Products of quarters are exact, so that the loss alone rounds, and the sums of gradients.
    rng = np.random.default_rng(0)
    N, D, K = 4, 3, 6
    x, W, bias = ((rng.integers(-6, 7, size) / 4).astype("f") for size in ((N, D), (K, D), K))
    for with_bias in (False, True):
        if with_bias and "bias" not in subject.implementation.parameters:
            return
        logits = x @ W.T + (bias if with_bias else 0)
        t, loss_bar = rng.integers(K, size=N), random_direction(N, 1, np.float32)
        rows = Rows(logits, t)
        bars = subject.layer_gradients(x, W, t, bias if with_bias else None, loss_bar)
        g = np.array(subject.exact_gradients(rows, subject.row_factors(loss_bar)))  # [N, K]
        exact = {"x": g @ _exactly(W), "W": g.T @ _exactly(x)}
        if with_bias:
            exact["bias"] = g.sum(axis=0)[None]
        for (name, right), bar in zip(exact.items(), bars, strict=True):
            at = f"the gradient in {name}, {N} × {D} features, {K} classes"
            yield Measured(ulps(bar, right.tolist(), "float32"), at)


def _exactly(matrix: AnyArray) -> AnyArray:
    return np.array([exactly(row) for row in matrix])


PROMISES = (
    Promise(
        "layer-gradients",
        "The gradients in the features, in the weights and in the bias are right.",
        ("linear_cross_entropy",),
        "ulp of the largest entry",
        16,
        _layer,
    ),
    Promise(
        "forward-mode",
        "Tangents are carried forward, and right.",
        tuple(SUITES),
        "ulp of the largest entry",
        16,
        _forward,
    ),
    Promise(
        "second-order",
        "The gradient can be differentiated again, and its derivative is right.",
        tuple(SUITES),
        "ulp of the largest entry",
        16,
        _second,
    ),
)
