"""The HTML report of a command, in the file that it was asked for."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from softgrad.cli.parameters import writing

if TYPE_CHECKING:
    from softgrad.report.page import Page

__all__ = ["write_report"]


def write_report(page: Page, file: Path, option: str = "--report") -> None:
    """Write a report; the command that repeats the run writes it again."""
    from softgrad.report.page import write

    command = f"{page.command} {shlex.quote(f'{option}={file}')}"
    with writing(file):
        write(replace(page, command=command), file)
