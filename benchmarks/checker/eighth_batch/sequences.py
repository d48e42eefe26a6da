"""Sequences and words: a classifier over time, a course's word vectors, an encoder's attention.

What is wrong here is met in recurrent networks typed from a tutorial, whose backward multiplies by
Whh where Whhᵀ belongs, in solutions of a course on words, and in pull requests on dropout.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.eighth_batch.parts import (
    drawn,
    edited,
    einsum,
    ids,
    like_sigmoid,
    log_softmax,
    matrix,
    softmax,
    softmax_back,
    swapped,
    total,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _states(words: Array, E: Array, Whh: Array, bh: Array) -> list[Array]:
    """Return the states before and after every word; E [H, V] has a column for each."""
    hs = [0 * bh]
    for word in words:
        hs.append(np.tanh(E[:, [word]] + Whh @ hs[-1] + bh))
    return hs


def _sentences(Wxh: Array, Whh: Array, Why: Array, bh: Array, by: Array, x: Array, y: Array) -> Any:
    """Return the summed loss of sentences' labels, by the state after the last word."""
    loss = 0 * Wxh[0, 0]
    for words, label in zip(x, y, strict=True):
        last = _states(words, Wxh, Whh, bh)[-1]
        loss = loss - log_softmax(Why @ last + by, 0)[label, 0]
    return loss


def _sentences_backward(
    Wxh: Array,
    Whh: Array,
    Why: Array,
    bh: Array,
    by: Array,
    x: Array,
    y: Array,
    g: Array,
    error: Function = lambda p, own: p - own,
    slope: Function = lambda before, after: 1 - after**2,
    earlier: Function = lambda Whh, temp, d_h: Whh.T @ temp,
    fed: Function = lambda before, after: before,
    gathered: Function = lambda so_far, step: so_far + step,
    read: Function = lambda hs: hs[-1],
    reached: Function = lambda T: range(T),
    clipped: Function = lambda d: d,
) -> Any:
    d = {name: np.zeros_like(v) for name, v in
         (("xh", Wxh), ("hh", Whh), ("hy", Why), ("bh", bh), ("by", by))}  # fmt: skip
    for words, label in zip(x, y, strict=True):
        hs = _states(words, Wxh, Whh, bh)
        p = softmax(Why @ hs[-1] + by, 0)
        d_y = g * error(p, (np.arange(len(p)) == label).astype(p.dtype)[:, None])
        d["hy"] += d_y @ read(hs).T
        d["by"] += d_y
        d_h = Why.T @ d_y
        for t in reversed(reached(len(words))):
            temp = slope(hs[t], hs[t + 1]) * d_h
            d["bh"] = gathered(d["bh"], temp)
            d["hh"] = gathered(d["hh"], temp @ fed(hs[t], hs[t + 1]).T)
            d["xh"][:, [words[t]]] += temp
            d_h = earlier(Whh, temp, d_h)
    return tuple(clipped(value) for value in d.values())


def _sentences_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, V, H, K = shape
    bh, by = drawn(rng, (H, 1), (K, 1), scale=scale)
    Wxh, Whh, Why = matrix(rng, V, H).T, matrix(rng, H, H).T, matrix(rng, H, K).T
    x = (np.arange(N)[:, None] + 2 * np.arange(T) + rng.integers(V)) % V
    return Wxh, Whh, Why, bh, by, x, ids(rng, N, K)


SENTENCES = Subject(
    "sentence-classifier-over-time", _sentences, _sentences_backward, _sentences_sample,
    ((2, 3, 4, 2, 3), (3, 4, 5, 3, 2), (3, 3, 5, 4, 3), (5, 6, 9, 5, 4), (8, 10, 20, 12, 6)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_sentences_backward, {
        # The tutorial's own line, in most of the copies that were read.
        "recurrent-weights-not-transposed": ("axis", {
            "earlier": lambda Whh, temp, d_h: Whh @ temp}),
        "slope-by-the-state-before": ("wrong-variable", {
            "slope": lambda before, after: 1 - before**2}),
        "slope-forgotten": ("chain-term", {"slope": lambda before, after: 1}),
        "recurrent-weights-by-the-state-after": ("wrong-variable", {
            "fed": lambda before, after: after}),
        "same-gradient-at-every-step": ("chain-term", {
            "earlier": lambda Whh, temp, d_h: d_h}),
        "slope-not-passed-on": ("chain-term", {
            "earlier": lambda Whh, temp, d_h: Whh.T @ d_h}),
        "last-step-alone": ("chain-term unreduced-broadcast", {
            "earlier": lambda Whh, temp, d_h: 0 * d_h}),
        "steps-assigned": ("unreduced-broadcast", {"gathered": lambda so_far, step: step}),
        "output-weights-by-an-earlier-state": ("wrong-variable", {"read": lambda hs: hs[-2]}),
        "loop-that-leaves-the-last-step-out": ("chain-term wrong-variable", {
            "reached": lambda T: range(T - 1)}),
        "clipped-at-one": ("cotangent", {
            "clipped": lambda d: np.clip(d, -1, 1)}),
        "label-not-subtracted": ("subset chain-term", {"error": lambda p, own: p}),
    }),
)  # fmt: skip


