"""Maps of single numbers: y_i = f(x_i), with the diagonal Jacobian f′(x_i)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from softgrad.arrays import Array, computed
from softgrad.errors import mismatch
from softgrad.kernels import AUTO, How
from softgrad.linear import AbstractJacobian, Diagonal
from softgrad.maps.base import AbstractMap

__all__ = ["AbstractElementwiseMap"]


class AbstractElementwiseMap(AbstractMap):
    """A map that treats every number by itself; it takes single numbers too, and no mask."""

    takes_numbers: ClassVar[bool] = True

    kernel: ClassVar[str] = ""
    """The name of the compiled operation that returns f(x) and f′(x)."""

    @abstractmethod
    def slopes(self, x: Array) -> tuple[Array, Array, Array]:
        """Return f(x), f′(x) and f″(x)."""

    def linearize_rows(
        self, x: Array, where: Array | None, how: How = AUTO
    ) -> tuple[Array, AbstractJacobian]:
        if where is not None:
            raise TypeError(mismatch("where", "None for an elementwise map", "a mask"))
        compiled = how.compiled(x) if self.kernel else None
        if compiled is None:
            y, first, second = self.slopes(x)
            return y, Diagonal(first, slope=second)
        y, first = getattr(compiled, self.kernel)(x, how.target(x))
        return y, Diagonal(first, slope=lambda: self.slopes(computed(x))[2])
