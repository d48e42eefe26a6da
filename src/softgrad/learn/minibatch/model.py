"""What is trained: hidden layers of `softgrad.nn`, and a linear layer that meets the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from softgrad.arrays import Array, quiet
from softgrad.heads.plan import cuts
from softgrad.kernels.threads import over_rows
from softgrad.learn.columns import Columns
from softgrad.learn.linear_loss import MEMORY, linear_loss, linear_loss_value
from softgrad.learn.minibatch.batches import Batch
from softgrad.learn.team import ALONE, AbstractTeam
from softgrad.nn import AbstractLayer, Linear

__all__ = ["Model"]

_Pull = Callable[[Array], dict[str, Array]]


@dataclass(frozen=True, eq=False)
class Model:
    """W h + b of the features h that hidden layers make of a row; without any, of the row.

    Two classes have two rows of weights here.
    """

    hidden: Sequence[AbstractLayer]
    """A linear layer with a bias, the map behind it, the next linear layer, and so on."""

    W: Array  # [K, H]
    b: Array  # [K]

    @classmethod
    def at_zero(cls, hidden: Sequence[AbstractLayer], shape: tuple[int, int], dtype: Any) -> Model:
        """Return one to which every class is as likely as any other."""
        return cls(hidden, np.zeros(shape, dtype), np.zeros(shape[0], dtype))

    @property
    def parameters(self) -> dict[str, Array]:
        """Its arrays by name: "0.W" and "0.b" of the first hidden layer, and "W" and "b"."""
        return {**_by_place(layer.parameters for layer in self.hidden), "W": self.W, "b": self.b}

    @property
    def penalties(self) -> dict[str, float]:
        """What the L2 penalty of each weight matrix is multiplied by; no bias has one.

        Two classes are one row of coefficients w, whose penalty counts it once. As rows −w/2 and
        w/2 it would be half of that.
        """
        of_hidden = {name: 1.0 for name in self.parameters if name.endswith(".W")}
        return {**of_hidden, "W": 2.0 if len(self.b) == 2 else 1.0}

    def features(self, X: Any) -> Any:
        """Return what the last layer sees of rows."""  # [n, H]
        return self._run(X)[0] if self.hidden else X

    def mean_loss(self, rows: Batch, impl: Any = "auto", team: AbstractTeam = ALONE) -> float:
        """Return the weighted mean cross-entropy of all processes' rows, some at a time."""
        loss = 0.0
        for part in cuts(len(rows.y), self._rows_at_a_time):
            X, y, weights, _ = rows.taken(part)
            loss += linear_loss_value(self.features(X), self.W, self.b, y, weights, impl=impl)
        (sums,) = team.summed(np.array([loss, rows.weights.sum()]))
        return float(sums[0] / sums[1])

    def loss_and_gradients(
        self, batch: Batch, ridge: float, impl: Any = "auto"
    ) -> tuple[float, dict[str, Array]]:
        """Return Σ w CE of a mini-batch, and gradients of its mean with ½ ridge ‖W‖² added.

        The mean is over rows: what they weigh is a factor of each, whose mean over all rows is 1.
        Of a mini-batch that other processes have rows of as well, it is what these rows add.
        """
        X, y, weights, _ = batch
        n = batch.rows
        h, pull = self._run(X)
        loss, bars = linear_loss(
            h, self.W, self.b, y, weights / n, impl=impl, with_x=bool(self.hidden)
        )
        gradients = {**pull(bars.x), "W": bars.W, "b": bars.bias}
        parameters = self.parameters
        for name, factor in self.penalties.items():
            _add(factor * ridge, parameters[name], gradients[name])
        return loss * n, gradients

    def penalty(self, ridge: float) -> float:
        """Return ½ ridge ‖W‖² of all weight matrices."""
        parameters = self.parameters
        squares = (c * np.sum(parameters[name] ** 2) for name, c in self.penalties.items())
        return 0.5 * ridge * float(sum(squares))

    def centred(self) -> Model:
        """Return one whose classes have nothing in common: that changes the penalty alone."""
        return replace(self, W=self.W - self.W.mean(axis=0), b=self.b - self.b.mean())

    def inside(self, columns: Columns) -> Model:
        """Return one that says of rows as they are seen what this one says of them as they came."""
        return self if columns.as_they_came else self._mapped(columns.inside)

    def outside(self, columns: Columns) -> Model:
        """Return one that says of rows as they came what this one says of them as they are seen."""
        return self if columns.as_they_came else self._mapped(columns.outside)

    def grown(self, places: Array, K: int) -> Model:
        """Return one of K classes: those that there are at these places, and zeros elsewhere."""
        return replace(self, W=spread(self.W, places, K), b=spread(self.b, places, K))

    def _mapped(self, f: Callable[[Array], Array]) -> Model:
        """Return one whose first layer's weights and bias went through f, side by side."""
        first = self.hidden[0] if self.hidden else self
        assert isinstance(first, (Linear, Model))
        assert first.b is not None
        theta = f(np.column_stack([first.W, first.b]).astype(np.float64))  # [H, D+1]
        W, b = theta[:, :-1].astype(first.W.dtype, order="C"), theta[:, -1].astype(first.W.dtype)
        if not self.hidden:
            return replace(self, W=W, b=b)
        return replace(self, hidden=(Linear.of(W, b), *self.hidden[1:]))

    @property
    def _rows_at_a_time(self) -> int:
        """How many rows fit the memory with what hidden layers make of them."""
        sizes = (n for layer in self.hidden for p in layer.parameters.values() for n in p.shape)
        return max(1, MEMORY // (4 * 8 * int(max([self.W.shape[1], *sizes]))))

    def _run(self, X: Any) -> tuple[Any, _Pull]:
        """Go forward: return the features, and how their gradient becomes those of the parameters.

        The first layer takes CSR rows as well, and nobody asks for a gradient in them.
        """
        if not self.hidden:
            return X, lambda h_bar: {}
        first, *rest = self.hidden
        assert isinstance(first, Linear)
        h = np.asarray(X @ first.W.T)
        h += first.b
        pullbacks = []
        for layer in rest:
            h, pullback = layer.linearize(h)
            pullbacks.append(pullback)

        def pull(h_bar: Array) -> dict[str, Array]:
            of_layers: list[Mapping[str, Array]] = []
            for pullback in reversed(pullbacks):
                h_bar, of_layer = pullback(h_bar)
                of_layers.append(of_layer)
            of_first = {"W": h_bar.T @ X, "b": h_bar.sum(axis=0)}
            return _by_place(chain([of_first], reversed(of_layers)))

        return h, pull


def spread(array: Array, places: Array, K: int) -> Array:
    """Return K rows: these at some places, and zeros elsewhere."""
    wide = np.zeros((K, *array.shape[1:]), array.dtype)
    wide[places] = array
    return wide


def _add(factor: float, terms: Array, out: Array) -> None:
    """Add a multiple to an array in place, in all threads: it is as large as all coefficients."""

    def add(first: int, last: int) -> None:
        with quiet():  # every thread has its own settings for warnings
            out[first:last] += factor * terms[first:last]

    over_rows(add, *out.shape)


def _by_place(of_layers: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    return {f"{i}.{name}": a for i, layer in enumerate(of_layers) for name, a in layer.items()}
