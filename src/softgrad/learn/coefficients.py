"""The estimator's coefficients, as scikit-learn has them, and the model that is trained.

Matrices are [inputs, outputs] here, as in `MLPClassifier.coefs_`, and two classes have one output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.minibatch.model import Model
from softgrad.maps import AbstractMap
from softgrad.nn import AbstractLayer, Activation, Linear

__all__ = ["Coefficients"]


class Coefficients(NamedTuple):
    """Matrices and intercepts of all layers, the last one included, and the maps between them."""

    classes: Array  # labels [K]
    matrices: Sequence[Array]
    intercepts: Sequence[Array]
    activations: Sequence[AbstractMap]

    @classmethod
    def of(cls, classes: Array, model: Model, dtype: Any) -> Coefficients:
        """Return those of a model, the last layer in some dtype."""
        linear = [layer for layer in model.hidden if isinstance(layer, Linear)]
        maps = tuple(layer.map for layer in model.hidden if isinstance(layer, Activation))
        W, b = model.W, model.b
        if len(b) == 2:
            W, b = W[1:] - W[:1], b[1:] - b[:1]
        matrices = [*(layer.W.T for layer in linear), W.astype(dtype, order="C").T]
        intercepts = [*(np.asarray(layer.b) for layer in linear), b.astype(dtype)]
        return cls(classes, matrices, intercepts, maps)

    def model(self, dtype: Any = None) -> Model:
        """Return a model that shares no memory with them; one output w becomes −w/2 and w/2."""
        dtype = dtype or self.matrices[-1].dtype
        hidden: list[AbstractLayer] = []
        for W, b, map_ in zip(self.matrices, self.intercepts, self.activations, strict=False):
            hidden += [Linear.of(W.T.astype(dtype), b.astype(dtype)), Activation(map_)]
        W, b = self.matrices[-1].T.astype(dtype, order="C"), self.intercepts[-1].astype(dtype)
        if len(b) > 1:
            return Model(tuple(hidden), W, b)
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

    def check(
        self,
        name: str,
        expected: str,
        D: int,
        classes: Array,
        widths: tuple[int, ...],
        activations: tuple[AbstractMap, ...],
    ) -> None:
        """Raise unless they are those of such columns, classes and layers."""
        columns, own_widths = len(self.matrices[0]), tuple(len(b) for b in self.intercepts[:-1])
        own_layers, layers = (own_widths, tuple(self.activations)), (widths, activations)
        if (columns, own_layers) == (D, layers) and np.array_equal(self.classes, classes):
            return
        with_layers = bool(own_widths or widths)
        own = _described(columns, self.classes, own_layers if with_layers else None)
        got = _described(D, classes, layers if with_layers else None)
        raise ValueError(mismatch(name, f"{expected} {own}", got))


def _described(D: int, classes: Array, layers: tuple[Any, ...] | None) -> str:
    """Say what a model is of."""
    text = f"{D} columns and classes {classes.tolist()}"
    return text if layers is None else f"{text}, hidden layers {layers[0]} with {layers[1]}"
