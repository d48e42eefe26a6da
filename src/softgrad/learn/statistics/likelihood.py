"""How well a likelihood does: against the intercepts alone, and against fewer columns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softgrad.arrays import Array
from softgrad.results import Block, Paragraph, Result, number

__all__ = ["LikelihoodRatio", "PseudoR2", "null_log_likelihood"]


@dataclass(frozen=True)
class LikelihoodRatio(Result):
    """Twice the log-likelihood that some columns add, and how rare that is where they add nothing.

    Parameters
    ----------
    statistic : float
        2 (ℓ − ℓ₀).
    degrees_of_freedom : int
        The coefficients of those columns, of all classes but one.
    p_value : float
        The chi-squared distribution's upper tail, which is right for many rows.
    columns : tuple of str
        What ℓ₀ does without.
    """

    schema: ClassVar[str] = "softgrad.likelihood_ratio/1"

    statistic: float
    degrees_of_freedom: int
    p_value: float
    columns: tuple[str, ...]

    @classmethod
    def of(
        cls, full: float, reduced: float, freedom: int, columns: Iterable[str]
    ) -> LikelihoodRatio:
        from scipy.special import chdtrc

        statistic = max(2 * (full - reduced), 0.0)
        return cls(statistic, freedom, float(chdtrc(freedom, statistic)), tuple(columns))

    @property
    def sentence(self) -> str:
        """The test in one line."""
        chi2 = f"chi-squared({self.degrees_of_freedom})"
        return f"{chi2} = {number(self.statistic)}, p = {number(self.p_value)}"

    def blocks(self) -> Iterable[Block]:
        yield Paragraph(f"Likelihood ratio of {', '.join(self.columns)}", "title")
        yield Paragraph(self.sentence)


@dataclass(frozen=True)
class PseudoR2:
    """Three shares that the columns explain, as statisticians count them.

    Parameters
    ----------
    mcfadden : float
        1 − ℓ/ℓ₀.
    cox_snell : float
        1 − exp(2(ℓ₀ − ℓ)/n), which stays below 1.
    nagelkerke : float
        The same over the most that it can be, 1 − exp(2ℓ₀/n).
    """

    mcfadden: float
    cox_snell: float
    nagelkerke: float

    @classmethod
    def of(cls, full: float, null: float, n: float) -> PseudoR2:
        share = -math.expm1(2 * (null - full) / n)
        return cls(1 - full / null, share, share / -math.expm1(2 * null / n))


def null_log_likelihood(masses: Array) -> float:
    """Return the maximum with intercepts alone, where every class has its share of the weights."""
    return float(np.sum(masses * np.log(masses / masses.sum())))
