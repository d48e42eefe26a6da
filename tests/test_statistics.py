"""Standard errors, tests, summaries: against second derivatives, published tables, and chance."""

from __future__ import annotations

import json
import math
import runpy
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import chi2, norm

import softgrad as sg
from asserts import assert_close
from convex import data, objective, some_theta
from softgrad.learn.statistics.information import Information, contrasts

EXAMPLES = Path(__file__).parent.parent / "examples"
VOTERS, PARTY = runpy.run_path(str(EXAMPLES / "anes96.py"))["voters"]()

# As statsmodels 0.15 prints them: MNLogit, Newton's method, the first party as the base.
LOG_LIKELIHOOD, NULL, AIC, BIC = -1461.922747248, -1750.346710709, 2995.8454944963, 3170.4500364776
STANDARD_ERRORS = [
    [0.0342823658, 0.093626795, 0.0065248584, 0.0735865799, 0.0176336937, 0.629837631],
    [0.0391615554, 0.108238692, 0.00791446176, 0.0852893563, 0.0222809297, 0.763189949],
    [0.0570382295, 0.158548134, 0.0113313133, 0.126291323, 0.0336142088, 1.15654149],
    [0.0437902766, 0.128896585, 0.0084187486, 0.0941250559, 0.0261963632, 0.95758096],
    [0.0393516554, 0.117186011, 0.00761101522, 0.0850070091, 0.0229760791, 0.844363828],
    [0.0421380471, 0.143408909, 0.00813386248, 0.0910979921, 0.025300888, 1.05995482],
]  # fmt: skip
COEFFICIENTS = [
    [-0.0115359746, 0.297714352, -0.0249449954, 0.0824914421, 0.00519655317, -0.373401677],
    [-0.088750653, 0.391668642, -0.0228978371, 0.181042758, 0.0478739761, -2.25091318],
    [-0.105966699, 0.573450508, -0.0148512069, -0.00715241904, 0.0575751595, -3.66558353],
    [-0.0915567017, 1.27877179, -0.00868134503, 0.199827955, 0.0844983753, -7.61384309],
    [-0.093284604, 1.34696165, -0.0179040689, 0.21693885, 0.0809584122, -7.06047825],
    [-0.140880692, 2.07008014, -0.0094326487, 0.321925702, 0.108894083, -12.1057509],
]  # fmt: skip


def free(X: Any, y: Any, **settings: Any) -> sg.SoftmaxClassifier:
    """Fit without a penalty."""
    return sg.SoftmaxClassifier(C=np.inf, **settings).fit(X, y)


def overlapping(rng: np.random.Generator, N: int = 90, K: int = 3, D: int = 2) -> tuple[Any, Any]:
    """Return rows of classes that no direction tells apart."""
    X = rng.normal(size=(N, D))
    y = (X @ rng.normal(size=(D, K)) + 1.5 * rng.gumbel(size=(N, K))).argmax(axis=1)
    return X, y


def test_anes96_is_that_of_statsmodels() -> None:
    model = free(VOTERS, PARTY)
    summary = model.summary(VOTERS, PARTY, reference=0)
    assert summary.log_likelihood == pytest.approx(LOG_LIKELIHOOD, rel=1e-12)
    assert summary.null_log_likelihood == pytest.approx(NULL, rel=1e-9)
    assert (summary.aic, summary.bic) == pytest.approx((AIC, BIC), rel=1e-11)
    assert summary.pseudo_r2.mcfadden == pytest.approx(0.16478104691847073, rel=1e-8)
    test = summary.likelihood_ratio
    assert (test.statistic, test.degrees_of_freedom) == pytest.approx((576.8479269219, 30))
    assert test.p_value == pytest.approx(1.822316578e-102, rel=1e-5)
    np.testing.assert_allclose(summary.coefficients, COEFFICIENTS, rtol=1e-7)
    np.testing.assert_allclose(summary.standard_errors, STANDARD_ERRORS, rtol=1e-7)
    assert summary.classes == (1, 2, 3, 4, 5, 6)
    assert summary.terms == ("logpopul", "selfLR", "age", "educ", "income", "intercept")


