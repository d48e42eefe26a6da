"""SoftmaxClassifier by mini-batches: hidden layers, Adam and SGD, early stopping, parts."""

from __future__ import annotations

import pickle
import tracemalloc
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import softgrad as sg
from asserts import assert_close, assert_same_bits
from convex import data
from softgrad.errors import UsageError
from softgrad.learn import options


@cache
def scaled(name: str) -> tuple[Any, Any]:
    """Return rows whose columns have mean 0 and standard deviation 1, and class indices."""
    X, y = data(name)
    return StandardScaler().fit_transform(X), y


def mean_loss(model: Any, X: Any, y: Any, w: Any = None) -> float:
    """Return the cross-entropy of labels 0, 1, … from the log-probabilities."""
    return float(np.average(-model.predict_log_proba(X)[np.arange(len(y)), y], weights=w))


@pytest.mark.parametrize(
    "settings",
    [{"hidden": (16,)}, {"solver": "adam"}],
    ids=["hidden", "adam"],
)
def test_scikit_learns_own_checks_pass(settings: dict[str, Any]) -> None:
    quick = {"max_iter": 40, "batch_size": 512, "learning_rate": 0.05}
    assert_passes(sg.SoftmaxClassifier(**quick, **settings))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": (16,)},
        {"hidden": (8, 8), "activation": ("tanh", "softmax")},
        {"solver": "adam"},
        {"solver": "adam", "polish": True},
        {"solver": "sgd"},
    ],
    ids=str,
)
def test_scikit_learns_own_checks_pass_without_other_settings(settings: dict[str, Any]) -> None:
    assert_passes(sg.SoftmaxClassifier(**settings))


