"""Characters and words: a recurrent network in lists, bags of words, windows of words.

What is wrong here is met in rewritings of a small character network and the issues on them, in
issues on a course's notebook for bags of words, and in tutorials on word vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, softmax
from benchmarks.checker.seventh_batch.parts import (
    drawn,
    edited,
    ids,
    matrix,
    one_hot_columns,
    relu,
    softmax_columns,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

Lists = dict[int, Any]


def _steps(
    Wxh: Array, Whh: Array, Why: Array, bh: Array, by: Array, hprev: Array, inputs: Array
) -> tuple[Lists, Lists]:
    """Return the hidden states and the probabilities of every step."""
    hs, ps = {-1: hprev}, {}
    for t, char in enumerate(inputs):
        hs[t] = np.tanh(Wxh[:, char] + Whh @ hs[t - 1] + bh)
        ps[t] = softmax(Why @ hs[t] + by)
    return hs, ps


def _characters(*arguments: Any) -> Any:
    """Return the summed cross entropy of the next characters."""
    *weights, inputs, targets = arguments
    _, ps = _steps(*weights, inputs)
    loss = 0 * weights[-1][0]
    for t, target in enumerate(targets):
        loss = loss - np.log(ps[t][target])
    return loss


def _characters_backward(
    *arguments: Any,
    target_of: Function = lambda inputs, targets, t: targets[t],
    joined: Function = lambda dh, dhnext: dh + dhnext,
    slope: Function = lambda dh, hs, t: dh * (1 - hs[t] ** 2),
    before: Function = lambda hs, t: hs[t - 1],
    carried: Function = lambda Whh, dhraw, dh: Whh.T @ dhraw,
    into: Function = lambda to, value: to + value,
    order: Function = reversed,
    scaled: Function = lambda dy, T: dy,
    clipped: Function = lambda d: d,
) -> Any:
    Wxh, Whh, Why, bh, by, hprev, inputs, targets, g = arguments
    hs, ps = _steps(Wxh, Whh, Why, bh, by, hprev, inputs)
    dWxh, dWhh, dWhy, dbh, dby = (np.zeros_like(w) for w in (Wxh, Whh, Why, bh, by))
    dhnext = np.zeros_like(hprev)
    for t in order(range(len(inputs))):
        dy = ps[t].copy()
        dy[target_of(inputs, targets, t)] -= 1
        dy = scaled(g * dy, len(inputs))
        dWhy = into(dWhy, np.outer(dy, hs[t]))
        dby = into(dby, dy)
        dh = joined(Why.T @ dy, dhnext)
        dhraw = slope(dh, hs, t)
        dbh = into(dbh, dhraw)
        dWxh[:, inputs[t]] += dhraw
        dWhh = into(dWhh, np.outer(dhraw, before(hs, t)))
        dhnext = carried(Whh, dhraw, dh)
    return tuple(clipped(d) for d in (dWxh, dWhh, dWhy, dbh, dby, dhnext))


def _characters_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, V, H = shape
    Wxh, bh, by, hprev = drawn(rng, (H, V), (H,), (V,), (H,), scale=scale)
    text = ids(rng, T + 1, V)
    return Wxh, matrix(rng, H, H), matrix(rng, H, V).T, bh, by, hprev, text[:-1], text[1:]


CHARACTERS = Subject(
    "min-char-network-in-lists", _characters, _characters_backward, _characters_sample,
    ((3, 3, 4), (4, 5, 3), (5, 4, 6), (7, 9, 5), (12, 20, 16)), scales=(0.3, 0.7, 1.5),
    edits=edited(_characters_backward, {
        # Issues: "the gradient of h is not passed to the step before".
        "next-step-forgotten": ("chain-term", {"joined": lambda dh, dhnext: dh}),
        "carried-without-its-slope": ("chain-term", {
            "carried": lambda Whh, dhraw, dh: Whh.T @ dh}),
        "carried-by-weights-not-transposed": ("axis", {
            "carried": lambda Whh, dhraw, dh: Whh @ dhraw}),
        "slope-forgotten": ("chain-term", {"slope": lambda dh, hs, t: dh}),
        "slope-of-the-state-before": ("wrong-variable", {
            "slope": lambda dh, hs, t: dh * (1 - hs[t - 1] ** 2)}),
        "recurrent-weights-by-the-same-state": ("wrong-variable", {
            "before": lambda hs, t: hs[t]}),
        "input-subtracted-for-target": ("wrong-variable subset", {
            "target_of": lambda inputs, targets, t: inputs[t]}),
        "last-step-written-over-the-others": ("unreduced-broadcast", {
            "into": lambda to, value: value}),
        "averaged-over-steps": ("scale", {"scaled": lambda dy, T: dy / T}),
        "steps-from-the-first": ("axis chain-term", {"order": lambda steps: steps}),
        # The original clips; whoever checks its gradients has to leave that out.
        "gradients-clipped": ("cotangent", {"clipped": lambda d: np.clip(d, -0.5, 0.5)}),
    }),
)  # fmt: skip


def _bag(x: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> Any:
    """Return the mean cross entropy of the middle words, by columns of averaged context words."""
    yhat = softmax_columns(W2 @ relu(W1 @ x + b1) + b2)
    return -np.sum(np.log(np.sum(one_hot_columns(y, yhat) * yhat, axis=0))) / x.shape[1]


def _row_sums(d: Array, inputs: Array) -> Any:
    return np.sum(d, axis=1, keepdims=True)


def _bag_backward(
    x: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    y: Array,
    g: Array,
    output: Function = softmax_columns,
    error: Function = lambda yhat, t: yhat - t,
    masked: Function = lambda l1, z1: l1 * (z1 > 0).astype(l1.dtype),
    biases: Function = _row_sums,
    activation: Function = relu,
    count: Function = lambda yhat: yhat.shape[1],
) -> Any:
    z1 = W1 @ x + b1
    h = relu(z1)
    yhat = output(W2 @ h + b2)
    m = count(yhat)
    e = g * error(yhat, one_hot_columns(y, yhat))
    l1 = masked(W2.T @ e, z1)
    return (
        W1.T @ l1 / m, l1 @ x.T / m, biases(l1, x) / m, e @ activation(z1).T / m, biases(e, h) / m,
    )  # fmt: skip


def _bag_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    V, N, m = shape
    x, b1, b2 = drawn(rng, (V, m), (N, 1), (V, 1), scale=scale)
    return x, matrix(rng, V, N).T, b1, matrix(rng, N, V).T, b2, ids(rng, m, V)


BAG = Subject(
    "bag-of-words-of-columns-with-relu", _bag, _bag_backward, _bag_sample,
    ((4, 3, 5), (5, 4, 3), (3, 5, 4), (9, 6, 7), (30, 12, 20)), scales=(0.3, 1.0, 2.0),
    kinked=True,
    also_right={"biases by a product with ones": lambda *arguments: _bag_backward(
        *arguments, biases=lambda d, inputs: d @ np.ones((d.shape[1], 1), d.dtype))},
    edits=edited(_bag_backward, {
        # The notebook's own solution, and two issues about its biases.
        "relu-of-the-gradient": ("cotangent wrong-variable", {"masked": lambda l1, z1: relu(l1)}),
        "biases-by-the-inputs": ("wrong-variable", {
            "biases": lambda d, inputs: np.sum(d @ inputs.T, axis=1, keepdims=True)}),
        "biases-one-sum": ("axis unreduced-broadcast", {"biases": lambda d, inputs: np.sum(d)}),
        "mask-forgotten": ("chain-term", {"masked": lambda l1, z1: l1}),
        "hidden-before-relu": ("wrong-variable", {"activation": lambda z1: z1}),
        "normalised-over-samples": ("axis", {"output": softmax}),
        "label-minus-output": ("sign", {"error": lambda yhat, t: t - yhat}),
        "averaged-over-the-vocabulary": ("scale", {"count": lambda yhat: yhat.shape[0]}),
    }),
)  # fmt: skip


def _window(W1: Array, W2: Array, centers: Array, contexts: Array) -> Any:
    """Return the summed loss of the context words [N, C] around centre words [N]."""
    logp = log_softmax(W1[centers] @ W2)
    return -np.sum(logp[np.arange(len(centers))[:, None], contexts])


def _window_backward(
    W1: Array,
    W2: Array,
    centers: Array,
    contexts: Array,
    g: Array,
    gathered: Function = lambda EI, e: EI + e,
    error: Function = lambda p, word: p - (np.arange(len(p)) == word),
    context: Function = lambda EI, C: EI,
    outer: Function = lambda h, EI: np.outer(h, EI),
    through: Function = lambda W2, EI, h: W2 @ EI,
    into: Function = lambda to, value: to + value,
    learnt: Function = lambda W2, dW2: None,
) -> Any:
    dW1, dW2 = np.zeros_like(W1), np.zeros_like(W2)
    for center, words in zip(centers, contexts, strict=True):
        h = W1[center].copy()
        p, EI = softmax(h @ W2), np.zeros_like(W2[0])
        for word in words:
            EI = gathered(EI, error(p, word).astype(p.dtype))
        EI = g * context(EI, len(words))
        step = outer(h, EI)
        dW2 = dW2 + step
        learnt(W2, step)
        dW1[center] = into(dW1[center], through(W2, EI, h))
    return dW1, dW2


def _stepped(W2: Array, dW2: Array) -> None:
    W2 -= 0.3 * dW2


def _window_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, C, V, D = shape
    centers = ids(rng, N, V)
    centers[1] = centers[0]
    contexts = (centers[:, None] + 1 + np.arange(C)) % V
    return *drawn(rng, (V, D), (D, V), scale=scale), centers, contexts


WINDOW = Subject(
    "skip-gram-of-windows-in-loops", _window, _window_backward, _window_sample,
    ((3, 2, 4, 3), (4, 3, 5, 2), (3, 4, 6, 3), (6, 4, 20, 8), (10, 6, 40, 12)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_window_backward, {
        # Tutorials: the errors of the context words are averaged, or the last of them is left.
        "errors-averaged": ("scale", {"context": lambda EI, C: EI / C}),
        "last-context-word": ("unreduced-broadcast", {"gathered": lambda EI, e: e}),
        # Made to fit by a reshape, where a transposition is meant.
        "outer-product-reshaped": ("axis", {
            "outer": lambda h, EI: np.outer(EI, h).reshape(len(h), len(EI))}),
        # One derivation gives the linear hidden layer a sigmoid's slope.
        "slope-of-a-sigmoid": ("chain-term", {
            "through": lambda W2, EI, h: (W2 @ EI) * h * (1 - h)}),
        "repeated-words-assigned": ("unreduced-broadcast", {"into": lambda to, value: value}),
        "output-weights-stepped-first": ("aliasing wrong-variable", {"learnt": _stepped}),
        "word-minus-output": ("sign", {
            "error": lambda p, word: (np.arange(len(p)) == word) - p}),
        "word-not-subtracted": ("subset chain-term", {"error": lambda p, word: p}),
    }),
)  # fmt: skip

SUBJECTS = (CHARACTERS, BAG, WINDOW)
"""What is checked."""
