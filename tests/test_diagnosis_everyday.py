"""Everyday mistakes: at the labels, in softmaxes that run in a loop, in weights, masks, sums."""

import numpy as np

import softgrad as sg
from reports import assert_named, of_mistakes

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4))
LABELS, OTHERS = np.array([0, 2, 1, 3, 2]), np.array([1, 0, 3, 3, 0])
RETURNS = np.array([5, 3, 4, 1, 2])
HEADS, W = RNG.normal(size=(3, 4, 6)), RNG.normal(size=(6, 4)) / 2
V, U = RNG.normal(size=(6, 3)) / 2, RNG.normal(size=(3, 3)) / 2
VALUES = RNG.normal(size=(5, 4))


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_back(p, g):
    return p * (g - (p * g).sum(axis=-1, keepdims=True))


def hot(labels, like):
    return (labels[:, None] == np.arange(like.shape[-1])).astype(like.dtype)


def label_loss(z, labels, others):
    p = softmax(z)[np.arange(len(z)), labels]
    return (-np.log(p) + 0.7 * (1 - p) ** 2).sum()


def label_loss_backward(z, labels, others, g, second=lambda p, own, t: own * (t - p), t=hot):
    p, t = softmax(z), t(labels, z)
    own = (p * hot(labels, z)).sum(axis=-1, keepdims=True)
    return g * (p - t - 1.4 * (1 - own) * second(p, own, hot(labels, z)))


def plain_loss(z, labels, others):
    return -np.log(softmax(z)[np.arange(len(z)), labels]).sum()


def plain_loss_backward(z, labels, others, g, t=lambda z, labels, others: hot(labels, z)):
    return g * (softmax(z) - t(z, labels, others))


def of_probabilities(z, labels):
    return -(hot(labels, z) * np.log(softmax(np.tanh(z)))).sum() / len(z)


def of_probabilities_backward(z, labels, g, loss=lambda p, t: -t / p):
    p = softmax(np.tanh(z))
    return softmax_back(p, g * loss(p, hot(labels, z)) / len(z)) * (1 - np.tanh(z) ** 2)


def episode(z, actions, returns):
    loss = 0.0
    for t in range(len(z)):
        loss = loss - returns[t] * np.log(softmax(z[t])[actions[t]])
    return loss


def episode_backward(z, actions, returns, g, weights=lambda returns: returns, row=None):
    p, t = softmax(z), hot(actions, z)
    own = (p * t).sum(axis=-1, keepdims=True)
    rows = t - p if row is None else row(p, own)
    return -g * weights(returns)[:, None] * rows


def looped(x, W):
    return np.stack([softmax(x[:, h] @ W) ** 2 for h in range(2)])


def looped_backward(x, W, g, rule=softmax_back):
    x_bar, W_bar = np.zeros_like(x), np.zeros_like(W)
    for h in range(2):
        p = softmax(x[:, h] @ W)
        d = rule(p, 2 * g[h] * p)
        x_bar[:, h], W_bar = d @ W.T, W_bar + x[:, h].T @ d
    return x_bar, W_bar


def recurrent(x, V, U, first):
    h, loss = first, 0.0
    for row in x:
        h = np.tanh(row @ V + h @ U)
        loss = loss + (h**3).sum()
    return loss


def recurrent_backward(x, V, U, first, g, slope=lambda h, before: 1 - h * h, carried=1.0):
    states = [first]
    for row in x:
        states.append(np.tanh(row @ V + states[-1] @ U))
    x_bar, V_bar, U_bar, back = np.zeros_like(x), 0 * V, 0 * U, 0 * first
    for n in reversed(range(len(x))):
        d = (3 * g * states[n + 1] ** 2 + carried * back) * slope(states[n + 1], states[n])
        x_bar[n], V_bar, U_bar = V @ d, V_bar + np.outer(x[n], d), U_bar + np.outer(states[n], d)
        back = U @ d
    return x_bar, V_bar, U_bar, back


def rectified(x, W):
    return (np.maximum(x @ W, 0) ** 2 * VALUES[0]).sum() + 0.3 * (W * W).sum()


def rectified_backward(x, W, g, mask=lambda d, z: z > 0, decay=lambda W: W):
    z = x @ W
    d = 2 * np.maximum(z, 0) * VALUES[0]
    d = d * mask(d, z)
    return g * d @ W.T, g * (x.T @ d + 0.6 * decay(W))


def soft_value(z, q):
    return (softmax(z) * (0.4 * np.log(softmax(z)) - q)).sum()


def soft_value_backward(z, q, g, score=lambda logp, q: 0.4 * logp - q):
    p = softmax(z)
    return g * softmax_back(p, score(np.log(p), q)), -g * p


def joined(x, y, W):
    return np.tanh(np.concatenate([np.tanh(x), y], axis=1) @ W)


def joined_backward(x, y, W, g, order=lambda a, b: (a, b)):
    both = np.concatenate([np.tanh(x), y], axis=1)
    d = g * (1 - np.tanh(both @ W) ** 2)
    h_bar, y_bar = order((d @ W.T)[:, :4], (d @ W.T)[:, 4:])
    return h_bar * (1 - np.tanh(x) ** 2), y_bar, both.T @ d


def projected(x, W):
    return np.tanh(x @ W) @ W


def projected_backward(x, W, g, through=lambda d, W: d @ W.T):
    h = np.tanh(x @ W)
    d = (g @ W.T) * (1 - h * h)
    return through(d, W), x.T @ d + h.T @ g


