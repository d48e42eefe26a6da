"""Mistakes with a constant besides, p − t for other losses, and the gradient at the logits."""

import numpy as np

import softgrad as sg
from reports import assert_named, of_mistakes

RNG = np.random.default_rng(0)
X, W, T = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), np.eye(3)[[0, 2, 1, 0, 1]]
VALUES, SOFT = RNG.normal(size=(5, 3)), RNG.random(size=(5, 3))
SOFT /= SOFT.sum(axis=1, keepdims=True)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_back(p, g):
    return p * (g - (p * g).sum(axis=-1, keepdims=True))


def diagonal(p, g):
    return p * (1 - p) * g


def each_class(x, W):
    p = softmax(x @ W)
    return -(T * np.log(p) + (1 - T) * np.log(1 - p)).sum()


def each_class_back(x, W, g, of_logits=lambda p: softmax_back(p, (p - T) / (p * (1 - p)))):
    d = g * of_logits(softmax(x @ W))
    return d @ W.T, x.T @ d


def squares(x, W):
    return ((softmax(x @ W) - T) ** 2).sum() / 2


def squares_back(x, W, g, of_logits=lambda p: softmax_back(p, p - T), factor=1.0):
    d = g * factor * of_logits(softmax(x @ W))
    return d @ W.T, x.T @ d


def own_loss(p):
    return -(T * np.log(p)).sum()


def own_loss_back(p, g, of=lambda p: -T / p):
    return g * of(p)


def at_logits(p):
    return softmax_back(p, -T / p)


def of_rows(z):
    return -(T * np.log(softmax(z))).sum(axis=1)


def of_rows_back(z, g, used=lambda g: g):
    return (softmax(z) - T) * used(g)[:, None]


FORWARDS = {
    of_rows: (of_rows_back, VALUES),
    each_class: (each_class_back, X, W),
    squares: (squares_back, X, W),
    own_loss: (own_loss_back, SOFT),
}
NAMED = {
    "p less t, every class with a loss": (
        each_class, {"of_logits": lambda p: p - T}, "wrong-variable", "a cross-entropy −Σ"),
    "the diagonal for squares": (
        squares, {"of_logits": lambda p: diagonal(p, p - T)}, "diagonal-only", "softmax"),
    "the diagonal, and the sign": (
        squares, {"of_logits": lambda p: diagonal(p, p - T), "factor": -1.0}, "diagonal-only",
        "The gradient also has the wrong sign."),
    "the diagonal, and twice": (
        squares, {"of_logits": lambda p: diagonal(p, p - T), "factor": 2.0}, "diagonal-only",
        "also 2 times"),
    "p less t at the input p": (own_loss, {"of": lambda p: p - T}, "wrong-variable", "logits"),
    "t less p at the input p": (own_loss, {"of": lambda p: T - p}, "wrong-variable", "minus that"),
    "twice p less t at the input p": (
        own_loss, {"of": lambda p: 2 * (p - T)}, "wrong-variable", "also 2 times"),
}  # fmt: skip
NAMED |= {
    "the first row's for all, and a mean": (
        of_rows, {"used": lambda g: g[:1] / len(g) + 0 * g}, "cotangent", "also 1/N times"),
}  # fmt: skip
NEAR_MISSES = {
    "part of the first row's for all": (of_rows, {"used": lambda g: 0.4 * g + 0.6 * g[:1]}),
    "the first row's for all, and another factor": (
        of_rows, {"used": lambda g: 0.3719 * g[:1] + 0 * g}),

    "part of p less t": (
        each_class, {"of_logits": lambda p: 0.6 * (p - T) + 0.4 * (p - T) ** 3}),
    "the diagonal, and another factor": (
        squares, {"of_logits": lambda p: diagonal(p, p - T), "factor": 0.3719}),
    "part of p less t at p": (own_loss, {"of": lambda p: 0.6 * at_logits(p) - 0.4 * T / p}),
}  # fmt: skip


test_the_right_backward_passes, test_the_mistake_is_named, test_a_near_miss_has_no_name = (
    of_mistakes(FORWARDS, NAMED, NEAR_MISSES)
)


def test_the_diagonal_where_one_class_of_a_row_has_a_loss_is_no_p_less_t():
    def forward(x, W):
        return -(T * np.log(softmax(x @ W))).sum()

    def backward(x, W, g):
        d = g * diagonal(softmax(x @ W), -T / softmax(x @ W))
        return d @ W.T, x.T @ d

    assert_named(sg.check(forward, backward, X, W), "diagonal-only", "softmax")


def test_a_constant_besides_is_no_way_to_a_name_of_two_mistakes():
    def backward(z, g):
        return g * (softmax(z) + T)  # the sum's sign, and not both a sign and the labels'

    found = sg.check(lambda z: -(T * np.log(softmax(z))).sum(), lambda z, g: -backward(z, g), SOFT)
    assert "also" not in found.diagnosis.message