def test_hsb_is_that_of_statsmodels() -> None:
    students, programme = runpy.run_path(str(EXAMPLES / "hsb.py"))["students"]()
    summary = free(students, programme).summary(students, programme, reference="academic")
    assert -2 * summary.log_likelihood == pytest.approx(359.9634524301854, rel=1e-13)
    coefficients = [
        [-0.533291012, -1.162831996, -0.05792840971, 2.852186236],
        [0.2913931160, -0.9826703252, -0.1136026398, 5.218200157],
    ]
    errors = [
        [0.4437321357, 0.5142194537, 0.02141094603, 1.166439136],
        [0.4763737054, 0.5955669386, 0.02221989907, 1.163548970],
    ]
    np.testing.assert_allclose(summary.coefficients, coefficients, rtol=1e-7)
    np.testing.assert_allclose(summary.standard_errors, errors, rtol=1e-7)
    assert summary.classes == ("general", "vocation")
    assert summary.terms == ("middle", "high", "write", "intercept")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_information_is_the_primals_second_derivative(
    classes: int, penalty: float, rng: np.random.Generator
) -> None:
    X, w = rng.normal(size=(7, 2)), rng.uniform(0.5, 2, size=7)
    y = np.arange(7) % classes
    shape = (classes, 3)
    theta = rng.normal(size=shape)
    theta -= theta.mean(axis=0)
    f = replace(
        objective("iris"), X=X, y=y, weights=w / w.sum(), classes=classes, ridge=penalty / w.sum()
    )

    def minus_log_posterior(*free: Any) -> Any:
        rows = [list(free[3 * k : 3 * k + 3]) for k in range(classes - 1)] + [[0, 0, 0]]
        total = mpmath.mpf(0)
        for x, label, weight in zip(X.tolist(), y.tolist(), w.tolist(), strict=True):
            z = [row[0] * x[0] + row[1] * x[1] + row[2] for row in rows]
            total += weight * (mpmath.log(mpmath.fsum(map(mpmath.exp, z))) - z[label])
        for d in range(2):  # softmax does not see the mean of all classes, which the penalty has 0
            mean = mpmath.fsum(row[d] for row in rows) / classes
            total += penalty / 2 * mpmath.fsum((row[d] - mean) ** 2 for row in rows)
        return total

    at = (theta[:-1] - theta[-1]).ravel().tolist()
    P = len(at)
    H = mpmath.matrix(P)
    for i in range(P):
        for j in range(P):
            order = [int(i == a) + int(j == a) for a in range(P)]
            H[i, j] = mpmath.diff(minus_log_posterior, tuple(at), tuple(order))
    inverse = np.array((H**-1).tolist(), dtype=float)
    information = Information(f, theta, float(w.sum()))
    assert_close(information.inverse, inverse, u=1e4)
    assert information.log_likelihood == pytest.approx(
        -float(minus_log_posterior(*at)) + penalty / 2 * np.sum(theta[:, :-1] ** 2), rel=1e-12
    )


def test_parameters_are_the_trace_of_what_the_rows_alone_determine(
    rng: np.random.Generator,
) -> None:
    f = objective("iris", ridge=0.02)
    theta = some_theta(f, rng)
    held = Information(f, theta - theta.mean(axis=0), 50.0)
    alone = Information(replace(f, ridge=0.0), held.theta, 50.0)
    trace = np.trace(held.inverse @ np.linalg.inv(alone.inverse))
    assert held.parameters == pytest.approx(trace, rel=1e-9)
    assert held.parameters < 9 < alone.parameters == pytest.approx(10)


@pytest.mark.parametrize("name", ["two", "three"])
def test_standard_errors_are_the_spread_of_estimates(name: str, rng: np.random.Generator) -> None:
    K, N, trials = (2 if name == "two" else 3), 300, 120
    truth = rng.normal(size=(K, 3)) * 0.7
    z = []
    for _ in range(trials):
        X = rng.normal(size=(N, 2))
        y = (X @ truth[:, :2].T + truth[:, 2] + rng.gumbel(size=(N, K))).argmax(axis=1)
        summary = free(X, y).summary(X, y, reference=0)
        z.append((summary.coefficients - (truth[1:] - truth[0])) / summary.standard_errors)
    spread = np.std(z, axis=0)
    assert np.all((spread > 0.8) & (spread < 1.2))
    inside = np.mean(np.abs(z) < 1.959964)
    assert 0.92 < inside < 0.98


