"""The temperature that fits best, and whether probabilities mean what they say."""

from __future__ import annotations

import math
import warnings
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize_scalar

import softgrad as sg
from asserts import assert_close
from convex import data
from softgrad.learn import reliability
from softgrad.learn.statistics import inference
from softgrad.learn.statistics.temperature import slopes


def fitted(rng: np.random.Generator, K: int = 3, N: int = 400, C: float = 1.0) -> Any:
    """Return a model of some rows, and other rows that it has not seen."""
    X = rng.normal(size=(2 * N, 4))
    y = (X @ rng.normal(size=(4, K)) + 2 * rng.gumbel(size=(2 * N, K))).argmax(axis=1)
    return sg.SoftmaxClassifier(C=C).fit(X[:N], y[:N]), X[N:], y[N:]


def loss(model: Any, X: Any, y: Any) -> float:
    return -float(model.predict_log_proba(X)[np.arange(len(y)), y].mean())


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
def test_no_other_temperature_fits_better(K: int, form: Any, rng: np.random.Generator) -> None:
    model, X, y = fitted(rng, K, C=0.02)
    before, raw = loss(model, X, y), model.decision_function(X)
    assert model.calibrate(form(X), y) is model
    T = model.temperature_
    assert loss(model, X, y) < before
    z = np.column_stack([np.zeros(len(X)), raw]) if K == 2 else raw

    def slope(t: Any) -> Any:  # of the mean loss in T, from its definition
        def at(t: Any) -> Any:
            rows = [[mpmath.mpf(v) / t for v in row] for row in z[:150].tolist()]
            return mpmath.fsum(
                mpmath.log(mpmath.fsum(map(mpmath.exp, row))) - row[label]
                for row, label in zip(rows, y[:150].tolist(), strict=True)
            )

        return mpmath.diff(at, t)

    part = sg.SoftmaxClassifier()
    part.__dict__.update({k: v for k, v in model.__dict__.items() if k != "temperature_"})
    part.calibrate(X[:150], y[:150])
    best = float(mpmath.findroot(slope, part.temperature_))
    assert part.temperature_ == pytest.approx(best, rel=1e-9)
    found = minimize_scalar(
        lambda t: -np.mean(sg.log_softmax(z / t)[np.arange(len(y)), y]), bounds=(0.02, 50)
    )
    assert pytest.approx(found.x, rel=1e-3) == T


