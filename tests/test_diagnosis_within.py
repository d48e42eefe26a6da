"""Mistakes that concern a part of a forward: picks, masks, copies, sets, one use, one operand."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import softgrad as sg

RNG = np.random.default_rng(0)
X, W, U = RNG.normal(size=(4, 6)), RNG.normal(size=(6, 5)), RNG.normal(size=(6, 6)) / 2
LABELS = np.array([0, 3, 4, 3])


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def rule(p, d):
    return p * (d - (p * d).sum(axis=-1, keepdims=True))


def one_hot(labels, like):
    return np.eye(like.shape[-1])[np.asarray(labels) % like.shape[-1]]


# --- picks: the entries of the labels -----------------------------------------------------------


def margins(x, W, labels):
    scores = x @ W
    gaps = scores - scores[np.arange(len(labels)), labels][:, None] + 1
    gaps[np.arange(len(labels)), labels] = 0
    return np.maximum(gaps, 0 * gaps).sum() / len(labels)


def margins_backward(x, W, labels, g, at_label=lambda over: -over.sum(axis=1)):
    scores = x @ W
    over = (scores - scores[np.arange(len(labels)), labels][:, None] + 1 > 0).astype(float)
    over[np.arange(len(labels)), labels] = 0
    over[np.arange(len(labels)), labels] = at_label(over)
    d = g * over / len(labels)
    return d @ W.T, x.T @ d


def by_rows(x, W, labels):
    total = 0.0
    for row, label in zip(x, labels, strict=True):
        scores = row @ W
        scores = scores - scores.max()
        total = total + np.log(np.exp(scores).sum()) - scores[label]
    return total


def by_rows_backward(x, W, labels, g, error=lambda p, t: p - t, picked=lambda labels: labels):
    p = softmax(x @ W)
    d = g * error(p, one_hot(picked(labels), p))
    return d @ W.T, x.T @ d


def penalised(z, labels):
    lse = np.log(np.exp(z).sum(axis=1))
    return (lse - z[np.arange(len(z)), labels] + 0.3 * lse**2).sum()


def penalised_backward(z, labels, g, weights=softmax):
    lse = np.log(np.exp(z).sum(axis=1, keepdims=True))
    return g * (softmax(z) - one_hot(labels, z) + 0.6 * lse * weights(z))


def bag(E, words):
    return np.tanh(E[words].sum(axis=1))


def bag_backward(E, words, g, into=lambda E_bar, row, d: np.add.at(E_bar, row, d)):
    d, E_bar = g * (1 - bag(E, words) ** 2), np.zeros_like(E)
    for row, part in zip(words, d, strict=True):
        into(E_bar, row, part)
    return E_bar


def assigned(E_bar, row, d):
    E_bar[row] += d


# --- masks, copies and sets ----------------------------------------------------------------------

KEPT = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]])


def padded(x, U, kept):
    scores = x @ U
    return softmax(np.where(kept > 0, scores, np.full_like(scores, -1e4)))


def padded_backward(x, U, kept, g, at=padded, rule=rule):
    d = rule(at(x, U, kept), g) * kept
    return d @ U.T, x.T @ d


def multiplied(x, U, kept):
    return softmax(x @ U * kept)


def one_later(x, U, kept):
    return padded(x, U, np.concatenate([kept[:, :1], kept[:, :-1]], axis=1))


def repeated(x):
    return np.repeat(x, 2, axis=0)


def shared(q, k, v):
    K, V = repeated(k), repeated(v)
    return softmax(q @ np.swapaxes(K, 1, 2)) @ V


def summed(d):
    return d.reshape(len(d) // 2, 2, *d.shape[1:]).sum(axis=1)


def shared_backward(q, k, v, g, copied=repeated, summed=summed):
    K, V = copied(k), copied(v)
    p = softmax(q @ np.swapaxes(K, 1, 2))
    ds = rule(p, g @ np.swapaxes(V, 1, 2))
    return ds @ K, summed(np.swapaxes(ds, 1, 2) @ q), summed(np.swapaxes(p, 1, 2) @ g)


def tiled(x):
    return np.concatenate([x, x], axis=0)


def far_apart(d):
    return d.reshape(2, len(d) // 2, *d.shape[1:]).sum(axis=0)


HEADS = tuple(RNG.normal(size=(heads, 3, 2)) for heads in (4, 2, 2))
TRUTH = np.arange(20).reshape(4, 5) % 3 % 2


def weighted(x, W, truth):
    z = x @ W
    soft = np.log(1 + np.exp(-np.abs(z))) + np.maximum(-z, 0 * z)
    return ((1 - truth) * (z + soft) + 3 * truth * soft).sum()


def weighted_backward(x, W, truth, g, factor=lambda truth: 1.0):
    s = 1 / (1 + np.exp(-(x @ W)))
    d = g * ((1 - truth) * s + 3 * truth * (s - 1)) * factor(truth)
    return d @ W.T, x.T @ d


# --- one use, one operand, loops and branches ----------------------------------------------------


def unrolled(x, U):
    state, found = np.zeros(x.shape[1]), np.zeros_like(x)
    for t in range(len(x)):
        state = np.tanh(x[t] + U @ state)
        found[t] = state
    return found


def unrolled_backward(x, U, g, later=lambda U, raw, d: U.T @ raw):
    h = unrolled(x, U)
    x_bar, U_bar, carried = np.zeros_like(x), np.zeros_like(U), np.zeros(x.shape[1])
    for t in reversed(range(len(x))):
        d = g[t] + carried
        x_bar[t] = d * (1 - h[t] ** 2)
        if t:
            U_bar += np.outer(x_bar[t], h[t - 1])
        carried = later(U, x_bar[t], d)
    return x_bar, U_bar


def block(x, U):
    r = x + np.tanh(x @ U)
    return r / np.sqrt((r * r).mean(axis=-1, keepdims=True) + 1e-5)


def block_backward(x, U, g, skipped=lambda dr, g: dr):
    h = np.tanh(x @ U)
    r = x + h
    sigma = np.sqrt((r * r).mean(axis=-1, keepdims=True) + 1e-5)
    dr = (g - r / sigma**2 * (g * r).mean(axis=-1, keepdims=True)) / sigma
    dz = dr * (1 - h * h)
    return skipped(dr, g) + dz @ U.T, x.T @ dz


def causal(q, k, v):
    rows = [softmax(k[: t + 1] @ q[t]) @ v[: t + 1] for t in range(len(q))]
    return np.stack(rows)


def causal_backward(q, k, v, g, rule=rule):
    seen = np.tril(np.ones((len(q), len(q)))) > 0
    p = softmax(np.where(seen, q @ k.T, -1e9))
    ds = rule(p, g @ v.T)
    return ds @ k, ds.T @ q, p.T @ g


def sharp(x, r):
    top = x.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(r * (x - top)).mean(axis=1)) / r


def sharp_backward(x, r, g, r_bar=lambda mean, y, r: (mean - y) / r):
    p = softmax(r * x)
    return p * g[:, None], np.array((g * r_bar((p * x).sum(axis=1), sharp(x, r), r)).sum())


def clipped(z, gains):
    total = 0.0
    for p, gain in zip(softmax(z)[:, 0] * z.shape[1], gains, strict=True):
        total = total + min(p * gain, min(max(p, 0.8), 1.2) * gain)
    return total


def clipped_backward(z, gains, g, grown=lambda p, gain: p * gain):
    p = softmax(z)[:, 0] * z.shape[1]
    free = np.where(gains > 0, p < 1.2, p > 0.8)
    return (g * grown(p, gains) * free)[:, None] * (one_hot(0 * gains, z) - softmax(z))


def normed(x, W, gain):
    z = x @ W
    d = z - z.mean(axis=0)
    return np.tanh(gain * d / np.sqrt((d * d).mean(axis=0) + 1e-5))


def normed_backward(x, W, gain, g, axis=0):
    mean = partial(np.mean, axis=axis, keepdims=True)
    z = x @ W
    d = z - z.mean(axis=0)
    sigma = np.sqrt((d * d).mean(axis=0) + 1e-5)
    hat = d / sigma
    y_bar = g * (1 - np.tanh(gain * hat) ** 2)
    h_bar = y_bar * gain
    z_bar = (h_bar - mean(h_bar) - hat * mean(h_bar * hat)) / sigma
    return z_bar @ W.T, x.T @ z_bar, (y_bar * hat).sum(axis=0)


def columns(V, x, labels):
    return -np.log(softmax(V @ x, axis=0)[labels, np.arange(len(labels))]).sum()


def columns_backward(V, x, labels, g, at=lambda z: softmax(z, axis=0)):
    d = g * (at(V @ x) - one_hot(labels, (V @ x).T).T)
    return d @ x.T, V.T @ d


def gained(x, gain):
    d = x - x.mean(axis=-1, keepdims=True)
    return gain * d / np.sqrt((d * d).mean(axis=-1, keepdims=True) + 1e-5)


def gained_backward(x, gain, g, before=lambda g, gain: g * gain, after=lambda d, gain: d):
    d = x - x.mean(axis=-1, keepdims=True)
    sigma = np.sqrt((d * d).mean(axis=-1, keepdims=True) + 1e-5)
    hat, h_bar = d / sigma, before(g, gain)
    means = h_bar.mean(axis=-1, keepdims=True), (h_bar * hat).mean(axis=-1, keepdims=True)
    return after((h_bar - means[0] - hat * means[1]) / sigma, gain), (g * hat).sum(axis=0)


def placed(tokens, places):
    return np.sin(tokens) + places


def placed_backward(tokens, places, g, summed=lambda g: g.sum(axis=0)):
    return g * np.cos(tokens), summed(g)


def of_outputs(p, truth):
    return -(truth * np.log(p + 1e-3)).sum() / len(p)


def of_outputs_backward(p, truth, g, others=lambda p: 0):
    return g * (others(p) * (1 - truth) - truth / (p + 1e-3)) / len(p)


RIGHT = {
    "margins": (margins, margins_backward, (X, W, LABELS)),
    "by rows": (by_rows, by_rows_backward, (X, W, LABELS)),
    "penalised": (penalised, penalised_backward, (X @ W, LABELS)),
    "bag": (bag, bag_backward, (X, np.array([[0, 0, 2], [2, 1, 2], [3, 0, 1]]))),
    "padded": (padded, padded_backward, (X, U, KEPT)),
    "shared": (shared, shared_backward, HEADS),
    "weighted": (weighted, weighted_backward, (X, W, TRUTH)),
    "unrolled": (unrolled, unrolled_backward, (X, U)),
    "block": (block, block_backward, (X, U)),
    "causal": (causal, causal_backward, tuple(RNG.normal(size=(3, 4, 3)))),
    "sharp": (sharp, sharp_backward, (X, np.array(1.7))),
    "clipped": (clipped, clipped_backward, (X, np.array([2, -3, 2, -3]))),
    "normed": (normed, normed_backward, (X, W, RNG.uniform(0.5, 2, 5))),
    "columns": (columns, columns_backward, (W.T, X.T, LABELS)),
    "gained": (gained, gained_backward, (X, RNG.uniform(0.5, 2, 6))),
    "of outputs": (of_outputs, of_outputs_backward, (softmax(X @ W), np.eye(5, dtype=int)[LABELS])),
    "placed": (placed, placed_backward, (RNG.normal(size=(3, 4, 5)), RNG.normal(size=(4, 5)))),
}


@dataclass(frozen=True)
class Mistake:
    """A wrong part of a backward, the name that it must get, and words of its sentence."""

    of: str
    parts: dict
    code: str
    words: tuple

    @property
    def report(self):
        forward, backward, inputs = RIGHT[self.of]
        return sg.check(forward, partial(backward, **self.parts), *inputs)


def wrong(of, code, *words, **parts):
    return Mistake(of, parts, code, words)


MISTAKES = {
    "label's column counted once": wrong(
        "margins", "subset", "counted as one", at_label=lambda over: -1
    ),
    "label's column added": wrong(
        "margins", "sign", "wrong sign", at_label=lambda over: over.sum(axis=1)
    ),
    "labels from one": wrong("by rows", "subset", "entry before", picked=lambda y: y - 1),
    "label's entry alone": wrong(
        "by rows", "subset", "`scores[label]` picks alone", error=lambda p, t: t * (p - 1)
    ),
    "label left out of the sum": wrong(
        "by rows", "subset", "picks have no weight", error=lambda p, t: p * (1 - t) - t
    ),
    "weights missing in one use": wrong(
        "penalised", "chain-term", "As far as it comes from `lse**2`", weights=np.ones_like
    ),
    "a word once for each row": wrong(
        "bag", "unreduced-broadcast", "as with index assignment", into=assigned
    ),
    "mask multiplied": wrong("padded", "subset", "a product stands", at=multiplied),
    "mask moved": wrong("padded", "subset", "moved by 1", at=one_later),
    "copies summed a period apart": wrong(
        "shared", "axis", "a period apart", "where their gradients are summed", summed=far_apart
    ),
    "copies used a period apart": wrong(
        "shared", "axis", "a period apart", "where they are used", copied=tiled
    ),
    "weight on the negatives": wrong(
        "weighted", "subset", "where input 2 is not 0",
        factor=lambda truth: np.where(truth > 0, 1 / 3, 3),
    ),
    "state carried before the slope": wrong(
        "unrolled", "chain-term", "For `state` alone", "is not applied",
        later=lambda U, raw, d: U.T @ d,
    ),
    "residual past the norm": wrong(
        "block", "chain-term", "For `x` alone", "as it is", skipped=lambda dr, g: g
    ),
    "inner product, in a loop that begins with one class": wrong(
        "causal", "projection-term", "is missing", rule=lambda p, d: p * d
    ),
    "a term as it is without the shift": wrong(
        "sharp", "chain-term", "`r * (x - top)`", "missing", r_bar=lambda mean, y, r: -y / r
    ),
    "gain forgotten, behind branches": wrong(
        "clipped", "chain-term", "`p * gain`", "is not applied", grown=lambda p, gain: p
    ),
    "norm over features, behind a layer": wrong("normed", "axis", "along axis 1", axis=1),
    "logits for softmax, classes in rows": wrong(
        "columns", "wrong-variable", "The logits stand", at=lambda z: z
    ),
    "binary formula for several classes": wrong(
        "of outputs", "wrong-variable", "binary", others=lambda p: 1 / (1 - p + 1e-3)
    ),
    "gain after the projection": wrong(
        "gained", "chain-term", "must multiply what goes in",
        before=lambda g, gain: g, after=lambda d, gain: gain * d,
    ),
    "summed over one axis more": wrong(
        "placed", "axis", "summed over axis 0 of the input, too",
        summed=lambda g: np.broadcast_to(g.sum(axis=(0, 1)), g.shape[1:]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_the_part_is_named(name):
    mistake = MISTAKES[name]
    report = mistake.report
    assert report.verdict == "fail"
    assert report.diagnosis.code == mistake.code, str(report)
    for word in mistake.words:
        assert word in report.diagnosis.message, report.diagnosis.message
    assert report.cost.diagnosis_forward <= 150


@pytest.mark.parametrize("name", RIGHT)
def test_without_a_mistake_they_pass(name):
    forward, backward, inputs = RIGHT[name]
    assert sg.check(forward, backward, *inputs).passed


NEAR_MISSES = {
    "a label's column of −1.5": wrong("margins", "unnamed", at_label=lambda over: -1.5),
    "labels of another row": wrong("by rows", "unnamed", picked=lambda y: y[::-1] * 2 + 1),
    "a mask moved, and no inner product": wrong(
        "padded", "unnamed", at=one_later, rule=lambda p, d: p * d
    ),
    "copies in a third order": wrong(
        "shared", "unnamed", copied=lambda x: np.concatenate([x[::-1], x], axis=0)
    ),
    "a factor for every entry of a set": wrong(
        "weighted", "unnamed",
        factor=lambda truth: np.where(truth > 0, 1 + np.arange(truth.size).reshape(truth.shape), 1),
    ),
    "half of the residual past the norm": wrong(
        "block", "unnamed", skipped=lambda dr, g: 0.4 * g + 0.6 * dr
    ),
    "the slope for a part of what is carried": wrong(
        "unrolled", "unnamed", later=lambda U, raw, d: U.T @ (0.3 * d + 0.7 * raw)
    ),
    "a mean taken off one axis of two": wrong(
        "placed", "unnamed", summed=lambda g: g.sum(axis=0) + 0.3 * g.sum(axis=(0, 1))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_what_is_nearly_so_has_no_name(name):
    report = NEAR_MISSES[name].report
    assert report.verdict == "fail"
    assert report.diagnosis.code == "unnamed", str(report)
