"""`Summary`: coefficients with their standard errors, and the likelihood, shown as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.statistics.information import Information
from softgrad.learn.statistics.likelihood import LikelihoodRatio, PseudoR2
from softgrad.results import Block, Paragraph, Result, Table

__all__ = ["Summary", "summarised"]


@dataclass(frozen=True, eq=False)
class Summary(Result):
    """What a fit says of its coefficients, by Fisher's information.

    Parameters
    ----------
    classes : tuple of labels, length R
        Of the rows of coefficients.
    reference : label, or None
        The class that they are compared with; None is the mean of all classes.
    terms : tuple of str, length D + 1
        The columns, and the intercept last.
    coefficients, standard_errors, z, p_values : array [R, D+1]
        z is a coefficient in units of its standard error, p the normal distribution's mass farther
        from 0 on both sides.
    lower, upper : array [R, D+1]
        The confidence interval: coefficient ± quantile × standard error.
    level : float
        What share of such intervals hold the truth.
    covariance : array [R(D+1), R(D+1)]
        Of ``coefficients.ravel()``.
    observations : float
        The sum of the weights, which count as repeated rows.
    log_likelihood, null_log_likelihood : float
        Of the fit, and of intercepts alone.
    parameters : float
        How many coefficients are free; fewer than there are where a penalty holds them.
    C : float
        The inverse penalty of the fit.
    likelihood_ratio : LikelihoodRatio, or None
        The test against intercepts alone; None for a penalised fit, which does not maximise the
        likelihood.
    pseudo_r2 : PseudoR2
        ``mcfadden``, ``cox_snell`` and ``nagelkerke``.
    aic, bic : float
        −2ℓ + 2·parameters, and −2ℓ + log(observations)·parameters.
    notes : tuple of str
        What should be known before any of it is used.
    """

    schema: ClassVar[str] = "softgrad.summary/1"

    classes: tuple[Any, ...]
    reference: Any
    terms: tuple[str, ...]
    coefficients: Array
    standard_errors: Array
    z: Array
    p_values: Array
    lower: Array
    upper: Array
    level: float
    covariance: Array
    observations: float
    log_likelihood: float
    null_log_likelihood: float
    parameters: float
    C: float
    likelihood_ratio: LikelihoodRatio | None
    pseudo_r2: PseudoR2
    aic: float
    bic: float
    notes: tuple[str, ...]

    @property
    def deviance(self) -> float:
        """−2 times the log-likelihood."""
        return -2 * self.log_likelihood

    def blocks(self) -> Iterable[Block]:
        yield Paragraph("Multinomial logit", "title")
        yield Table(("likelihood", ""), tuple(self._likelihood()))
        interval = f"{100 * self.level:g} %"
        columns = ("", "coefficient", "std. error", "z", "p", f"{interval} from", "to")
        against = "the mean of all" if self.reference is None else repr(self.reference)
        arrays = (self.coefficients, self.standard_errors, self.z, self.p_values)
        cells = np.stack([*arrays, self.lower, self.upper], axis=-1).tolist()
        for label, rows in zip(self.classes, cells, strict=True):
            table = tuple((term, *row) for term, row in zip(self.terms, rows, strict=True))
            yield Table(columns, table, f"{label!r} against {against}")
        for note in self.notes:
            yield Paragraph(f"• {note}", "quiet")

    def _likelihood(self) -> Iterable[tuple[str, str]]:
        yield "observations", f"{self.observations:.10g}"
        yield "free coefficients", f"{self.parameters:.6g}"
        yield "log-likelihood", f"{self.log_likelihood:.4f}"
        yield "with intercepts alone", f"{self.null_log_likelihood:.4f}"
        if self.likelihood_ratio is not None:
            yield "likelihood ratio", self.likelihood_ratio.sentence
        yield "McFadden's R²", f"{self.pseudo_r2.mcfadden:.4f}"
        yield "Cox and Snell's R²", f"{self.pseudo_r2.cox_snell:.4f}"
        yield "Nagelkerke's R²", f"{self.pseudo_r2.nagelkerke:.4f}"
        yield "AIC", f"{self.aic:.2f}"
        yield "BIC", f"{self.bic:.2f}"


def summarised(
    information: Information,
    *,
    coefficients: Array,
    covariance: Array,
    terms: tuple[str, ...],
    level: float,
    C: float,
    null: float,
    **fields: Any,
) -> Summary:
    """Return what follows from coefficients [R, D+1], their covariance, and the likelihoods."""
    from scipy.special import ndtr, ndtri

    # Without a penalty all coefficients are free, and their number an integer.
    parameters, full, n = information.parameters, information.log_likelihood, information.total
    errors = np.sqrt(np.diagonal(covariance)).reshape(coefficients.shape)
    z = coefficients / errors
    reach = float(ndtri(0.5 + level / 2)) * errors
    test = None
    if math.isinf(C):
        freedom = len(information.inverse) - len(information.theta) + 1
        test = LikelihoodRatio.of(full, null, freedom, terms[:-1])
    return Summary(
        coefficients=coefficients,
        standard_errors=errors,
        z=z,
        p_values=2 * ndtr(-np.abs(z)),
        lower=coefficients - reach,
        upper=coefficients + reach,
        level=level,
        covariance=covariance,
        terms=terms,
        observations=n,
        log_likelihood=full,
        null_log_likelihood=null,
        parameters=parameters,
        C=C,
        likelihood_ratio=test,
        pseudo_r2=PseudoR2.of(full, null, n),
        aic=-2 * full + 2 * parameters,
        bic=-2 * full + math.log(n) * parameters,
        **fields,
    )
