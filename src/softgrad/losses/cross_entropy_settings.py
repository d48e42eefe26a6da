"""The settings of a cross-entropy: of logits that are given, or of a linear layer's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from softgrad.arrays import as_integer
from softgrad.losses.reduced import AbstractReduction
from softgrad.losses.row_targets import Rest
from softgrad.maps.rows import one_of, settle_real

__all__ = ["AbstractCrossEntropySettings"]


@dataclass(frozen=True, kw_only=True)
class AbstractCrossEntropySettings(AbstractReduction):
    """What `CrossEntropy` documents."""

    label_smoothing: float = 0.0
    ignore_index: int | None = None
    z_loss: float = 0.0
    temperature: float = 1.0
    soft_cap: float | None = None
    rest: Rest = "ignore"
    validate: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        settle_real(self, "label_smoothing", least=0, most=1)
        settle_real(self, "z_loss", least=0)
        settle_real(self, "temperature", least=1e-30, most=1e30)  # 1/T is finite
        if self.soft_cap is not None:
            settle_real(self, "soft_cap", least=1e-30, most=1e30)
        one_of("rest", self.rest, get_args(Rest))
        if self.ignore_index is not None:
            as_integer("ignore_index", self.ignore_index)
