"""The classifier's methods that say what its fit is worth. They ask for the rows again."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from softgrad.arrays import Array, as_integer
from softgrad.errors import mismatch
from softgrad.learn.affine import logits
from softgrad.learn.coefficients import Coefficients
from softgrad.learn.fits import Fit
from softgrad.learn.minibatch import TrainingEpoch
from softgrad.learn.objective import Objective
from softgrad.learn.options import Options
from softgrad.learn.solvers import choose_solver, solve
from softgrad.learn.statistics.information import Information, contrasts
from softgrad.learn.statistics.likelihood import LikelihoodRatio, null_log_likelihood
from softgrad.learn.statistics.separation import Separation, separation_at
from softgrad.learn.statistics.summary import Summary, summarised
from softgrad.learn.statistics.temperature import BOUNDS, Slopes, best_temperature, slopes
from softgrad.learn.stored_rows import StoredRows, cut_rows
from softgrad.learn.team import team_of
from softgrad.learn.training_set import TrainingSet, class_indices

__all__ = ["Inference"]

_LEFT = 0.05
"""What the log-likelihood may still rise by: coefficients are then a third of a standard error off,
all of them together."""

_MEMORY = 64 * 2**20


class Inference:
    """Methods of a classifier: summary and likelihood ratio of linear logits, and calibration.

    The estimator says what its coefficients are, how rows are checked, and what `fit` minimised.
    """

    C: float
    standardize: bool
    group: Any
    class_weight: Any
    classes_: Array
    separation_: Separation | None
    history_: list[Any]
    solver_: str

    def summary(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        reference: Any = None,
        level: float = 0.95,
    ) -> Summary:
        """Return standard errors, z, p, confidence intervals and what the likelihood says.

        It takes the rows of `fit` again: the model does not keep them, and a fit that nobody asks
        is as fast as before. The covariance is the inverse of Fisher's information there, one
        Hessian of (K − 1)(D + 1) coefficients. It sets `covariance_`, that of ``coef_`` with
        ``intercept_`` as last column, row after row.

        Parameters
        ----------
        X, y, sample_weight
            As `fit` got them, or in another form that it takes. Weights count how often a row was
            seen: the standard errors of a row of weight 2 are those of two such rows. So they are
            wrong for weights that are something else, and for `class_weight`, which a note says.
        reference : label, optional
            The class that all others are compared with, as in statsmodels' MNLogit, which takes the
            first. By default coefficients are those of ``coef_``, which sum to 0 over the classes:
            each class is compared with the mean of all. The covariance of those is singular. Two
            classes have one row, the second class against the first.
        level : float, 0.95
            Of the confidence intervals.

        Returns
        -------
        Summary

        Raises
        ------
        ValueError
            The rows are not those of the fit, or it did not reach the optimum; the classes are
            completely separated; a column is a combination of others, and nothing holds it; or an
            argument does not fit; or there are hidden layers.

        Numerics
        --------
        With a penalty, the information includes it: the standard errors are those of the normal
        approximation to the posterior, where each weight has the prior N(0, C). Then p is twice
        the posterior probability of the other sign; it is not how often chance alone would do as
        well, since the coefficients are drawn to 0. For tests, fit with ``C=numpy.inf``.
        """
        with team_of(self.group).called("summary", reference=reference, level=level):
            self._check_maximum(complete=True)
        rows, objective = self._problem(X, y, sample_weight)
        if not (isinstance(level, numbers.Real) and 0 < float(level) < 1):
            raise ValueError(mismatch("level", "between 0 and 1", level))
        K, total = len(rows.classes), rows.total
        base = 0 if K == 2 and reference is None else self._class_index(reference)
        names = column_names(self, rows.X.shape[1])
        theta = self._theta()
        information = Information(objective, objective.inside(theta), total)
        try:
            left = information.left
        except np.linalg.LinAlgError as error:
            self._check_maximum(complete=False)
            name = repr([*names, "intercept"][error.args[0]])
            expected = "of columns independent of each other and of the intercept"
            got = f"{name}, which others determine"
            raise ValueError(mismatch("X", expected, got)) from None
        if not left <= _LEFT and isinstance(self.history_[-1], TrainingEpoch):
            expected = "one that reaches the optimum, or followed by `polish`"
            got = (
                f"{self.solver_!r}, from where the log-likelihood seems to rise by {left:.3g} more"
            )
            raise ValueError(mismatch("solver", expected, got))
        if not left <= _LEFT:
            expected = "the rows of the fit, with an optimum that was reached"
            got = f"rows where the log-likelihood seems to rise by {left:.3g} more"
            raise ValueError(mismatch("X", expected, got))
        own = contrasts(K, 0 if K == 2 else None)
        self.covariance_ = information.covariance(own)
        M = own if base is None else contrasts(K, base)
        labels = rows.classes.tolist()
        return summarised(
            information,
            coefficients=M @ theta,
            covariance=self.covariance_ if base is None else information.covariance(M),
            classes=tuple(labels if base is None else labels[:base] + labels[base + 1 :]),
            reference=None if base is None else labels[base],
            terms=(*names, "intercept"),
            level=float(level),
            C=float(self.C),
            null=null_log_likelihood(rows.masses),
            notes=self._notes(),
        )

    def likelihood_ratio(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, columns: Any = None
    ) -> LikelihoodRatio:
        """Return the likelihood-ratio test of some columns: of all their coefficients at once.

        The model is fitted again without them.

        Parameters
        ----------
        X, y, sample_weight
            As `fit` got them.
        columns : name, index, or a list of them, optional
            What is left out. By default all columns: the test against the intercepts alone.

        Returns
        -------
        LikelihoodRatio

        Raises
        ------
        ValueError, TypeError
            The fit has a penalty, and so does not maximise the likelihood; the classes are
            completely separated, so that there is no maximum; or an argument does not fit.
        """
        with team_of(self.group).called("likelihood_ratio", columns=columns):
            if not math.isinf(self.C):
                expected = (
                    "inf for a likelihood ratio: a penalised fit does not maximise the likelihood"
                )
                raise ValueError(mismatch("C", expected, self.C))
            self._check_maximum(complete=True)
        rows, objective = self._problem(X, y, sample_weight)
        names = column_names(self, rows.X.shape[1])
        left_out = _columns(columns, names)
        kept = np.setdiff1d(np.arange(len(names)), left_out)
        total = rows.total
        theta = objective.inside(self._theta())
        full = self._largest(objective, theta, total)
        if len(kept):
            X = objective.X
            fewer_columns = X.only(kept) if isinstance(X, StoredRows) else X[:, kept]
            fewer = replace(objective, X=fewer_columns, columns=None)
            reduced = self._largest(fewer, theta[:, [*kept, -1]], total)
        else:
            reduced = null_log_likelihood(rows.masses)
        freedom = (len(rows.classes) - 1) * len(left_out)
        return LikelihoodRatio.of(full, reduced, freedom, [names[d] for d in left_out])

    def calibrate(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Find the temperature T at which softmax(logits / T) fits rows best, and use it.

        `decision_function`, `predict_proba`, `predict_log_proba` and `predict_top_k` divide by
        `temperature_` from then on, until the next `fit`. `predict`, ``coef_`` and ``intercept_``
        stay as they are.

        Parameters
        ----------
        X, y, sample_weight
            Rows that `fit` has not seen, in any form that it takes, with labels among ``classes_``.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            An argument does not fit; the message has its name.

        Warns
        -----
        UserWarning
            The rows want a T beyond 1/64 or 64, which `temperature_` is then: all of them are
            classified rightly, or the logits say nothing of them.

        Numerics
        --------
        Newton's method in log T, with derivatives that are exact but for rounding, kept within what
        brackets the minimum. T has 9 digits or more.

        References
        ----------
        Guo, Pleiss, Sun & Weinberger (2017), On Calibration of Modern Neural Networks.
        """
        team_of(self.group).agree({"call": "calibrate"})
        rows, layers = self._examples(X, y, sample_weight), self._coefficients
        X, weights = rows.X, rows.weights
        ids = class_indices(self.classes_, rows.classes)[rows.y]
        theta, row_bytes = layers.theta, 8 * 8 * (len(self.classes_) + layers.width)

        def slopes_at(T: float) -> Slopes:
            each = [
                slopes(logits(layers.features(X[at]), theta), ids[at], weights[at], T)
                for at in cut_rows(X, _MEMORY, row_bytes)
            ]
            (sums,) = rows.team.summed(np.sum([Slopes(0.0, 0.0), *each], axis=0))
            return Slopes(*sums.tolist())

        self.temperature_ = best_temperature(slopes_at)
        if self.temperature_ in BOUNDS:
            warnings.warn(
                f"the rows want a temperature beyond {self.temperature_:g}, where the search ends: "
                "give more rows, such as `fit` has not seen",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _forget(self) -> None:
        """Leave nothing that was said of an earlier fit."""
        for name in ("covariance_", "temperature_", "separation_"):
            self.__dict__.pop(name, None)

    def _separation(self, found: Fit, classes: Array) -> Separation | None:
        """Return how the classes are separated at the end of a fit, where nothing holds theta."""
        if found.objective is None or found.objective.ridge > 0:
            return None
        names = column_names(self, found.objective.X.shape[1])
        theta = np.column_stack([found.model.W, found.model.b]).astype(np.float64)
        inside = found.objective.inside(theta)
        return separation_at(found.objective, inside, classes.tolist(), names)

    def _class_index(self, label: Any) -> int | None:
        if label is None:
            return None
        found = np.flatnonzero(self.classes_ == label)
        if len(found) != 1:
            expected = f"None or one of {self.classes_.tolist()}"
            raise ValueError(mismatch("reference", expected, repr(label)))
        return int(found[0])

    def _check_maximum(self, complete: bool) -> None:
        """Raise where classes are separated, or completely."""
        separation = getattr(self, "separation_", None)
        if separation is not None and (separation.complete or not complete):
            expected = "finite where classes are separated and the likelihood has no maximum"
            raise ValueError(mismatch("C", expected, self.C))

    def _largest(self, objective: Objective, theta: Array, total: float) -> float:
        """Return the log-likelihood's maximum."""
        K, D1 = theta.shape
        settings = self._options.polish_settings
        settings = replace(settings, tol=min(settings.tol, 1e-4 / total))
        found = solve(choose_solver(K, D1 - 1), objective, theta, settings)
        if not found.converged:
            from sklearn.exceptions import ConvergenceWarning

            message = f"the likelihood seemed to be {total * found.gap:.1e} below its maximum"
            warnings.warn(f"{message}: raise `max_iter`", ConvergenceWarning, stacklevel=3)
        return -total * found.value

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if not math.isinf(self.C):
            weight = "weight of a standardised column" if self.standardize else "weight"
            notes.append(
                f"The fit is penalised (C = {self.C:g}). Standard errors are those of the "
                f"posterior where each {weight} has the prior N(0, C), and p is twice the "
                "posterior probability of the other sign: no error rate. For tests, fit with C=inf."
            )
        if self.class_weight is not None:
            notes.append(
                "Rows are weighted by class_weight as if they had been seen so often: the standard "
                "errors are not those of the rows as they are."
            )
        separation = getattr(self, "separation_", None)
        if separation is not None:
            notes.append(f"Not to be used: {separation.sentence}.")
        return tuple(notes)

    def _theta(self) -> Array:
        """Return coefficients and intercepts in float64, with sum 0 over the classes: [K, D+1]."""
        model = self._coefficients.model(np.float64)
        return np.column_stack([model.W, model.b])

    @property
    def _coefficients(self) -> Coefficients:
        raise NotImplementedError

    @property
    def _options(self) -> Options:
        raise NotImplementedError

    def _problem(self, X: Any, y: Any, sample_weight: Any) -> tuple[TrainingSet, Objective]:
        raise NotImplementedError

    def _examples(self, X: Any, y: Any, sample_weight: Any) -> TrainingSet:
        raise NotImplementedError


def column_names(estimator: Any, D: int) -> list[str]:
    """Return the names that a frame brought, else x0, x1 and so on."""
    names = getattr(estimator, "feature_names_in_", None)
    return [f"x{d}" for d in range(D)] if names is None else [str(name) for name in names]


def _columns(wanted: Any, names: Sequence[str]) -> Array:
    """Return the indices of columns by name or index: one or more."""
    if wanted is None:
        return np.arange(len(names))
    several = [wanted] if isinstance(wanted, (str, numbers.Real)) else list(wanted)
    found = []
    for column in several:
        at = names.index(column) if column in names else column
        index = len(names) if isinstance(at, str) else as_integer("columns", at)
        if not 0 <= index < len(names):
            expected = f"names of the {len(names)} columns or indices from 0"
            raise ValueError(mismatch("columns", expected, repr(column)))
        found.append(index)
    if not found:
        raise ValueError(mismatch("columns", "at least one column", "none"))
    return np.unique(found)
