"""What all commands share: the options --json and --traceback, and where output goes."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from softgrad.errors import UsageError
from softgrad.foreign import clean_lines
from softgrad.results import Result, plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["Output", "bad_values_are_bad_usage", "command"]

_OBEYED = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON may hold as it is, and terminals obey or cannot write."""


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


@dataclass(frozen=True)
class Output:
    """Results on stdout, for readers or as one JSON document; progress and notices on stderr."""

    as_json: bool
    stdout: Console
    stderr: Console

    @classmethod
    def standard(cls, as_json: bool) -> Output:
        """Return the output of this process."""
        from rich.console import Console

        # Words are printed as they are: no markup, no emoji names, no guessed colours.
        return cls(
            as_json,
            Console(markup=False, emoji=False, highlight=False),
            Console(markup=False, emoji=False, highlight=False, stderr=True),
        )

    @classmethod
    def silent(cls) -> Output:
        """Return an output that nobody sees."""
        from rich.console import Console

        nowhere = Console(file=io.StringIO())
        return cls(False, nowhere, nowhere)

    def result(self, result: Result) -> None:
        """Write a result, for readers or as the JSON document."""
        self.print(result)
        self.document(result)

    def print(self, *renderables: RenderableType) -> None:
        """Write for readers; nothing where JSON is asked for."""
        if self.as_json:
            return
        for renderable in renderables:
            if isinstance(renderable, str):
                renderable = clean_lines(renderable)
            if self.stdout.is_terminal:
                self.stdout.print(renderable)
                continue
            with self.stdout.capture() as captured:
                self.stdout.print(renderable)
            # What pads a line is for terminals.
            lines = [line.rstrip() for line in captured.get().splitlines()]
            print(*lines, sep="\n", file=self.stdout.file, flush=True)  # a pipe's reader waits, too

    def document(self, value: Any) -> None:
        """Write the JSON document where one is asked for."""
        if self.as_json:
            text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
            print(_OBEYED.sub(_escape, text), file=sys.stdout, flush=True)

    def notice(self, text: str) -> None:
        """Write a line beside the results, whole: terminals wrap it where they like."""
        self.stderr.print(clean_lines(text), soft_wrap=True)

    def data(self, text: str) -> None:
        """Write what programs read: to the letter, but that a terminal obeys nothing in it."""
        file = self.stdout.file
        file.write(clean_lines(text) if self.stdout.is_terminal else text)
        file.flush()


def command(
    context_settings: dict[str, Any] | None = None,
) -> Callable[[Callable[..., int | None]], click.Command]:
    """Make a command of ``function(output, **options)``; what it returns is the exit code."""

    def decorate(function: Callable[..., int | None]) -> click.Command:
        @functools.wraps(function)
        def invoke(as_json: bool, **options: Any) -> int | None:
            return function(Output.standard(as_json), **options)

        made = click.command(function.__name__, context_settings=context_settings)(invoke)
        made.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Write one JSON document."),
            click.Option(
                ["--traceback"],
                is_flag=True,
                expose_value=False,
                help="Show where an internal error comes from.",
            ),
        ]
        return made

    return decorate


@contextlib.contextmanager
def bad_values_are_bad_usage() -> Iterator[None]:
    """Around the call that first looks at what the user typed: what it refuses, they can mend."""
    try:
        yield
    except (TypeError, ValueError, IndexError) as error:
        raise UsageError(str(error)) from error
