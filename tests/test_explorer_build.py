"""The explorer's source: its formulas on Python's numbers, its types, the page that it makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import softgrad
from explorer_browser import FILE, MODULE

WEB = Path(__file__).parent.parent / "web"

pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
    pytest.mark.skipif(
        not (WEB / "node_modules" / "vite").exists(),
        reason="web/node_modules is missing: npm ci in web/",
    ),
]


def npm(*arguments: str, **environment: str) -> str:
    """Run npm in web/ and return what it says; raise where it fails."""
    done = subprocess.run(
        ["npm", *arguments],
        cwd=WEB,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_formulas_give_python_s_numbers() -> None:
    said = npm("test")
    assert "# fail 0" in said
    assert "# pass 11" in said


def test_the_page_is_built_from_its_source(tmp_path: Path) -> None:
    npm("run", "build", EXPLORER_OUT=str(tmp_path))
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    there = {file.name: file.read_bytes() for file in (FILE, MODULE)}
    assert built.keys() == there.keys()
    assert built == there, "the page is not the one that `make page` builds"
    assert Path(softgrad.__file__).parent in FILE.parents
