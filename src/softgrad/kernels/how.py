"""How an operation is to run: on which implementation, and where its result may be written."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from softgrad.arrays import Array, compute_dtype, namespace
from softgrad.kernels.choice import choose, kernels

__all__ = ["AUTO", "How"]


@dataclass(frozen=True, eq=False)
class How:
    """What the caller said of one operation on rows."""

    impl: str = "auto"
    out: Array | None = None
    """Memory of the result's shape, in C order; compiled operations write there."""

    of_value: bool = False
    """Whether a map's value is all that is wanted, in the dtype of x. Else it is returned in the
    dtype that is computed in, since the Jacobian is made of it."""

    def target(self, x: Array) -> Array | None:
        """Return the memory that the value of a map at x is to be written to, if it matters."""
        if self.out is None and self.of_value:
            return namespace(x).empty(tuple(x.shape), dtype=x.dtype)
        return self.out

    def compiled(self, *arrays: Array) -> ModuleType | None:
        """Return the compiled operations if they are to work on these rows, else None."""
        first, *others = arrays
        if any(x.shape != first.shape for x in others):
            return None
        if any(compute_dtype(x) != compute_dtype(first) for x in others):
            return None
        if any(choose(self.impl, x).impl == "reference" for x in arrays):
            return None
        return kernels()


AUTO = How()
