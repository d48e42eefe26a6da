"""Small constants that a forward adds: no mistake by themselves, and no veil over others."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from wrong_rules import softmax

DRAW = np.random.default_rng(0).normal
Z, LABELS = DRAW(size=(6, 4)), np.array([0, 3, 1, 2, 1, 0])
X, T = DRAW(size=(5, 3)), np.eye(4)[[0, 1, 3, 2, 1]]
W, V = DRAW(size=(3, 7)), DRAW(size=(7, 4))
SMALL = (1e-10, 1e-9, 1e-8, 1e-7)


def loss(eps):
    return lambda z, y: -np.mean(np.log(softmax(z)[np.arange(len(y)), y] + eps))


def plain(z, y, g):
    return g * (softmax(z) - np.eye(z.shape[1])[y]) / len(z)


def of_rows(eps):
    return lambda z: np.exp(z) / (np.exp(z).sum(axis=-1, keepdims=True) + eps)


@pytest.mark.parametrize("eps", SMALL)
def test_a_backward_without_the_constant_is_not_called_wrong(eps):
    report = check(loss(eps), plain, Z, LABELS)
    assert report.verdict == "pass"
    assert f"agrees with the forward but for the {eps:g} in `" in said(report)
    assert report.diagnosis is None


def rare(eps):
    """Return a loss whose labels have probabilities of 1e-4 and of 1/2."""
    z = np.array([[0.0, -9.0], [0.0, 0.0], [1.0, 1.0]])
    return loss(eps), z, np.array([1, 0, 1])


def test_a_constant_that_shows_next_to_zero_is_not_called_wrong():
    def guarded(z, y, g):
        p, t = softmax(z), np.eye(2)[y]
        s = (p * t).sum(axis=1, keepdims=True)
        return g * (p - t) * s / (s + 1e-7) / len(z)

    forward, z, y = rare(1e-7)
    for pair in ((forward, plain), (loss(0.0), guarded)):
        report = check(*pair, z, y)
        assert report.relative_error > 1e-6
        assert report.verdict == "inconclusive", str(report)
        assert "so near to 0 that the difference shows" in said(report)


def test_a_constant_next_to_zero_excuses_nothing_else():
    forward, z, y = rare(1e-7)
    report = check(forward, lambda z, y, g: plain(z, y, g) * (1 + 1e-5), z, y)
    assert report.diagnosis.code == "scale", str(report)
    forward, z, y = rare(1e-5)  # no guard, but a number of its own
    assert check(forward, plain, z, y).verdict == "fail"


def test_a_backward_with_the_constant_passes():
    def own(z, y, g):
        p, t = softmax(z), np.eye(z.shape[1])[y]
        s = (p * t).sum(axis=1, keepdims=True)
        return g * (p - t) * s / (s + 1e-5) / len(z)

    assert check(loss(1e-5), own, Z, LABELS).passed


def test_a_constant_that_float32_would_show_is_a_mistake():
    report = check(loss(1e-5), plain, Z, LABELS)
    assert report.verdict == "fail"
    assert report.diagnosis.code == "wrong-variable"
    assert "without the 1e-05 in `" in report.diagnosis.message


def test_a_constant_excuses_nothing_else():
    def nearly(z, y, g):
        return plain(z, y, g) * (1 + 1e-8)

    assert check(loss(1e-8), nearly, Z, LABELS).verdict == "fail"
    report = check(lambda z: np.sin(z) + 1e-8, lambda z, g: g * np.cos(z) * (1 + 1e-9), Z)
    assert report.verdict == "fail"


def test_a_constant_in_a_denominator_is_known_too():
    def own(z, g):
        s = of_rows(1e-7)(z)
        return s * (g - (g * s).sum(axis=-1, keepdims=True))

    def shifted(z):
        return of_rows(1e-7)(z - z.max(axis=-1, keepdims=True))

    def shifted_backward(z, g):
        s = shifted(z)
        return s * (g - (g * s).sum(axis=-1, keepdims=True))

    assert check(of_rows(1e-7), own, Z).passed
    assert check(shifted, shifted_backward, Z).verdict == "pass"


@pytest.mark.parametrize("eps", [*SMALL, 1e-5])
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda z, y, g: plain(z, y, g) * len(z), "scale"),
        (lambda z, y, g: -plain(z, y, g), "sign"),
        (lambda z, y, g: g * softmax(z) / len(z), "subset"),
    ],
)
def test_mistakes_behind_a_constant_keep_their_names(eps, wrong, code):
    report = check(loss(eps), wrong, Z, LABELS)
    assert report.diagnosis.code == code, str(report)
    assert f"without the {eps:g} in `" in report.diagnosis.evidence


@pytest.mark.parametrize("eps", SMALL)
def test_networks_with_a_constant_in_their_loss(eps):
    def forward(W, V):
        p = softmax(np.maximum(X @ W, 0) @ V)
        return -(T * np.log(p + eps)).sum() / len(X)

    def wrong(W, V, g):  # the slope of relu is forgotten
        h = np.maximum(X @ W, 0)
        d = g * (softmax(h @ V) - T) / len(X)
        return X.T @ (d @ V.T), h.T @ d

    report = check(forward, wrong, W, V)
    assert report.diagnosis.code == "chain-term"
    assert "np.maximum(X @ W, 0)" in report.diagnosis.message


class Loss:
    """A layer that keeps what its backward needs."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, z):
        self.p = softmax(z)
        return -np.log(self.p[:, 0] + 1e-8)

    def backward(self, g):
        first = np.zeros_like(self.p)
        first[:, 0] = 1
        return self.factor * g[:, None] * (self.p - first)


def test_layers():
    assert check(Loss(), Z).verdict == "pass"
    assert check(Loss(-1.0), Z).diagnosis.code == "sign"


@pytest.mark.parametrize("eps", SMALL)
def test_a_constant_of_the_backward_alone(eps):
    def log_loss(p, t):
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum()

    def guarded(p, t, g):
        return g * (-t / (p + eps) + (1 - t) / (1 - p + eps))

    p = np.random.default_rng(0).uniform(0.2, 0.8, (5, 3))
    t = (p > 0.5).astype(int)
    report = check(log_loss, guarded, p, t)
    assert report.verdict == "pass"
    assert f"the {eps:g} in `p + eps`" in said(report)
    assert check(log_loss, lambda p, t, g: -guarded(p, t, g), p, t).diagnosis.code == "sign"


def test_a_layer_keeps_nothing_of_a_run_without_constants():
    class Kept(Loss):
        """What the backward returns is added up."""

        total = 0.0

        def backward(self, g):
            self.total = self.total + super().backward(g)
            return self.total

    layer = Kept()
    report = check(layer, Z)
    assert report.diagnosis.code == "aliasing", str(report)
    assert layer.total == 0.0
