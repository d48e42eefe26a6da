"""Zero, sign and scale are read off without a Jacobian, on whatever the functions run."""

import numpy as np
import pytest

import softgrad as sg
from reports import assert_named
from softgrad.checker.diagnosis.examples import EXAMPLES


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pooled(x):
    return x.reshape(*x.shape[:-1], -1, 2).max(axis=-1)


def pooled_backward(x, g):
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    return (g[..., None] * (pairs == pairs.max(axis=-1, keepdims=True))).reshape(x.shape)


def sorted_backward(x, g):
    x_bar = np.zeros_like(x)
    np.put_along_axis(x_bar, x.argsort(axis=-1), g, axis=-1)
    return x_bar


def distance(a, b):
    return np.abs(a - b).mean()


def distance_backward(a, b, g):
    return g * np.sign(a - b) / a.size, -g * np.sign(a - b) / a.size


def absolute_root(x):
    return np.sqrt(np.abs(x))


def absolute_root_backward(x, g):
    return g * np.sign(x) / (2 * absolute_root(x))


def largest_backward(x, g):
    return g * (x == x.max())


def chosen_backward(x, g):
    x_bar = np.zeros_like(x)
    x_bar[x > 0] = g
    return x_bar


SUBJECTS = {
    "pairs": (pooled, pooled_backward, (draw(4, 8),)),
    "many pairs": (pooled, pooled_backward, (draw(4, 6, 64),)),
    "sort": (np.sort, sorted_backward, (draw(4, 9),)),
    "distance": (distance, distance_backward, (draw(3, 5), draw(3, 5, seed=1))),
    "root": (absolute_root, absolute_root_backward, (draw(4, 37),)),
    "the largest": (np.max, largest_backward, (draw(50, 50),)),
    "chosen": (lambda x: x[x > 0], chosen_backward, (draw(4, 7),)),
}


@pytest.mark.parametrize(
    ("factor", "code", "words"),
    [
        (0.0, "zero", "The gradient is zero"),
        (-1.0, "sign", "The gradient has the wrong sign."),
        (2.5, "scale", "The gradient is 2.5 times"),
    ],
)
@pytest.mark.parametrize("name", SUBJECTS)
def test_multiples_are_named(name, factor, code, words):
    forward, backward, inputs = SUBJECTS[name]

    def wrong(*arguments):
        answer = backward(*arguments)
        if isinstance(answer, tuple):
            return tuple(factor * entry for entry in answer)
        return factor * answer

    for seed in range(4):
        report = sg.check(forward, wrong, *inputs, seed=seed)
        assert report.diagnosis.code == code, str(report)
        assert words in report.diagnosis.message
        assert report.cost.diagnosis_forward <= 150


def test_a_forgotten_mean_is_told_in_full():
    inputs = SUBJECTS["distance"][2]

    def wrong(a, b, g):
        return g * np.sign(a - b), -g * np.sign(a - b)

    message = sg.check(distance, wrong, *inputs).diagnosis.message
    assert message.startswith("The gradient is 15 times what it must be, which is n here")


def affine_loss(x, U, V):
    return 0.5 * ((x @ U.T @ V.T) ** 2).sum() / len(x)


def summed_affine_loss(x, U, V, g):
    hidden = x @ U.T
    d = g * hidden @ V.T
    return d @ V @ U, (d @ V).T @ x, d.T @ hidden


def test_a_number_of_rows_is_told_from_the_number_2_that_it_is_on_a_twin():
    inputs = draw(12, 10), draw(20, 10), draw(7, 20)
    diagnosis = sg.check(affine_loss, summed_affine_loss, *inputs).diagnosis
    assert diagnosis.code == "scale"
    assert diagnosis.message.startswith("The gradient is N times what it must be")


def mean_of_squares(x):
    return (x**2).mean()


def test_a_small_factor_is_no_rounding_in_a_narrow_dtype():
    def wrong(x, g):
        return (g * 2 * x / x.size / len(x)).astype(x.dtype)

    report = sg.check(mean_of_squares, wrong, draw(30, 7).astype(np.float16))
    assert_named(report, "scale", "1/N times")
    assert "along two directions at the inputs" in report.diagnosis.evidence


