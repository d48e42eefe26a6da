"""Mistakes in parts of a forward: a log-sum-exp, a mean over groups, a mask, a noise."""

from functools import partial

import numpy as np
import pytest

import softgrad as sg

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(4, 6)), RNG.integers(0, 2, (4, 6))
W = RNG.normal(size=(6, 6)) / 2
KEPT = np.tri(4, 6, 2, dtype=int)
NOISE = np.linspace(-1, 1, 11)


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def pooled(x, W):
    z = np.tanh(x @ W)
    top = z.max(axis=0, keepdims=True)
    return (top + np.log(np.exp(z - top).sum(axis=0, keepdims=True)))[0]


def pooled_backward(x, W, g, weights=lambda z: softmax(z, 0)):
    z = np.tanh(x @ W)
    z_bar = g * weights(z) * (1 - z**2)
    return z_bar @ W.T, x.T @ z_bar


def standardised(x, W):
    groups = (x @ W).reshape(len(x), 2, -1)
    return groups / np.sqrt(1 + (groups**2).sum(axis=-1, keepdims=True))


def standardised_backward(x, W, g, axis=-1):
    groups = (x @ W).reshape(len(x), 2, -1)
    size = np.sqrt(1 + (groups**2).sum(axis=-1, keepdims=True))
    y = groups / size
    z_bar = ((g - y * (g * y).sum(axis=axis, keepdims=True)) / size).reshape(len(x), -1)
    return z_bar @ W.T, x.T @ z_bar


def advantages(x):
    groups = x.reshape(2, -1, x.shape[-1])
    return (groups - groups.mean(axis=1, keepdims=True)) ** 2


def advantages_backward(x, g, axis=1):
    groups = x.reshape(2, -1, x.shape[-1])
    d = 2 * (groups - groups.mean(axis=1, keepdims=True)) * g
    return (d - d.mean(axis=axis, keepdims=True)).reshape(x.shape)


def bernoulli(x, W, labels):
    z = x @ W
    return (np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z)))).sum(axis=-1)


def bernoulli_backward(x, W, labels, g, slope=lambda p: 1.0):
    p = sigmoid(x @ W)
    z_bar = g[:, None] * (p - labels) * slope(p)
    return z_bar @ W.T, x.T @ z_bar


def masked(x, W, kept):
    scores = np.where(kept > 0, x @ W, -1e9)
    return softmax(scores) @ W


def masked_backward(x, W, kept, g, weights=lambda z, kept: softmax(np.where(kept > 0, z, -1e9))):
    p = weights(x @ W, kept)
    p_bar = g @ W.T
    z_bar = p * (p_bar - (p * p_bar).sum(axis=-1, keepdims=True))
    return z_bar @ W.T, x.T @ z_bar + p.T @ g


def noisy(x, W):
    z = x @ W + np.resize(NOISE, (len(x), W.shape[1]))
    return np.tanh(z) ** 2


def noisy_backward(x, W, g, noise=NOISE):
    y = np.tanh(x @ W + np.resize(noise, (len(x), W.shape[1])))
    z_bar = 2 * g * y * (1 - y * y)
    return z_bar @ W.T, x.T @ z_bar


def leaky(x, W):
    z = x @ W
    return np.where(z > 0, z, 0.1 * z) @ W


def leaky_backward(x, W, g, slope=lambda z: np.where(z > 0, 1.0, 0.1)):
    z = x @ W
    z_bar = g @ W.T * slope(z)
    return z_bar @ W.T, x.T @ z_bar + np.where(z > 0, z, 0.1 * z).T @ g


def merged(x, W):
    heads = (x @ W).reshape(len(x), 2, -1).transpose(1, 0, 2)
    return np.tanh(heads).transpose(1, 0, 2).reshape(len(x), -1) @ W


def merged_backward(x, W, g, split=lambda y: y.reshape(len(y), 2, -1).transpose(1, 0, 2)):
    heads = np.tanh((x @ W).reshape(len(x), 2, -1).transpose(1, 0, 2))
    y = heads.transpose(1, 0, 2).reshape(len(x), -1)
    d = split(g @ W.T) * (1 - heads**2)
    z_bar = d.transpose(1, 0, 2).reshape(len(x), -1)
    return z_bar @ W.T, x.T @ z_bar + y.T @ g