def assert_passes(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping check check_array_api", SkipTestWarning)
        results = check_estimator(estimator)
    found = {result["check_name"]: result["status"] for result in results}
    assert found.pop("check_array_api_input") in ("skipped", "passed")
    assert len(found) > 40
    assert set(found.values()) == {"passed"}


NETWORKS: dict[str, dict[str, Any]] = {
    "one layer": {"hidden": (12,)},
    "softmax hidden": {"hidden": (16, 8), "activation": ("tanh", "softmax")},
    "a map": {"hidden": [10], "activation": sg.Entmax(alpha=1.3), "max_iter": 40},
    "no layer": {"solver": "adam"},
    "sgd": {"solver": "sgd", "learning_rate": 0.1},
}


@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
def test_it_learns(settings: dict[str, Any], form: Any) -> None:
    X, y = scaled("wine")
    model = sg.SoftmaxClassifier(random_state=0, C=100, **settings).fit(form(X), y)
    assert model.score(form(X), y) > 0.97
    assert model.history_[-1].loss < 0.5 * model.history_[0].loss
    assert model.n_iter_ == len(model.history_)


def test_what_lines_cannot_divide() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    assert sg.SoftmaxClassifier().fit(X, y).score(X, y) < 0.7
    model = sg.SoftmaxClassifier(hidden=(16,), random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95
    assert [W.shape for W in model.coefs_] == [(2, 16), (16, 1)]
    assert [b.shape for b in model.intercepts_] == [(16,), (1,)]
    assert not hasattr(model, "coef_")


def test_objective_is_its_definition() -> None:
    X, y = scaled("wine")
    w = np.random.default_rng(0).uniform(0.5, 2, size=len(y))
    options = {"hidden": (7,), "C": 0.3, "max_iter": 20, "random_state": 0}
    for rows in (slice(None), y < 2):
        model = sg.SoftmaxClassifier(**options).fit(X[rows], y[rows], sample_weight=w[rows])
        squares = sum(np.sum(W**2) for W in model.coefs_) / (2 * 0.3 * w[rows].sum())
        loss = mean_loss(model, X[rows], y[rows], w[rows])
        assert model.objective_ == pytest.approx(loss + squares, rel=1e-12)
        assert model.optimality_ == np.inf
    assert model.coefs_[-1].shape == (7, 1)  # and its penalty counted once


@pytest.mark.parametrize("name", ["wine", "two", "many"])
def test_polish_reaches_the_optimum(name: str) -> None:
    X, y = data(name)
    exact = sg.SoftmaxClassifier(tol=1e-12).fit(X, y)
    settings = {"solver": "adam", "max_iter": 20, "random_state": 0}
    rough = sg.SoftmaxClassifier(**settings).fit(X, y)
    assert rough.objective_ > exact.objective_ * (1 + 1e-4)
    assert 0 <= rough.objective_ - exact.objective_ <= rough.optimality_
    settings |= {"polish": True, "max_iter": 200, "tol": 1e-11}
    fine = sg.SoftmaxClassifier(**settings).fit(X, y)
    assert fine.objective_ == pytest.approx(exact.objective_, rel=1e-8)
    assert fine.optimality_ <= 1e-8 * fine.objective_
    assert fine.n_iter_ == len(fine.history_) > 20


def test_auto_takes_mini_batches_for_the_huge_alone_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = data("wine")
    assert sg.SoftmaxClassifier().fit(X, y).solver_ == "newton"
    monkeypatch.setattr(options, "_HUGE", X.size * 3 - 1)
    with pytest.warns(ConvergenceWarning, match=r"adam ended after 200 epochs.* at most .* above"):
        model = sg.SoftmaxClassifier(random_state=0).fit(X, y)
    assert model.solver_ == "adam"
    # Without a warning:
    sg.SoftmaxClassifier(polish=True).fit(X, y)
    sg.SoftmaxClassifier(solver="adam", max_iter=2).fit(X, y)
    monkeypatch.setattr(options, "_HUGE", X.size * 3)
    assert sg.SoftmaxClassifier().fit(X, y).solver_ == "newton"


def test_small_steps_with_a_falling_rate_come_close_to_the_optimum_without_polish() -> None:
    X, y = scaled("two")
    exact = sg.SoftmaxClassifier().fit(X, y)
    model = sg.SoftmaxClassifier(solver="adam", learning_rate=0.05, random_state=0).fit(X, y)
    assert exact.objective_ <= model.objective_ <= exact.objective_ * (1 + 1e-4)
    assert_close(model.coef_.sum(axis=0), model.coef_[0], u=1)


@pytest.mark.parametrize("settings", [{"hidden": (9,)}, {"solver": "adam"}], ids=["hidden", "adam"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
def test_float32_stays_float32(form: Any, settings: dict[str, Any]) -> None:
    X, y = scaled("wine")
    narrow = form(X.astype(np.float32))
    options = {"max_iter": 20, "random_state": 0, **settings}
    model = sg.SoftmaxClassifier(**options).fit(narrow, y)
    wide = sg.SoftmaxClassifier(**options).fit(X, y)
    arrays = model.coefs_ + model.intercepts_ if "hidden" in settings else [model.coef_]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    assert model.predict_proba(narrow).dtype == np.float32
    assert_close(model.predict_log_proba(narrow), wide.predict_log_proba(X), u=1e4)
    model.partial_fit(X, y)
    assert model.predict_proba(narrow).dtype == np.float32
    again = clone(model).set_params(warm_start=True).fit(X, y)
    assert again.fit(narrow, y).history_[0].loss < 0.3 < np.log(3)
    assert again.predict_proba(narrow).dtype == np.float32
    if "hidden" in settings:
        assert {a.dtype for a in again.coefs_} == {np.dtype(np.float32)}


def test_seeds_give_the_same_bits() -> None:
    X, y = scaled("wine")

    def fitted(random_state: Any) -> Any:
        options = {"hidden": (8,), "max_iter": 4, "batch_size": 20}
        return sg.SoftmaxClassifier(random_state=random_state, **options).fit(X, y).coefs_[0]

    makers = [lambda: 3, lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)]
    for maker in makers:
        assert_same_bits(fitted(maker()), fitted(maker()))
    generator = np.random.default_rng(3)
    first = fitted(generator)
    assert not np.array_equal(first, fitted(generator))
    assert not np.array_equal(fitted(3), fitted(4))
    assert not np.array_equal(fitted(None), fitted(None))


@pytest.mark.parametrize("settings", [{"hidden": (8,)}, {"solver": "adam"}], ids=["hidden", "adam"])
def test_weight_zero_is_a_row_removed_bit_for_bit(
    settings: dict[str, Any], rng: np.random.Generator
) -> None:
    X, y = scaled("wine")
    w = rng.uniform(0.5, 2, size=len(y)) * (rng.random(len(y)) > 0.3)
    kept = np.flatnonzero(w)
    model = sg.SoftmaxClassifier(max_iter=5, batch_size=16, random_state=0, **settings)
    weighted = clone(model).fit(X, y, sample_weight=w)
    removed = clone(model).fit(X[kept], y[kept], sample_weight=w[kept])
    assert_same_bits(weighted.predict_proba(X), removed.predict_proba(X))


@pytest.mark.parametrize("verb", ["fit", "partial_fit"])
def test_the_unit_of_weights_is_that_of_C(verb: str, rng: np.random.Generator) -> None:
    X, y = scaled("wine")
    w = rng.uniform(0.5, 2, size=len(y))
    options = {"solver": "sgd", "batch_size": 40, "max_iter": 3, "random_state": 0}
    models = []
    for unit in (1.0, 100.0):
        model = sg.SoftmaxClassifier(C=1e-3 / unit, **options)
        for part in (slice(0, None, 2), slice(1, None, 2)):
            getattr(model, verb)(X[part], y[part], sample_weight=unit * w[part])
        models.append(model)
    assert_close(models[1].coef_, models[0].coef_, u=1e4)
    assert models[0].score(X, y) > 0.9


def test_early_stopping_restores_the_best_of_the_held_out_rows() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20))
    y = (X[:, 0] + 2 * rng.normal(size=200) > 0).astype(int)  # there is much to learn by heart
    options = {"hidden": (64,), "C": 1e4, "learning_rate": 0.02, "random_state": 0}
    stopped = sg.SoftmaxClassifier(early_stopping=True, n_iter_no_change=5, **options).fit(X, y)
    losses = [epoch.validation_loss for epoch in stopped.history_]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 5 < 200
    # A training that ends with the best epoch is the same up to there, if its rate is.
    options |= {"early_stopping": True, "schedule": "constant", "n_iter_no_change": 5}
    long = sg.SoftmaxClassifier(**options).fit(X, y)
    best = int(np.argmin([epoch.validation_loss for epoch in long.history_])) + 1
    short = sg.SoftmaxClassifier(max_iter=best, **options).fit(X, y)
    assert_same_bits(long.predict_proba(X), short.predict_proba(X))
    last = sg.SoftmaxClassifier(max_iter=best + 5, **{**options, "n_iter_no_change": 99}).fit(X, y)
    assert_same_bits(last.predict_proba(X), short.predict_proba(X))


def test_history_and_callbacks_see_every_epoch_and_can_stop() -> None:
    X, y = scaled("wine")
    seen: list[Any] = []
    stop = [seen.append, lambda epoch: epoch.number == 3, lambda epoch: 1]
    options = {"hidden": (4,), "random_state": 0, "learning_rate": 0.1}
    model = sg.SoftmaxClassifier(callbacks=stop, max_iter=10, **options).fit(X, y)
    assert model.history_ == seen
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    assert [epoch.learning_rate for epoch in seen] == pytest.approx([0.1, 0.09, 0.08])
    assert all(epoch.validation_loss is None for epoch in seen)
    assert model.n_iter_ == 3


def test_steps_of_convex_solvers_are_heard_of_too() -> None:
    X, y = data("digits")
    model = sg.SoftmaxClassifier(solver="lbfgs", callbacks=lambda step: step.number == 4).fit(X, y)
    assert [step.number for step in model.history_] == [1, 2, 3, 4]
    assert model.history_[-1].objective == pytest.approx(model.objective_, rel=1e-3)


@pytest.mark.parametrize("settings", [{"hidden": (4,)}, {}], ids=["hidden", "newton"])
def test_a_bar_is_shown_where_it_is_wanted(settings: dict[str, Any], capsys: Any) -> None:
    X, y = scaled("wine")
    sg.SoftmaxClassifier(max_iter=30, **settings).fit(X, y)
    assert capsys.readouterr() == ("", "")
    sg.SoftmaxClassifier(max_iter=30, verbose=True, **settings).fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "/30" in err


def test_warm_start_goes_on_from_the_network() -> None:
    X, y = scaled("wine")
    options = {"hidden": (8,), "warm_start": True, "max_iter": 30, "random_state": 0}
    model = sg.SoftmaxClassifier(**options).fit(X, y)
    before = model.history_[-1].loss
    assert model.fit(X, y).history_[0].loss < 1.5 * before < model.history_[0].loss * 3
    for other in ((X[:, :3], y), (X[y < 2], y[y < 2])):
        with pytest.raises(ValueError, match=r"`warm_start` must be False, or data with"):
            clone(model).fit(X, y).fit(*other)
    with pytest.raises(ValueError, match=r"layers \(8,\) with .* got .* layers \(9,\)"):
        model.set_params(hidden=(9,)).fit(X, y)


def test_a_convex_fit_can_start_where_mini_batches_ended() -> None:
    X, y = data("wine")
    model = sg.SoftmaxClassifier(solver="adam", warm_start=True, max_iter=30).fit(X, y)
    model.set_params(solver="newton").fit(X, y)
    assert model.objective_ == pytest.approx(sg.SoftmaxClassifier().fit(X, y).objective_, rel=1e-8)


def test_a_network_after_a_line_leaves_no_line() -> None:
    X, y = scaled("wine")
    model = sg.SoftmaxClassifier().fit(X, y)
    model.set_params(hidden=(4,), max_iter=2).fit(X, y)
    assert hasattr(model, "coefs_")
    assert not hasattr(model, "coef_")
    model.set_params(hidden=(), max_iter=None).fit(X, y)
    assert hasattr(model, "coef_")
    assert not hasattr(model, "coefs_")


def test_interrupted_fits_leave_the_estimator_as_it_was(interrupts: None) -> None:
    X, y = scaled("wine")

    def interrupt(record: Any) -> None:
        if record.number > 2:
            raise KeyboardInterrupt

    for settings in ({"hidden": (5,)}, {"solver": "adam"}, {"solver": "lbfgs"}):
        model = sg.SoftmaxClassifier(random_state=0, max_iter=9, tol=1.0, **settings).fit(X, y)
        before = pickle.dumps(vars(model))
        model.set_params(callbacks=interrupt, tol=1e-8, max_iter=50)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X[:, :5], y)
        model.set_params(callbacks=None, tol=1.0, max_iter=9)
        assert pickle.dumps(vars(model)) == before