def test_a_mean_that_is_taken_at_each_of_three_layers_is_a_cube():
    def wrong(x, g):
        return g * 2 * x / x.size / len(x) ** 3

    assert_named(sg.check(mean_of_squares, wrong, draw(6, 5)), "scale", "1/N³ times")


def expected_reward(z, r):
    return (softmax(z) * r).sum(axis=-1)


def of_the_rows(z, r, g):
    s = softmax(z)
    return g[:, None] * (s - s * s.sum(axis=-1, keepdims=True)), g[:, None] * s


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 6), (4, 3), (9, 8)])
def test_what_cancels_is_zero_however_small_the_slope(shape, dtype):
    inputs = [0.3 * draw(*shape, seed=seed).astype(dtype) for seed in (0, 1)]
    assert_named(sg.check(expected_reward, of_the_rows, *inputs), "zero")


def test_the_part_that_a_mask_keeps_is_told():
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])

    def kept_mean(x, mask):
        return (mask * x**2).sum() / mask.sum()

    def mean_of_all(x, mask, g):
        return g * 2 * mask * x / mask.size

    diagnosis = sg.check(kept_mean, mean_of_all, draw(2, 5), mask).diagnosis
    assert diagnosis.code == "scale"
    assert "c times what it must be, c being the mean of input 1" in diagnosis.message


@pytest.mark.parametrize("code", EXAMPLES)
def test_naming_an_example_is_cheap(code):
    for seed in range(3):
        arguments, options = EXAMPLES[code].arguments(seed)
        cost = sg.check(*arguments, seed=seed, **options).cost
        assert cost.diagnosis_forward <= 150
        assert cost.diagnosis_backward <= 300


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def right(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


def over_all(z):
    return softmax(z.ravel(), 0).reshape(z.shape)


def attention(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v


def attention_backward(q, k, v, g):
    s = softmax(q @ k.T / np.sqrt(q.shape[-1]))
    score_bar = s * (g @ v.T - ((g @ v.T) * s).sum(axis=-1, keepdims=True))
    return score_bar @ k, score_bar.T @ q, s.T @ g


def changed(backward, index):
    def wrong(*arguments):
        answer = backward(*arguments)
        answer[index] *= 1.5
        return answer

    return wrong


def odd(x, g):
    return g * np.cos(x) * np.abs(x) ** 1.3


Z = draw(4, 37)
COSTLY = {
    "over all, a diagonal": (over_all, lambda z, g: g * over_all(z) * (1 - over_all(z)), Z),
    "a tail": (softmax, changed(right, np.s_[:, 32:]), Z),
    "one entry": (softmax, changed(right, (2, 30)), Z),
    "one entry of roots": (absolute_root, changed(absolute_root_backward, (2, 30)), Z),
    "squares": (
        lambda a, b: ((a - b) ** 2).mean(),
        lambda a, b, g: (g * (a - b), g * (b - a)),
        *draw(2, 9, 8),
    ),
    "attention": (attention, attention_backward, *draw(3, 6, 4)),
    "odd": (np.abs, odd, Z),
    "odd, and many": (np.abs, odd, draw(100, 300)),
    "odd, a number": (lambda x: np.abs(x).sum(), odd, Z),
    "odd, of two": (distance, lambda a, b, g: (odd(a, g), odd(b, g)), *draw(2, 12, 8)),
    "infinite": (np.sqrt, lambda x, g: g / (2 * np.sqrt(x)), np.maximum(Z, 0)),
    "pairs": (pooled, lambda x, g: np.abs(pooled_backward(x, g)), draw(4, 64)),
}


@pytest.mark.parametrize("name", COSTLY)
def test_naming_stops_when_its_calls_are_spent(name):
    for seed in range(3):
        cost = sg.check(*COSTLY[name], seed=seed).cost
        assert cost.diagnosis_forward <= 150
        assert cost.diagnosis_backward <= 300
