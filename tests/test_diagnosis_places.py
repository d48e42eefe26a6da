"""Mistakes in calls, in turns of a loop, in what is picked, in constants that differ by rows."""

from functools import partial

import numpy as np

import softgrad as sg
from reports import assert_named, of_mistakes

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(4, 6)), np.array([0, 2, 1, 2])
W = RNG.normal(size=(6, 6)) / 2
Z = RNG.normal(size=(4, 3, 4))
HEAT = np.array([1, 2, 3, 4])
KEPT = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_back(p, g):
    return p * (g - (p * g).sum(axis=-1, keepdims=True))


def by_class(z, labels):
    p, loss = softmax(z), 0.0
    for k in range(z.shape[1]):  # of some classes there is no label
        loss = loss - np.log(p[labels == k, k]).sum() + 0.2 * (z[:, k] ** 2).sum()
    return loss


def by_class_backward(z, labels, g, decay=0.4):
    return g * (softmax(z) - (labels[:, None] == np.arange(z.shape[1])) + decay * z)


def heated(z, heat):
    return softmax(z / (0.5 + 0.5 * heat[:, None]))


def heated_backward(z, heat, g, back=lambda d, t: d / t):
    return back(softmax_back(heated(z, heat), g), 0.5 + 0.5 * heat[:, None])


def squashed(x, axis=-1):
    n = np.sqrt((x * x).sum(axis=axis, keepdims=True) + 1e-3)
    return x * n / (1 + n * n)


def squashed_back(x, d):
    n = np.sqrt((x * x).sum(axis=-1, keepdims=True) + 1e-3)
    slope = (1 - n * n) / (1 + n * n) ** 2
    return d * n / (1 + n * n) + x * slope / n * (x * d).sum(axis=-1, keepdims=True)


def routed(u):
    v = squashed(u.mean(axis=1))
    c = softmax((u * v[:, None]).sum(axis=-1))
    return squashed((c[..., None] * u).sum(axis=1))


def routed_backward(u, g, back=squashed_back, first=lambda d: d):
    mean = u.mean(axis=1)
    v = squashed(mean)
    c = softmax((u * v[:, None]).sum(axis=-1))
    s_bar = back((c[..., None] * u).sum(axis=1), g)
    b_bar = softmax_back(c, (u * s_bar[:, None]).sum(axis=-1))
    by_first = first(back(mean, (b_bar[..., None] * u).sum(axis=1))) / u.shape[1]
    return c[..., None] * s_bar[:, None] + b_bar[..., None] * v[:, None] + by_first[:, None]


def two_axes(z):
    top = z.max(axis=(1, 2), keepdims=True)
    return np.log(np.exp(z - top).sum(axis=(1, 2))) + top[:, 0, 0]


def two_axes_backward(z, g, weights=lambda z: softmax(z.reshape(len(z), -1)).reshape(z.shape)):
    return g[:, None, None] * weights(z)


def with_maximum(z):
    return softmax(z.reshape(len(z), -1)).reshape(z.shape) + (z == z.max((1, 2), keepdims=True))


def gated(x, U):
    states, h = [], np.zeros(2)
    for row in x:
        a = row @ U[:4] + h @ U[4:]
        i, f, o = (1 / (1 + np.exp(-a[k : k + 2])) for k in (0, 2, 4))
        h = np.tanh(i * row[:2] + f * h) * o
        states.append(h)
    return np.stack(states)


def gated_backward(x, U, g, laid=lambda i, f, o: (i, f, o), state=lambda h, after: h):
    kept, h = [], np.zeros(2)
    for row in x:
        a = row @ U[:4] + h @ U[4:]
        i, f, o = (1 / (1 + np.exp(-a[k : k + 2])) for k in (0, 2, 4))
        c = np.tanh(i * row[:2] + f * h)
        kept.append((row, h, i, f, o, c))
        h = c * o
    x_bar, U_bar, h_bar = np.zeros_like(x), np.zeros_like(U), np.zeros(2)
    for n in reversed(range(len(x))):
        row, h, i, f, o, c = kept[n]
        d = g[n] + h_bar
        s = d * o * (1 - c * c)
        gates = s * row[:2] * i * (1 - i), s * h * f * (1 - f), d * c * o * (1 - o)
        a_bar = np.concatenate(laid(*gates))
        U_bar += np.outer(np.concatenate([row, state(h, c * o)]), a_bar)
        x_bar[n] = U[:4] @ a_bar
        x_bar[n, :2] += s * i
        h_bar = U[4:] @ a_bar + s * f
    return x_bar, U_bar


