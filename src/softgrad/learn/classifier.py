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
from softgrad.learn.affine import is_sparse
from softgrad.learn.checkpoint import Checkpoint, data_fingerprint, digest
from softgrad.learn.objective import Objective
from softgrad.learn.predictions import TopLabels, by_chunks, top_classes
from softgrad.learn.solvers import SOLVERS, Settings, choose_solver, solve
from softgrad.learn.training_set import ClassWeight, TrainingSet, training_set
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
    ) -> None:
        self.C = C
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SoftmaxClassifier:
        """Train on rows X and labels y.

        Parameters
        ----------
        X : array, data frame or sparse matrix [N, D]
            Finite numbers; float32 stays float32, a sparse matrix sparse.
        y : array [N]
            Labels: integers, text or booleans, of at least two classes.
        sample_weight : array [N], optional
            Not negative. A weight of 0 is the same as leaving the row out.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            An argument or a setting does not fit; the message has its name.
        """
        C, settings = self._checked()
        before = self._theta_before()
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
        check_classification_targets(y)
        _check_squares(X)
        rows = training_set(X, y, sample_weight, self.class_weight)
        objective = _objective(rows, C)
        start = objective.start if before is None else self._start(before, rows)
        K, D = len(rows.classes), X.shape[1]
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
        self.coef_ = theta[:, :-1].astype(X.dtype)
        self.intercept_ = theta[:, -1].astype(X.dtype)
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

    def _each(self, X: Any, of_logits: Any) -> Any:
        """Return what a function of logits says of all rows; of two classes the first has 0."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        theta = np.column_stack([self.coef_, self.intercept_])
        if len(self.classes_) == 2:
            theta = np.concatenate([np.zeros_like(theta), theta])
        return by_chunks(X, theta, of_logits)

    def _checked(self) -> tuple[float, Settings]:
        """Return C and when to stop, or raise for a setting that does not fit."""
        if self.checkpoint is not None:
            check_kind("checkpoint", self.checkpoint, (str, os.PathLike), "a path or None")
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


def _check_squares(X: Any) -> None:
    """Raise for numbers whose squares would overflow."""
    numbers = X.data if is_sparse(X) else X
    largest = max(float(numbers.max(initial=0)), -float(numbers.min(initial=0)))
    if largest > 1e150:
        raise ValueError(mismatch("X", "no larger than 1e150 in absolute value", f"{largest:.3g}"))


def _objective(rows: TrainingSet, C: float) -> Objective:
    """Return what is minimised: LogisticRegression's objective over C·n.

    Two classes have one row of coefficients there, and the penalty counts it once. As softmax rows
    −w/2 and w/2 it would be half of that, which twice the penalty makes up for.
    """
    n, K = float(rows.weights.sum()), len(rows.classes)
    return Objective(rows.X, rows.y, rows.weights / n, K, ridge=(2 if K == 2 else 1) / (C * n))
