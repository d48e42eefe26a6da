"""What a `SoftmaxClassifier` came to: how far it is from its optimum, and how it got there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from softgrad.results import Block, Paragraph, Result, counted, number

__all__ = ["Regression"]


@dataclass(frozen=True, eq=False)
class Regression(Result):
    """Softmax regression, or a network in front of softmax, trained on a data set of any size."""

    schema: ClassVar[str] = "softgrad.regression/1"

    source: str
    """The name or path that the data were read from."""
    classes: tuple[str, ...]
    features: int
    settings: Mapping[str, Any]
    """As on the command line."""
    solver: str
    steps: int
    """Or epochs, where the solver takes mini-batches."""
    objective: float
    optimality: float
    """What the objective is above its minimum at most; infinite without a penalty, and where hidden
    layers make several minima."""
    gaps: tuple[float, ...]
    """What it seemed to be above its minimum before each step."""
    seconds: float
    hidden: tuple[int, ...] = ()
    """Widths of the hidden layers."""
    losses: tuple[float, ...] = ()
    """Of mini-batches: the mean cross-entropy in each epoch, while the coefficients moved."""
    held_out: tuple[float, ...] = ()
    """The mean cross-entropy of the rows that were held out, after each epoch."""

    def blocks(self) -> Iterable[Block]:
        """Yield the objective and the work."""
        yield Paragraph(f"Objective {number(self.objective)}{self._bound}", "title")
        layers = f", hidden layers of {' and '.join(map(str, self.hidden))}" if self.hidden else ""
        yield Paragraph(
            f"{counted(len(self.classes), 'class')}, {counted(self.features, 'feature')}{layers}; "
            f"{self.work} in {self.seconds:.1f} s",
            "quiet",
        )
        if self.held_out:
            best = self.kept_epoch
            yield Paragraph(
                f"Mean loss of the rows held out: {number(self.held_out[best - 1])} after epoch "
                f"{best}, which was kept"
            )

    @property
    def work(self) -> str:
        """How many steps or epochs of which solver."""
        return f"{counted(self.steps, 'epoch' if self.losses else 'step')} of {self.solver}"

    @property
    def kept_epoch(self) -> int:
        """The epoch that served the rows held out best, from 1."""
        return 1 + min(range(len(self.held_out)), key=self.held_out.__getitem__)

    @property
    def _bound(self) -> str:
        if math.isfinite(self.optimality):
            return f", at most {self.optimality:.1e} above its minimum"
        return "" if self.hidden else ", without a penalty"
