"""What a diagnosis prints is true: formulas are evaluated, and a coincidence has no name."""

from __future__ import annotations

import numpy as np
import pytest

from softgrad.checker import check
from softgrad.checker.diagnosis.examples import EXAMPLES, centred, softmax

RNG = np.random.default_rng(0)
Z, LABELS = RNG.normal(size=(4, 5)), np.array([0, 2, 4, 4])
N = len(Z)


def one_hot(labels):
    return np.eye(Z.shape[-1])[np.asarray(labels) % Z.shape[-1]]


def names(z, g, labels=LABELS):
    """Return what the formulas speak of."""
    d, sigma = centred(z)
    return {
        "g": g, "z": z, "x": z, "s": softmax(z), "p": z, "N": len(z), "label": labels,
        "t": one_hot(labels), "softmax": softmax, "one_hot": one_hot, "exp": np.exp,
        "dhat": g, "xhat": d / sigma, "sigma": sigma,
        "logsoftmax": lambda z: np.log(softmax(z)), "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }  # fmt: skip


def assert_formula(report, known, wrong, right):
    formula = report.diagnosis.formula
    np.testing.assert_allclose(eval(formula.returned, known), wrong, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(eval(formula.expected, known), right, rtol=1e-7, atol=1e-12)


IN_CODE = ["diagonal-only", "identity", "projection-term", "axis", "subset", "chain-term"]


@pytest.mark.parametrize("code", IN_CODE)
def test_formulas_of_the_examples_are_what_they_say(code):
    example = EXAMPLES[code]
    arguments = example.inputs(1)
    report = check(example.forward, example.wrong, *example.inputs(0))
    g = RNG.normal(size=np.shape(example.forward(*arguments)))
    known = names(arguments[0], g, *arguments[1:])
    wrong, right = (rule(*arguments, g.copy()) for rule in (example.wrong, example.right))
    assert_formula(report, known, wrong, right)


def test_no_other_example_has_a_formula_in_code():
    others = {code: EXAMPLES[code] for code in EXAMPLES if code not in IN_CODE}
    formulas = {}
    for code, example in others.items():
        arguments, options = example.arguments()
        found = check(*arguments, **options).diagnosis.formula
        if found is not None:
            formulas[code] = found.returned
    assert formulas == {
        "cotangent": "dloss/dx",
        "unreduced-broadcast": "g",
        "second-order": "0 * v",
    }


def mean_loss(z, labels):
    return -np.log(softmax(z))[np.arange(len(z)), labels].mean()


def sum_loss(z, labels):
    return -np.log(softmax(z))[np.arange(len(z)), labels].sum()


INSTEAD = {
    "target missing": lambda z, t: softmax(z),
    "target added": lambda z, t: softmax(z) + t,
    "target doubled": lambda z, t: softmax(z) - 2 * t,
    "one too high": lambda z, t: softmax(z) - np.roll(t, 1, axis=-1),
    "one too low": lambda z, t: softmax(z) - np.roll(t, -1, axis=-1),
    "softmax twice": lambda z, t: softmax(softmax(z)) - t,
    "logits": lambda z, t: z - t,
    "exp": lambda z, t: np.exp(z) - t,
    "diagonal": lambda z, t: t * (softmax(z) - 1),
    "extra": lambda z, t: (softmax(z) - t) * softmax(z) * (1 - softmax(z)),
}


@pytest.mark.parametrize(("loss", "rows"), [(mean_loss, N), (sum_loss, 1)])
@pytest.mark.parametrize("name", INSTEAD)
def test_formulas_of_losses_are_what_they_say(name, loss, rows):
    def wrong(z, labels, g):
        return g * INSTEAD[name](z, one_hot(labels)) / (len(z) if loss is mean_loss else 1)

    g = np.float64(1.7)
    right = g * (softmax(Z) - one_hot(LABELS)) / rows
    assert_formula(check(loss, wrong, Z, LABELS), names(Z, g), wrong(Z, LABELS, g), right)


def test_a_gather_has_no_formula_of_a_sum():
    index = np.array([0, 2, 2, 5])

    def wrong(x, g):
        x_bar = np.zeros_like(x)
        x_bar[index] = g
        return x_bar

    report = check(lambda x: x[index], wrong, RNG.normal(size=(6, 7)))
    assert report.diagnosis.code == "unreduced-broadcast"
    assert report.diagnosis.formula is None


@pytest.mark.parametrize("epsilon", [0.0, 1e-8, 1e-6, 1e-3])
@pytest.mark.parametrize("shape", [(4, 5), (1, 6), (7, 3)])
def test_another_epsilon_is_no_subset_and_no_factor(epsilon, shape):
    def norm(x, e=1e-5):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + e)

    def wrong(x, g):
        sigma = np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon)
        n = x / sigma
        return (g - n * (g * n).mean(axis=-1, keepdims=True)) / sigma

    def logarithm(x, g):
        return g / (x * x + epsilon) * 2 * x

    x = np.random.default_rng(0).normal(size=shape) + 2
    pairs = (norm, wrong), (lambda x: np.log(x * x + 1e-5), logarithm)
    for forward, backward in pairs:
        for seed in range(2):
            report = check(forward, backward, x, seed=seed)
            assert report.verdict == "fail"
            assert report.diagnosis.code in ("unnamed", "wrong-variable", "arithmetic")