# ---- parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"hidden": (12,)}, {}, {"solver": "sgd"}], ids=str)
def test_two_halves_are_learned_from_both(settings: dict[str, Any]) -> None:
    X, y = scaled("wine")  # sorted by class: no half is enough
    model = sg.SoftmaxClassifier(random_state=0, learning_rate=0.05, batch_size=16, **settings)
    for _ in range(12):
        model.partial_fit(X[:89], y[:89], classes=[0, 1, 2]).partial_fit(X[89:], y[89:])
    assert model.score(X, y) > 0.95
    assert model.n_iter_ == len(model.history_) == 24
    assert [epoch.number for epoch in model.history_] == list(range(1, 25))


def test_parts_keep_the_moments() -> None:
    """One mini-batch a part, the same rows: the steps of Adam as algorithm 1 has them."""
    X, y = scaled("two")
    model = sg.SoftmaxClassifier(C=2.0, learning_rate=0.03, batch_size=len(y))
    theta = np.zeros((2, 5))
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    A, t = np.column_stack([X, np.ones(len(y))]), np.eye(2)[y]
    for step in range(1, 8):
        model.partial_fit(X, y)
        z = A @ theta.T
        p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
        g = (p - t).T @ A / len(y)
        g[:, :-1] += 2 * theta[:, :-1] / (2.0 * step * len(y))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta -= 0.03 * m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        assert_close(model.coef_, theta[1:, :-1] - theta[:1, :-1], u=1e6)
        assert_close(model.intercept_, theta[1:, -1] - theta[:1, -1], u=1e6)