def by_steps(z, kept):
    loss = 0.0
    for step in range(z.shape[1]):
        loss = loss + (np.tanh(z[:, step]).sum(axis=-1) * kept[:, step]).sum()
    return loss


def by_steps_backward(z, kept, g, mask=lambda kept: kept):
    return g * (1 - np.tanh(z) ** 2) * mask(kept)[..., None]


def gained(x, gain):
    cache = {"x": x}  # braces in the user's own line
    y = cache["x"] / np.sqrt((cache["x"] ** 2).mean(axis=-1, keepdims=True) + 1e-5)
    return np.tanh(gain * y)


def gained_backward(x, gain, g, overwritten=False, slope=lambda t: 1 - t * t):
    size = np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5)
    y = x / size
    d = g * slope(np.tanh(gain * y))
    y_bar = d * gain
    x_bar = (y_bar - y * (y_bar * y).mean(axis=-1, keepdims=True)) / size
    return x_bar, ((x_bar if overwritten else d) * y).sum(axis=0)


def sunk(x, W, v):
    return softmax(x @ W)[:, :-1] @ v


def sunk_backward(x, W, v, g, rule=softmax_back):
    p = softmax(x @ W)
    z_bar = rule(p, np.concatenate([g @ v.T, np.zeros((len(x), 1))], axis=1))
    return z_bar @ W.T, x.T @ z_bar, p[:, :-1].T @ g


def among_the_used(p, d):
    q = p.copy()
    q[:, -1] = 0
    return softmax_back(q / q.sum(axis=-1, keepdims=True), d)


def unfelt(p, d):
    z_bar = softmax_back(p, d)
    z_bar[:, -1] = 0
    return z_bar


def corrected(z, W, counts):
    return softmax(z @ W - np.log(counts)) ** 2


def corrected_backward(z, W, counts, g, sign=-1):
    p = softmax(z @ W + sign * np.log(counts))
    d = softmax_back(p, 2 * g * p)
    return d @ W.T, z.T @ d


def spelt(logs, path):
    """The log-likelihood of a path that may take either of two symbols at every step."""
    return -np.logaddexp(logs[:, path[0]], logs[:, path[1]]).sum()


def spelt_backward(logs, path, g, as_=lambda share, logs: -share):
    share = np.zeros_like(logs)
    share[:, path] = softmax(logs[:, path])
    return g * as_(share, logs)


COUNTS = np.array([1, 2, 3, 4, 5, 6])
PATH = np.array([1, 3])
U, VALUES = RNG.normal(size=(6, 6)), RNG.normal(size=(5, 3))
ROWS = RNG.normal(size=(5, 4))
GAIN = RNG.uniform(0.5, 2, 6)

FORWARDS = {
    by_class: (by_class_backward, X, LABELS),
    heated: (heated_backward, X, HEAT),
    routed: (routed_backward, Z),
    two_axes: (two_axes_backward, Z),
    gated: (gated_backward, ROWS, U),
    by_steps: (by_steps_backward, Z, KEPT),
    gained: (gained_backward, X, GAIN),
    sunk: (sunk_backward, X, W, VALUES),
    corrected: (corrected_backward, X, W, COUNTS),
    spelt: (spelt_backward, X, PATH),
}

