"""The classifier's methods that say what rows are: predictions, and how many are right."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.arrays import Array, as_integer
from softgrad.errors import mismatch
from softgrad.learn.blocks import is_stream
from softgrad.learn.coefficients import Coefficients
from softgrad.learn.labels import check_same_kind
from softgrad.learn.predictions import TopLabels, by_chunks, top_classes
from softgrad.learn.rows import checked_blocks, checked_reader
from softgrad.learn.training_set import check_some
from softgrad.maps import log_softmax, softmax

__all__ = ["Predictor"]


class Predictor:
    """Methods of a fitted classifier, which says what its coefficients are.

    Rows come in any form that `fit` takes; of a stream some blocks are in memory at a time.
    """

    classes_: Array

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows, by weight, that `predict` labels as they are.

        Parameters
        ----------
        X, y, sample_weight
            In any form that `fit` takes; of a stream some blocks are in memory at a time.
        """
        if not is_stream(X, y):
            return float(super().score(X, y, sample_weight))  # type: ignore[misc]
        _check_is_fitted(self)
        reader = checked_reader(self, X, y, sample_weight, reset=False)
        parts = [(*self._of_block(X, _likeliest), weights) for X, weights in reader.blocks()]
        if not parts:
            raise ValueError(mismatch("X", "blocks with rows", "none"))
        ids, weights = map(np.concatenate, zip(*parts, strict=True))
        labels, classes = reader.labels()
        check_same_kind("y", classes, self.classes_)
        check_some(weights)
        return float(np.average(self.classes_[ids] == classes[labels], weights=weights))

    def decision_function(self, X: Any) -> Array:
        """Return the logits [N, K]; for two classes those of the second against the first: [N]."""
        (z,) = self._each(X, lambda z: (z,))
        return z if len(self.classes_) > 2 else z[:, 1]

    def predict(self, X: Any) -> Array:
        """Return the likeliest label of every row: [N]."""
        (ids,) = self._each(X, _likeliest)
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
        _check_is_fitted(self)
        K = len(self.classes_)
        if not 0 < as_integer("k", k) <= K:
            raise ValueError(mismatch("k", f"from 1 to the {K} classes", k))
        ids, log_probs = self._each(X, lambda z: top_classes(z, k))
        return TopLabels(self.classes_[ids], log_probs)

    def _each(self, X: Any, of_logits: Any) -> Any:
        """Return what a function of logits says of all rows; of two classes the first has 0."""
        _check_is_fitted(self)
        parts = [self._of_block(rows, of_logits) for rows in checked_blocks(self, X)]
        return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))

    def _of_block(self, X: Any, of_logits: Any) -> Any:
        """Return what a function of logits says of checked rows."""
        layers, T = self._coefficients, getattr(self, "temperature_", 1.0)
        of_scaled = of_logits if T == 1 else lambda z: of_logits(np.divide(z, T, out=z))
        options: dict[str, Any] = {"features": layers.features, "width": layers.width}
        return by_chunks(X, layers.theta, of_scaled, **options)

    @property
    def _coefficients(self) -> Coefficients:
        raise NotImplementedError


def _likeliest(z: Array) -> tuple[Array]:
    """Return the likeliest class of every row of logits: [n]."""
    return (z.argmax(axis=1),)


def _check_is_fitted(estimator: Any) -> None:
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
