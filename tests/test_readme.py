"""The README's code runs and prints what it says; its commands and links exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```pycon\n(.*?)```", README, re.DOTALL)


def test_readme_has_four_short_blocks() -> None:
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        assert len(re.findall(r"^(?:>>>|\.\.\.)", block, re.MULTILINE)) <= 6


@pytest.mark.parametrize("block", BLOCKS)
def test_readme_block_prints_what_it_says(block: str) -> None:
    example = doctest.DocTestParser().get_doctest(block, {}, "README", "README.md", 0)
    complaints: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(example, out=complaints.append)
    assert runner.summarize(verbose=False).attempted > 2
    assert not complaints, "".join(complaints)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_readme_link_exists(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_readme_command_is_a_make_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
