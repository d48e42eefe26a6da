"""An implementation as a function of rows of logits, with all its derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from softgrad.promises.exact import Row, one_hot
from softgrad.promises.implementations.base import AbstractImplementation, Call, NotOffered
from softgrad.promises.rows import AnyArray, Rows, exactly, random_rows
from softgrad.promises.suites import AbstractSuite

__all__ = ["Subject", "labels_of", "random_direction"]

Returns = Literal["rows", "one number", "as asked"]


@dataclass(frozen=True, eq=False)
class Subject:
    """What a promise is measured on. A row has M numbers: K those of a map, 1 that of a loss."""

    suite: AbstractSuite
    implementation: AbstractImplementation

    @cached_property
    def returns(self) -> Returns:
        """What the function returns for several rows."""
        if not self.suite.is_loss:
            return "rows"
        if self.implementation.takes("reduction"):
            return "as asked"
        rows = random_rows(2, 3)
        shape = self.implementation.value(self.call(rows, {})).shape
        if shape not in ((), (2,)):
            raise ValueError(f"2 losses, or their mean, were expected, got the shape {shape}")
        return "rows" if shape else "one number"

    def call(self, rows: Rows, options: Mapping[str, Any]) -> Call:
        """Return the arguments that make these rows."""
        for name in options:
            if not self.implementation.takes(name):
                raise NotOffered(f"it takes no {name}")
        arguments = self.suite.arguments(rows, "bias" in self.implementation.parameters)
        return Call(arguments, dict(options), rows.dtype)

    # --- row by row: [N, M] and [N, K] -----------------------------------------------------

    def demand_rows(self) -> None:
        """Raise `NotOffered` where several rows give one number."""
        if self.returns == "one number":
            raise NotOffered("it returns one number for all rows")

    def values(self, rows: Rows, **options: Any) -> AnyArray:
        """Return the value of every row: [N, M]."""
        found = []
        for (part,) in self._parts(rows):
            value = self.implementation.value(self._rows_call(part, options))
            found.append(self._as_rows(part, value))
        return np.concatenate(found)

    def gradients(self, rows: Rows, y_bar: AnyArray, **options: Any) -> AnyArray:
        """Return the gradient in the logits for cotangents [N, M]: [N, K]."""
        found = []
        for part, bar in self._parts(rows, y_bar):
            call = self._rows_call(part, options)
            bars = self.implementation.vjp(call, self._like_value(bar))
            found.append(self._in_logits(part, bars))
        return np.concatenate(found)

    def slopes(self, rows: Rows, z_dot: AnyArray) -> AnyArray:
        """Return how the value of every row changes along z_dot [N, K]: [N, M]."""
        found = []
        for part, dot in self._parts(rows, z_dot):
            call = self._rows_call(part, {})
            tangents = self.suite.tangents(call.arguments, dot)
            found.append(self._as_rows(part, self.implementation.jvp(call, tangents)))
        return np.concatenate(found)

    def bends(self, rows: Rows, y_bar: AnyArray, z_dot: AnyArray) -> AnyArray:
        """Return how the gradient in the logits changes along z_dot [N, K]: [N, K]."""
        found = []
        for part, bar, dot in self._parts(rows, y_bar, z_dot):
            call = self._rows_call(part, {})
            tangents = self.suite.tangents(call.arguments, dot)
            bars = self.implementation.hvp(call, self._like_value(bar), tangents)
            found.append(self._in_logits(part, bars))
        return np.concatenate(found)

    # --- the mean of a loss ----------------------------------------------------------------

    def mean(self, rows: Rows, **options: Any) -> AnyArray:
        """Return the mean loss: [1, 1]."""
        return self.implementation.value(self._mean_call(rows, options)).reshape(1, 1)

    def mean_gradients(self, rows: Rows, loss_bar: float, **options: Any) -> AnyArray:
        """Return the gradient of the mean in the logits, times the cotangent: [N, K]."""
        call = self._mean_call(rows, options)
        return self._in_logits(
            rows, self.implementation.vjp(call, np.array(loss_bar, rows.z.dtype))
        )

    # --- a linear layer in front of a loss -------------------------------------------------

    def layer_gradients(
        self, x: AnyArray, W: AnyArray, t: AnyArray, bias: AnyArray | None, loss_bar: AnyArray
    ) -> tuple[AnyArray, ...]:
        """Return the gradients in x, W and the bias that is given, for cotangents [N, 1]."""
        reduction = {"reduction": "none"} if self.returns == "as asked" else {}
        arguments = (x, W, t) if bias is None else (x, W, t, bias)
        above = loss_bar[0, 0] if self.returns == "one number" else loss_bar[:, 0]
        bars = self.implementation.vjp(Call(arguments, reduction, "float32"), np.array(above))
        given = [a.shape for a in arguments if a.dtype.kind == "f"]
        if [bar.shape for bar in bars] != given:
            got = [bar.shape for bar in bars]
            raise ValueError(f"gradients of the shapes {given} were expected, got {got}")
        return bars

    def row_factors(self, loss_bar: AnyArray) -> AnyArray:
        """Return what the rows' losses are multiplied by: [N, 1]; the first is that of a mean."""
        if self.returns != "one number":
            return loss_bar
        return np.full_like(loss_bar, loss_bar[0, 0] / len(loss_bar))

    # --- what is right ---------------------------------------------------------------------

    def exact_values(self, rows: Rows, targets: list[Row] | None = None) -> list[Row]:
        """Return what the values are: [N][M]; a target is the label's unless it is given."""
        pairs = zip(rows.exact, targets or labels_of(rows), strict=True)
        return [self.suite.exact.value(z, t) for z, t in pairs]

    def exact_gradients(
        self, rows: Rows, y_bar: AnyArray, targets: list[Row] | None = None
    ) -> list[Row]:
        """Return what the gradients are: [N][K]."""
        triples = zip(rows.exact, targets or labels_of(rows), y_bar, strict=True)
        return [self.suite.exact.vjp(z, t, exactly(bar)) for z, t, bar in triples]

    # --- cotangents ------------------------------------------------------------------------

    def cotangent(self, rows: Rows) -> AnyArray:
        """Return a random cotangent that every format holds, without a zero: [N, M]."""
        M = 1 if self.suite.is_loss else rows.classes
        return random_direction(len(rows), M, rows.z.dtype)

    def label_cotangent(self, rows: Rows) -> AnyArray:
        """Return the cotangent that asks for the label's entry of a map, or for a loss: [N, M]."""
        if self.suite.is_loss:
            return np.ones((len(rows), 1), rows.z.dtype)
        return np.eye(rows.classes, dtype=rows.z.dtype)[rows.t]

    # --- how it is called ------------------------------------------------------------------

    def _parts(self, rows: Rows, *arrays: AnyArray) -> Iterator[tuple[Any, ...]]:
        """Yield rows and arrays together, or, where rows would become one number, one by one."""
        together = self.returns != "one number"
        for place in [slice(None)] if together else [slice(i, i + 1) for i in range(len(rows))]:
            yield rows[place], *(array[place] for array in arrays)

    def _rows_call(self, rows: Rows, options: Mapping[str, Any]) -> Call:
        reduction = {"reduction": "none"} if self.returns == "as asked" else {}
        return self.call(rows, {**reduction, **options})

    def _mean_call(self, rows: Rows, options: Mapping[str, Any]) -> Call:
        if self.returns == "rows":
            raise NotOffered("it returns one loss a row, and no mean")
        reduction = {"reduction": "mean"} if self.returns == "as asked" else {}
        return self.call(rows, {**reduction, **options})

    def _like_value(self, y_bar: AnyArray) -> AnyArray:
        """Return cotangents [N, M] in the shape of what the function returns."""
        if not self.suite.is_loss:
            return y_bar
        return np.array(y_bar[0, 0]) if self.returns == "one number" else y_bar[:, 0]

    def _as_rows(self, rows: Rows, value: AnyArray) -> AnyArray:
        """Return what the function returned as [N, M]."""
        N, K = rows.z.shape
        shape = (N, K) if not self.suite.is_loss else () if self.returns == "one number" else (N,)
        if value.shape != shape:
            raise ValueError(f"a result of the shape {shape} was expected, got {value.shape}")
        return value.reshape(N, -1)

    def _in_logits(self, rows: Rows, bars: tuple[AnyArray, ...]) -> AnyArray:
        """Return the gradient in the logits: [N, K]."""
        found = self.suite.logits_bar(rows, bars)
        if found.shape != rows.z.shape:
            expected = f"a gradient of the shape {rows.z.shape}"
            raise ValueError(f"{expected} was expected, got {found.shape}")
        return found


def labels_of(rows: Rows) -> list[Row]:
    """Return the targets that the labels stand for."""
    return [one_hot(int(label), rows.classes) for label in rows.t]


def random_direction(N: int, M: int, dtype: DTypeLike) -> AnyArray:
    """Return quarters from ±1/4 to ±2, which every format holds: [N, M]."""
    rng = np.random.default_rng((N, M))
    sizes = rng.integers(1, 9, size=(N, M)) * rng.choice((-1, 1), size=(N, M))
    quarters: AnyArray = (sizes / 4).astype(dtype)
    return quarters
