"""A failed check names its mistake, or says honestly that it cannot; and it says where it is."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from fourth_mistakes import FOURTH_MISTAKES
from later_mistakes import LATER_MISTAKES
from mistakes import MISTAKES
from softgrad.checker import check
from softgrad.checker.diagnosis import CODES, explain, twins
from softgrad.checker.diagnosis.examples import EXAMPLES
from softgrad.checker.diagnosis.hypotheses import TABLE
from third_mistakes import THIRD_MISTAKES
from wrong_rules import (
    OPERATIONS,
    cross_entropy,
    cross_entropy_backward,
    linear,
    linear_backward,
    log_softmax,
    log_softmax_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
)

NAMES = {
    "zero": "zero",
    "sign": "sign",
    "doubled": "scale",
    "one per cent": "scale",
    "rows averaged": "scale",
    "cotangent ignored": "cotangent",
    "cotangent squared": "cotangent",
    "cotangent's size": "cotangent",
    "cotangent clipped": "cotangent",
    "constant added": "cotangent",
    "not a number": "unnamed",
    "flattened": "axis",
    "integers": "arithmetic",
    "none": "severed",
    "one row": "subset",
    "one element": "subset",
    "cotangent overwritten": "aliasing",
    "input overwritten": "aliasing",
    "accumulating": "aliasing",
    "identity": "identity",
    "diagonal only": "diagonal-only",
    "applied twice": "wrong-variable",
    "at the output": "wrong-variable",
    "axis 0": "axis",
    "one batch inner product": "axis",
    "rows reversed": "axis",
    "classes rolled": "axis",
    "sum missing": "cotangent",
    "of softmax": "wrong-variable",
    "sum for mean": "scale",
    "target missing": "subset",
    "reversed sign": "sign",
    "target row only": "diagonal-only",
    "divided by classes": "scale",
    "softmax twice": "wrong-variable",
    "square": "chain-term",
    "not multiplied": "chain-term",
    "transposed": "axis",
    "x zero": "zero",
    "bias unreduced": "unreduced-broadcast",
    "bias mean": "scale",
    "bias last row": "unreduced-broadcast",
    "bias none": "severed",
    "bias kept dims": "unreduced-broadcast",
    "weight transposed": "axis",
    "weight sign": "sign",
    "weight mean": "scale",
    "entry missing": "severed",
    "swapped": "axis",
}
"""Of the wrong rules that the checker is tested with; the others are projection terms."""

WRONG = [(name, mistake) for name, op in OPERATIONS.items() for mistake in op.wrong]
ALL = [*MISTAKES, *LATER_MISTAKES, *THIRD_MISTAKES, *FOURTH_MISTAKES]
NAMED = [m for m in ALL if not m.name.startswith("odd")]
ODD = [m for m in ALL if m.name.startswith("odd")]
Z = np.random.default_rng(0).normal(size=(4, 9))


def diagnosed(forward, backward, *inputs, **options):
    report = check(forward, backward, *inputs, **options)
    assert report.verdict == "fail", str(report)
    assert report.diagnosis is not None
    return report


def title(value):
    return getattr(value, "name", None)


@pytest.mark.parametrize(
    ("shape", "scale", "dtype"), [((4, 9), 1, "float64"), ((3, 40), 0.02, "float32")]
)
@pytest.mark.parametrize(("name", "mistake"), WRONG)
def test_wrong_rules_get_their_names(name, mistake, shape, scale, dtype):
    operation = OPERATIONS[name]
    inputs = operation.sample(np.random.default_rng(1), shape, scale, dtype)
    report = diagnosed(operation.forward, operation.wrong[mistake](), *inputs)
    assert report.diagnosis.code == NAMES.get(mistake, "projection-term"), str(report)


@pytest.mark.parametrize("mistake", NAMED, ids=title)
def test_mistakes_from_the_wild_get_a_name_that_fits(mistake):
    inputs = mistake.inputs(np.random.default_rng(3))
    report = diagnosed(mistake.forward, mistake.backward, *inputs)
    assert report.diagnosis.code in mistake.expected, str(report)


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        pytest.param(scale, dtype, marks=[pytest.mark.slow] * ((scale, dtype) != (1, "float32")))
        for scale in (0.1, 1, 3)
        for dtype in ("float64", "float32")
    ],
)
@pytest.mark.parametrize("mistake", [*NAMED, *ODD], ids=title)
def test_no_mistake_is_named_wrongly_at_any_scale(mistake, scale, dtype):
    for seed in range(3):
        inputs = mistake.inputs(np.random.default_rng([3, seed]), scale, dtype)
        report = check(mistake.forward, mistake.backward, *inputs, seed=seed)
        if report.verdict == "fail":
            assert report.diagnosis.code in {*mistake.expected, "unnamed"}, str(report)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mistake", ODD, ids=title)
def test_odd_mistakes_are_left_unnamed(mistake, dtype):
    for seed in range(3):
        inputs = mistake.inputs(np.random.default_rng([5, seed]), 1.0, dtype)
        report = diagnosed(mistake.forward, mistake.backward, *inputs, seed=seed)
        assert report.diagnosis.code in mistake.expected, str(report)
        assert report.diagnosis.evidence


@pytest.mark.parametrize("code", EXAMPLES)
def test_every_example_shows_its_mistake(code):
    for seed in range(2):
        arguments, options = EXAMPLES[code].arguments(seed)
        report = diagnosed(*arguments, seed=seed, **options)
        assert report.diagnosis.code == code, str(report)


@pytest.mark.parametrize("code", EXAMPLES)
def test_every_example_passes_when_it_is_mended(code):
    for seed in range(2):
        arguments, options = EXAMPLES[code].arguments(seed, mended=True)
        report = check(*arguments, seed=seed, **options)
        assert report.passed, str(report)


def test_every_code_has_an_example_and_every_hypothesis_a_known_code():
    assert tuple(EXAMPLES) == CODES
    assert {hypothesis.code for hypothesis in TABLE} <= set(CODES)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_pass_has_no_diagnosis(dtype):
    report = check(softmax, softmax_backward, Z.astype(dtype))
    assert report.passed
    assert report.diagnosis is report.where is None
    assert report.cost.diagnosis_forward == report.cost.diagnosis_backward == 0


def test_equivalent_rules_pass():
    def through_the_jacobian(z, g):
        s = softmax(z)
        jacobian = np.einsum("ni,ij->nij", s, np.eye(z.shape[1])) - np.einsum("ni,nj->nij", s, s)
        return np.einsum("nij,nj->ni", jacobian, g)  # not transposed: it is symmetric

    def log_softmax_twice(z, g):
        return log_softmax_backward(log_softmax(z), g)

    assert check(softmax, through_the_jacobian, Z).passed
    assert check(log_softmax, log_softmax_twice, Z).passed
    # With one row a mean is a sum, and to forget it is no mistake.
    one = OPERATIONS["cross_entropy"].sample(np.random.default_rng(0), (1, 5), 1, "float64")
    assert check(cross_entropy, OPERATIONS["cross_entropy"].wrong["sum for mean"](), *one).passed


@pytest.mark.parametrize("mistake", [m for m in OPERATIONS["softmax"].wrong if "one " not in m])
def test_naming_costs_at_most_150_further_forwards(mistake):
    z = np.random.default_rng(0).normal(size=(4, 37))
    cost = diagnosed(softmax, OPERATIONS["softmax"].wrong[mistake](), z).cost
    assert cost.forward <= 37
    assert cost.backward <= 9
    assert cost.diagnosis_forward <= 150


def test_cost_does_not_grow_with_the_inputs():
    def doubled(z, g):
        return 2 * softmax_backward(z, g)

    rng = np.random.default_rng(0)
    small, large = (
        diagnosed(softmax, doubled, rng.normal(size=shape)).cost for shape in ((4, 37), (100, 3000))
    )
    assert large.diagnosis_forward == small.diagnosis_forward
    assert large.diagnosis_backward == small.diagnosis_backward


# --- messages, formulas, evidence -----------------------------------------------


def test_the_formula_says_what_to_change():
    wrong = OPERATIONS["softmax"].wrong["diagonal only"]()
    diagnosis = diagnosed(softmax, wrong, Z).diagnosis
    assert diagnosis.formula.returned == "g * s * (1 - s)"
    assert diagnosis.formula.expected == "s * (g - (g * s).sum(axis=-1, keepdims=True))"
    g = np.random.default_rng(1).normal(size=Z.shape)
    names = {"s": softmax(Z), "g": g}
    np.testing.assert_allclose(eval(diagnosis.formula.returned, names), wrong(Z, g), rtol=1e-12)
    right = eval(diagnosis.formula.expected, names)
    np.testing.assert_allclose(right, softmax_backward(Z, g), rtol=1e-9, atol=1e-15)


PROJECTIONS = [
    m for m in OPERATIONS["softmax"].wrong
    if m.startswith("inner product") or m == "one batch inner product"
]  # fmt: skip


@pytest.mark.parametrize("mistake", PROJECTIONS)
def test_formulas_of_projection_terms_are_what_is_returned(mistake):
    wrong = OPERATIONS["softmax"].wrong[mistake]()
    formula = diagnosed(softmax, wrong, Z).diagnosis.formula
    g = np.random.default_rng(1).normal(size=Z.shape)
    returned = eval(formula.returned, {"s": softmax(Z), "g": g})
    np.testing.assert_allclose(returned, wrong(Z, g), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (
            lambda z: 1 / len(z),
            "is 1/N times what it must be, N being the length of axis 0 of input 0.",
        ),
        (lambda z: z.shape[1], "is K times what it must be, K being the length of axis 1"),
        (
            lambda z: 1 / np.sqrt(z.shape[1]),
            "is 1/√K times what it must be, K being the length of axis 1",
        ),
        (lambda z: 2, "is 2 times"),
        (lambda z: 0.83, "is 0.83 times"),
        (lambda z: 0.5, "is 1/2 times"),
        (lambda z: 1 + 1e-6, "is 1 + 1e-06 times"),
        (lambda z: 1 / 3, "is 1/3 times"),  # 1/N on a twin, and not at the inputs
    ],
)
def test_factors_are_matched_to_the_sizes(factor, words):
    report = diagnosed(softmax, lambda z, g: softmax_backward(z, g) * factor(z), Z)
    assert report.diagnosis.code == "scale"
    assert words in report.diagnosis.message


def test_a_parameter_is_found_as_the_factor():
    def forward(z, T):
        return softmax(z / T)

    def backward(z, T, g):
        z_bar = softmax_backward(z / T, g)
        return z_bar, np.asarray(-(z_bar * z).sum() / T**2)

    report = diagnosed(forward, backward, Z, 2.5)
    assert report.diagnosis.code == "scale"
    assert "is c times what it must be, c being input 1." in report.diagnosis.message
    assert report.where.input == 0


def test_evidence_has_numbers_and_a_runner_up():
    report = diagnosed(softmax, OPERATIONS["softmax"].wrong["diagonal only"](), Z)
    assert "times worse" in report.diagnosis.evidence
    assert "and must sum to 0" in report.diagnosis.evidence
    assert "times worse" in report.diagnosis.runner_up


def test_faces_show_the_diagnosis():
    report = diagnosed(softmax, OPERATIONS["softmax"].wrong["diagonal only"](), Z)
    page = report._repr_html_()
    for text in (str(report), page):
        assert "[diagonal-only]" in text
        assert "you return" in text
        assert "g * s * (1 - s)" in text
    read = json.loads(report.to_json())
    assert read["schema"] == "softgrad.check/1"
    assert read["diagnosis"]["code"] == "diagonal-only"
    assert set(read["diagnosis"]) == {f.name for f in fields(report.diagnosis)}
    assert set(read["where"]) == {f.name for f in fields(report.where)}


# --- where -----------------------------------------------


def spoilt(right, change):
    def backward(*arguments):
        answer = np.array(right(*arguments))
        change(answer)
        return answer

    return backward


def one_row(x_bar):
    x_bar[17] *= 1.5


def tail(x_bar):
    x_bar[:, 64:] = 0


def one_entry(x_bar):
    x_bar[17, 3] *= -1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("change", "axis", "start", "stop"),
    [(one_row, 0, 17, 18), (tail, 1, 64, 70), (one_entry, 0, 17, 18)],
)
def test_wrong_slices_are_found(change, axis, start, stop, dtype):
    x = np.random.default_rng(0).normal(size=(33, 70)).astype(dtype)
    report = diagnosed(sigmoid, spoilt(sigmoid_backward, change), x)
    where = report.where
    assert report.diagnosis.code == "subset", str(report)
    assert (where.input, where.axis, where.start, where.stop) == (0, axis, start, stop)
    assert report.cost.diagnosis_forward <= 150


def test_the_wrong_input_is_found():
    for wrong in range(3):

        def backward(*arguments, wrong=wrong):
            entries = list(linear_backward(*arguments))
            entries[wrong] = 3 * entries[wrong]
            return tuple(entries)

        inputs = OPERATIONS["linear"].sample(np.random.default_rng(0), (4, 9), 1, "float64")
        report = diagnosed(linear, backward, *inputs)
        assert report.where.input == wrong
        assert report.diagnosis.code == "scale"


def test_labels_are_named_as_the_place():
    inputs = OPERATIONS["cross_entropy"].sample(np.random.default_rng(0), (40, 9), 1, "float64")

    def backward(z, labels, g):
        d = cross_entropy_backward(z, labels, g)
        d[np.arange(len(z)), labels] *= 1.1
        return d

    report = diagnosed(cross_entropy, backward, *inputs)
    assert report.diagnosis.code == "subset"
    assert report.where.subset == "the entries at the labels, input 1"


# --- what a twin must bear -----------------------------------------------


def test_functions_tied_to_their_shapes_are_diagnosed_at_them():
    W = np.random.default_rng(0).normal(size=(7, 5))

    def forward(x):
        return softmax(x @ W)

    def backward(x, g):
        s = forward(x)
        return g @ W.T * 0 + (g * s - s * (g * s).sum(-1, keepdims=True)) @ W.T * 3

    report = diagnosed(forward, backward, np.random.default_rng(1).normal(size=(4, 7)))
    assert report.diagnosis.code == "scale"


@pytest.mark.parametrize("bound_to", ["shapes", "numbers"])
def test_what_raises_on_a_twin_is_passed_over_in_silence(bound_to):
    class Odd(Exception):
        pass

    def forward(z):
        if z.shape != Z.shape or (bound_to == "numbers" and abs(z - Z).max() > 0.5):
            raise Odd("only here")
        return softmax(z)

    report = diagnosed(forward, lambda z, g: 3 * softmax_backward(z, g), Z)
    assert "Odd" not in str(report)
    assert report.diagnosis.code == "scale"


def test_errors_of_the_diagnosis_cost_no_verdict_and_are_heard_here(monkeypatch):
    def broken(views):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(twins, "rank", broken)
    with pytest.raises(ZeroDivisionError):
        check(softmax, lambda z, g: g, Z)
    monkeypatch.setattr(explain, "PASSED_OVER", (Exception,))
    report = diagnosed(softmax, lambda z, g: g, Z)
    assert report.diagnosis.code == "unnamed"
    assert report.diagnosis.evidence == "ZeroDivisionError: ours"


def test_a_number_is_tried_at_two_points():
    # At one point every wrong derivative of a number is a multiple of the right one.
    report = diagnosed(np.sin, lambda x, g: g * np.exp(x), 0.7)
    assert report.diagnosis.code == "unnamed"
    assert diagnosed(np.square, lambda x, g: g * x, 0.7).diagnosis.code == "scale"


def test_a_factor_seen_at_one_size_is_not_taken_for_a_size():
    def forward(z):
        assert z.shape == (4, 9)
        return softmax(z)

    report = diagnosed(forward, lambda z, g: 3 * softmax_backward(z, g), Z)
    assert report.diagnosis.code == "scale"
    assert "is 3 times what it must be, which is √K here: K being" in report.diagnosis.message


def test_numbers_written_for_one_shape_mislead_nobody():
    def backward(z, labels, g):
        return -g * 8 * cross_entropy_backward(z, labels, np.ones(())) * len(z) / 64

    inputs = OPERATIONS["cross_entropy"].sample(np.random.default_rng(0), (8, 5), 1, "float64")
    assert diagnosed(cross_entropy, backward, *inputs).diagnosis.code == "sign"


def test_large_inputs_tied_to_their_shapes_get_facts_or_no_name():
    W = np.random.default_rng(0).normal(size=(700, 5)) / 30

    def forward(x):
        return np.tanh(x @ W)

    def backward(x, g):
        return 3 * (g * (1 - forward(x) ** 2)) @ W.T

    report = diagnosed(forward, backward, np.random.default_rng(1).normal(size=(40, 700)))
    assert report.diagnosis.code in ("scale", "unnamed")


def test_a_layer_is_diagnosed():
    class Layer:
        def forward(self, z):
            self.s = softmax(z)
            return self.s

        def backward(self, g):
            return self.s * g

    report = check(Layer(), Z)
    assert report.verdict == "fail"
    assert report.diagnosis.code == "projection-term"


def test_masked_entries_are_left_alone():
    z = np.array([[0.3, -np.inf, 1.2, 0.1], [0.5, 0.2, -np.inf, -0.7]])
    report = diagnosed(softmax, lambda z, g: g * softmax(z), z, where=np.isfinite(z))
    assert report.diagnosis.code in ("projection-term", "unnamed")


def test_a_backward_that_raises_has_no_name_and_keeps_its_finding():
    def broken(z, g):
        raise RuntimeError("no such thing")

    report = diagnosed(softmax, broken, Z)
    assert report.diagnosis.code == "unnamed"
    assert "no such thing" in report.diagnosis.evidence


def test_the_same_seed_gives_the_same_diagnosis():
    wrong = OPERATIONS["softmax"].wrong["inner product sign"]()
    first, again = (diagnosed(softmax, wrong, Z, seed=4) for _ in range(2))
    assert first.diagnosis == again.diagnosis
    assert first.where == again.where