def _skip_gram(V: Array, U: Array, centers: Array, outside: Array) -> Any:
    """Return the summed loss of the words [N, C] around the centres [N]; rows are vectors."""
    logp = log_softmax(V[centers] @ U.T)
    return -np.sum(logp[np.arange(len(centers))[:, None], outside])


def _skip_gram_backward(
    V: Array,
    U: Array,
    centers: Array,
    outside: Array,
    g: Array,
    delta_of: Function = lambda p, own: p - own,
    center: Function = lambda U, delta, own: U.T @ delta,
    outer: Function = lambda delta, v: delta[:, None] * v,
    learnt: Function = lambda delta, own: delta,
    words: Function = lambda C: 1,
    added: Function = lambda so_far, grad: so_far + grad,
    window: Function = lambda so_far, grad: so_far + grad,
    returned: Function = lambda dV, dU: (dV, dU),
) -> Any:
    dV, dU = np.zeros_like(V), np.zeros_like(U)
    for c, around in zip(centers, outside, strict=True):
        v = V[c]
        grad_center = np.zeros_like(v)
        for o in around:
            p = softmax(U @ v)
            own = (np.arange(len(U)) == o).astype(p.dtype)
            delta = g * delta_of(p, own) / words(len(around))
            grad_center = window(grad_center, center(U, delta, own))
            dU += outer(learnt(delta, own), v)
        dV[c] = added(dV[c], grad_center)
    return returned(dV, dU)


def _skip_gram_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, C, words, D = shape
    centers = ids(rng, N, words)
    centers[-1] = centers[0]
    outside = (centers[:, None] + 1 + np.arange(C) + np.arange(N)[:, None]) % words
    return *drawn(rng, (words, D), (words, D), scale=scale), centers, outside


SKIP_GRAM = Subject(
    "skip-gram-with-naive-softmax", _skip_gram, _skip_gram_backward, _skip_gram_sample,
    ((3, 2, 4, 3), (4, 3, 5, 2), (4, 2, 5, 3), (6, 4, 12, 6), (8, 4, 30, 10)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_skip_gram_backward, {
        "center's-gradient-assigned": ("unreduced-broadcast", {
            "added": lambda so_far, grad: grad}),
        "last-outside-word's-gradient": ("unreduced-broadcast", {
            "window": lambda so_far, grad: grad}),
        # (p − 1)·u of the word, without the other words.
        "center-by-the-word-alone": ("subset chain-term diagonal-only", {
            "center": lambda U, delta, own: U.T @ (delta * own)}),
        "outside-words-alone-learnt": ("subset", {
            "learnt": lambda delta, own: delta * own}),
        # y_hat -= 1 without an index.
        "one-from-all-words": ("subset wrong-variable", {"delta_of": lambda p, own: p - 1}),
        "word-not-subtracted": ("subset chain-term", {"delta_of": lambda p, own: p}),
        "outer-product-the-other-way": ("axis", {
            "outer": lambda delta, v: (v[:, None] * delta).reshape(len(delta), len(v))}),
        "averaged-over-the-window": ("scale", {"words": lambda C: C}),
        "returned-in-the-other-order": ("axis", {"returned": lambda dV, dU: (dU, dV)}),
        "word-minus-output": ("sign", {"delta_of": lambda p, own: own - p}),
    }),
)  # fmt: skip

KEPT = 0.75