def test_a_set_is_not_named_for_some_of_its_entries():
    def gate(x, g):
        return g * (x > 0)

    for seed in range(5):
        x = 5 * np.random.default_rng(seed).normal(size=(8, 9))
        report = check(lambda x: np.clip(x, 0, 6), gate, x)
        assert "entries that are positive" not in report.diagnosis.message + report.where.text


def test_what_clip_passes_on_within_its_bounds_is_no_identity():
    x = 5 * RNG.normal(size=(6, 7))
    report = check(lambda x: np.clip(x, -20, 6), lambda x, g: g * (x > -20) * 1.0 * (x < 30), x)
    assert report.diagnosis is None or report.diagnosis.code in ("identity", "subset", "unnamed")
    report = check(lambda x: np.clip(x, 0, 6), lambda x, g: g * (x < 6), x)
    assert report.diagnosis.code != "identity"


@pytest.mark.parametrize("mean", [True, False])
def test_binary_cross_entropy_of_probabilities(mean):
    p = RNG.uniform(0.1, 0.9, size=(4, 5))
    t = RNG.integers(0, 2, size=(4, 5))

    def forward(p, t):
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / (p.size if mean else 1)

    def wrong(p, t, g):
        return g * (p - t) / (p.size if mean else 1)

    report = check(forward, wrong, p, t)
    assert report.diagnosis.code == "wrong-variable"
    assert "gradient at the logits" in report.diagnosis.message
    g = np.float64(0.3)
    assert_formula(report, {"g": g, "p": p, "t": t}, wrong(p, t, g), wrong(p, t, g) / (p * (1 - p)))


def test_an_added_mean_is_no_softmax():
    def wrong(x, g):
        return g * np.cos(x) + 0.3 * (g * np.sin(x)).mean(axis=-1, keepdims=True)

    report = check(np.sin, wrong, Z)
    assert report.verdict == "fail"
    assert "softmax" not in report.diagnosis.message


def test_a_penalty_is_not_called_the_targets():
    def loss(z, labels):
        e = np.log(np.exp(z).sum(axis=-1))
        return mean_loss(z, labels) + 1e-2 * (e * e).mean()

    def wrong(z, labels, g):
        return g * (softmax(z) - one_hot(labels)) / len(z)

    report = check(loss, wrong, Z, LABELS)
    assert report.diagnosis.code == "chain-term"
    assert "targets" not in report.diagnosis.message
    assert report.diagnosis.formula is None
