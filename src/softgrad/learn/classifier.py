"""`SoftmaxClassifier`: multinomial logistic regression as a scikit-learn estimator."""

from __future__ import annotations

import math
import numbers
import os
import warnings
from typing import Any

import numpy as np

from softgrad.arrays import Array, as_integer
from softgrad.errors import MissingExtraError, mismatch
from softgrad.learn.blocks import feature_blocks, gather, is_stream
from softgrad.learn.checkpoint import Checkpoint, data_fingerprint, digest
from softgrad.learn.objective import Objective
from softgrad.learn.predictions import TopLabels, by_chunks, top_classes
from softgrad.learn.solvers import SOLVERS, Settings, choose_solver, solve
from softgrad.learn.training_set import ClassWeight, TrainingSet, check_squares, training_set
from softgrad.maps import log_softmax, softmax
from softgrad.nn.arguments import check_flag, check_kind, positive_integer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingExtraError("scikit-learn", "learn") from error

__all__ = ["SoftmaxClassifier"]

_FLOATS = [np.float64, np.float32]


class SoftmaxClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression that reaches the optimum, and says how close it came.

    Parameters
    ----------
    C : float, 1
        Inverse strength of the L2 penalty, as in LogisticRegression: the minimum is that of
        mean cross-entropy + ‖W‖²/(2·C·n), with n the sum of all weights. The intercept is free.
        Infinity is no penalty, and then there may be no minimum.
    tol : float, 1e-8
        How far the objective may be above its minimum, relative to itself. Solvers stop by their
        estimate of it, which no unit of a column changes.
    solver : {"auto", "newton", "newton-cg", "lbfgs"}
        "newton" builds the whole Hessian, "newton-cg" a block for each class, "lbfgs" one matrix
        for all classes; "auto" looks at the size of the problem. All reach one optimum.
    max_iter : int, 1000
        Of the solver; what stops short of the optimum says so by a ConvergenceWarning.
    class_weight : dict or "balanced", optional
        Weights by label, 1 for labels that are not there; or such that all classes weigh the same.
    warm_start : bool, False
        Whether `fit` starts from the coefficients that there are.
    checkpoint : path, optional
        A file that `fit` writes as it goes, begins with if it is there, and removes at its end. A
        fit that was killed goes on from it and ends with the same bits. That of another model or
        other data is refused.
    checkpoint_every : float, 60
        Seconds between two checkpoints; 0 writes one after every step.
    cache : path, optional
        The folder of a temporary file for the rows of tables and streams, all of them, as long as
        `fit` runs; by default the system's for temporary files. On some systems that one is in
        memory, and a folder on a disk is wanted.

    Attributes
    ----------
    classes_ : array [K]
        The labels, sorted.
    coef_ : array [K, D], or [1, D] for two classes
        In the dtype of X, float32 or float64; the sum over K classes is 0.
    intercept_ : array [K], or [1]
    n_iter_ : int
        Steps of the solver.
    solver_ : str
        Which it was.
    objective_ : float
        The value that was reached.
    optimality_ : float
        What `objective_` is above the minimum at most: a duality gap, certain but for rounding.
        Infinite without a penalty.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Examples
    --------
    >>> import softgrad as sg
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = sg.SoftmaxClassifier().fit(X, y)
    >>> round(model.objective_, 12), model.optimality_ < 1e-10
    (0.192575444027, True)
    >>> model.score(X, y)
    0.9733333333333334
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        tol: float = 1e-8,
        solver: str = "auto",
        max_iter: int = 1000,
        class_weight: ClassWeight = None,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self.C = C
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.cache = cache

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SoftmaxClassifier:
        """Train on rows X and labels y.

        Parameters
        ----------
        X : array, data frame or sparse matrix [N, D], path, or blocks
            Finite numbers; float32 stays float32, a sparse matrix sparse. Of what need not fit into
            memory, some blocks of rows are there at a time: an np.memmap, the path of a Parquet or
            CSV file, or an iterator of blocks or a function that returns one. A block is a pair
            (X, y), a triple (X, y, weights), a record batch or a data frame. All are read once.
        y : array [N], or str
            Labels: integers, text or booleans, of at least two classes. For tables, the name of
            their column; None where the blocks are pairs.
        sample_weight : array [N], optional, or str
            Not negative. A weight of 0 is the same as leaving the row out. For tables, the name of
            a column; None where the blocks bring them.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            An argument or a setting does not fit; the message has its name.
        UsageError
            A file cannot be read, a cell is no number, a checkpoint is damaged or a disk full: one
            line says where.
        """
        C, settings = self._checked()
        before = self._theta_before()
        rows = self._examples(X, y, sample_weight)
        objective = _objective(rows, C)
        start = objective.start if before is None else self._start(before, rows)
        K, D = len(rows.classes), rows.X.shape[1]
        solver = choose_solver(K, D) if self.solver == "auto" else self.solver
        checkpoint = self._checkpoint(rows, solver, C, start)
        found = solve(solver, objective, start, settings, checkpoint)
        if not found.converged:
            warnings.warn(
                f"{solver} stopped after {found.iterations} steps, where the objective "
                f"{found.value:.6g} seemed to be {found.gap:.1e} above its minimum: raise "
                "`max_iter` or `tol`, take another `solver`, or scale the columns",
                ConvergenceWarning,
                stacklevel=2,
            )
        theta = found.theta if K > 2 else found.theta[1:] - found.theta[:1]
        self.classes_ = rows.classes
        self.coef_ = theta[:, :-1].astype(rows.X.dtype)
        self.intercept_ = theta[:, -1].astype(rows.X.dtype)
        self.solver_, self.n_iter_ = solver, found.iterations
        self.objective_, self.optimality_ = found.value, found.bound
        if checkpoint is not None:
            checkpoint.remove()
        return self

    def decision_function(self, X: Any) -> Array:
        """Return the logits [N, K]; for two classes those of the second against the first: [N]."""
        (z,) = self._each(X, lambda z: (z,))
        return z if len(self.classes_) > 2 else z[:, 1]

    def predict(self, X: Any) -> Array:
        """Return the likeliest label of every row: [N]."""
        (ids,) = self._each(X, lambda z: (z.argmax(axis=1),))
        return self.classes_[ids]

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of every class, in the order of `classes_`: [N, K]."""
        (p,) = self._each(X, lambda z: (softmax(z, out=z),))
        return p

    def predict_log_proba(self, X: Any) -> Array:
        """Return log-probabilities [N, K], with all digits, however small the probabilities are."""
        (log_p,) = self._each(X, lambda z: (log_softmax(z, out=z),))
        return log_p

    def predict_top_k(self, X: Any, k: int) -> TopLabels:
        """Return the k likeliest labels of every row, falling, and their log-probabilities.

        Returns
        -------
        TopLabels
            ``labels`` and ``log_probs``, [N, k] each.
        """
        check_is_fitted(self)
        K = len(self.classes_)
        if not 0 < as_integer("k", k) <= K:
            raise ValueError(mismatch("k", f"from 1 to the {K} classes", k))
        ids, log_probs = self._each(X, lambda z: top_classes(z, k))
        return TopLabels(self.classes_[ids], log_probs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _examples(self, X: Any, y: Any, sample_weight: Any) -> TrainingSet:
        """Return checked rows, labels and weights, wherever they come from."""
        if not is_stream(X):
            X, y = validate_data(self, X, y, accept_sparse="csr", dtype=_FLOATS)
            check_classification_targets(y)
            check_squares(X)
            return training_set(X, y, sample_weight, self.class_weight)
        reset = iter((True,))  # the first block says how many columns there are, and their names

        def check(X: Any) -> Array:
            checked: Array = validate_data(self, X, dtype=_FLOATS, reset=next(reset, False))
            return checked

        rows, names = gather(X, y, sample_weight, self.class_weight, check, self.cache)
        if names is not None:
            self.n_features_in_ = len(names)
            self.feature_names_in_ = np.array(names, dtype=object)
        return rows

    def _each(self, X: Any, of_logits: Any) -> Any:
        """Return what a function of logits says of all rows; of two classes the first has 0."""
        check_is_fitted(self)

        def check(X: Any) -> Any:
            return validate_data(self, X, accept_sparse="csr", dtype=_FLOATS, reset=False)

        theta = np.column_stack([self.coef_, self.intercept_])
        if len(self.classes_) == 2:
            theta = np.concatenate([np.zeros_like(theta), theta])
        if not is_stream(X):
            return by_chunks(check(X), theta, of_logits)
        blocks = feature_blocks(X, getattr(self, "feature_names_in_", None), check)
        parts = [by_chunks(X, theta, of_logits) for X in blocks]
        return tuple(map(np.concatenate, zip(*parts, strict=True)))

    def _checked(self) -> tuple[float, Settings]:
        """Return C and when to stop, or raise for a setting that does not fit."""
        for name in ("checkpoint", "cache"):
            if getattr(self, name) is not None:
                check_kind(name, getattr(self, name), (str, os.PathLike), "a path or None")
        for name, least in (("C", math.ulp(0.0)), ("tol", 0.0), ("checkpoint_every", 0.0)):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or isinstance(value, bool):
                raise TypeError(mismatch(name, "a number", repr(value)))
            if not float(value) >= least:
                raise ValueError(mismatch(name, "positive" if least else "not negative", value))
        if self.solver != "auto" and self.solver not in SOLVERS:
            expected = " or ".join(map(repr, ["auto", *SOLVERS]))
            raise ValueError(mismatch("solver", expected, repr(self.solver)))
        check_flag("warm_start", self.warm_start)
        return float(self.C), Settings(float(self.tol), positive_integer("max_iter", self.max_iter))

    def _checkpoint(
        self, rows: TrainingSet, solver: str, C: float, start: Array
    ) -> Checkpoint | None:
        """Return the file that fits begin with, and what tells this fit from others."""
        if self.checkpoint is None:
            return None
        same = {"solver": solver, "C": C, "start": digest(start), **data_fingerprint(rows)}
        return Checkpoint(self.checkpoint, float(self.checkpoint_every), same)

    def _theta_before(self) -> tuple[Array, Array] | None:
        """Return the labels and coefficients to start from, if that is wanted."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        theta = np.column_stack([self.coef_, self.intercept_]).astype(np.float64)
        return self.classes_, theta if len(theta) > 1 else np.concatenate([-theta, theta]) / 2

    def _start(self, before: tuple[Array, Array], rows: TrainingSet) -> Array:
        classes, theta = before
        shape = (len(rows.classes), rows.X.shape[1] + 1)
        if theta.shape != shape or not np.array_equal(classes, rows.classes):
            expected = f"False, or the data of the same columns and classes {classes.tolist()}"
            got = f"{shape[1] - 1} columns and classes {rows.classes.tolist()}"
            raise ValueError(mismatch("warm_start", expected, got))
        return theta


def _objective(rows: TrainingSet, C: float) -> Objective:
    """Return what is minimised: LogisticRegression's objective over C·n.

    Two classes have one row of coefficients there, and the penalty counts it once. As softmax rows
    −w/2 and w/2 it would be half of that, which twice the penalty makes up for.
    """
    n, K = float(rows.weights.sum()), len(rows.classes)
    return Objective(rows.X, rows.y, rows.weights / n, K, ridge=(2 if K == 2 else 1) / (C * n))
