"""What the diagnosis can see: small errors, noisy forwards, kinks; and what it must not claim."""

import numpy as np
import pytest

import softgrad as sg
from reports import assert_named, assert_unnamed


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def right(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


def tanh_in_float32(x, g):
    return (g.astype("f4") * (1 - np.tanh(x.astype("f4")) ** 2)).astype(x.dtype)


def root(x):
    return np.sqrt(np.abs(x))


def root_backward(x, g):
    return g * np.sign(x) / (2 * root(x))


def failed(forward, backward, *inputs, **options):
    report = sg.check(forward, backward, *inputs, **options)
    assert report.verdict == "fail"
    return report


WITHOUT_A_PLACE = {
    "float32 inside": (np.tanh, tanh_in_float32, "arithmetic"),
    "a little more": (softmax, lambda z, g: right(z, g) * (1 + 1e-6), "scale"),
    "float32 returned": (softmax, lambda z, g: right(z, g).astype("f4"), "arithmetic"),
    "one too many": (softmax, lambda z, g: (right(z, g), right(z, g)), "unnamed"),
    "clipped": (softmax, lambda z, g: right(z, np.clip(g, -1, 1)), "cotangent"),
    "by memory": (softmax, lambda z, g: right(z, g.ravel("K").reshape(g.shape)), "cotangent"),
}


@pytest.mark.parametrize("name", WITHOUT_A_PLACE)
def test_no_place_is_made_up(name):
    forward, backward, code = WITHOUT_A_PLACE[name]
    for seed in range(8):
        x = np.random.default_rng(seed).normal(size=(4, 7))
        report = failed(forward, backward, x, seed=seed)
        assert report.diagnosis.code == code, str(report)
        assert report.where.axis is report.where.start is report.where.subset is None, str(report)


KINKED = {
    "relu": (lambda x: np.maximum(x, 0), lambda x, g: g * (x > 0)),
    "absolute": (np.abs, lambda x, g: g * np.sign(x)),
    "leaky": (lambda x: np.where(x > 0, x, x / 10), lambda x, g: g * np.where(x > 0, 1, 0.1)),
    "root": (root, root_backward),
}


@pytest.mark.parametrize("factor", [2.0, 1.5, -1.0])
@pytest.mark.parametrize("name", KINKED)
def test_a_multiple_at_kinks_is_called_so(name, factor):
    forward, backward = KINKED[name]
    for seed in range(6):
        x = np.random.default_rng(seed).normal(size=(4, 37))
        report = failed(forward, lambda x, g: factor * backward(x, g), x, seed=seed)
        assert report.diagnosis.code == ("sign" if factor < 0 else "scale"), str(report)


def test_a_quotient_whose_minus_is_forgotten_has_the_wrong_sign():
    for seed in range(12):
        a, b = np.random.default_rng(seed).normal(size=(2, 4, 7))
        if np.abs(b).min() > 0.01:
            report = failed(np.divide, lambda a, b, g: (g / b, g * a / b**2), a, b, seed=seed)
            assert report.diagnosis.code == "sign", str(report)
            assert report.where.input == 1


def test_an_infinite_entry_alone_is_the_place():
    x = np.abs(np.random.default_rng(0).normal(size=(4, 37))) + 0.1
    x[:, 36] = 0
    report = failed(np.sqrt, lambda x, g: g / (2 * np.sqrt(x)), x)
    assert (report.where.axis, report.where.start, report.where.stop) == (1, 36, 37)
    assert report.diagnosis.message.endswith("not finite: input 0, at index 36 along axis 1.")


@pytest.mark.parametrize("noise", [1e-10, 1e-8, 1e-6])
def test_a_noisy_forward_is_still_read(noise):
    def noisy(z):
        return softmax(z) * (1 + noise * np.sin(1e9 * z))

    for seed in range(4):
        z = np.random.default_rng(seed).normal(size=(4, 7))
        s_only = lambda z, g: g * softmax(z) * (1 - softmax(z))  # noqa: E731
        assert failed(noisy, s_only, z, seed=seed).diagnosis.code == "diagonal-only"


def tempered(z):
    return softmax(z / 2)


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (right, "right for the forward,"),
        (lambda z, g: right(z / 2, g) / 2, "right for the reference,"),
        (lambda z, g: 3 * g, "right for neither"),
    ],
)
def test_a_forward_that_differs_from_its_reference_comes_first(backward, words):
    z = np.random.default_rng(0).normal(size=(4, 7))
    report = failed(softmax, backward, z, reference=tempered)
    assert report.diagnosis.code == "unnamed"
    assert report.diagnosis.message.startswith("The forward differs from its reference")
    assert words in report.diagnosis.evidence
    assert report.where is None


def test_a_backward_is_held_against_the_reference():
    def narrow(z):
        return softmax(z.astype("f4"))

    z = np.random.default_rng(0).normal(size=(4, 7)).astype("f4")
    report = failed(narrow, lambda z, g: 3 * right(z, g), z, reference=softmax)
    assert (report.diagnosis.code, report.where.text) == ("scale", "input 0, everywhere")


def test_a_long_chain_in_front_of_a_slope_is_walked_once():
    def forward(x, W):
        for _ in range(40):  # each turn has two ways back: 2⁴⁰ in all
            x = x * (1 - 0.01 * x)
        return np.tanh(x @ W)

    def backward(x, W, g):
        states = [x]
        for _ in range(40):
            states.append(states[-1] * (1 - 0.01 * states[-1]))
        d = g * (1 - forward(x, W) ** 2) * np.exp(x[:, :1])
        W_bar = states[-1].T @ d
        d = d @ W.T
        for state in reversed(states[:-1]):
            d = d * (1 - 0.02 * state)
        return d, W_bar

    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    assert_unnamed(sg.check(forward, backward, x, W))


def test_the_slope_of_a_single_number_is_known():
    labels = np.array([0, 2, 1, 1])

    def loss(z):
        return -np.mean((z - np.log(np.exp(z).sum(axis=1, keepdims=True)))[np.arange(4), labels])

    def perplexity(z):
        return np.exp(loss(z))

    def backward(z, g):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        p[np.arange(4), labels] -= 1
        return g * loss(z) * p / 4  # exp's slope is its output

    z = np.random.default_rng(0).normal(size=(4, 3))
    assert_named(sg.check(perplexity, backward, z), "wrong-variable", "v being the input")
