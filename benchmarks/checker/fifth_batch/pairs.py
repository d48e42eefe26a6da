"""Pairs that belong together, among all others of a batch.

What is wrong here is met in issues about embeddings that are gathered from several devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    drawn,
    edited,
    one,
)
from benchmarks.checker.numerics import log_softmax, softmax, total
from benchmarks.checker.subject import Array, Function, Subject

__all__ = ["SUBJECTS"]


TAU = 0.5


def _paired(a: Array, b: Array) -> Any:
    """Return the symmetric contrastive loss of rows of a and b that belong together."""
    logits = _unit(a) @ _unit(b).T / TAU
    rows = np.diagonal(log_softmax(logits))
    columns = np.diagonal(log_softmax(logits.T))
    return -np.mean(rows + columns) / 2


def _unit(x: Array) -> Any:
    return x / np.sqrt(total(x * x))


def _unit_back(d: Array, x: Array) -> Any:
    u = _unit(x)
    return (d - u * total(d * u)) / np.sqrt(total(x * x))


def _paired_backward(
    a: Array,
    b: Array,
    g: Array,
    columns: Function = lambda logits, eye: (softmax(logits.T) - eye).T,
    rows: Function = lambda logits, eye: softmax(logits) - eye,
    heat: Function = lambda: TAU,
    back: Function = _unit_back,
    count: Function = lambda a: 2 * len(a),
    keys: Function = lambda db: db,
) -> Any:
    logits = _unit(a) @ _unit(b).T / TAU
    eye = np.eye(len(a), dtype=a.dtype)
    d = g * (rows(logits, eye) + columns(logits, eye)) / count(a) / heat()
    return back(d @ _unit(b), a), keys(back(d.T @ _unit(a), b))


PAIRED = Subject(
    "symmetric-contrastive-loss", _paired, _paired_backward,
    lambda rng, shape, scale: tuple(scale * (x + 2 * np.eye(*shape)) for x in drawn(
        rng, shape, shape)),
    ((3, 4), (4, 3), (5, 4), (7, 12), (20, 16)), scales=(0.3, 1.0, 5.0), extremes=(),
    edits=edited(_paired_backward, {
        # Issues on gathering embeddings from devices, and on what is detached.
        "keys-detached": ("severed", {"keys": lambda db: None}),
        "scaled-by-two-devices": ("scale", {"count": len}),
        "temperature-forgotten": ("scale", {"heat": one}),
        "rows-alone": ("chain-term", {"columns": lambda logits, eye: 0}),
        "columns-like-rows": ("axis", {"columns": lambda logits, eye: softmax(logits) - eye}),
        "columns'-softmax-not-transposed-back": ("axis", {
            "columns": lambda logits, eye: softmax(logits.T) - eye}),
        "positives-not-subtracted": ("subset chain-term", {
            "rows": lambda logits, eye: softmax(logits)}),
        "positives-left-out-of-the-sum": ("subset wrong-variable", {
            "rows": lambda logits, eye: softmax(logits - 50 * eye) - eye}),
        "length-constant": ("projection-term chain-term", {
            "back": lambda d, x: d / np.sqrt(total(x * x))}),
        "unit-length-passed-over": ("chain-term identity", {"back": lambda d, x: d}),
    }),
)  # fmt: skip

SUBJECTS = (PAIRED,)
"""What is checked."""
