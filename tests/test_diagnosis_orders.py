"""Names of what a small twin must keep: orders, masks, several directions; and of z-losses."""

from functools import partial

import numpy as np

import softgrad as sg
from reports import assert_named, assert_unnamed, of_mistakes

RNG = np.random.default_rng(0)
X, SCORES = RNG.normal(size=(6, 4)), RNG.normal(size=(4, 5))
W = RNG.normal(size=(4, 7)) / 2
NEXT = (np.arange(6) + 1) % 6
RANKS = np.argsort(RNG.normal(size=(4, 5)), axis=1)
KEPT = np.array([1, 0, 1, 1, 0, 1])
CLASSES = np.array([3, 0, 4, 3])
SHARE, Z_LOSS = 0.7, 0.3


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logsumexp(z):
    m = z.max(axis=-1, keepdims=True)
    return m + np.log(np.exp(z - m).sum(axis=-1, keepdims=True))


def mixed(X, W, order):
    return np.tanh((SHARE * X + (1 - SHARE) * X[order]) @ W)


def scattered(d, order):
    back = np.zeros_like(d)
    back[order] = d
    return back


def mixed_backward(X, W, order, g, partner=lambda d: (1 - SHARE) * d, back=scattered):
    both = SHARE * X + (1 - SHARE) * X[order]
    d = g * (1 - np.tanh(both @ W) ** 2)
    return SHARE * d @ W.T + back(partner(d @ W.T), order), both.T @ d


def ranked(s, order):
    s = np.take_along_axis(s, order, 1)
    return sum((logsumexp(s[:, i:])[:, 0] - s[:, i]).sum() for i in range(s.shape[1])) / len(s)


def unsorted(d, order):
    back = np.zeros_like(d)
    np.put_along_axis(back, order, d, 1)
    return back


def ranked_backward(s, order, g, back=unsorted, own=1.0, count=len):
    s, d = np.take_along_axis(s, order, 1), np.zeros_like(s)
    for i in range(s.shape[1]):
        d[:, i:] += softmax(s[:, i:])
        d[:, i] -= own
    return back(g * d / count(s), order)


def weighted(X, kept):
    return ((0.5 + kept[:, None]) * kept[:, None] * np.tanh(X)).sum(axis=0)


def weighted_backward(X, kept, g, weights=lambda kept: (0.5 + kept) * kept):
    return g * weights(kept)[:, None] * (1 - np.tanh(X) ** 2)


def hot(targets, like):
    return (targets[:, None] == np.arange(like.shape[1])).astype(like.dtype)


def z_loss(z, targets):
    log_z = logsumexp(z)
    return (-hot(targets, z) * (z - log_z)).sum(axis=-1) + Z_LOSS * log_z[:, 0] ** 2


def z_loss_backward(z, targets, g, square=2.0):
    own = square * Z_LOSS * logsumexp(z)
    return g[:, None] * ((1 + own) * softmax(z) - hot(targets, z))


def of_log_probabilities(z, targets):
    return -(hot(targets, z) * z).sum(axis=-1)


FORWARDS = {
    mixed: (mixed_backward, X, W, NEXT),
    ranked: (ranked_backward, SCORES, RANKS),
    weighted: (weighted_backward, X, KEPT),
}
NAMED = {
    "an order that is not undone": (mixed, {"back": lambda d, order: d[order]}, "axis", ""),
    "an order that is left out": (mixed, {"back": lambda d, order: d}, "axis", ""),
    "a ranking that is not undone": (ranked, {"back": lambda d, order: d}, "axis", ""),
    "a ranking that is done again": (
        ranked, {"back": lambda d, order: np.take_along_axis(d, order, 1)}, "axis", ""),
    "a sum that is averaged": (ranked, {"count": np.size}, "scale", ""),
    "a mask that is left out": (weighted, {"weights": lambda kept: 1.5 + 0 * kept}, "subset", ""),
}  # fmt: skip
NEAR_MISSES = {
    "both shares left out": (mixed, {"partner": lambda d: 2.3 * d}),
    "half of an order": (mixed, {"back": lambda d, order: 0.4 * d + 0.6 * scattered(d, order)}),
    "half of a ranking": (ranked, {"back": lambda d, order: 0.4 * d + 0.6 * unsorted(d, order)}),
}  # fmt: skip


def output_layer(image, W):
    return softmax(image.reshape(-1) @ W)


def output_layer_backward(image, W, g, rule=lambda p, g: p * (g - p @ g)):
    p = output_layer(image, W)
    d = rule(p, g)
    return (W @ d).reshape(image.shape), np.outer(image, d)


def test_an_image_is_laid_flat_on_a_twin_as_well():
    image, weights = RNG.normal(size=(5, 4, 3)), RNG.normal(size=(60, 10)) / 8
    assert sg.check(output_layer, output_layer_backward, image, weights).verdict == "pass"
    for rule, code in (
        (lambda p, g: p * (1 - p) * g, "diagonal-only"),
        (lambda p, g: p * (g + p @ g), "projection-term"),
        (lambda p, g: p**1.5 * (g - p**0.5 @ g), "unnamed"),
    ):
        wrong = partial(output_layer_backward, rule=rule)
        assert_named(sg.check(output_layer, wrong, image, weights), code)


(
    test_the_right_backward_passes,
    test_the_mistake_is_named,
    test_a_near_miss_has_another_name_or_none,
) = of_mistakes(FORWARDS, NAMED, NEAR_MISSES, allowed=("unnamed", "chain-term"))


def test_a_factor_is_that_of_every_direction():
    """What is lost of one path in two is near to a factor along many a direction."""
    for seed in range(8):
        backward = partial(mixed_backward, partner=lambda d: 0 * d)
        inputs = np.random.default_rng(seed).normal(size=(24, 4)), W, (np.arange(24) + 1) % 24
        assert sg.check(mixed, backward, *inputs, seed=seed).diagnosis.code != "scale"


def test_a_forgotten_z_loss_is_no_gradient_at_logits():
    forgotten = sg.check(z_loss, partial(z_loss_backward, square=0.0), SCORES, CLASSES)
    assert_named(forgotten, "chain-term", "a penalty, is left out")
    at_logits = sg.check(
        of_log_probabilities,
        lambda z, targets, g: g[:, None] * (np.exp(z) - hot(targets, z)),
        SCORES - logsumexp(SCORES),
        CLASSES,
    )
    assert_named(at_logits, "wrong-variable", "at the logits")


def test_a_bias_that_gets_one_sum_in_single_precision():
    inputs = [v.astype(np.float32) for v in (X, W, RNG.normal(size=(1, 7)))]

    def forward(x, W, b):
        return np.tanh(x @ W + b)

    def wrong(x, W, b, g, times=1):
        d = g * (1 - forward(x, W, b) ** 2)
        return d @ W.T, x.T @ d, np.sum(times * d)

    assert_named(sg.check(forward, wrong, *inputs), "axis", "summed over all axes")
    assert_unnamed(sg.check(forward, partial(wrong, times=1.001), *inputs))
