"""The estimator's coefficients, as scikit-learn has them, and the model that is trained.

Matrices are [inputs, outputs] here, as in `MLPClassifier.coefs_`, and two classes have one output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.minibatch.model import Model
from softgrad.maps import AbstractMap
from softgrad.nn import AbstractLayer, Activation, Linear

__all__ = ["Coefficients"]


class Coefficients(NamedTuple):
    """Matrices and intercepts of all layers, the last one included, and the maps between them."""

    matrices: Sequence[Array]
    intercepts: Sequence[Array]
    activations: Sequence[AbstractMap]

    @classmethod
    def of(cls, model: Model, dtype: Any) -> Coefficients:
        """Return those of a model, the last layer in some dtype."""
        linear = [layer for layer in model.hidden if isinstance(layer, Linear)]
        maps = tuple(layer.map for layer in model.hidden if isinstance(layer, Activation))
        W, b = model.W, model.b
        if len(b) == 2:
            W, b = W[1:] - W[:1], b[1:] - b[:1]
        matrices = [*(layer.W.T for layer in linear), W.astype(dtype, order="C").T]
        intercepts = [*(np.asarray(layer.b) for layer in linear), b.astype(dtype)]
        return cls(matrices, intercepts, maps)

    def model(self) -> Model:
        """Return a model that shares no memory with them; one output w becomes −w/2 and w/2."""
        hidden: list[AbstractLayer] = []
        for W, b, map_ in zip(self.matrices, self.intercepts, self.activations, strict=False):
            hidden += [Linear.of(W.T, b), Activation(map_)]
        W, b = self.matrices[-1].T, self.intercepts[-1]
        if len(b) > 1:
            return Model(tuple(hidden), W.copy(order="C"), b.copy())
        return Model(tuple(hidden), np.concatenate([-W, W]) / 2, np.concatenate([-b, b]) / 2)

    @property
    def theta(self) -> Array:
        """The last layer's weights and intercept; of two classes the first has 0."""  # [K, H+1]
        last = np.column_stack([self.matrices[-1].T, self.intercepts[-1]])
        return last if len(last) > 1 else np.concatenate([np.zeros_like(last), last])

    @property
    def width(self) -> int:
        """The most outputs of a layer; two classes count as two."""
        return max(2, *(len(b) for b in self.intercepts))

    def features(self, X: Any) -> Any:
        """Return what the last layer sees of rows X, in their dtype."""  # [n, H]
        for W, b, map_ in zip(self.matrices, self.intercepts, self.activations, strict=False):
            X = map_(np.asarray(X @ W.astype(X.dtype, copy=False)) + b.astype(X.dtype, copy=False))
        return X

    def fits(
        self, D: int, K: int, widths: Sequence[int], activations: Sequence[AbstractMap]
    ) -> bool:
        """Tell whether they are those of such a model."""
        sizes = (D, *widths, K if K > 2 else 1)
        own = (len(self.matrices[0]), *(len(b) for b in self.intercepts))
        return own == sizes and tuple(self.activations) == tuple(activations)
