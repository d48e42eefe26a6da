"""The mutation benchmark: what it takes for right is right, and it counts what it should."""

import json
import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from benchmarks.checker.batches import BATCHES, SUBJECTS, batch_of
from benchmarks.checker.cases import Case, Point, named, right_cases, wrong_cases
from benchmarks.checker.operators import OPERATORS
from benchmarks.checker.outcome import Outcome
from benchmarks.checker.page import markdown
from benchmarks.checker.peers.peer import Peer, Projected
from benchmarks.checker.rates import PeerRates, Rates, share
from benchmarks.checker.right import FORMS
from benchmarks.checker.row import row_of
from benchmarks.checker.truth import truth_of

from softgrad.bench.machine import Machine
from softgrad.checker.diagnosis import CODES

ALWAYS_PASSES = Peer("always passes", "it does", lambda case: True, lambda case: True)


def small_point(subject, dtype="float64"):
    return Point(subject.shapes[2 if len(subject.shapes) > 2 else 0], 1.0, dtype)


def right_forms():
    for subject in SUBJECTS.values():
        for form in (*FORMS, *subject.also_right):
            yield pytest.param(subject, form, id=f"{subject.name}/{form}")


@pytest.mark.parametrize(("subject", "form"), list(right_forms()))
def test_right_backwards_match_differences_of_their_forward(subject, form):
    scalar = Projected(Case(subject, form, small_point(subject), False))
    x, analytic = scalar.start, scalar.gradient(scalar.start)
    steps = 1e-5 * np.eye(x.size)
    numeric = [(scalar.value(x + step) - scalar.value(x - step)) / 2e-5 for step in steps]
    assert np.abs(analytic).max() > 0
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-8 * np.abs(analytic).max())


def test_every_name_is_one_that_the_checker_knows():
    accepted = [operator.codes for operator in OPERATORS.values()]
    accepted += [edit.codes for subject in SUBJECTS.values() for edit in subject.edits]
    accepted += [frozenset(more.split()) for s in SUBJECTS.values() for more in s.accepts.values()]
    assert all(accepted)
    assert frozenset().union(*accepted) <= set(CODES)


def test_no_subject_is_in_two_batches():
    assert len(SUBJECTS) == sum(len(batch.subjects) for batch in BATCHES)
    assert all(batch_of(f"{name}/right") is b for b in BATCHES for name in b.subjects)


def test_no_right_form_has_the_name_of_a_mistake():
    for subject in SUBJECTS.values():
        wrong = {*OPERATORS, *(edit.name for edit in subject.edits)}
        assert not wrong & {*FORMS, *subject.also_right}, subject.name


def test_what_a_subject_accepts_belongs_to_an_operator():
    for subject in SUBJECTS.values():
        assert set(subject.accepts) <= set(OPERATORS), subject.name


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_is_wrong_somewhere(operator):
    subjects = ("softmax", "linear", "softmax-and-logsumexp", "cumsum", "mean-pool")
    kinds = set()
    for name in subjects:
        subject = SUBJECTS[name]
        for shape, scale in ((subject.shapes[3], 1.0), (subject.shapes[4], 30.0)):
            case = Case(subject, operator, Point(shape, scale, "float64"), True)
            if case.applies:
                kinds.add(truth_of(case).kind)
    assert "wrong" in kinds


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_edit_is_wrong_somewhere(name):
    subject = SUBJECTS[name]
    for edit in subject.edits:
        points = (Point(shape, 1.0, "float64") for shape in subject.shapes[1:4])
        cases = (Case(subject, edit.name, point, True) for point in points)
        assert any(truth_of(case).kind == "wrong" for case in cases), edit.name


@pytest.mark.parametrize(
    "name",
    [
        "softmax/matrix-transposed/3x5/1/float64",  # symmetric
        "softmax/centred/3x5/1/float64",  # the rows sum to zero
        "cross_entropy/sum-not-mean/1x3/1/float64",  # one row
        "attention/no-root/2x3x1x5/1/float64",  # the root of 1
    ],
)
def test_mutants_that_change_nothing_are_told_apart(name):
    assert truth_of(named(name)).kind == "equivalent"


