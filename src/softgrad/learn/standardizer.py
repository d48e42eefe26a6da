"""Columns brought to mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softgrad.errors import mismatch
from softgrad.nn.layer import numpy_array

__all__ = ["Standardizer"]


@dataclass(frozen=True, eq=False)
class Standardizer:
    """The map ``(X − mean) / scale`` of each column: fitted on training rows, applied to all.

    Parameters
    ----------
    mean : float64 [D]
        The mean of each column.
    scale : float64 [D]
        The standard deviation of each column (over N, not N − 1); 1 where it is constant.

    Examples
    --------
    >>> standardizer = Standardizer.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> standardizer(np.array([[1.0, 5.0], [2.0, 6.0]]))
    array([[-1.,  0.],
           [ 0.,  1.]])
    """

    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, X: Any) -> Standardizer:
        """Measure the columns of `X` [N, D], N at least 1.

        Raises
        ------
        TypeError
            `X` is no array of real numbers.
        ValueError
            `X` is not a matrix with a row, or not finite.
        """
        X = numpy_array("X", X)
        if X.ndim != 2 or len(X) == 0:
            raise ValueError(mismatch("X", "of shape [N, D] with a row", X.shape))
        if not np.isfinite(X).all():
            raise ValueError(mismatch("X", "finite", "NaN or infinity"))
        # In units of a power of two near the largest cell, which is exact, no square overflows
        # and the square of a spread does not vanish.
        _, exponent = np.frexp(np.abs(X).max(axis=0))  # [D]
        units = np.ldexp(X, -exponent)  # [N, D]
        # Compared, not squared: rounding gives equal cells a standard deviation near 1e-17.
        constant = units.min(axis=0) == units.max(axis=0)
        mean = np.where(constant, units[0], units.mean(axis=0))
        scale = np.ldexp(units.std(axis=0), exponent)
        return cls(mean=np.ldexp(mean, exponent), scale=np.where(constant, 1.0, scale))

    def __call__(self, X: Any) -> npt.NDArray[np.float64]:
        """Return ``(X − mean) / scale`` [N, D].

        Raises
        ------
        TypeError
            `X` is no array of real numbers.
        ValueError
            `X` has another number of columns than the rows that were fitted.
        """
        X = numpy_array("X", X)
        if X.ndim != 2 or X.shape[1] != len(self.mean):
            raise ValueError(mismatch("X", f"of shape [N, {len(self.mean)}]", X.shape))
        standardised: npt.NDArray[np.float64] = (X - self.mean) / self.scale
        return standardised
