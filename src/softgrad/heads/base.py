"""What all heads have: a budget of memory, and the choice of who works on the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import array_api_compat

from softgrad.arrays import as_integer, is_on_gpu
from softgrad.errors import mismatch
from softgrad.heads.arguments import linear_layer, parts_of_layer
from softgrad.heads.verbs import takes_every_array
from softgrad.kernels import Choice, Impl, choose

__all__ = ["AbstractHead"]

_MEMORY, _MEMORY_OF_GPU = 64 * 2**20, 512 * 2**20
"""Where nothing is said. A GPU's products want a thousand rows."""


@dataclass(frozen=True, kw_only=True)
class AbstractHead:
    """A function of the logits x Wᵀ + b, which are made and forgotten in chunks."""

    memory: int | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and as_integer("memory", self.memory) < 1:
            raise ValueError(mismatch("memory", "a positive number of bytes", self.memory))

    def budget(self, x: Any) -> int:
        """Return the bytes that buffers may take beside x."""
        if self.memory is not None:
            return self.memory
        return _MEMORY_OF_GPU if is_on_gpu(x) else _MEMORY

    @takes_every_array
    def choice(
        self,
        x: Any,
        W: Any,
        classes: Any = None,
        bias: Any = None,
        *,
        impl: Impl = "auto",
        **options: Any,
    ) -> Choice:
        """Return which implementation works on the logits, and why.

        It is the same for every verb but argmax, which has no kernel. Targets or ids, here
        `classes`, and other options have no say.
        """
        if array_api_compat.is_jax_array(x):
            return choose(impl, parts_of_layer(x, W, bias)[0])
        return linear_layer(x, W, bias, self.budget(x), {"impl": impl}).choice
