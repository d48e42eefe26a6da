"""The docs page: an outcome between the markers of its block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.checker.outcome import Outcome
from softgrad.bench.markdown import table
from softgrad.files import rewrite_between
from softgrad.results import Paragraph

__all__ = ["markdown", "rewrite"]


def rewrite(page: Path, block: str, outcome: Outcome) -> None:
    """Put the outcome between ``<!-- block:start -->`` and ``<!-- block:end -->``.

    Raises
    ------
    ValueError
        The page does not have the markers.
    """
    rewrite_between(page, f"<!-- {block}:start -->", f"<!-- {block}:end -->", markdown(outcome))


def markdown(outcome: Outcome) -> str:
    """Return the outcome's blocks as a page shows them."""
    return "\n\n".join(_parts(outcome))


def _parts(outcome: Outcome) -> Iterator[str]:
    for block in outcome.blocks():
        if isinstance(block, Paragraph):
            yield block.text
        else:
            yield table(block.columns, [tuple(map(str, row)) for row in block.rows])
    if outcome.called:
        yield "\n".join(f"- {name}: {called}." for name, called in outcome.called.items())