RIGHT = {
    pooled_backward: (pooled, (X, W)),
    standardised_backward: (standardised, (X, W)),
    advantages_backward: (advantages, (X,)),
    bernoulli_backward: (bernoulli, (X, W, LABELS)),
    masked_backward: (masked, (X, W, KEPT)),
    noisy_backward: (noisy, (X, W)),
    leaky_backward: (leaky, (X, W)),
    merged_backward: (merged, (X, W)),
}
WRONG = {
    "not normalised": (
        partial(pooled_backward, weights=np.exp), "chain-term", "not divided by their sum",
    ),
    "all ones": (
        partial(pooled_backward, weights=np.ones_like), "chain-term", "softmax is missing",
    ),
    "other axis": (partial(pooled_backward, weights=softmax), "axis", "along axis 1 and not 0"),
    "p(1 − p) for p": (
        partial(pooled_backward, weights=lambda z: softmax(z, 0) * (1 - softmax(z, 0))),
        "wrong-variable", "differentiated once more",
    ),
    "softmax of the softmax": (
        partial(pooled_backward, weights=lambda z: softmax(softmax(z, 0), 0)),
        "wrong-variable", "taken twice",
    ),
    "inner product over both groups": (
        partial(standardised_backward, axis=(1, 2)), "axis", "over axis 1 and 2",
    ),
    "baseline of all groups": (
        partial(advantages_backward, axis=(0, 1)), "axis", "over axis 0 and 1, not over 1",
    ),
    "the sigmoid's slope too": (
        partial(bernoulli_backward, slope=lambda p: p * (1 - p)), "chain-term", "besides",
    ),
    "mask forgotten": (
        partial(masked_backward, weights=lambda z, kept: softmax(z)), "wrong-variable", "np.where",
    ),
    "noise forgotten": (partial(noisy_backward, noise=0 * NOISE), "wrong-variable", "`x @ W`"),
    "slopes exchanged": (
        partial(leaky_backward, slope=lambda z: np.where(z > 0, 0.1, 1.0)), "subset", "reversed",
    ),
    "heads not transposed": (
        partial(merged_backward, split=lambda y: y.reshape(2, len(y), -1)), "axis", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_the_part_is_named(name):
    backward, code, words = WRONG[name]
    forward, inputs = RIGHT[backward.func]
    report = sg.check(forward, backward, *inputs)
    assert report.verdict == "fail"
    assert report.diagnosis.code == code, str(report)
    assert words in report.diagnosis.message
    assert report.cost.diagnosis_forward <= 150


@pytest.mark.parametrize("backward", RIGHT)
def test_without_a_mistake_they_pass(backward):
    forward, inputs = RIGHT[backward]
    assert sg.check(forward, backward, *inputs).passed


def test_that_nothing_comes_back_names_no_step():
    def forward(x, W):
        return np.tanh(x @ W) ** 2

    def backward(x, W, g):
        y = np.tanh(x @ W)
        return 0 * x, x.T @ (2 * g * y * (1 - y * y))

    assert sg.check(forward, backward, X, W).diagnosis.code == "zero"


def normed(x, gain, bias):
    centred = x - x.mean(axis=0)
    return centred / np.sqrt((centred**2).mean(axis=0) + 1e-5) * gain + bias


def test_that_nothing_but_rounding_comes_back_names_no_step():
    def backward(x, gain, bias, g):
        g = np.broadcast_to(g.mean(axis=0), g.shape)  # a batch norm does not feel it
        hat, deviation = normed(x, 1, 0), np.sqrt(x.var(axis=0) + 1e-5)
        d = g * gain
        x_bar = (d - d.mean(axis=0) - hat * (d * hat).mean(axis=0)) / deviation
        return x_bar, (g * hat).sum(axis=0), g.sum(axis=0)

    inputs = RNG.normal(size=(7, 6)), RNG.uniform(0.5, 2, 6), RNG.normal(size=6)
    assert sg.check(normed, backward, *inputs).diagnosis.code != "chain-term"
