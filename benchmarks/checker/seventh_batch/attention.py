"""Attention: heads in a loop, an attentional hidden state, normalised queries and keys.

What is wrong here is met in transformers and translators written in NumPy, and in issues and pull
requests on kernels for attention and for norms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import mean, softmax
from benchmarks.checker.seventh_batch.parts import (
    drawn,
    edited,
    einsum,
    like_sigmoid,
    matrix,
    overridden,
    softmax_back,
    swapped,
    through,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

HEADS, MASKED = 2, -1e4


class Heads:
    """Causal self-attention of [B, T, D] with two heads, one after the other."""

    def forward(self, x: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array, bo: Array) -> Any:
        self.x, self.W, self.Wo = x, {"q": Wq, "k": Wk, "v": Wv}, Wo
        self.projected = {name: x @ W for name, W in self.W.items()}
        self.size = x.shape[2] // HEADS
        T = x.shape[1]
        future = np.arange(T) > np.arange(T)[:, None]
        self.weights, outputs = [], []
        for h in range(HEADS):
            q, k, v = self.head(h)
            scores = q @ swapped(k) / math.sqrt(self.size)
            p = softmax(np.where(future, np.full_like(scores, MASKED), scores))
            self.weights.append(p)
            outputs.append(p @ v)
        self.concat = np.concatenate(outputs, axis=2)
        return self.concat @ Wo + bo

    def head(self, h: int) -> tuple[Array, ...]:
        own = slice(h * self.size, (h + 1) * self.size)
        return tuple(self.projected[name][..., own] for name in "qkv")

    def backward(self, dout: Array) -> Any:
        dconcat = dout @ swapped(self.Wo)
        d = {name: np.zeros_like(self.x) for name in "qkv"}
        for h in range(HEADS):
            q, k, v = self.head(h)
            own = slice(h * self.size, (h + 1) * self.size)
            dhead = dconcat[..., own]
            ds = self.rule(self.weights[h], dhead @ swapped(v))
            d["q"][..., own], d["k"][..., own] = self.of_scores(ds, q, k)
            d["v"][..., own] = self.of_values(self.weights[h], dhead)
            self.next_head(d, h)
        dW = (self.of_weights(self.x, d[name]) for name in "qkv")
        return self.of_input(d), *dW, self.of_output(dout), np.sum(dout, axis=(0, 1))

    def rule(self, p: Array, dp: Array) -> Any:
        return softmax_back(p, dp)

    def of_scores(self, ds: Array, q: Array, k: Array) -> Any:
        ds = ds / math.sqrt(self.size)
        return ds @ k, swapped(ds) @ q

    def of_values(self, p: Array, dhead: Array) -> Any:
        return swapped(p) @ dhead

    def next_head(self, d: dict[str, Array], h: int) -> None:
        pass

    def of_weights(self, inputs: Array, d: Array) -> Any:
        return einsum("btd,bte->de", inputs, d)

    def of_output(self, dout: Array) -> Any:
        return self.of_weights(self.concat, dout)

    def of_input(self, d: dict[str, Array]) -> Any:
        return sum(d[name] @ self.W[name].T for name in "qkv")


def _cleared(self: Heads, d: dict[str, Array], h: int) -> None:
    """Begin with zeros for every head, inside the loop."""
    if h < HEADS - 1:
        for name in d:
            d[name] = np.zeros_like(self.x)


def _heads_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[2]
    x, bo = drawn(rng, shape, (D,), scale=scale)
    return x, *(matrix(rng, D, D) for _ in range(4)), bo


LOOPED = Subject(
    "causal-attention-with-heads-in-a-loop", lambda *inputs: Heads().forward(*inputs),
    through(Heads), _heads_sample,
    ((2, 3, 4), (3, 2, 6), (2, 4, 6), (2, 7, 8), (3, 12, 16)), scales=(0.5, 1.0, 1.5),
    edits=overridden(Heads, {
        "like-sigmoid": ("diagonal-only", {"rule": lambda self, p, dp: like_sigmoid(p, dp)}),
        "inner-product-of-the-whole-matrix": ("projection-term axis", {
            "rule": lambda self, p, dp: p * (dp - np.sum(p * dp))}),
        "root-forgotten": ("scale", {
            "of_scores": lambda self, ds, q, k: (ds @ k, swapped(ds) @ q)}),
        "root-forgotten-for-keys": ("scale", {
            "of_scores": lambda self, ds, q, k: (
                ds @ k / math.sqrt(self.size), swapped(ds) @ q)}),
        "keys-by-scores-not-transposed": ("axis", {
            "of_scores": lambda self, ds, q, k: (
                ds @ k / math.sqrt(self.size), ds @ q / math.sqrt(self.size))}),
        "values-by-weights-not-transposed": ("axis", {
            "of_values": lambda self, p, dhead: p @ dhead}),
        "last-head-alone": ("unreduced-broadcast subset", {"next_head": _cleared}),
        # One class averages its weights' gradients over the batch, and nothing else.
        "output-weights-averaged-over-the-batch": ("scale", {
            "of_output": lambda self, dout: (
                self.of_weights(self.concat, dout) / len(dout))}),
        "output-weights-by-the-input": ("wrong-variable", {
            "of_output": lambda self, dout: self.of_weights(self.x, dout)}),
        "input-by-the-queries-alone": ("chain-term unreduced-broadcast", {
            "of_input": lambda self, d: d["q"] @ self.W["q"].T}),
        "input-past-the-projections": ("chain-term", {
            "of_input": lambda self, d: d["q"] + d["k"] + d["v"]}),
    }),
)  # fmt: skip


def _looked_at(h: Array, S: Array, Wa: Array) -> Any:
    """Return weights [N, T] of states S [N, T, E] for hidden states h [N, H]."""
    return softmax(einsum("nte,eh,nh->nt", S, Wa, h))


def _attentional(h: Array, S: Array, Wa: Array, Wc: Array) -> Any:
    """Return tanh of a linear map of context and hidden state."""
    context = einsum("nt,nte->ne", _looked_at(h, S, Wa), S)
    return np.tanh(np.concatenate([context, h], axis=1) @ Wc)


def _attentional_backward(
    h: Array,
    S: Array,
    Wa: Array,
    Wc: Array,
    g: Array,
    slope: Function = lambda out: 1 - out**2,
    halves: Function = lambda d, E: (d[:, :E], d[:, E:]),
    rule: Function = softmax_back,
    states: Function = lambda by_context, by_scores: by_context + by_scores,
    hidden: Function = lambda by_output, by_scores: by_output + by_scores,
    of_Wa: Function = lambda de, S, h: einsum("nt,nte,nh->eh", de, S, h),
    joined: Function = lambda context, h: np.concatenate([context, h], axis=1),
) -> Any:
    a = _looked_at(h, S, Wa)
    context = einsum("nt,nte->ne", a, S)
    both = np.concatenate([context, h], axis=1)
    d = g * slope(np.tanh(both @ Wc))
    dcontext, dh = halves(d @ Wc.T, S.shape[2])
    de = rule(a, einsum("ne,nte->nt", dcontext, S))
    dS = states(a[..., None] * dcontext[:, None], de[..., None] * (h @ Wa.T)[:, None])
    dh = hidden(dh, einsum("nt,nte->ne", de, S) @ Wa)
    return dh, dS, of_Wa(de, S, h), joined(context, h).T @ d


def _attentional_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, H = shape
    return *drawn(rng, (N, H), (N, T, H), scale=scale), matrix(rng, H, H), matrix(rng, 2 * H, H)


ATTENTIONAL = Subject(
    "attentional-hidden-state", _attentional, _attentional_backward, _attentional_sample,
    ((2, 3, 4), (3, 4, 2), (4, 2, 3), (3, 7, 5), (5, 12, 10)), scales=(0.3, 0.7, 1.0),
    edits=edited(_attentional_backward, {
        # Two paths lead to the states and to the hidden state; one of them is kept.
        "states-by-the-context-alone": ("chain-term", {"states": lambda context, scores: context}),
        "states-by-the-scores-alone": ("chain-term", {"states": lambda context, scores: scores}),
        "hidden-by-the-output-alone": ("chain-term", {"hidden": lambda output, scores: output}),
        "halves-swapped": ("axis", {"halves": lambda d, E: (d[:, E:], d[:, :E])}),
        "tanh's-slope-forgotten": ("chain-term", {"slope": lambda out: 1}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda a, d: a * d}),
        "score-weights-transposed": ("axis", {
            "of_Wa": lambda de, S, h: einsum("nt,nte,nh->he", de, S, h)}),
    }),
)  # fmt: skip


def _normalised(x: Array) -> Any:
    """Return rows with mean 0 and variance 1, and what they were multiplied by."""
    centred = x - mean(x)
    r = 1 / np.sqrt(mean(centred**2) + 1e-3)
    return centred * r, r


def _norm_back(d: Array, gain: Array, hat: Array, r: Array) -> Any:
    dhat = d * gain
    return r * (dhat - mean(dhat) - hat * mean(dhat * hat))


def _normed(q: Array, k: Array, v: Array, gq: Array, gk: Array, alpha: Array) -> Any:
    """Return attention [T, E] of queries and keys that are layer-normalised."""
    scores = (_normalised(q)[0] * gq) @ (_normalised(k)[0] * gk).T
    return softmax(alpha * scores) @ v


def _normed_backward(
    q: Array,
    k: Array,
    v: Array,
    gq: Array,
    gk: Array,
    alpha: Array,
    g: Array,
    norm: Function = _norm_back,
    of_gain: Function = lambda d, hat, x: np.sum(d * hat, axis=0),
    rule: Function = softmax_back,
    heat: Function = lambda ds, alpha: ds * alpha,
    of_alpha: Function = lambda ds, scores: np.sum(ds * scores, keepdims=True)[0],
) -> Any:
    (q_hat, q_r), (k_hat, k_r) = _normalised(q), _normalised(k)
    Q, K = q_hat * gq, k_hat * gk
    scores = Q @ K.T
    p = softmax(alpha * scores)
    ds = rule(p, g @ v.T)
    dalpha, ds = of_alpha(ds, scores), heat(ds, alpha)
    dQ, dK = ds @ K, ds.T @ Q
    return (
        norm(dQ, gq, q_hat, q_r), norm(dK, gk, k_hat, k_r), p.T @ g,
        of_gain(dQ, q_hat, q), of_gain(dK, k_hat, k), dalpha,
    )  # fmt: skip


def _gain_outside(d: Array, gain: Array, hat: Array, r: Array) -> Any:
    """Take the formula for batch norm, where the gain may stand before the brackets."""
    return gain * r * (d - mean(d) - hat * mean(d * hat))


def _normed_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, S, D, E = shape
    q, k, v = drawn(rng, (T, D), (S, D), (S, E), scale=scale)
    return q, k, v, *(rng.normal(size=(2, D)) * 0.4 + 0.7), np.array([0.8])


NORMED = Subject(
    "attention-of-normalised-queries-and-keys", _normed, _normed_backward, _normed_sample,
    ((2, 3, 4, 5), (3, 4, 5, 2), (4, 3, 6, 3), (5, 9, 8, 6), (8, 16, 12, 10)),
    scales=(0.5, 1.0, 3.0), extremes=(),
    edits=edited(_normed_backward, {
        # Layer norms copied from batch norm's solution.
        "gain-before-the-brackets": ("chain-term wrong-variable", {"norm": _gain_outside}),
        "gain-forgotten": ("chain-term", {
            "norm": lambda d, gain, hat, r: _norm_back(d, 1, hat, r)}),
        "statistics-held-constant": ("chain-term projection-term", {
            "norm": lambda d, gain, hat, r: r * d * gain}),
        "mean's-path-forgotten": ("chain-term projection-term", {
            "norm": lambda d, gain, hat, r: r * (d * gain - hat * mean(d * gain * hat))}),
        "statistics-over-tokens": ("axis projection-term", {
            "norm": lambda d, gain, hat, r: r * (
                d * gain - mean(d * gain, 0) - hat * mean(d * gain * hat, 0))}),
        "gains-by-what-goes-in": ("wrong-variable", {
            "of_gain": lambda d, hat, x: np.sum(d * x, axis=0)}),
        "gains-per-token": ("unreduced-broadcast", {"of_gain": lambda d, hat, x: d * hat}),
        "gains-none": ("severed", {"of_gain": lambda d, hat, x: None}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "temperature-forgotten": ("scale", {"heat": lambda ds, alpha: ds}),
    }),
)  # fmt: skip

SUBJECTS = (LOOPED, ATTENTIONAL, NORMED)
"""What is checked."""
