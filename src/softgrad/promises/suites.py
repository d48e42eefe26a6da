"""The four functions that have a battery, and how rows of logits become their arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softgrad.promises.exact import CROSS_ENTROPY, LOG_SOFTMAX, SOFTMAX, Exact
from softgrad.promises.implementations.base import NotOffered
from softgrad.promises.rows import AnyArray, Rows

__all__ = ["LOSSES", "MAPS", "SUITES", "AbstractSuite"]

_LONG = 1000
"""From so many classes on no K × K matrix is made."""


@dataclass(frozen=True)
class AbstractSuite(ABC):
    """One function, seen as one of rows of logits."""

    name: str
    exact: Exact

    is_loss: ClassVar[bool]

    @abstractmethod
    def arguments(self, rows: Rows, has_bias: bool) -> tuple[AnyArray, ...]:
        """Return the arguments that make these logits, the logits' own array among them."""

    @abstractmethod
    def logits_bar(self, rows: Rows, bars: tuple[AnyArray, ...]) -> AnyArray:
        """Read the gradient in the logits off the gradients in the arguments: [N, K]."""

    def tangents(self, arguments: tuple[AnyArray, ...], z_dot: AnyArray) -> tuple[AnyArray, ...]:
        """Return tangents of the arguments of floats that move the logits along z_dot."""
        others = [np.zeros_like(a) for a in arguments[1:] if a.dtype.kind == "f"]
        return (z_dot, *others)


class _Map(AbstractSuite):
    is_loss: ClassVar[bool] = False

    def arguments(self, rows: Rows, has_bias: bool) -> tuple[AnyArray, ...]:
        return (rows.z,)

    def logits_bar(self, rows: Rows, bars: tuple[AnyArray, ...]) -> AnyArray:
        return bars[0]


class _Loss(_Map):
    is_loss: ClassVar[bool] = True

    def arguments(self, rows: Rows, has_bias: bool) -> tuple[AnyArray, ...]:
        return rows.z, rows.t


class _Head(AbstractSuite):
    """Its matrix is a unit matrix, so that the products are exact: the logits are x, or Wᵀ."""

    is_loss: ClassVar[bool] = True

    def arguments(self, rows: Rows, has_bias: bool) -> tuple[AnyArray, ...]:
        N, K = rows.z.shape
        if K > _LONG:
            return np.eye(N, dtype=rows.z.dtype), rows.z.T, rows.t
        unit = np.eye(K, dtype=rows.z.dtype)
        masked = np.isneginf(rows.z).all(axis=0)  # [K]
        if not masked.any():
            return rows.z, unit, rows.t
        if not has_bias:
            raise NotOffered("it takes no bias, which masks a class")
        bias = np.where(masked, -np.inf, 0).astype(rows.z.dtype)
        return np.where(masked, 0, rows.z), unit, rows.t, bias

    def logits_bar(self, rows: Rows, bars: tuple[AnyArray, ...]) -> AnyArray:
        return bars[1].T if rows.classes > _LONG else bars[0]


SUITES: dict[str, AbstractSuite] = {
    suite.name: suite
    for suite in (
        _Map("softmax", SOFTMAX),
        _Map("log_softmax", LOG_SOFTMAX),
        _Loss("cross_entropy", CROSS_ENTROPY),
        _Head("linear_cross_entropy", CROSS_ENTROPY),
    )
}
MAPS = tuple(name for name, suite in SUITES.items() if not suite.is_loss)
LOSSES = tuple(name for name, suite in SUITES.items() if suite.is_loss)
