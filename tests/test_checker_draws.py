"""Forwards that draw random numbers: from the global generators, or from one of their own."""

import random

import numpy as np
import pytest

import softgrad as sg

RNG = np.random.default_rng(0)


class Dropout:
    def __init__(self, draw, keep=0.9, scale=True):
        self.draw, self.keep, self.scale = draw, keep, scale

    def forward(self, x):
        self.mask = (self.draw(x.shape) < self.keep) / self.keep
        return x * self.mask

    def backward(self, g):
        return g * self.mask * (1 if self.scale else self.keep)


def of_numpy(shape):
    return np.random.random_sample(shape)  # noqa: NPY002


def of_python(shape):
    return np.full(shape, random.random())


@pytest.mark.parametrize("draw", [of_numpy, of_python])
def test_global_draws_are_the_same_in_every_call(draw):
    state, numpys = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    for seed in range(20):
        report = sg.check(Dropout(draw), RNG.normal(size=(2, 3)), seed=seed)
        assert report.passed, str(report)
    assert random.getstate() == state
    assert np.array_equal(np.random.get_state()[1], numpys)  # noqa: NPY002


@pytest.mark.parametrize("draw", [of_numpy, of_python])
def test_a_wrong_backward_of_a_random_forward_fails(draw):
    random.seed(0)  # 0.84, which keeps
    report = sg.check(Dropout(draw, scale=False), RNG.normal(size=(4, 6)))
    assert report.verdict == "fail"


def test_a_generator_of_its_own_is_never_a_failure():
    for seed in range(30):
        draw = np.random.default_rng(seed).random
        report = sg.check(Dropout(draw, keep=0.95), RNG.normal(size=(2, 3)), seed=seed)
        assert report.verdict != "fail", str(report)


def test_a_backward_that_draws_anew_fails():
    def forward(x):
        return x * (of_numpy(x.shape) < 0.5)

    def masked(x, g):
        return g * (of_numpy(x.shape) < 0.5)

    def noisy(x, g):
        return g * np.cos(x) + 1e-3 * of_numpy(x.shape)

    def seeded(x, g):
        np.random.seed(0)  # noqa: NPY002
        return g * np.cos(x) * (of_numpy(x.shape) < 2)

    x = RNG.normal(size=(4, 6))
    for pair in ((forward, masked), (np.sin, noisy)):
        report = sg.check(*pair, x)
        assert report.verdict == "fail"
        assert "draws random numbers of its own" in report.diagnosis.message
        assert report.cost.backward <= 10
    assert sg.check(np.sin, seeded, x).passed


def test_a_generator_of_the_backward_s_own_is_said():
    draw = np.random.default_rng(0).normal
    report = sg.check(np.sin, lambda x, g: g * (np.cos(x) + draw(size=x.shape)), np.ones((2, 3)))
    assert report.verdict == "fail"
    assert "random numbers are drawn" in report.diagnosis.message