def test_new_classes_may_come() -> None:
    X, y = scaled("wine")
    names = np.array(["middle", "last", "first"])[y]
    model = sg.SoftmaxClassifier(hidden=(8,), random_state=0, learning_rate=0.05, batch_size=16)
    old = y < 2
    model.partial_fit(X[old], names[old])
    assert model.classes_.tolist() == ["last", "middle"]
    before = model.predict_log_proba(X)
    still = clone(model).partial_fit(X[old], names[old])
    assert_same_bits(still.predict_log_proba(X), before)
    model.partial_fit(X[:0:-1], names[:0:-1])
    assert model.classes_.tolist() == ["first", "last", "middle"]
    for _ in range(15):
        model.partial_fit(X, names)
    assert model.score(X, names) > 0.95


def test_a_new_class_starts_at_zero_and_moves_no_other() -> None:
    X, y = scaled("wine")
    model = sg.SoftmaxClassifier(learning_rate=0.1).partial_fit(X, 2 * y)
    before = model.coef_
    model.set_params(learning_rate=1e-12).partial_fit(X, np.where(y == 2, 3, 2 * y))
    assert model.classes_.tolist() == [0, 2, 3, 4]
    after = model.coef_ - model.coef_[2]
    assert_close(after[[0, 1, 3]] - after[[0, 1, 3]].mean(axis=0), before, u=1e8)
    assert_close(model.coef_[2] + before.sum(axis=0) / 4 + 1, np.ones(13), u=1e8)