def _encoded(x: Array, Wq: Array, Wk: Array, Wv: Array, drop: Array, lengths: Array) -> Any:
    """Return queries, keys, values, the weights [B, T, T], and dropout's factors."""
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    scores = q @ swapped(k) / math.sqrt(q.shape[-1])
    filled = (np.arange(x.shape[1]) < lengths[:, None])[:, None]
    p = softmax(np.where(filled, scores, -1e4 + 0 * scores))
    return q, k, v, p, drop.astype(x.dtype) / KEPT


def _encoder(*inputs: Any) -> Any:
    """Return attention's output, with dropout on its weights and padding among the keys."""
    _, _, v, p, factor = _encoded(*inputs)
    return (p * factor) @ v


def _encoder_backward(
    *arguments: Any,
    values: Function = lambda p, dropped, d: swapped(dropped) @ d,
    through_dropout: Function = lambda dp, factor: dp * factor,
    weights: Function = lambda p, dropped: p,
    rule: Function = softmax_back,
    root: Function = lambda d: math.sqrt(d),
    keys: Function = lambda ds, q: swapped(ds) @ q,
    of_W: Function = lambda x, d: einsum("btd,bte->de", x, d),
    order: Function = lambda dWq, dWk, dWv: (dWq, dWk, dWv),
    of_x: Function = lambda by_q, by_k, by_v: by_q + by_k + by_v,
) -> Any:
    *inputs, d = arguments
    x, Wq, Wk, Wv, *_ = inputs
    q, k, v, p, factor = _encoded(*inputs)
    dropped = p * factor
    dv = values(p, dropped, d)
    dp = through_dropout(d @ swapped(v), factor)
    ds = rule(weights(p, dropped), dp) / root(q.shape[-1])
    dq, dk = ds @ k, keys(ds, q)
    dW = order(of_W(x, dq), of_W(x, dk), of_W(x, dv))
    return of_x(dq @ Wq.T, dk @ Wk.T, dv @ Wv.T), *dW


def _encoder_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, D, H = shape
    grid = np.arange(B)[:, None, None] + 2 * np.arange(T)[:, None] + np.arange(T)
    weights = (matrix(rng, D, H) for _ in range(3))
    return *drawn(rng, (B, T, D), scale=scale), *weights, (grid % 4 != 0).astype(int), (
        T - np.arange(B) % 2)  # fmt: skip


ENCODER = Subject(
    "encoder-attention-with-dropout-and-padding", _encoder, _encoder_backward, _encoder_sample,
    ((2, 3, 4, 2), (3, 4, 2, 3), (2, 4, 3, 5), (3, 6, 8, 5), (4, 10, 12, 8)),
    scales=(0.5, 1.0, 2.0),
    edits=edited(_encoder_backward, {
        # Both of a pull request's: the rule takes what dropout left, and dp passes it over.
        "rule-by-what-dropout-left": ("wrong-variable", {"weights": lambda p, dropped: dropped}),
        "dropout-passed-over": ("chain-term", {"through_dropout": lambda dp, factor: dp}),
        "dropout's-scale-forgotten": ("chain-term scale", {
            "through_dropout": lambda dp, factor: dp * (factor > 0).astype(dp.dtype)}),
        "values-by-weights-before-dropout": ("wrong-variable chain-term", {
            "values": lambda p, dropped, d: swapped(p) @ d}),
        "divided-by-d": ("scale", {"root": lambda d: d}),
        "root-forgotten": ("scale", {"root": lambda d: 1}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-along-queries": ("projection-term axis", {
            "rule": lambda p, dp: p * (dp - total(p * dp, -2))}),
        "inner-product-without-weights": ("projection-term", {
            "rule": lambda p, dp: p * (dp - total(dp))}),
        "scores-not-transposed-for-keys": ("axis", {"keys": lambda ds, q: ds @ q}),
        "weights-averaged-over-the-batch": ("scale", {
            "of_W": lambda x, d: np.mean(swapped(x) @ d, axis=0)}),
        "weights-of-the-last-in-the-batch": ("unreduced-broadcast", {
            "of_W": lambda x, d: (swapped(x) @ d)[-1]}),
        "queries'-and-keys'-weights-swapped": ("axis", {
            "order": lambda dWq, dWk, dWv: (dWk, dWq, dWv)}),
        "input-by-the-values-alone": ("chain-term unreduced-broadcast", {
            "of_x": lambda by_q, by_k, by_v: by_v}),
    }),
)  # fmt: skip

SUBJECTS = (SENTENCES, SKIP_GRAM, ENCODER)
"""What is checked."""