def test_two_classes_have_one_row(rng: np.random.Generator) -> None:
    X, y = overlapping(rng, K=2)
    model = free(X, y)
    summary = model.summary(X, y)
    assert_close(summary.coefficients[:, :-1], model.coef_, u=4)
    assert_close(summary.coefficients[:, -1], model.intercept_, u=4)
    A = np.column_stack([X, np.ones(len(X))])
    p = model.predict_proba(X)[:, 1]
    assert_close(summary.covariance, np.linalg.inv((A.T * (p * (1 - p))) @ A), u=1e4)
    assert summary.classes == (1,)
    assert summary.reference == 0
    turned = model.summary(X, y, reference=1)
    assert_close(turned.coefficients, -summary.coefficients, u=4)
    assert_close(turned.standard_errors, summary.standard_errors, u=100)


def test_covariance_of_any_contrast_follows_from_the_models_own(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    model = free(X, y)
    own = model.summary(X, y)
    assert_close(own.coefficients, np.column_stack([model.coef_, model.intercept_]), u=4)
    assert own.covariance is model.covariance_
    assert np.linalg.matrix_rank(model.covariance_) == 6 < len(model.covariance_) == 9
    for base in range(3):
        against = model.summary(X, y, reference=base)
        M = np.kron(contrasts(3, base), np.eye(3))
        assert_close(against.covariance, M @ model.covariance_ @ M.T, u=1e4)
        assert_close(against.coefficients.ravel(), M @ own.coefficients.ravel(), u=1e4)


def test_z_p_and_intervals_follow(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    summary = free(X, y).summary(X, y, level=0.9)
    z = summary.coefficients / summary.standard_errors
    assert_close(summary.z, z, u=8)
    assert_close(summary.p_values, 2 * norm.sf(np.abs(z)), u=1e3)
    half = norm.ppf(0.95) * summary.standard_errors
    assert_close(summary.upper - summary.coefficients, half, u=1e3)
    assert_close(summary.coefficients - summary.lower, half, u=1e3)


def test_likelihoods_are_those_of_the_probabilities(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    model = sg.SoftmaxClassifier(C=0.5).fit(X, y)
    summary, N = model.summary(X, y), len(y)
    full = float(np.sum(model.predict_log_proba(X)[np.arange(N), y]))
    shares = np.bincount(y) / N
    null = float(np.sum(np.log(shares[y])))
    assert summary.log_likelihood == pytest.approx(full, rel=1e-12)
    assert summary.null_log_likelihood == pytest.approx(null, rel=1e-12)
    assert summary.deviance == pytest.approx(-2 * full)
    r2 = summary.pseudo_r2
    assert r2.mcfadden == pytest.approx(1 - full / null)
    assert r2.cox_snell == pytest.approx(1 - (math.exp(null) / math.exp(full)) ** (2 / N))
    assert r2.nagelkerke == pytest.approx(r2.cox_snell / (1 - math.exp(null) ** (2 / N)))


FORMS: dict[str, Any] = {
    "CSR": sparse.csr_array,
    "columns first": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_rows_has_the_same_summary(form: str, rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    X = X.astype(np.float32).astype(np.float64)
    rows = FORMS[form](X)
    plain, other = free(X, y).summary(X, y), free(rows, y).summary(rows, y)
    u = 1e11 if form == "float32" else 1e7
    assert_close(other.standard_errors, plain.standard_errors, u=u)
    assert_close(other.z, plain.z, u=u)


def test_weights_count_rows(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    w = rng.integers(0, 4, size=len(y))
    weighted = free(X, y).fit(X, y, sample_weight=w)
    repeated = free(np.repeat(X, w, axis=0), np.repeat(y, w))
    a = weighted.summary(X, y, sample_weight=w)
    b = repeated.summary(np.repeat(X, w, axis=0), np.repeat(y, w))
    assert_close(a.standard_errors, b.standard_errors, u=1e8)
    assert (a.log_likelihood, a.bic) == pytest.approx((b.log_likelihood, b.bic))
    assert a.observations == w.sum()
    assert weighted.likelihood_ratio(X, y, sample_weight=w, columns=0).statistic == pytest.approx(
        repeated.likelihood_ratio(np.repeat(X, w, axis=0), np.repeat(y, w), columns=0).statistic
    )


def test_units_of_columns_change_nothing_but_units(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    units, far = np.array([1e6, 1e-5]), np.array([3e7, 0.0])
    a, b = free(X, y).summary(X, y), free(X * units + far, y).summary(X * units + far, y)
    assert_close(b.standard_errors[:, :-1] * units, a.standard_errors[:, :-1], u=1e10)
    assert_close(b.z[:, :-1], a.z[:, :-1], u=1e10)


def test_no_array_of_rows_by_classes_is_made(rng: np.random.Generator) -> None:
    N, K, budget = 20_000, 150, 2**20
    y = np.arange(N) % K
    f = replace(objective("iris"), X=rng.normal(size=(N, 1)), y=y, classes=K, ridge=1e-3)
    f = replace(f, weights=np.full(N, 1 / N), memory=budget)
    information = Information(f, f.start, N)
    P = 2 * (K - 1)
    assert Information(f, f.start, N).left >= 0  # kernels are loaded
    tracemalloc.start()
    try:
        assert information.left >= 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * budget + 8 * 8 * P**2 < 8 * N * K / 2


@pytest.mark.parametrize("columns", ["b", 1, ["b", "c"], None])
def test_likelihood_ratio_is_that_of_two_fits(columns: Any, rng: np.random.Generator) -> None:
    X, y = overlapping(rng, N=120, D=3)
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    kept = {"b": [0, 2], "1": [0, 2], "['b', 'c']": [0], "None": []}[str(columns)]
    full = free(X, y).objective_
    shares = np.bincount(y) / len(y)
    fewer = free(X[:, kept], y).objective_ if kept else -float(shares @ np.log(shares))
    test = free(table, y).likelihood_ratio(table, y, columns=columns)
    assert test.statistic == pytest.approx(2 * len(y) * (fewer - full), rel=1e-5)
    assert test.degrees_of_freedom == 2 * (3 - len(kept))
    assert test.p_value == pytest.approx(chi2.sf(test.statistic, test.degrees_of_freedom))
    assert test.columns == tuple(np.delete(["a", "b", "c"], kept).tolist())
    assert f"chi-squared({test.degrees_of_freedom})" in str(test)


def test_summary_tests_all_columns_as_the_likelihood_ratio_does(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    model = free(X, y)
    test, again = model.summary(X, y).likelihood_ratio, model.likelihood_ratio(X, y)
    assert test.statistic == pytest.approx(again.statistic, rel=1e-6)
    assert test.columns == again.columns == ("x0", "x1")


def test_p_values_of_a_likelihood_ratio_are_uniform_where_nothing_is_there(
    rng: np.random.Generator,
) -> None:
    p = []
    for _ in range(100):
        X, y = rng.normal(size=(200, 1)), rng.integers(3, size=200)
        p.append(free(X, y).likelihood_ratio(X, y, columns=0).p_value)
    assert 0.4 < np.mean(p) < 0.6
    assert 0.2 < np.mean(np.array(p) < 0.3) < 0.4


def test_a_penalised_fit_says_what_its_numbers_are(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    model = sg.SoftmaxClassifier(C=0.1).fit(X, y)
    summary = model.summary(X, y)
    assert summary.likelihood_ratio is None
    assert 2 < summary.parameters < 6
    assert any("posterior" in note for note in summary.notes)
    assert "C=inf" in " ".join(str(summary).split())
    with pytest.raises(ValueError, match=r"`C` must be inf for a likelihood ratio"):
        model.likelihood_ratio(X, y)
    assert free(X, y).summary(X, y).notes == ()


def test_class_weights_are_noted(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    (note,) = free(X, y, class_weight="balanced").summary(X, y).notes
    assert "class_weight" in note


def test_a_fit_forgets_what_was_said_of_the_one_before(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    model = free(X, y)
    assert not hasattr(model, "covariance_")
    model.summary(X, y)
    model.calibrate(X, y)
    assert hasattr(model, "covariance_")
    assert hasattr(model, "temperature_")
    model.fit(X, y)
    assert not hasattr(model, "covariance_")
    assert not hasattr(model, "temperature_")


def test_summary_has_a_terminal_a_notebook_and_a_json_face(rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    names = np.array(["cat", "dog", "<owl>"])
    model = free(X, names[y])
    summary = model.summary(X, names[y], reference="cat")
    text = str(summary)
    assert max(map(len, text.splitlines())) <= 100
    for expected in ("'dog' against 'cat'", "std. error", "95 % from", "log-likelihood", "x1"):
        assert expected in text
    assert "&lt;owl&gt;" in summary._repr_html_()
    loaded = json.loads(summary.to_json())
    assert loaded["coefficients"] == summary.coefficients.tolist()
    assert loaded["likelihood_ratio"]["p_value"] == summary.likelihood_ratio.p_value
    with pytest.raises(AttributeError):
        summary.level = 0.5


IRIS, SPECIES = data("iris")
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "other rows": ({"X": IRIS[:, ::-1]}, "`X` must be the rows of the fit, .* can still|seems to"),
    "other labels": ({"y": SPECIES % 2}, r"`y` must be of the classes of the fit, \[0, 1, 2\]"),
    "fewer columns": ({"X": IRIS[:, :2]}, "X has 2 features"),
    "level": ({"level": 1.5}, r"`level` must be between 0 and 1, got 1\.5"),
    "level of text": ({"level": "95"}, "`level` must be between 0 and 1"),
    "reference": ({"reference": "setosa"}, r"`reference` must be None or one of \[0, 1, 2\]"),
    "weights": ({"sample_weight": [1.0]}, "`sample_weight` must be of shape"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_summary_names_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    model = sg.SoftmaxClassifier().fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match=message):
        model.summary(**{"X": IRIS, "y": SPECIES, **arguments})


def test_what_was_not_fitted_has_no_summary() -> None:
    with pytest.raises(ValueError, match="not fitted yet"):
        sg.SoftmaxClassifier().summary(IRIS, SPECIES)


@pytest.mark.parametrize("columns", ["sepal", 4, -1, [], 1.5])
def test_likelihood_ratio_names_a_column_that_is_not_there(
    columns: Any, rng: np.random.Generator
) -> None:
    X, y = overlapping(rng)
    with pytest.raises((ValueError, TypeError), match="`columns` must be"):
        free(X, y).likelihood_ratio(X, y, columns=columns)


@pytest.mark.parametrize("case", ["sum", "constant", "twin"])
def test_a_column_that_others_determine_is_named(case: str, rng: np.random.Generator) -> None:
    X, y = overlapping(rng)
    extra = {"sum": X[:, 0] + 2 * X[:, 1], "constant": np.full(len(X), 3.0), "twin": X[:, 1]}
    X = np.column_stack([X, extra[case]])
    with pytest.raises(ValueError, match=r"`X` must be of columns independent of .*, got 'x2'"):
        free(X, y).summary(X, y)
    held = sg.SoftmaxClassifier().fit(X, y).summary(X, y)  # a penalty shares out what is not known
    assert np.isfinite(held.standard_errors).all()


def test_a_column_that_others_determine_but_for_rounding_is_seen(rng: np.random.Generator) -> None:
    f, N = objective("iris", ridge=0.0), len(IRIS)
    for _ in range(8):
        twin = IRIS[:, 1] * (1 + 1e-9 * rng.normal(size=N))
        rows = replace(f, X=np.column_stack([IRIS[:, :2], twin]))
        with pytest.raises(np.linalg.LinAlgError) as error:
            _ = Information(rows, rows.start, N).inverse
        assert error.value.args == (2,)