def test_a_part_goes_on_from_a_fit() -> None:
    X, y = data("wine")
    model = sg.SoftmaxClassifier().fit(X, y)
    before = model.coef_.copy()
    model.set_params(learning_rate=1e-9).partial_fit(X, y)
    assert_close(model.coef_, before, u=1e9)
    assert np.isnan(model.objective_)
    assert model.optimality_ == np.inf
    assert model.solver_ == "adam"


@pytest.mark.parametrize("settings", [{}, {"hidden": (5,)}, {"solver": "sgd"}])
def test_a_part_goes_on_with_the_moments_of_a_fit(settings: dict[str, Any]) -> None:
    """A mini-batch of all rows: epochs of a fit and parts are then the same steps."""
    X, y = scaled("wine")
    options = {"solver": "adam", "batch_size": 1000, "schedule": "constant", "C": 1e9}
    options |= {"random_state": 0, **settings}
    whole = sg.SoftmaxClassifier(max_iter=5, **options).fit(X, y)
    model = sg.SoftmaxClassifier(max_iter=3, **options).fit(X, y)
    assert_close(
        model.partial_fit(X, y).partial_fit(X, y).predict_proba(X), whole.predict_proba(X), u=1e7
    )
    assert [type(record).__name__ for record in model.history_] == 5 * ["TrainingEpoch"]


def test_a_fit_shares_no_moments_with_later_parts() -> None:
    """An interrupted part must find them as they were."""
    X, y = scaled("wine")
    model = sg.SoftmaxClassifier(solver="adam", random_state=0).fit(X, y)
    before = {key: a.copy() for key, a in model._stream.moments.items()}
    after = model._stream.moments
    model.partial_fit(X, y)
    assert before
    for key, array in before.items():
        assert np.array_equal(after[key], array)


def test_max_iter_counts_epochs_and_no_steps_of_the_polish() -> None:
    X, y = scaled("wine")
    model = sg.SoftmaxClassifier(solver="adam", polish=True, max_iter=2, random_state=0).fit(X, y)
    kinds = [type(record).__name__ for record in model.history_]
    assert kinds[:2] == ["TrainingEpoch"] * 2
    assert set(kinds[2:]) == {"Step"}
    assert len(kinds) == model.n_iter_ > 5
    assert model.optimality_ < 1e-6


def test_an_interrupted_part_was_never_there() -> None:
    X, y = scaled("wine")

    def interrupt(record: Any) -> None:
        raise KeyboardInterrupt

    options = {"hidden": (5,), "random_state": 0, "batch_size": 20}
    model, other = (sg.SoftmaxClassifier(**options).partial_fit(X, y) for _ in range(2))
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=interrupt).partial_fit(X, np.where(y == 2, 7, y))
    model.set_params(callbacks=None).partial_fit(X, y)
    assert_same_bits(model.predict_proba(X), other.partial_fit(X, y).predict_proba(X))


@pytest.mark.parametrize("settings", [{"solver": "lbfgs"}, {"polish": True, "solver": "adam"}])
def test_what_needs_all_rows_has_no_partial_fit(settings: dict[str, Any]) -> None:
    assert not hasattr(sg.SoftmaxClassifier(**settings), "partial_fit")
    assert hasattr(sg.SoftmaxClassifier(), "partial_fit")


