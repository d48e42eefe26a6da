"""The entry point: the commands, and what becomes of an error."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

import softgrad
from softgrad.cli.exit_codes import INTERNAL, INTERRUPTED, OK, SUMMARY, USAGE
from softgrad.cli.parameters import unwritable
from softgrad.errors import MissingExtraError, RankStoppedError, UsageError

__all__ = ["cli", "main", "run"]

_COMMANDS = (
    "demo", "train", "predict", "jacobian", "compare", "follow", "shapes", "explore", "check",
    "conformance", "bench", "env",
)  # fmt: skip


class _Commands(click.Group):
    """The commands in the order of a tour; each file is imported when its command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"softgrad.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Start with: softgrad demo. {SUMMARY}",
)
@click.version_option(softgrad.__version__, prog_name="softgrad")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """The softmax layer and its gradient: computed exactly, checked, shown and scaled."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    try:
        _prepare_streams()
        code = run(sys.argv[1:])
        _drop_what_cannot_be_written()
    except KeyboardInterrupt:  # a second one, or one before the command began
        code = INTERRUPTED
    sys.exit(code)


def _prepare_streams() -> None:
    # What an encoding cannot write is written as an escape; a path may hold such characters.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # A reader that closes the pipe, such as `head`, ends this process, as is usual.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _drop_what_cannot_be_written() -> None:
    """Leave nothing that Python would try to write once more, and complain of, at the end."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flush() -> None:
    if sys.stdout is not None:  # a process may have none
        sys.stdout.flush()


def run(args: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    try:
        code = cli.main(list(args), prog_name="softgrad", standalone_mode=False) or OK
        _flush()
        return code
    except click.UsageError as error:
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        return _complain(error.format_message() + where, USAGE)
    except click.ClickException as error:
        return _complain(error.format_message(), USAGE)
    except (UsageError, MissingExtraError) as error:
        return _complain(str(error), USAGE)
    except RankStoppedError as error:
        return _complain(str(error), INTERRUPTED)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    except MemoryError as error:
        return _complain(f"not enough memory: {error}", USAGE)
    except OSError as error:
        if error.filename is None:  # no file was opened: it is the stream
            return _complain(f"standard output: {unwritable(error)}", USAGE)
        return _complain(f"{error.filename}: {error.strerror}", USAGE)
    except SystemExit as error:  # only code of the user's ends a process
        return _complain(f"your code ended the process: SystemExit: {error}", USAGE)
    except Exception as error:
        if "--traceback" in args:
            traceback.print_exc()
        hint = "run the same with --traceback to see where"
        return _complain(f"internal error: {type(error).__name__}: {error}; {hint}", INTERNAL)


def _complain(message: str, code: int) -> int:
    """Write one line on stderr, whatever characters the message holds; return `code`."""
    line = "".join(c if c.isprintable() else " " for c in message)
    print(f"softgrad: {' '.join(line.split())}", file=sys.stderr)
    return code