SQUARE, TALL = RNG.normal(size=(4, 4)) / 2, RNG.normal(size=(8, 3)) / 2
FORWARDS = {
    label_loss: (label_loss_backward, X, LABELS, OTHERS),
    plain_loss: (plain_loss_backward, X, LABELS, OTHERS),
    of_probabilities: (of_probabilities_backward, X, LABELS),
    episode: (episode_backward, X, LABELS, RETURNS),
    softmax: (lambda z, g, rule=softmax_back: rule(softmax(z), g), X),
    looped: (looped_backward, HEADS[:, :2], W),
    recurrent: (recurrent_backward, RNG.normal(size=(4, 6)), V, U, RNG.normal(size=3)),
    rectified: (rectified_backward, X, SQUARE),
    soft_value: (soft_value_backward, X, VALUES),
    joined: (joined_backward, X, VALUES, TALL),
    projected: (projected_backward, X, SQUARE),
}


def whole(p, g):
    return p * (g - (p * g).sum())


def all_rows(z, labels, others):
    t = np.zeros_like(z)
    t[:, labels] = 1
    return t


NAMED = {
    "the label's own slope": (
        label_loss, {"second": lambda p, own, t: t * p * (1 - p)}, "diagonal-only", "cross"),
    "the diagonal for a row": (
        label_loss, {"second": lambda p, own, t: p * (1 - p)}, "diagonal-only", "its row"),
    "every entry's own p": (
        label_loss, {"second": lambda p, own, t: p * (t - p)}, "wrong-variable", "own p"),
    "the diagonal over p": (
        episode, {"row": lambda p, own: p * (1 - p) / own}, "diagonal-only", "its row"),
    "other labels": (
        plain_loss, {"t": lambda z, labels, others: hot(others, z)}, "wrong-variable",
        "stands for the labels"),
    "the labels of all rows": (plain_loss, {"t": all_rows}, "subset", "all rows"),
    "two classes": (
        of_probabilities, {"loss": lambda p, t: (p - t) / (p * (1 - p))}, "wrong-variable",
        "binary"),
    "returns in reverse": (
        episode, {"weights": lambda r: r[::-1]}, "wrong-variable", "other numbers"),
    "squares twice": (
        softmax, {"rule": lambda p, g: softmax_back(p, g) - p * p * g}, "projection-term",
        "twice"),
    "g and s exchanged": (
        softmax, {"rule": lambda p, g: g * (p - (p * p).sum(-1, keepdims=True))},
        "projection-term", "exchanged"),
    "diagonal in a loop": (looped, {"rule": lambda p, g: p * (1 - p) * g}, "diagonal-only", ""),
    "whole sum in a loop": (looped, {"rule": whole}, "axis", "all axes"),
    "not carried": (recurrent, {"carried": 0.0}, "chain-term", "next turn"),
    "slope at the state before": (
        recurrent, {"slope": lambda h, before: 1 - before**2}, "wrong-variable", "state before"),
    "mask by the gradient": (
        rectified, {"mask": lambda d, z: d > 0}, "wrong-variable", "what comes in"),
    "decay of the sum": (rectified, {"decay": np.sum}, "wrong-variable", "sum over all"),
    "no entropy": (
        soft_value, {"score": lambda logp, q: -q}, "chain-term", "without the term"),
    "values added": (
        soft_value, {"score": lambda logp, q: 0.4 * logp + q}, "sign", "other sign"),
    "halves exchanged": (joined, {"order": lambda a, b: (b, a)}, "axis", "exchanged"),
    "past the projection": (projected, {"through": lambda d, W: d}, "chain-term", "goes on"),
}  # fmt: skip

NEAR_MISSES = {
    "a power of every entry's own p": (
        label_loss, {"second": lambda p, own, t: p**0.7 * (t - p)}),
    "half of other labels": (
        plain_loss, {"t": lambda z, labels, others: 0.4 * hot(labels, z) + 0.6 * hot(others, z)}),
    "half of two classes": (
        of_probabilities, {"loss": lambda p, t: -t / p + 0.4 * (1 - t) / (1 - p)}),
    "another power of s": (
        softmax, {"rule": lambda p, g: g * (p - (p**1.5).sum(-1, keepdims=True))}),
    "part of the slope before": (
        recurrent, {"slope": lambda h, before: 1 - 0.3 * h * h - 0.7 * before**2}),
    "part of the decay of the sum": (rectified, {"decay": lambda W: W + 0.3 * W.sum()}),
    "part of the values added": (soft_value, {"score": lambda logp, q: 0.4 * logp + 0.3 * q}),
    "part of the halves": (joined, {"order": lambda a, b: (0.4 * a + 0.6 * b, b)}),
    "part of the projection": (projected, {"through": lambda d, W: d @ W.T * 0.4 + 0.6 * d}),
}  # fmt: skip


test_the_right_backward_passes, test_the_mistake_is_named, test_a_near_miss_has_no_name = (
    of_mistakes(FORWARDS, NAMED, NEAR_MISSES)
)


def test_a_small_factor_is_not_zero():
    def backward(z, g):
        return softmax_back(softmax(z), g) / len(z) ** 5

    found = sg.check(softmax, backward, X)
    assert found.diagnosis.code == "scale"


def test_p_for_p_less_t_in_a_loop_of_words():
    words = (2, 0, 3)

    def forward(W):
        return -sum(np.log(softmax(W @ X[t])[word]) for t, word in enumerate(words))

    def backward(W, g):
        return g * sum(np.outer(softmax(W @ X[t]), X[t]) for t in range(len(words)))

    W = np.random.default_rng(1).normal(size=(4, 4))
    assert_named(sg.check(forward, backward, W), "subset", "1 is not subtracted at the label")
