"""What a softmax regression came to: how far it is from its optimum, and how it got there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from softgrad.results import Block, Paragraph, Result, counted, number

__all__ = ["Regression"]


@dataclass(frozen=True, eq=False)
class Regression(Result):
    """A softmax regression on a data set, all of whose rows were trained on."""

    schema: ClassVar[str] = "softgrad.regression/1"

    source: str
    """The name or path that the data were read from."""
    classes: tuple[str, ...]
    features: int
    settings: Mapping[str, Any]
    """As on the command line."""
    solver: str
    steps: int
    objective: float
    optimality: float
    """What the objective is above its minimum at most; infinite without a penalty."""
    gaps: tuple[float, ...]
    """What it seemed to be above its minimum before each step."""
    seconds: float

    def blocks(self) -> Iterable[Block]:
        """Yield the objective and the work."""
        above = f", at most {self.optimality:.1e} above its minimum"
        bound = above if math.isfinite(self.optimality) else ", without a penalty"
        yield Paragraph(f"Objective {number(self.objective)}{bound}", "title")
        yield Paragraph(
            f"{counted(len(self.classes), 'class')}, {counted(self.features, 'feature')}; "
            f"{counted(self.steps, 'step')} of {self.solver} in {self.seconds:.1f} s",
            "quiet",
        )
