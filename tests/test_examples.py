"""Every example runs as it stands, and prints what it promises."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PRINTED = {
    "anes96": r"log-likelihood +│ -1461\.9227",
    "hsb": r"deviance 359\.9634524\b",
    "worked_examples": r"0\.298371109",
}


@pytest.mark.parametrize("name", PRINTED)
def test_example_prints_its_figures(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert re.search(PRINTED[name], capsys.readouterr().out)
