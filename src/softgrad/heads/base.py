"""What all heads have: a budget of memory, and the choice of who works on the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from softgrad.arrays import as_integer
from softgrad.errors import mismatch
from softgrad.heads.arguments import linear_layer
from softgrad.kernels import Choice, Impl

__all__ = ["AbstractHead"]


@dataclass(frozen=True, kw_only=True)
class AbstractHead:
    """A function of the logits x Wᵀ + b, which are made and forgotten in chunks."""

    memory: int = 64 * 2**20

    def __post_init__(self) -> None:
        if as_integer("memory", self.memory) < 1:
            raise ValueError(mismatch("memory", "a positive number of bytes", self.memory))

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
        return linear_layer(x, W, bias, self.memory, {"impl": impl}).choice
