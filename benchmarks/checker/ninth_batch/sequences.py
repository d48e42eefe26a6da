"""Words one after another: a gated network, and words side by side.

What is wrong here is met in gated networks by hand, of which two in seven call their way back a
simplified one, and in embeddings whose gradient is cut out of a row at a stride.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    added_rows,
    drawn,
    edited,
    ids,
    log_softmax,
    matrix,
    one_hot,
    sigmoid,
    softmax,
    with_fancy_indices,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

Step = tuple[Array, ...]


def _gated(E: Array, Wz: Array, Wr: Array, Wc: Array, x: Array) -> list[Step]:
    """Return of every step: what goes in, the gates, the candidate, the states before and after."""
    steps, h = [], 0 * Wz[:, 0]
    for token in x:
        v = np.concatenate([h, E[token]])
        z, r = sigmoid(Wz @ v), sigmoid(Wr @ v)
        w = np.concatenate([r * h, E[token]])
        c = np.tanh(Wc @ w)
        steps.append((v, w, z, r, c, h, (1 - z) * h + z * c))
        h = steps[-1][-1]
    return steps


def _gated_loss(E: Array, Wz: Array, Wr: Array, Wc: Array, Wy: Array, x: Array, y: Array) -> Any:
    """Return the summed loss of the next tokens."""
    loss = 0 * E[0, 0]
    for step, label in zip(_gated(E, Wz, Wr, Wc, x), y, strict=True):
        loss = loss - log_softmax(Wy @ step[-1])[label]
    return loss


def _gated_backward(
    E: Array,
    Wz: Array,
    Wr: Array,
    Wc: Array,
    Wy: Array,
    x: Array,
    y: Array,
    g: Array,
    read: Function = lambda before, after: after,
    carried: Function = lambda dh, z: dh * (1 - z),
    of_update: Function = lambda dh, c, h: dh * (c - h),
    of_candidate: Function = lambda dh, z: dh * z,
    back_by_reset: Function = lambda dw, r: dw * r,
    by_gates: Function = lambda dv: dv,
    tanh_slope: Function = lambda c: 1 - c**2,
    fed: Function = lambda v, w: w,
    embedded: Function = lambda so_far, d: so_far + d,
    targets: Function = lambda x, y: y,
    order: Function = lambda dWz, dWr: (dWz, dWr),
    clipped: Function = lambda d: d,
) -> Any:
    dE, dWz, dWr, dWc, dWy = (np.zeros_like(W) for W in (E, Wz, Wr, Wc, Wy))
    H = len(Wz)
    dh_next = 0 * Wz[:, 0]
    labels = targets(x, y)
    for t, step in reversed(list(enumerate(_gated(E, Wz, Wr, Wc, x)))):
        v, w, z, r, c, h, after = step
        p = softmax(Wy @ after)
        dy = g * (p - (np.arange(len(p)) == labels[t]).astype(p.dtype))
        dWy += np.outer(dy, read(h, after))
        dh = Wy.T @ dy + dh_next
        dc = of_candidate(dh, z) * tanh_slope(c)
        dWc += np.outer(dc, fed(v, w))
        dw = Wc.T @ dc
        dz = of_update(dh, c, h) * z * (1 - z)
        dr = dw[:H] * h * r * (1 - r)
        dWz += np.outer(dz, v)
        dWr += np.outer(dr, v)
        dv = by_gates(Wz.T @ dz + Wr.T @ dr)
        dE[x[t]] = embedded(dE[x[t]], dw[H:] + (Wz.T @ dz + Wr.T @ dr)[H:])
        dh_next = carried(dh, z) + back_by_reset(dw[:H], r) + dv[:H]
    return tuple(map(clipped, (dE, *order(dWz, dWr), dWc, dWy)))


def _gated_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, D, H, V = shape
    (E,) = drawn(rng, (V, D), scale=scale)
    gates = (matrix(rng, D + H, H).T for _ in range(3))
    x = (np.arange(T) % max(T - 2, 2) + rng.integers(V)) % V
    return E, *gates, matrix(rng, H, V).T, x, (2 * x + 1) % V


def _simplified(name: str) -> dict[str, Function]:
    """Return what keeps one of the three ways back to the state before."""
    gone = {
        "carried": lambda dh, z: 0 * dh,
        "back_by_reset": lambda dw, r: 0 * dw,
        "by_gates": lambda dv: 0 * dv,
    }
    return {part: away for part, away in gone.items() if part != name}


GATED = Subject(
    "gated-language-model-over-time", _gated_loss, _gated_backward, _gated_sample,
    ((4, 2, 3, 5), (5, 3, 2, 4), (5, 3, 4, 6), (7, 5, 6, 9), (10, 8, 9, 20)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_gated_backward, {
        "output-weights-by-the-state-before": ("wrong-variable", {
            "read": lambda before, after: before}),
        "way-back-simplified": ("chain-term unreduced-broadcast", _simplified("carried")),
        "way-back-by-the-gates-forgotten": ("chain-term unreduced-broadcast", {
            "by_gates": lambda dv: 0 * dv}),
        "reset-forgotten-going-back": ("chain-term", {"back_by_reset": lambda dw, r: dw}),
        "gates-exchanged": ("chain-term wrong-variable", {
            "carried": lambda dh, z: dh * z, "of_candidate": lambda dh, z: dh * (1 - z)}),
        "update's-sign": ("sign chain-term", {"of_update": lambda dh, c, h: dh * (h - c)}),
        "tanh's-slope-forgotten": ("chain-term", {"tanh_slope": lambda c: 1}),
        "candidate's-weights-by-what-is-not-reset": ("wrong-variable chain-term", {
            "fed": lambda v, w: v}),
        "repeated-tokens-assigned": ("unreduced-broadcast", {
            "embedded": lambda so_far, d: d}),
        "same-token-for-the-next": ("wrong-variable subset axis", {"targets": lambda x, y: x}),
        "gates'-weights-swapped": ("axis", {"order": lambda dWz, dWr: (dWr, dWz)}),
        "gradients-clipped": ("cotangent", {"clipped": lambda d: np.clip(d, -0.2, 0.2)}),
    }),
)  # fmt: skip


def _side_by_side(C: Array, H: Array, d: Array, U: Array, W: Array, x: Array) -> Any:
    """Return the words [N, n m] side by side, the hidden units, and the scores."""
    words = C[x].reshape(len(x), -1)
    hidden = np.tanh(words @ H + d)
    return words, hidden, hidden @ U + words @ W


def _neural_model(*inputs: Any) -> Any:
    """Return the mean loss of the words after n others, with a direct way past the hidden units."""
    *rest, y = inputs
    return -np.mean(log_softmax(_side_by_side(*rest)[-1])[np.arange(len(y)), y])


def _neural_backward(
    C: Array,
    H: Array,
    d: Array,
    U: Array,
    W: Array,
    x: Array,
    y: Array,
    g: Array,
    slope: Function = lambda hidden: 1 - hidden**2,
    direct: Function = lambda d_scores, W: d_scores @ W.T,
    cut: Function = lambda d_words, shape: d_words.reshape(shape),
    placed: Function = added_rows,
    of_bias: Function = lambda d_hidden: np.sum(d_hidden, axis=0),
    count: Function = len,
    rate: Function = lambda x: 1,
) -> Any:
    words, hidden, scores = _side_by_side(C, H, d, U, W, x)
    d_scores = g * (softmax(scores) - one_hot(y, scores)) / count(x)
    d_hidden = (d_scores @ U.T) * slope(hidden)
    d_words = d_hidden @ H.T + direct(d_scores, W)
    dC = placed(C, x, cut(d_words, (*x.shape, C.shape[1]))) / rate(x)
    return dC, words.T @ d_hidden, of_bias(d_hidden), hidden.T @ d_scores, words.T @ d_scores


def _at_a_stride(d_words: Array, shape: Shape) -> Any:
    """Cut a row into places as if a word's numbers lay n apart."""
    return np.stack([d_words[:, place :: shape[1]] for place in range(shape[1])], axis=1)