def test_mistakes_below_the_resolution_are_told_apart():
    name = "softmax/rounded-to-float16/4x37/1/{}"
    kinds = [truth_of(named(name.format(dtype))).kind for dtype in ("float64", "float32")]
    assert kinds == ["wrong", "small"]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("unit-length/at-negated/3x5/1/float64", set()),  # even, and so it is right
        ("cross_entropy/sum-not-mean/3x5/1/float64", {"scale"}),
        ("broadcast-multiply/at-negated/3x5/1/float64", {"sign"}),
        ("broadcast-add/g-plus-1/3x5/1/float64", set()),
        ("sigmoid/off-diagonal-of-matrix/3x5/1/float64", {"zero"}),
        ("softmax/identity/3x5/1/float64", {"identity"}),
    ],
)
def test_mistakes_with_the_same_answers_share_their_names(name, codes):
    assert truth_of(named(name)).also == codes


def test_truth_measures_the_error():
    truth = truth_of(named("softmax/one-per-cent-more/4x37/1/float32"))
    assert truth.kind == "wrong"
    assert math.isclose(truth.error, 0.01, rel_tol=1e-9)


def test_names_make_the_same_case_again():
    for case in (*islice(wrong_cases(), 3), *islice(right_cases(), 3)):
        again = named(case.name)
        assert again == case
        for value, other in zip(case.right.inputs, again.right.inputs, strict=True):
            np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("name", ["softmax/nonsense/3/1/float64", "nonsense/zero/3/1/float64"])
def test_unknown_names_are_refused(name):
    with pytest.raises(KeyError):
        named(name)


def rows():
    wrong = row_of(named("softmax/diagonal/4x37/1/float64"), [ALWAYS_PASSES])
    right = row_of(named("softmax/right/4x37/1/float64"), [ALWAYS_PASSES])
    same = row_of(named("softmax/matrix-transposed/3x5/1/float64"), [ALWAYS_PASSES])
    return wrong, right, same


def test_a_checker_that_always_passes_detects_nothing():
    rates = PeerRates.of(ALWAYS_PASSES.name, rows())
    assert (rates.wrong, rates.detected, rates.right, rates.alarms) == (1, 0, 1, 0)


def test_a_checker_that_raises_refuses():
    def raises(case):
        raise RuntimeError

    peer = Peer("raises", "it does", lambda case: True, raises)
    assert peer.verdict(named("softmax/right/3/1/float64")) is False


def test_counts():
    wrong, right, same = rows()
    assert wrong.named == "right"
    assert same.kind == "equivalent"
    table = [
        wrong,
        replace(wrong, code="unnamed"),
        replace(wrong, code="scale"),
        replace(wrong, verdict="inconclusive"),
        replace(wrong, verdict="pass"),
        right,
        replace(right, verdict="fail"),
        replace(right, verdict="inconclusive"),
        same,
    ]
    assert Rates.of(table) == Rates(
        wrong=5,
        detected=3,
        inconclusive=1,
        missed=1,
        named=1,
        unnamed=1,
        misnamed=1,
        right=3,
        alarms=1,
        right_inconclusive=1,
    )
    outcome = Outcome(Machine.this(), True, {}, tuple(table))
    assert len(list(outcome.failures())) == 6
    assert Outcome.from_dict(json.loads(outcome.to_json())) == outcome
    assert "| wrong, and passed | 1 of 5 | 20.00 % |" in markdown(outcome)


def test_shares_are_not_rounded_up():
    assert (share(1999, 2000), share(0, 7), share(3, 3), share(0, 0)) == (
        "99.95 %",
        "0.00 %",
        "100 %",
        "—",
    )
    assert share(99_999, 100_000) == "99.99 %"