@pytest.mark.parametrize("hidden", [(), (4,)], ids=["", "hidden"])
def test_logits_of_a_part_are_never_stored(hidden: Any, rng: np.random.Generator) -> None:
    N, K = 1024, 50_000
    X, y = rng.normal(size=(N, 4)).astype(np.float32), np.arange(N) % K
    model = sg.SoftmaxClassifier(hidden=hidden, batch_size=N)
    model.partial_fit(X[:256], y[:256], classes=np.arange(K))  # kernels are loaded
    wide = X.astype(np.float64)  # the coefficients stay float32
    peak = peak_of(lambda: model.partial_fit(wide, y).predict(X[:256]))
    assert peak < 2 * 64 * 2**20 < 4 * N * K


def test_logits_of_a_fit_are_never_stored(rng: np.random.Generator) -> None:
    N, K = 40_000, 1500
    X, y = rng.normal(size=(N, 4)).astype(np.float32), np.arange(N) % K
    model = sg.SoftmaxClassifier(solver="adam", max_iter=1)
    model.fit(X[:5000], y[:5000])  # kernels are loaded
    peak = peak_of(lambda: model.fit(X, y).score(X, y))
    assert peak < 1.5 * 64 * 2**20 < 4 * N * K / 2


def peak_of(f: Any) -> int:
    """Return the most bytes that NumPy and Python held while f ran."""
    tracemalloc.start()
    try:
        f()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---- bad input ---------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "hidden": ({"hidden": 5}, "`hidden` must be a sequence of positive integers, got int"),
    "hidden zero": ({"hidden": (4, 0)}, r"`hidden\[1\]` must be a positive integer, got 0"),
    "activation": ({"hidden": (3,), "activation": "gelu"}, "`activation` must be 'relu' or"),
    "activations": (
        {"hidden": (3,), "activation": ("relu", "relu")},
        "`activation` must be .* a tuple of 1, one a hidden layer, got",
    ),
    "one activation": (
        {"hidden": (3, 3), "activation": ("relu", "gelu")},
        r"`activation\[1\]` must be 'relu' or .* got 'gelu'",
    ),
    "solver": (
        {"hidden": (3,), "solver": "newton"},
        "`solver` must be 'auto' or 'adam' or 'sgd' for hidden layers, got 'newton'",
    ),
    "batch_size": ({"batch_size": 0}, "`batch_size` must be a positive integer, got 0"),
    "learning_rate": ({"learning_rate": -1}, "`learning_rate` must be positive and finite, got"),
    "learning_rate text": ({"learning_rate": "constant"}, "`learning_rate` must be a number, got"),
    "momentum": ({"momentum": 1.0}, r"`momentum` must be from 0 to below 1, got 1\.0"),
    "schedule": ({"schedule": "cosine"}, "`schedule` must be 'linear' or 'constant', got 'cosine'"),
    "early_stopping": ({"early_stopping": 1}, "`early_stopping` must be True or False, got 1"),
    "early_stopping convex": (
        {"early_stopping": True},
        "`early_stopping` must be False without mini-batches; .*, got True",
    ),
    "validation_fraction": (
        {"validation_fraction": 1.0},
        r"`validation_fraction` must be between 0 and 1, got 1\.0",
    ),
    "nothing held out": (
        {"validation_fraction": 1e-4, "early_stopping": True, "solver": "adam"},
        r"`validation_fraction` must be a share of one row at least, got 0\.0001 of 178 rows",
    ),
    "n_iter_no_change": ({"n_iter_no_change": 0}, "`n_iter_no_change` must be a positive integer"),
    "polish": ({"polish": True, "hidden": (3,)}, "`polish` must be False with hidden layers, got"),
    "polish early": (
        {"polish": True, "solver": "adam", "early_stopping": True},
        "`polish` must be False with early_stopping, got True",
    ),
    "polish convex": (
        {"polish": True, "solver": "newton"},
        "`polish` must be False without mini-batches; 'newton' reaches the optimum itself, got",
    ),
    "callbacks": ({"callbacks": 3}, "`callbacks` must be None, a function of a record, or a list"),
    "verbose": ({"verbose": -1}, "`verbose` must be True, False or an integer of at least 0, got"),
    "random_state": (
        {"random_state": "x", "hidden": (3,)},
        "`random_state` must be None, an integer of at least 0, a Generator or a RandomState, got",
    ),
}


