"""The classifier's benchmark: it times only what reaches its goal."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from benchmarks import learn

import softgrad as sg
from convex import data


def test_objective_is_the_classifiers_own() -> None:
    X, y = data("wine")
    model = sg.SoftmaxClassifier().fit(X, y)
    assert learn.objective(model, X, y) == pytest.approx(model.objective_, rel=1e-12)


def test_loosest_tolerance_reaches_the_goal_and_no_looser_one_does() -> None:
    X, y = data("wine")
    make = partial(sg.SoftmaxClassifier, solver="lbfgs")
    best = sg.SoftmaxClassifier(tol=1e-12).fit(X, y).objective_
    found = learn.loosest(make, X, y, best, 1e-6)
    assert found is not None
    model, gap = found
    assert gap <= 1e-6
    looser: Any = make(tol=10 * model.tol).fit(X, y)
    assert looser.objective_ / best - 1 > 1e-6


def test_what_does_not_get_there_is_said() -> None:
    X, y = data("wine")
    assert learn.loosest(sg.SoftmaxClassifier, X, y, best=0.99 * 0.0622, goal=1e-6) is None


def test_data_are_the_same_every_time() -> None:
    X, y = learn.digits()
    assert X.shape == (1797, 64)
    assert np.bincount(y).min() > 100
