"""The report of a command: its last lines write it again, and it is written to files alone."""

from __future__ import annotations

import html
import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from cli_runs import assert_refused, softgrad
from softgrad.cli.settings import Settings

COMMANDS = {
    "train": ("train", "iris", "--epochs", "2", "--report"),
    "solver": ("train", "iris", "--solver", "newton", "--report"),
    "check": ("check", "--example", "scale", "--report"),
    "conformance": ("conformance", "scipy", "--suite", "softmax", "--report"),
    "demo": ("demo", "--output"),
}
NAME = "it's <mine>.html"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("softgrad.cli.fitting.Settings", partial(Settings, epochs=2))


@pytest.mark.parametrize("args", COMMANDS.values(), ids=COMMANDS)
def test_the_command_in_a_report_writes_it_again(args: tuple[str, ...]) -> None:
    first = softgrad(*args, NAME)
    (written,) = re.findall("<pre>(.*)</pre>", Path(NAME).read_text("utf-8"))
    program, *again = shlex.split(html.unescape(written))
    assert program == "softgrad"
    Path(NAME).unlink()
    assert softgrad(*again).code == first.code
    assert f"<pre>{written}</pre>" in Path(NAME).read_text("utf-8")


@pytest.mark.parametrize("args", COMMANDS.values(), ids=COMMANDS)
def test_standard_output_has_the_results_and_no_report(args: tuple[str, ...]) -> None:
    assert_refused(softgrad(*args, "-"), args[-1], "standard output has the results")