def test_predictions_divide_their_logits_by_it(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    z, labels, top = model.decision_function(X), model.predict(X), model.predict_top_k(X, 2)
    T = model.calibrate(X, y).temperature_
    assert abs(T - 1) > 1e-3
    assert_close(model.decision_function(X), z / T, u=100)
    assert_close(model.predict_proba(X), sg.softmax(z / T), u=100)
    assert_close(model.predict_log_proba(X), sg.log_softmax(z / T), u=1000)
    assert np.array_equal(model.predict(X), labels)
    again = model.predict_top_k(X, 2)
    assert np.array_equal(again.labels, top.labels)
    assert_close(again.log_probs, -np.sort(-sg.log_softmax(z / T), axis=1)[:, :2], u=1000)


@pytest.mark.parametrize("scale", [1e-1, 7.0])
def test_logits_times_a_factor_want_that_temperature(
    scale: float, rng: np.random.Generator
) -> None:
    model, X, y = fitted(rng)
    T = model.calibrate(X, y).temperature_
    model.coef_, model.intercept_ = scale * model.coef_, scale * model.intercept_
    assert model.calibrate(X, y).temperature_ == pytest.approx(scale * T, rel=1e-9)


def test_weights_count_rows(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    w = rng.integers(0, 3, size=len(y))
    T = model.calibrate(X, y, sample_weight=w).temperature_
    again = model.calibrate(np.repeat(X, w, axis=0), np.repeat(y, w)).temperature_
    assert again == pytest.approx(T, rel=1e-9)
    assert model.calibrate(X, y).temperature_ != pytest.approx(T, rel=1e-6)


def test_chunks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, y = fitted(rng)
    T = model.calibrate(X, y).temperature_
    monkeypatch.setattr(inference, "_MEMORY", 7 * 8 * 8 * 3)
    assert model.calibrate(X, y).temperature_ == pytest.approx(T, rel=1e-9)


@pytest.mark.parametrize("T", [0.1, 1.0, 30.0])
def test_slopes_are_derivatives_of_the_loss_in_log_temperature(
    T: float, rng: np.random.Generator
) -> None:
    z, y, w = 3 * rng.normal(size=(6, 3)), np.arange(6) % 3, rng.uniform(0.5, 2, size=6)

    def loss(t: Any) -> Any:
        s, total = mpmath.exp(-t), mpmath.mpf(0)
        for row, label, weight in zip(z.tolist(), y.tolist(), w.tolist(), strict=True):
            total += weight * mpmath.log(mpmath.fsum(mpmath.exp(s * v) for v in row))
            total -= weight * s * row[label]
        return total

    first, second = slopes(z, y, w, T)
    t = mpmath.log(T)
    assert first == pytest.approx(float(mpmath.diff(loss, t)), rel=1e-10)
    assert second == pytest.approx(float(mpmath.diff(loss, t, 2)), rel=1e-10)


def test_newton_needs_few_passes(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, y = fitted(rng)
    passes = []
    monkeypatch.setattr(inference, "slopes", lambda *a: passes.append(a) or slopes(*a))
    for scale in (0.1, 3.0, 10.0, 10.0):
        model.coef_, model.intercept_ = scale * model.coef_, scale * model.intercept_
        passes.clear()
        model.calibrate(X, y)
        assert 3 < len(passes) <= 10
        before, last = (T for *_, T in passes[-2:])
        assert abs(math.log(last / before)) < 1e-4  # the last step but one was Newton's
        assert model.temperature_ == last


def test_text_labels_and_float32(rng: np.random.Generator) -> None:
    X, y = data("iris")
    names = np.array(["c", "a", "b"])[y]
    wide = sg.SoftmaxClassifier().fit(X, y).calibrate(X, y)
    narrow = sg.SoftmaxClassifier().fit(X.astype(np.float32), names)
    narrow.calibrate(X.astype(np.float32), names)
    assert narrow.temperature_ == pytest.approx(wide.temperature_, rel=1e-4)
    assert narrow.predict_proba(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("end", ["right", "wrong"])
def test_rows_that_want_no_temperature_get_the_bound(end: str, rng: np.random.Generator) -> None:
    model, X, _ = fitted(rng)
    p = model.predict_proba(X)
    y = p.argmax(axis=1) if end == "right" else p.argmin(axis=1)
    with pytest.warns(UserWarning, match="want a temperature beyond"):
        model.calibrate(X, y)
    assert model.temperature_ == (1 / 64 if end == "right" else 64)


def test_logits_that_are_equal_need_no_temperature() -> None:
    X = np.zeros((4, 2))
    model = sg.SoftmaxClassifier().fit(X, [0, 1, 0, 1])
    assert model.calibrate(X, [0, 1, 1, 0]).temperature_ == 1


def test_logits_that_are_sure_beyond_rounding(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    T = model.calibrate(X, y).temperature_
    model.coef_, model.intercept_ = 2000 * model.coef_, 2000 * model.intercept_
    with pytest.warns(UserWarning, match="beyond 64"):
        assert model.calibrate(X, y).temperature_ == 64 < 2000 * T


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "label": ({"y": np.full(150, 7)}, r"`y` must be among the classes \[0, 1, 2\], got .*7"),
    "text": ({"y": np.full(150, "a")}, r"`y` must be among the classes"),
    "weights": ({"sample_weight": -np.ones(150)}, "`sample_weight` must be not negative"),
    "rows": ({"y": np.zeros(3)}, "inconsistent numbers of samples"),
    "columns": ({"X": np.zeros((150, 2))}, "X has 2 features"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_calibrate_names_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    X, y = data("iris")
    model = sg.SoftmaxClassifier().fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.calibrate(**{"X": X, "y": y, **arguments})


def some_probabilities(rng: np.random.Generator, N: int = 500, K: int = 4) -> tuple[Any, Any]:
    p = sg.softmax(2 * rng.normal(size=(N, K)))
    return p, rng.integers(K, size=N)


@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize("weighted", [False, True])
def test_error_is_its_definition(bins: int, weighted: bool, rng: np.random.Generator) -> None:
    p, y = some_probabilities(rng)
    w = rng.uniform(size=len(y)) if weighted else np.ones(len(y))
    top, said = p.argmax(axis=1), p.max(axis=1)
    expected = 0.0
    for m in range(bins):
        inside = (said > m / bins) & (said <= (m + 1) / bins)
        if inside.any():
            share = w[inside].sum() / w.sum()
            right = np.average(top[inside] == y[inside], weights=w[inside])
            expected += share * abs(right - np.average(said[inside], weights=w[inside]))
    found = sg.expected_calibration_error(p, y, bins=bins, sample_weight=w if weighted else None)
    assert found == pytest.approx(expected, rel=1e-12)


def test_classwise_error_is_the_mean_over_classes(rng: np.random.Generator) -> None:
    p, y = some_probabilities(rng)
    each = []
    for k in range(4):
        inside = [(p[:, k] > m / 10) & (p[:, k] <= (m + 1) / 10) for m in range(10)]
        gaps = [abs(np.sum(p[i, k]) - np.sum(y[i] == k)) for i in inside]
        each.append(sum(gaps) / len(y))
        table = reliability(p, y, bins=10, label=k)
        assert table.error == pytest.approx(each[-1], rel=1e-12)
    found = sg.expected_calibration_error(p, y, bins=10, classwise=True)
    assert found == pytest.approx(np.mean(each), rel=1e-12)


def test_bins_of_equal_mass(rng: np.random.Generator) -> None:
    p, y = some_probabilities(rng)
    table = reliability(p, y, bins=10, binning="mass")
    assert table.weight == pytest.approx(np.full(10, 0.1))
    said = np.sort(p.max(axis=1)).reshape(10, 50)
    assert_close(table.confidence, said.mean(axis=1), u=100)
    assert_close(table.upper[:-1], said[:-1, -1], u=4)
    assert (table.lower[0], table.upper[-1]) == (0, 1)


def test_equal_probabilities_are_never_parted() -> None:
    p = np.array([[0.6, 0.4]] * 8 + [[0.9, 0.1]] * 2)
    table = reliability(p, [0, 1] * 5, bins=4, binning="mass")
    assert table.weight.tolist() == pytest.approx([0.8, 0.2])
    assert table.upper.tolist() == [0.6, 1.0]


def test_probabilities_at_the_edges_of_bins() -> None:
    p = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    table = reliability(p, [0, 1, 0], bins=2, label=0)
    assert_close(table.weight, [2 / 3, 1 / 3], u=4)
    assert_close(table.confidence, [0.25, 1.0], u=4)
    assert_close(table.frequency, [0.5, 1.0], u=4)
    assert table.largest == pytest.approx(0.25)


def test_true_probabilities_have_a_small_error(rng: np.random.Generator) -> None:
    z = 2 * rng.normal(size=(20_000, 3))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    right, cold = sg.softmax(z), sg.softmax(2 * z)
    for options in ({}, {"binning": "mass"}, {"classwise": True}):
        assert sg.expected_calibration_error(right, y, **options) < 0.015
        assert sg.expected_calibration_error(cold, y, **options) > 0.04


def test_calibration_lowers_the_error(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng, N=2000)
    model.coef_, model.intercept_ = 4 * model.coef_, 4 * model.intercept_
    options = {"classes": model.classes_, "bins": 10}
    before = sg.expected_calibration_error(model.predict_proba(X), y, **options)
    after = sg.expected_calibration_error(model.calibrate(X, y).predict_proba(X), y, **options)
    assert after < 0.04 < 0.1 < before


def test_labels_may_be_anything(rng: np.random.Generator) -> None:
    p, y = some_probabilities(rng)
    names = np.array(["b", "d", "a", "c"])
    plain = sg.expected_calibration_error(p, y, classwise=True)
    assert sg.expected_calibration_error(p, names[y], classes=names, classwise=True) == plain
    assert (
        reliability(p, names[y], classes=names, label="a").error == reliability(p, y, label=2).error
    )


def test_reliability_shows_its_bins(rng: np.random.Generator) -> None:
    p, y = some_probabilities(rng)
    text = str(reliability(p, y, bins=5))
    assert "Expected calibration error" in text
    assert "came true" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert '"nan"' in reliability(p, y, bins=50).to_json()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "vector": ({"p": [0.5, 0.5]}, r"`p` must be of shape \[N, K\]"),
    "logits": ({"p": [[2.0, -1.0]] * 4}, "`p` must be probabilities"),
    "NaN": ({"p": [[np.nan, 1.0]] * 4}, "`p` must be probabilities"),
    "sums": ({"p": [[0.5, 0.6]] * 4}, "`p` must be probabilities"),
    "labels": ({"y": [0, 1, 2, 0]}, r"`classes` must be the labels .* unless `y` is from 0 to 1"),
    "others": (
        {"y": ["a", "b", "c", "a"], "classes": ["a", "b"]},
        r"`y` must be among the classes \['a', 'b'\], got 'c'",
    ),
    "rows": ({"y": [0, 1]}, r"`y` must be of shape \(4,\)"),
    "bins": ({"bins": 0}, "`bins` must be a positive integer, got 0"),
    "binning": ({"binning": "even"}, "`binning` must be 'width' or 'mass', got 'even'"),
    "classes": ({"classes": ["a"]}, "`classes` must be 2 labels"),
    "weights": ({"sample_weight": [1.0]}, r"`sample_weight` must be of shape \(4,\)"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_error_names_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    p, y = [[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], [0, 0, 1, 1]
    with pytest.raises((ValueError, TypeError), match=message):
        sg.expected_calibration_error(**{"p": p, "y": y, **arguments})


def test_reliability_of_a_class_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"`label` must be among \[0, 1\], got 5"):
        reliability([[0.9, 0.1]], [0], label=5)