def _assigned(C: Array, x: Array, d_words: Array) -> Any:
    dC = np.zeros_like(C)
    for place in range(x.shape[1]):
        dC[x[:, place]] = d_words[:, place]
    return dC


def _neural_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, n, m, h, V = shape
    C, d = drawn(rng, (V, m), (h,), scale=scale)
    x = (np.arange(N)[:, None] + 2 * np.arange(n) + rng.integers(V)) % V
    weights = matrix(rng, n * m, h), d, matrix(rng, h, V), matrix(rng, n * m, V)
    return C, *weights, x, ids(rng, N, V)


NEURAL = Subject(
    "neural-language-model-of-words-side-by-side", _neural_model, _neural_backward, _neural_sample,
    ((4, 2, 3, 4, 5), (5, 3, 2, 4, 6), (6, 2, 3, 5, 4), (9, 3, 4, 7, 8), (20, 4, 6, 10, 20)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_neural_backward, {
        "words-cut-at-a-stride": ("axis", {"cut": _at_a_stride}),
        "words-assigned": ("unreduced-broadcast", {"placed": _assigned}),
        "words-by-fancy-indices": ("unreduced-broadcast", {"placed": with_fancy_indices}),
        "last-word-alone": ("subset unreduced-broadcast", {
            "placed": lambda C, x, d: added_rows(C, x[:, -1:], d[:, -1:])}),
        "embeddings-averaged-once-more": ("scale", {"rate": len}),
        "direct-way-forgotten": ("chain-term unreduced-broadcast", {
            "direct": lambda d_scores, W: 0 * d_scores[:, :1]}),
        "tanh's-slope-forgotten": ("chain-term", {"slope": lambda hidden: 1}),
        "tanh-of-tanh": ("wrong-variable", {"slope": lambda hidden: 1 - np.tanh(hidden) ** 2}),
        "slope-of-a-sigmoid": ("chain-term wrong-variable", {
            "slope": lambda hidden: hidden * (1 - hidden)}),
        "bias-one-sum": ("axis unreduced-broadcast", {"of_bias": np.sum}),
        "averaged-over-places-too": ("scale", {"count": np.size}),
    }),
)  # fmt: skip


SUBJECTS = (GATED, NEURAL)
"""What is checked."""
