"""How an operation is to run: on which implementation, and where its result may be written."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from softgrad.arrays import Array
from softgrad.kernels.choice import choose, kernels

__all__ = ["AUTO", "How"]


@dataclass(frozen=True, eq=False)
class How:
    """What the caller said of one operation on rows."""

    impl: str = "auto"
    out: Array | None = None
    """Memory of the result's shape and dtype, in C order; compiled operations write there."""

    def compiled(self, *arrays: Array) -> ModuleType | None:
        """Return the compiled operations if they are to work on these rows, else None."""
        first, *others = arrays
        if any(x.dtype != first.dtype or x.shape != first.shape for x in others):
            return None
        if any(choose(self.impl, x).impl == "reference" for x in arrays):
            return None
        return kernels()


AUTO = How()
