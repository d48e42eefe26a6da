"""The built-in examples of mistakes: what they are, and the check of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from softgrad.errors import UsageError
from softgrad.results import Block, Result, Table

__all__ = ["Examples", "example_arguments"]


def _titles() -> tuple[tuple[str, str], ...]:
    from softgrad.checker.diagnosis.examples import EXAMPLES

    return tuple((example.code, example.title) for example in EXAMPLES.values())


@dataclass(frozen=True)
class Examples(Result):
    """The built-in examples of mistakes."""

    schema: ClassVar[str] = "softgrad.check-examples/1"

    examples: tuple[tuple[str, str], ...] = field(default_factory=_titles)

    def blocks(self) -> Iterable[Block]:
        yield Table(("name", "what is wrong"), self.examples)


def example_arguments(name: str, seed: int) -> tuple[list[Any], dict[str, Any]]:
    """Return what `softgrad.check` is called with for the example of a name."""
    from softgrad.checker.diagnosis.examples import EXAMPLES

    if name not in EXAMPLES:
        raise UsageError(f"--example: expected {', '.join(EXAMPLES)}, got {name!r}")
    return EXAMPLES[name].arguments(seed)
