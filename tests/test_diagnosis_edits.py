"""Mistakes in one step of a forward that no hypothesis knows: they are named by following it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import softgrad as sg
from softgrad.checker.diagnosis import twins
from softgrad.checker.diagnosis.edits import softmaxes

RNG = np.random.default_rng(0)
X, H = RNG.normal(size=(2, 4, 6))
W, U = RNG.normal(size=(2, 6, 6)) / 3
GAIN = RNG.uniform(0.5, 2, 6)
TOKENS = [[0, 2, 1], [2, 2, 3], [1, 0, 2]]


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gate(x, h, W, U):
    z = sigmoid(x @ W)
    candidate = np.tanh(h @ U)
    return z * candidate + (1 - z) * h


def gate_backward(
    x, h, W, U, g, slope=lambda n: 1 - n * n, through=lambda g, z: g * z,
    update=lambda g, n, h: g * (n - h), kept=lambda g, z: g * (1 - z), turned=lambda d, U: d @ U.T,
):  # fmt: skip
    z, n = sigmoid(x @ W), np.tanh(h @ U)
    n_bar = through(g, z) * slope(n)
    z_bar = update(g, n, h) * z * (1 - z)
    return z_bar @ W.T, kept(g, z) + turned(n_bar, U), x.T @ z_bar, h.T @ n_bar


def attend(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[-1])
    return softmax(scores) @ v


def attend_backward(
    q, k, v, g, rule=lambda p, p_bar: p * (p_bar - (p_bar * p).sum(axis=-1, keepdims=True)),
    keys=lambda s_bar, q: s_bar.T @ q, weights=softmax,
):  # fmt: skip
    root = np.sqrt(q.shape[-1])
    p = weights(q @ k.T / root)
    s_bar = rule(p, g @ v.T) / root
    return s_bar @ k, keys(s_bar, q), p.T @ g


def grouped_norm(x, gain):
    groups = x.reshape(len(x), 2, -1)
    centred = groups - groups.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return (centred / deviation).reshape(x.shape) * gain


def grouped_norm_backward(x, gain, g, mean=1.0, variance=1.0, slope=1.0):
    groups = x.reshape(len(x), 2, -1)
    centred = groups - groups.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    hat = centred / deviation
    hat_bar = (g * gain).reshape(groups.shape) * slope
    x_bar = hat_bar - mean * hat_bar.mean(axis=-1, keepdims=True)
    x_bar = x_bar - variance * hat * (hat_bar * hat).mean(axis=-1, keepdims=True)
    return (x_bar / deviation).reshape(x.shape), (g * hat.reshape(x.shape)).sum(axis=0)


def unrolled(x, U):
    state, found = np.zeros(x.shape[1]), np.zeros_like(x)
    for t in range(len(x)):
        state = np.tanh(x[t] + state @ U)
        found[t] = state
    return found


def unrolled_backward(x, U, g, carried=lambda d, U: U @ d, add=lambda total, part: total + part):
    h = unrolled(x, U)
    x_bar, U_bar, later = np.zeros_like(x), np.zeros_like(U), np.zeros(x.shape[1])
    for t in reversed(range(len(x))):
        x_bar[t] = (g[t] + later) * (1 - h[t] ** 2)
        if t:
            U_bar = add(U_bar, np.outer(h[t - 1], x_bar[t]))
        later = carried(x_bar[t], U)
    return x_bar, U_bar


def regression(x, W, targets):
    z = x @ W
    logs = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -np.mean(logs[np.arange(len(x)), targets]) + 0.1 * (W**2).sum()


def regression_backward(x, W, targets, g, decay=0.2, minus=1.0, p=softmax):
    d = p(x @ W)
    d[np.arange(len(x)), targets] -= minus
    d /= len(x)
    return g * d @ W.T, g * (x.T @ d + decay * W)


def loss(x, target):
    r = x - target
    return np.where(np.abs(r) < 0.7, r**2 / 2, 0.7 * (np.abs(r) - 0.35)).sum()


def loss_backward(x, target, g, near=lambda r: r, far=lambda r: 0.7 * np.sign(r)):
    r = x - target
    x_bar = g * np.where(np.abs(r) < 0.7, near(r), far(r))
    return x_bar, -x_bar


def masked(x, W):
    scores = x @ W + np.where(np.arange(6) < 4, 0.0, -1e9)
    return softmax(scores)


def masked_backward(x, W, g, rule=lambda p, g: p * (g - (g * p).sum(axis=-1, keepdims=True))):
    z_bar = rule(masked(x, W), g)
    return z_bar @ W.T, x.T @ z_bar


def joined(x, U):
    return np.concatenate([np.sin(x @ U), x[:, :2] ** 2], axis=1)


def joined_backward(x, U, g, second=lambda x, g: 2 * x * g):
    d = g[:, :-2] * np.cos(x @ U)
    x_bar = d @ U.T
    x_bar[:, :2] += second(x[:, :2], g[:, -2:])
    return x_bar, x.T @ d


def directed(x, U):
    length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return np.tanh(x / length @ U)


def directed_backward(x, U, g, over=lambda d, length: d / length, inner=1.0):
    length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    unit = x / length
    z_bar = g * (1 - np.tanh(unit @ U) ** 2)
    d = z_bar @ U.T
    return over(d - inner * unit * (d * unit).sum(axis=-1, keepdims=True), length), unit.T @ z_bar


def embedded(E, W):
    sums = np.zeros((len(TOKENS), E.shape[1]))
    for n, tokens in enumerate(TOKENS):
        for token in tokens:
            sums[n] += E[token]
    return np.tanh(sums @ W)


def embedded_backward(E, W, g, into=lambda total, part: total + part):
    sums = np.array([sum(E[token] for token in tokens) for tokens in TOKENS])
    z_bar = g * (1 - np.tanh(sums @ W) ** 2)
    sums_bar, E_bar = z_bar @ W.T, np.zeros_like(E)
    for n, tokens in enumerate(TOKENS):
        for token in tokens:
            E_bar[token] = into(E_bar[token], sums_bar[n])
    return E_bar, sums.T @ z_bar


def scored(x, W, v):
    return (np.tanh(x @ W) @ v).sum(axis=0)


def scored_backward(x, W, v, g, total=lambda parts: parts.sum(axis=0)):
    h = np.tanh(x @ W)
    z_bar = g[:, None] * v * (1 - h * h)
    v_bar = (g[:, None] * h).sum(axis=(0, 1))
    return z_bar @ W.T, total(np.swapaxes(x, 1, 2) @ z_bar), v_bar


@dataclass(frozen=True)
class Mistake:
    """A wrong backward, the name that it must get, and words that its sentence must hold."""

    forward: object
    backward: object
    inputs: tuple
    code: str
    words: tuple


def wrong(forward, backward, inputs, code, *words, **parts):
    return Mistake(forward, partial(backward, **parts), inputs, code, words)


GATE, ATTEND, NORM = (X, H, W, U), (X, H, RNG.normal(size=(4, 6))), (X, GAIN)
UNROLLED, ROWS = (X, U), (X, RNG.normal(size=(6, 5)), np.array([0, 4, 2, 2]))
SEQUENCES = (RNG.normal(size=(3, 4, 6)), W, RNG.normal(size=6))
gated, attended = partial(wrong, gate, gate_backward, GATE), partial(wrong, attend, attend_backward)
normed = partial(wrong, grouped_norm, grouped_norm_backward, NORM)
looped = partial(wrong, unrolled, unrolled_backward, UNROLLED)
regressed = partial(wrong, regression, regression_backward, ROWS)
clipped = partial(wrong, loss, loss_backward, (X, H))

MISTAKES = {
    "tanh' forgotten": gated("chain-term", "`np.tanh(h @ U)`", "not applied", slope=lambda n: 1),
    "gate forgotten": gated("chain-term", "factor `z` is missing", through=lambda g, z: g),
    "direct path dropped": gated(
        "chain-term", "`(1 - z) * h` with respect to `h` is missing", kept=lambda g, z: 0 * g
    ),
    "half of the update": gated(
        "chain-term", "`1 - z` with respect to `z` is missing", update=lambda g, n, h: g * n
    ),
    "weight not transposed": gated("axis", "`U` is transposed wrongly", turned=lambda d, U: d @ U),
    "diagonal within attention": attended(
        ATTEND, "diagonal-only", "softmax", rule=lambda p, d: p * (1 - p) * d
    ),
    "no inner product within attention": attended(
        ATTEND, "projection-term", "is missing", rule=lambda p, d: p * d
    ),
    "softmax passed over within attention": attended(
        ATTEND, "identity", "softmax", rule=lambda p, d: d
    ),
    "keys not transposed": attended(
        (X, H, RNG.normal(size=(4, 6))), "axis", "transposed", keys=lambda s, q: s @ q
    ),
    "mean of groups dropped": normed("chain-term", "`groups.mean(axis=-1, keepdims=True)`", mean=0),
    "variance of groups dropped": normed("chain-term", "is missing", variance=0),
    "variance of groups halved": normed("chain-term", "is halved", variance=0.5),
    "statistics of groups taken for constants": normed(
        "chain-term", "groups.mean", "is missing", mean=0, variance=0
    ),
    "nothing through time": looped("chain-term", "`state @ U`", "missing", carried=lambda d, U: 0),
    "not transposed through time": looped("axis", "`U`", carried=lambda d, U: U.T @ d),
    "assigned and not added": looped(
        "unreduced-broadcast", "one alone is counted", add=lambda total, part: part
    ),
    "decay forgotten": regressed("chain-term", "W", "is missing", decay=0.0),
    "decay not doubled": regressed("chain-term", "halved", decay=0.1),
    "label not subtracted": regressed("subset", "not subtracted", minus=0.0),
    "softmax over the rows in place of the classes": regressed(
        "axis", "stands the softmax", "along axis 0", p=partial(softmax, axis=0)
    ),
    "the exponentials in place of softmax": attended(
        ATTEND,
        "wrong-variable",
        "np.exp",
        weights=lambda z: np.exp(z - z.max(axis=-1, keepdims=True)),
    ),
    "delta forgotten": clipped("subset", "np.abs(r)", far=np.sign),
    "tanh' of the input": gated(
        "wrong-variable", "np.tanh(h @ U)", slope=lambda n: 1 - np.arctanh(n) ** 2
    ),
    "sigmoid' for tanh'": gated(
        "wrong-variable", "stands v·(1 − v), v being the output", slope=lambda n: n * (1 - n)
    ),
    "one branch for both": clipped("subset", "everywhere", far=lambda r: r),
    "no inner product behind a mask": wrong(
        masked, masked_backward, (X, W), "projection-term", "is missing", rule=lambda p, g: p * g
    ),
    "a part of the output": wrong(
        joined, joined_backward, (X, W), "cotangent", "not used", second=lambda x, g: 0 * x
    ),
    "length not divided by": wrong(
        directed, directed_backward, (X, U), "chain-term", "1/`length`", over=lambda d, length: d
    ),
    "unit length passed over": wrong(
        directed,
        directed_backward,
        (X, U),
        "chain-term",
        "x / length",
        "is not applied",
        over=lambda d, length: d,
        inner=0.0,
    ),
    "embeddings assigned": wrong(
        embedded,
        embedded_backward,
        (X, W),
        "unreduced-broadcast",
        "the last one's alone",
        into=lambda total, part: part,
    ),
    "weights of the last sequence": wrong(
        scored,
        scored_backward,
        SEQUENCES,
        "unreduced-broadcast",
        "the last slice alone",
        total=lambda parts: parts[-1],
    ),
    "far branch dropped": clipped("subset", "is missing", far=lambda r: 0 * r),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_step_is_named(name):
    mistake = MISTAKES[name]
    report = sg.check(mistake.forward, mistake.backward, *mistake.inputs)
    assert report.verdict == "fail"
    assert report.diagnosis.code == mistake.code, str(report)
    for word in mistake.words:
        assert word in report.diagnosis.message, report.diagnosis.message
    assert report.cost.diagnosis_forward <= 150


@pytest.mark.parametrize(
    ("forward", "backward", "inputs"),
    [
        (gate, gate_backward, GATE),
        (attend, attend_backward, ATTEND),
        (grouped_norm, grouped_norm_backward, NORM),
        (unrolled, unrolled_backward, UNROLLED),
        (regression, regression_backward, ROWS),
        (loss, loss_backward, (X, H)),
        (masked, masked_backward, (X, W)),
        (joined, joined_backward, (X, W)),
        (directed, directed_backward, (X, U)),
        (embedded, embedded_backward, (X, W)),
        (scored, scored_backward, SEQUENCES),
    ],
)
def test_without_a_mistake_they_pass(forward, backward, inputs):
    assert sg.check(forward, backward, *inputs).passed


def test_two_mistakes_at_once_are_not_one():
    backward = partial(gate_backward, turned=lambda d, U: d @ U, kept=lambda g, z: 0.3 * g)
    assert sg.check(gate, backward, *GATE).diagnosis.code == "unnamed"


def test_a_step_must_explain_both_points():
    # At any one point this is some multiple of the term.
    def backward(x, W, targets, g):
        return regression_backward(x, W, targets, g, decay=0.2 + 0.1 * np.tanh(W).sum())

    assert sg.check(regression, backward, *ROWS).diagnosis.code == "unnamed"


def test_a_few_numbers_of_one_input_are_no_proof_where_others_show_more(monkeypatch):
    # Softmax over the rows: the bias alone looks as if the inner product had other terms.
    monkeypatch.setattr(softmaxes, "_other_values", lambda *_: ())

    def forward(x, W, b, targets):
        return -np.log(softmax(x @ W + b)[np.arange(len(x)), targets]).sum() / len(x)

    def backward(x, W, b, targets, g):
        d = softmax(x @ W + b, axis=0)
        d[np.arange(len(x)), targets] -= 1
        d *= g / len(x)
        return d @ W.T, x.T @ d, d.sum(axis=0)

    targets = np.array([1, 2, 3])
    inputs = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 4)), RNG.normal(size=4), targets
    assert sg.check(forward, backward, *inputs).diagnosis.code == "unnamed"


def test_what_cannot_be_followed_is_named_as_before():
    def forward(z):
        return np.array(softmax(np.asarray(memoryview(z))))

    report = sg.check(forward, lambda z, g: g * forward(z) * (1 - forward(z)), X)
    assert report.diagnosis.code == "diagonal-only"


def test_what_goes_wrong_in_the_steps_costs_no_name(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(twins, "by_steps", broken)
    right = attend_backward
    both = (X, H, RNG.normal(size=(4, 6)))
    assert sg.check(attend, right, *both).passed
    wrong_one = partial(right, rule=lambda p, d: p * (1 - p) * d)
    monkeypatch.setattr(twins, "PASSED_OVER", (Exception,))
    assert sg.check(attend, wrong_one, *both).diagnosis.code == "diagonal-only"
    backward = partial(gate_backward, turned=lambda d, U: d @ U)
    assert sg.check(gate, backward, *GATE).diagnosis.code == "unnamed"


def over_kept_rows(x, W, mask):
    total = 0.0
    for i in np.flatnonzero(mask):  # as many turns as the mask has ones
        total = total + np.tanh(x[i] @ W).sum()
    return total


def test_a_loop_over_a_mask_is_the_same_at_both_points():
    def backward(x, W, mask, g):
        d = g * mask[:, None] * np.ones((len(x), W.shape[1]))  # tanh' is forgotten
        return d @ W.T, x.T @ d

    x = RNG.normal(size=(9, 6))
    mask = np.array([0, 1, 1, 0, 1, 0, 1, 1, 0])
    for seed in range(3):
        report = sg.check(over_kept_rows, backward, x, W, mask, seed=seed)
        assert report.diagnosis.code == "chain-term", str(report)
        assert "np.tanh(x[i] @ W)" in report.diagnosis.message