@pytest.mark.parametrize(("settings", "message"), BAD.values(), ids=BAD)
def test_errors_name_the_argument(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        sg.SoftmaxClassifier(**settings).fit(*scaled("wine"))


def test_a_rate_that_is_too_large_is_said() -> None:
    X, y = data("wine")
    one_step = {"learning_rate": 1e308, "max_iter": 1, "batch_size": len(y)}
    for settings in ({"hidden": (8,), "learning_rate": 1e3}, one_step):
        model = sg.SoftmaxClassifier(solver="sgd", **settings)
        message = "`learning_rate` must be smaller, or the columns standardised, got"
        with pytest.raises(UsageError, match=message):
            model.fit(X, y)
        assert not hasattr(model, "classes_")


BAD_PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown label": ({"y": [0, 1, 5]}, r"`y` must be of the classes \[0, 1, 2\], got 5"),
    "other classes": (
        {"y": [0, 1, 1], "classes": [0, 1]},
        r"`classes` must be with all known classes \[0, 1, 2\], got \[0, 1\]",
    ),
    "text": ({"y": ["a", "b", "a"]}, "`y` must be labels like 0, got 'a'"),
    "columns": ({"X": np.ones((3, 5))}, "X has 5 features, but SoftmaxClassifier is expecting 13"),
    "no weight": ({"sample_weight": np.zeros(3)}, "`sample_weight` .* got zero in all"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_PARTS.values(), ids=BAD_PARTS)
def test_errors_of_parts_name_the_argument(arguments: dict[str, Any], message: str) -> None:
    X, y = scaled("wine")
    model = sg.SoftmaxClassifier().partial_fit(X, y, classes=[2, 1, 0])
    before = pickle.dumps(vars(model))
    with pytest.raises((ValueError, TypeError), match=message):
        model.partial_fit(**{"X": X[:3], "y": y[:3], **arguments})
    assert pickle.dumps(vars(model)) == before


def test_a_first_part_needs_two_classes() -> None:
    X, y = scaled("wine")
    with pytest.raises(ValueError, match="`y` must be of at least two classes; `classes` of the"):
        sg.SoftmaxClassifier().partial_fit(X[:5], y[:5])
    with pytest.raises(ValueError, match="`classes` must be of at least two classes"):
        sg.SoftmaxClassifier().partial_fit(X[:5], y[:5], classes=[0])
    assert sg.SoftmaxClassifier().partial_fit(X[:5], y[:5], classes=[0, 1]).score(X[:5], y[:5]) == 1


def test_rows_without_weight_bring_no_class() -> None:
    X, y = scaled("wine")
    model, other = (sg.SoftmaxClassifier(random_state=0, batch_size=16) for _ in range(2))
    model.partial_fit(X, y, sample_weight=(y < 2) * 1.0)
    assert model.classes_.tolist() == [0, 1]
    assert_same_bits(model.coef_, other.partial_fit(X[y < 2], y[y < 2]).coef_)


def test_weights_by_label_may_name_classes_that_have_not_come() -> None:
    X, y = scaled("wine")
    early, weights = y < 2, {2: 3.0, 0: 2.0}
    model = sg.SoftmaxClassifier(class_weight=weights, random_state=0)
    model.partial_fit(X[early], y[early]).partial_fit(X, y)
    plain = sg.SoftmaxClassifier(random_state=0)
    plain.partial_fit(X[early], y[early], sample_weight=2.0 - y[early])
    plain.partial_fit(X, y, sample_weight=np.array([2.0, 1.0, 3.0])[y])
    assert_close(model.coef_, plain.coef_, u=100)


def test_balanced_weights_need_all_rows() -> None:
    with pytest.raises(ValueError, match="`class_weight` must be None or a dict for partial_fit"):
        sg.SoftmaxClassifier(class_weight="balanced").partial_fit(*scaled("wine"))


def test_later_layers_must_be_those_of_before() -> None:
    model = sg.SoftmaxClassifier(hidden=(4,)).partial_fit(*scaled("wine"))
    with pytest.raises(ValueError, match=r"`hidden` must be .* layers \(4,\) with .* got .*\(5,\)"):
        model.set_params(hidden=(5,)).partial_fit(*scaled("wine"))
