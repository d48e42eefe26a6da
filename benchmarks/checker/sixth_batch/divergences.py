"""A divergence to a mixture of teacher and student.

What is wrong here is met in issues on knowledge distillation and on its fused kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax
from benchmarks.checker.sixth_batch.parts import edited, like_sigmoid, one, softmax_back
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

BETA, HOT = 0.3, 2.0


def _mixed(z: Array, teacher: Array) -> Any:
    """Return T² (β KL(P‖M) + (1 − β) KL(Q‖M)), averaged; M = β P + (1 − β) Q, Q the student."""
    P, Q = softmax(teacher.astype(z.dtype) / HOT), softmax(z / HOT)
    M = BETA * P + (1 - BETA) * Q
    rows = BETA * P * np.log(P / M) + (1 - BETA) * Q * np.log(Q / M)
    return HOT**2 * np.sum(rows) / len(z)


def _mixed_backward(
    z: Array,
    teacher: Array,
    g: Array,
    ratio: Function = lambda P, Q, M: (1 - BETA) * np.log(Q / M),
    rule: Function = softmax_back,
    heat: Function = lambda d: HOT * d,
    count: Function = len,
    arriving: Function = lambda g: g,
    at: Function = lambda z: softmax(z / HOT),
) -> Any:
    P, Q = softmax(teacher.astype(z.dtype) / HOT), at(z)
    M = BETA * P + (1 - BETA) * Q
    return heat(arriving(g) * rule(Q, ratio(P, Q, M)) / count(z))


def _mixed_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), rng.integers(-3, 4, size=shape)


MIXED = Subject(
    "jensen-shannon-distillation", _mixed, _mixed_backward, _mixed_sample,
    ((3, 3), (4, 5), (5, 4), (6, 17), (12, 50)), scales=(0.3, 1.0, 3.0),
    edits=edited(_mixed_backward, {
        "teacher's-term-alone": ("chain-term", {
            "ratio": lambda P, Q, M: -BETA * (1 - BETA) * P / M}),
        "student's-term-alone": ("chain-term", {
            "ratio": lambda P, Q, M: (1 - BETA) * (np.log(Q / M) - (1 - BETA) * Q / M)}),
        "ratio-to-the-teacher": ("wrong-variable", {
            "ratio": lambda P, Q, M: (1 - BETA) * np.log(Q / P)}),
        "teacher-minus-student": ("sign", {
            "ratio": lambda P, Q, M: (1 - BETA) * np.log(M / Q)}),
        # Issues of four repositories on the factor T².
        "temperature's-square-forgotten": ("scale", {"heat": lambda d: d / HOT}),
        "student-not-tempered": ("wrong-variable", {"at": softmax}),
        # "mean" for "batchmean".
        "averaged-over-classes-too": ("scale", {"count": np.size}),
        "upstream-ignored": ("cotangent", {"arriving": one}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda Q, d: d}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda Q, d: Q * d}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
    }),
)  # fmt: skip

SUBJECTS = (MIXED,)
"""What is checked."""
