"""Names for mistakes that a Jacobian of unit vectors, or a small twin alone, would not show."""

import numpy as np
import pytest

import softgrad as sg


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def right(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


def both(z):
    return softmax(z), np.log(np.exp(z).sum(axis=-1))


def gated(x):
    return x * softmax(x)


def unit(x):
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True))


def unit_backward(x, g):
    r = np.sqrt((x**2).sum(axis=-1, keepdims=True))
    y = x / r
    return (g - y * (g * y).sum(axis=-1, keepdims=True)) / r


def without_block(z, g):
    z_bar = right(z, g)
    z_bar[..., z.shape[-1] // 16 * 16 :] = 0
    return z_bar


def clipped(z, g):
    z_bar = right(z, g)
    limit = np.median(np.abs(z_bar))
    return np.clip(z_bar, -limit, limit)


def gated_halves(x):
    k = x.shape[1] // 2
    return x[:, :k] * np.tanh(x[:, k : 2 * k])


def interleaved(x, g):
    k = x.shape[1] // 2
    gate = np.tanh(x[:, k : 2 * k])
    x_bar = np.zeros_like(x)
    x_bar[:, : 2 * k] = np.stack([g * gate, g * x[:, :k] * (1 - gate**2)], -1).reshape(-1, 2 * k)
    return x_bar


CASES = {
    "at −x": (softmax, lambda z, g: right(-z, g), "wrong-variable", "at −x"),
    "at 2·x": (softmax, lambda z, g: right(2 * z, g), "wrong-variable", "at 2·x"),
    "plus g": (softmax, lambda z, g: right(z, g) + g, "chain-term", "around the map"),
    "a mean taken off": (
        unit,
        lambda x, g: unit_backward(x, g - g.mean(axis=-1, keepdims=True)),
        "projection-term",
        "mean along axis 1 is taken off",
    ),
    "a row for all": (
        softmax,
        lambda z, g: right(z, g)[:1] + 0 * z,
        "subset",
        "its first slice along axis 0 is returned for all",
    ),
    "a mean for all": (
        softmax,
        lambda z, g: right(z, g).mean(axis=0, keepdims=True) + 0 * z,
        "axis",
        "mean along axis 0",
    ),
    "output as a factor": (
        softmax,
        lambda z, g: right(z, g * softmax(z)),
        "chain-term",
        "output as a factor is doubled",
    ),
    "inner product of a part": (
        gated,
        lambda x, g: g * softmax(x) + softmax(x) * g * x,
        "projection-term",
        "inner product",
    ),
    "product rule's sign": (
        gated,
        lambda x, g: g * softmax(x) - right(x, g * x),
        "chain-term",
        "subtracted",
    ),
    "clipped": (softmax, clipped, "cotangent", "sum of incoming gradients"),
    "rounded": (
        softmax,
        lambda z, g: right(z, g).astype(np.float32).astype(float),
        "arithmetic",
        "float32",
    ),
    "tail block": (softmax, without_block, "subset", "indices 32 to 36"),
    "summed away": (softmax, lambda z, g: right(z, g).sum(axis=0), "axis", "summed over axis 0"),
    "not broadcast": (
        lambda x: x.mean(axis=-1),
        lambda x, g: (g / x.shape[-1])[..., None],
        "unreduced-broadcast",
        "not broadcast",
    ),
    "halves interleaved": (gated_halves, interleaved, "axis", "stand in other places"),
    "used in another order": (
        lambda x: np.repeat(np.sin(x), 2, axis=1),
        lambda x, g: np.cos(x) * (g[:, : x.shape[1]] + g[:, x.shape[1] :]),
        "axis",
        "taken to be a period apart, and are neighbours",
    ),
    "one output of two": (
        both,
        lambda z, g: right(z, g[0]) - softmax(z) * g[1][..., None],
        "sign",
        "has the wrong sign",
    ),
    "one not finite": (
        softmax,
        lambda z, g: np.where(np.arange(z.shape[-1]) == 3, np.nan, right(z, g)),
        "subset",
        "index 3 along axis 1",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_mistakes_are_named(name):
    forward, backward, code, words = CASES[name]
    z = np.random.default_rng(0).normal(size=(4, 37))
    diagnosis = sg.check(forward, backward, z).diagnosis
    assert diagnosis is not None
    assert diagnosis.code == code, str(diagnosis)
    assert words in diagnosis.message


def test_what_is_wrong_at_some_sizes_alone_is_named():
    z = np.random.default_rng(0).normal(size=(8, 37))
    backward = lambda z, g: (2 if z.size > 250 else 1) * right(z, g)  # noqa: E731
    diagnosis = sg.check(softmax, backward, z).diagnosis
    assert diagnosis is not None
    assert (diagnosis.code, "At these sizes" in diagnosis.message) == ("scale", True)


@pytest.mark.parametrize(
    "rounded", [lambda g: np.round(g, 1), lambda g: np.asarray(g).astype(np.float16).astype(float)]
)
def test_a_rounded_number_is_seen_in_a_scalar_cotangent(rounded):
    x = np.random.default_rng(1).normal(size=5)
    report = sg.check(lambda x: x.sum(), lambda x, g: rounded(g) * np.ones_like(x), x)
    assert report.verdict == "fail"


def test_saturated_rows_are_linear_in_the_cotangent():
    z = np.random.default_rng(2).normal(scale=30.0, size=(6, 4)).astype(np.float32)
    diagnosis = sg.check(softmax, lambda z, g: -right(z, g), z).diagnosis
    assert diagnosis is not None
    assert diagnosis.code in ("sign", "unnamed")


def test_a_name_takes_few_calls():
    z = np.random.default_rng(3).normal(size=(4, 37))
    for _, backward, _, _ in (CASES["at −x"], CASES["plus g"]):
        assert sg.check(softmax, backward, z).cost.diagnosis_forward <= 150


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_one_row_of_the_jacobian_times_g(shape):
    def column(z):
        e = np.exp(z - z.max())
        return e / e.sum()

    def wrong(z, g):
        s = column(z)
        row = -s * s.flat[0]
        row.flat[0] += s.flat[0]
        return g * row

    report = sg.check(column, wrong, np.random.default_rng(0).normal(size=shape))
    assert report.diagnosis.code == "projection-term"
    assert "One row of the Jacobian" in report.diagnosis.message
    assert report.diagnosis.formula.returned == "g * J[0]"


def test_g_and_s_exchanged():
    def wrong(z, g):
        s = softmax(z)
        return g * (s - (s * s).sum(axis=-1, keepdims=True))

    report = sg.check(softmax, wrong, np.random.default_rng(0).normal(size=(4, 6)))
    assert report.diagnosis.code == "projection-term"
    assert report.diagnosis.formula.returned == "g * (s - (s * s).sum(axis=-1, keepdims=True))"


@pytest.mark.parametrize(
    ("factor", "text"),
    [(-1.0, "there it has the wrong sign"), (0.25, "there it is 0.25 times what it must be")],
)
def test_what_is_wrong_with_a_set_is_said(factor, text):
    t = np.eye(5)[[0, 3, 1, 4]]

    def wrong(p, t, g):
        return g * (-t / p + factor * (1 - t) / (1 - p))

    def forward(p, t):
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum()

    p = np.random.default_rng(0).uniform(0.1, 0.9, (4, 5))
    report = sg.check(forward, wrong, p, t.astype(int))
    assert report.diagnosis.code == "subset", str(report)
    assert text in report.diagnosis.evidence


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mean_that_is_divided_once_more(axis):
    def norm(x, w):
        return w * x / np.sqrt((x * x).mean(axis=axis, keepdims=True) + 1e-5)

    def wrong(x, w, g):
        r = np.sqrt((x * x).mean(axis=axis, keepdims=True) + 1e-5)
        inner = (x * g * w).mean(axis=axis, keepdims=True) / x.shape[axis]
        return (g * w - x * inner / r**2) / r, (g * x / r).sum(axis=1 - axis, keepdims=True)

    rng = np.random.default_rng(0)
    w = rng.normal(size=(6, 1) if axis == 0 else (1, 4))
    report = sg.check(norm, wrong, rng.normal(size=(6, 4)), w)
    assert report.diagnosis.code == "chain-term", str(report)
    assert "divided by the number of entries, and is a mean already" in report.diagnosis.message
