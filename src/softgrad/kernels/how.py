"""How an operation is to run: on which implementation, and where its result may be written."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import array_api_compat

from softgrad.arrays import Array, compute_dtype, namespace
from softgrad.kernels.choice import choose, kernels

__all__ = ["AUTO", "How", "Wanted"]

Wanted = Literal["value", "product", "all"]


@dataclass(frozen=True, eq=False)
class How:
    """What the caller said of one operation on rows."""

    impl: str = "auto"
    out: Array | None = None
    """Memory of the result's shape, in C order; compiled operations write there."""

    wanted: Wanted = "all"
    """What is asked of a map: its value alone, in the dtype of x; a product with its Jacobian, and
    no value; or both, the value then in the dtype that is computed in, since the Jacobian is made
    of it."""

    def target(self, x: Array) -> Array | None:
        """Return the memory that the value of a map at x is to be written to, if it matters."""
        if self.out is None and self.wanted == "value":
            device = array_api_compat.device(x)
            return namespace(x).empty(tuple(x.shape), dtype=x.dtype, device=device)
        return self.out

    def compiled(self, *arrays: Array) -> ModuleType | None:
        """Return the compiled operations if they are to work on these rows, else None."""
        first, *others = arrays
        if any(x.shape != first.shape for x in others):
            return None
        if any(compute_dtype(x) != compute_dtype(first) for x in others):
            return None
        chosen = {choose(self.impl, x).impl for x in arrays}
        return None if "reference" in chosen else kernels(chosen.pop())


AUTO = How()