NAMED = {
    "decay without its half": (by_class, {"decay": 0.8}, "chain-term", "twice"),
    "multiplied, not divided": (
        heated, {"back": lambda d, t: d * t}, "scale", "multiplies where it must divide"),
    "the first row's heat": (
        heated, {"back": lambda d, t: d / t[:1] * 1.5}, "scale", "not the same"),
    "first round constant": (
        routed, {"first": lambda d: 0 * d}, "chain-term", "is missing"),
    "function passed over": (
        routed, {"back": lambda x, d: d}, "chain-term", "passed on as it is"),
    "along the last axis": (two_axes, {"weights": softmax}, "axis", "and not"),
    "the maximum too": (two_axes, {"weights": with_maximum}, "chain-term", "cancels"),
    "gates swapped": (gated, {"laid": lambda i, f, o: (f, i, o)}, "axis", "swapped"),
    "mask of the first step": (
        by_steps, {"mask": lambda kept: kept[:, :1]}, "subset", "the first turn"),
    "overwritten": (gained, {"overwritten": True}, "wrong-variable", "what comes back to"),
    "taken without tanh": (gained, {"slope": lambda t: 1}, "chain-term", "not applied"),
    "softmax among the used": (
        sunk, {"rule": among_the_used}, "wrong-variable", "by themselves"),
    "the rest not felt": (sunk, {"rule": unfelt}, "subset", "not given to their logits"),
    "correction added": (corrected, {"sign": 1}, "wrong-variable", "the other sign"),
    "at the logits": (
        spelt, {"as_": lambda share, logs: np.exp(logs) - share}, "wrong-variable", "the logits"),
    "at the probabilities": (
        spelt, {"as_": lambda share, logs: -share / np.exp(logs)}, "wrong-variable",
        "the probabilities"),
}  # fmt: skip

NEAR_MISSES = {
    "a power of the heat": (heated, {"back": lambda d, t: d * t**0.3}),
    "a number for every second row": (
        heated, {"back": lambda d, t: d / np.where(np.arange(len(t))[:, None] % 2, t, 3.3)}),
    "half of the function passed over": (
        routed, {"back": lambda x, d: (d + squashed_back(x, d)) / 2}),
    "a third of the maximum, and its place": (
        two_axes, {"weights": lambda z: with_maximum(z) ** 1.3}),
    "half of the gates swapped": (
        gated, {"laid": lambda i, f, o: (0.5 * i + 0.5 * f, f, o)}),
    "half of the rest": (
        sunk, {"rule": lambda p, d: (among_the_used(p, d) + 2 * unfelt(p, d)) / 3}),
    "part of the correction": (corrected, {"sign": -0.4}),
    "half at the logits": (spelt, {"as_": lambda share, logs: np.exp(logs / 2) - share}),
}  # fmt: skip


test_the_right_backward_passes, test_the_mistake_is_named, test_a_near_miss_has_no_name = (
    of_mistakes(FORWARDS, NAMED, NEAR_MISSES)
)


def test_a_number_for_an_outer_product_is_named():
    def one_row_at_a_time(z, g):
        return np.stack([d @ (np.diag(s) - s @ s.T) for s, d in zip(softmax(z), g, strict=True)])

    found = sg.check(softmax, one_row_at_a_time, X)
    assert found.diagnosis.code == "projection-term"
    assert "s @ s.T" in found.diagnosis.formula.returned


def test_a_gradient_along_another_axis_is_named():
    def backward(z, g):
        return g * two_axes_backward(z, np.ones(len(z)))  # [A] beside [A, B, A]: equal lengths

    assert sg.check(two_axes, backward, Z).diagnosis.code == "axis"


def test_lengths_of_padded_rows_are_lengths_on_a_twin_as_well():
    def weights(x, lengths):
        kept = np.arange(x.shape[1]) < lengths[:, None]
        return kept[:, None], softmax(np.where(kept[:, None], x @ x.swapaxes(1, 2), -1e4))

    def forward(x, lengths):
        return weights(x, lengths)[1] @ x

    def backward(x, lengths, g, rule=softmax_back):
        _, p = weights(x, lengths)
        d = rule(p, g @ x.swapaxes(1, 2))
        return p.swapaxes(1, 2) @ g + d @ x + d.swapaxes(1, 2) @ x

    x, lengths = np.random.default_rng(0).normal(size=(4, 10, 12)) / 3, np.array([10, 9, 10, 9])
    assert sg.check(forward, backward, x, lengths).verdict == "pass"
    wrong = partial(backward, rule=lambda p, d: p * (1 - p) * d)
    assert_named(sg.check(forward, wrong, x, lengths), "diagonal-only")
