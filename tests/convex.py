"""Convex problems for the classifier's tests, and their objective written as it is defined."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import logsumexp
from sklearn.datasets import load_digits, load_iris, load_wine

from softgrad.learn.objective import Objective

FORMS: dict[str, Callable[[Any], Any]] = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "CSR array": sparse.csr_array,
    "CSR matrix": sparse.csr_matrix,
    "float32 CSR": lambda X: sparse.csr_array(X.astype(np.float32)),
    "columns first": np.asfortranarray,
    "reversed view": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
}


@cache
def data(name: str) -> tuple[Any, Any]:
    """Return X [N, D] and class indices [N]."""
    rng = np.random.default_rng(3)
    if name in ("iris", "wine", "digits"):
        loader = {"iris": load_iris, "wine": load_wine, "digits": load_digits}[name]
        X, y = loader(return_X_y=True)
        return X, y
    if name == "rare":  # one class has a single row, and the columns are far from 0
        X, y = rng.normal(size=(120, 5)) + 20, rng.integers(3, size=120)
        y[0] = 3
        return X, y
    if name == "units":  # columns of all sizes, two of them the same
        X = rng.normal(size=(150, 6)) * 10.0 ** np.arange(-4, 8, 2)
        X = np.column_stack([X, X[:, 1]])
        return X, (X[:, 1] / 0.01 + rng.gumbel(size=150) > 0) + 2 * (X[:, 3] > 0)
    if name == "many":  # more classes than columns
        centres = rng.normal(size=(40, 8)) * 1.5
        y = np.arange(600) % 40
        return centres[y] + rng.normal(size=(600, 8)), y
    if name == "tall":  # so many rows that the metric is measured on some of them; sorted by class
        y = np.sort(rng.integers(3, size=2000))
        return rng.normal(size=(2000, 3)) + np.eye(3)[y], y
    assert name == "two"
    X = rng.normal(size=(80, 4))
    return X, (X[:, 0] + rng.normal(size=80) > 0.5).astype(int)


NAMES = ("iris", "wine", "rare", "units", "many", "tall", "two")


def objective(name: str, form: str = "float64", **settings: Any) -> Objective:
    """Return an objective with uneven weights and C = 1, unless other settings are given."""
    X, y = data(name)
    w = np.random.default_rng(4).uniform(0.5, 2, size=len(y))
    fields = {"weights": w / w.sum(), "ridge": 1 / w.sum(), **settings}
    return Objective(FORMS[form](X), y, classes=int(y.max()) + 1, **fields)


def primal(f: Objective, theta: Any) -> float:
    """Return f(theta) from its definition, in float64."""
    X = f.X.toarray() if sparse.issparse(f.X) else f.X
    z = X.astype(np.float64) @ theta[:, :-1].T + theta[:, -1]
    losses = logsumexp(z, axis=1) - z[np.arange(len(z)), f.y]
    return float(f.weights @ losses + f.ridge / 2 * np.sum(theta[:, :-1] ** 2))


def some_theta(f: Objective, rng: np.random.Generator) -> Any:
    """Return weights at which rows are neither all sure nor all unsure."""
    theta = rng.normal(size=f.start.shape)
    X = f.X.toarray() if sparse.issparse(f.X) else f.X
    theta[:, :-1] /= np.abs(X).max(axis=0) * np.sqrt(X.shape[1])
    return theta
