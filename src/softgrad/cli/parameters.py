"""Parameters that several commands take: numbers, maps, seeds, files to be written.

A reader of a text raises click.BadParameter; click adds the parameter's name.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import click
import numpy as np
import numpy.typing as npt

import softgrad as sg
from softgrad.errors import UsageError
from softgrad.maps import AbstractMap

__all__ = [
    "MAP_NAMES",
    "NEGATIVE_NUMBERS",
    "STDOUT",
    "file_or_stdout",
    "file_to_write",
    "given_options",
    "map_option",
    "named_map",
    "numbers",
    "positive",
    "positive_or_infinite",
    "refuse_overwriting",
    "rows",
    "seed_option",
    "sizes",
    "temperature_option",
    "unwritable",
    "writing",
]

MAP_NAMES = (
    "softmax", "log_softmax", "logsumexp", "sparsemax", "entmax15",
    "sigmoid", "log_sigmoid", "relu", "tanh",
)  # fmt: skip
_WITH_TEMPERATURE: dict[str, Callable[..., AbstractMap]] = {
    "softmax": sg.Softmax,
    "log_softmax": sg.LogSoftmax,
}

STDOUT = Path("-")
"""What stands for standard output where a file may be named; a file of that name is ``./-``."""

# Else a list of numbers that begins with a minus would be taken for an option.
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="The same seed gives the same result.",
)
map_option = click.option(
    "--map",
    "name",
    type=click.Choice(MAP_NAMES),
    metavar="NAME",
    default="softmax",
    show_default=True,
    help=f"One of {', '.join(MAP_NAMES)}.",
)
temperature_option = click.option(
    "--temperature", type=float, help="T of softmax(z / T) and log_softmax(z / T).  [default: 1]"
)


def named_map(name: str, temperature: float | None = None) -> AbstractMap:
    """Return one of the library's maps.

    Raises
    ------
    UsageError
        The map has no temperature, or not this one.
    """
    if temperature is None:
        return cast(AbstractMap, getattr(sg, name))
    if name not in _WITH_TEMPERATURE:
        raise UsageError(f"--temperature goes with {' and '.join(_WITH_TEMPERATURE)}, not {name}")
    try:
        return _WITH_TEMPERATURE[name](temperature=temperature)
    except ValueError as error:
        raise UsageError(str(error)) from error


def numbers(text: str) -> npt.NDArray[np.float64]:
    """Read numbers with commas between them: ``2,1,0``."""
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        expected = "numbers with commas between them, such as 2,1,0"
        raise click.BadParameter(f"expected {expected}, got {text!r}") from None
    if not np.isfinite(values).all():
        raise click.BadParameter(f"expected finite numbers, got {text!r}")
    return values


def rows(text: str) -> npt.NDArray[np.float64]:
    """Read rows of numbers with semicolons between them: ``1,2;3,4``."""
    values = [numbers(row) for row in text.split(";")]
    if len({row.size for row in values}) > 1:
        raise click.BadParameter(f"expected rows of one length, such as '1,2;3,4', got {text!r}")
    return np.stack(values)


def sizes(text: str) -> tuple[int, ...]:
    """Read positive integers with commas between them: ``4,37``."""
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = (0,)
    if min(values) < 1:
        expected = "positive integers with commas between them, such as 4,37"
        raise click.BadParameter(f"expected {expected}, got {text!r}")
    return values


def positive(text: str) -> float:
    """Read a positive, finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise click.BadParameter(f"expected a positive number, got {text!r}")
    return value


def positive_or_infinite(text: str) -> float:
    """Read a positive number, or ``inf``."""
    return math.inf if text.strip().lower() in ("inf", "infinity") else positive(text)


def given_options() -> set[str]:
    """Return the names of the options that the user wrote on the command line."""
    context = click.get_current_context()
    source = click.core.ParameterSource.COMMANDLINE
    return {name for name in context.params if context.get_parameter_source(name) is source}


def file_to_write(text: str) -> Path:
    """Return a path at which a file can be written, which is tried before any work is done."""
    path = Path(text)
    if text == str(STDOUT):
        raise click.BadParameter("-: expected a file; standard output has the results")
    if path.is_dir():
        raise click.BadParameter(f"{text}: expected a file, got a directory")
    if not path.parent.is_dir():
        raise click.BadParameter(f"{text}: there is no directory {str(path.parent)!r}")
    if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
        raise click.BadParameter(f"{text}: the file is there and cannot be replaced")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise click.BadParameter(f"{text}: {unwritable(error)}") from error
    return path


def file_or_stdout(text: str) -> Path:
    """Return such a path, or `STDOUT` for ``-``."""
    return STDOUT if text == str(STDOUT) else file_to_write(text)


def refuse_overwriting(source: str, *outputs: Path | None) -> None:
    """Raise where a file to be written is the file that is read, or two of them are one."""
    seen = {os.path.realpath(source)}
    for output in filter(None, outputs):
        if os.path.realpath(output) in seen:
            raise UsageError(f"{output}: expected a file of its own to write to")
        seen.add(os.path.realpath(output))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around a write: what the file system refuses is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: {unwritable(error)}") from error


def unwritable(error: OSError) -> str:
    """Say why something cannot be written."""
    return f"cannot be written: {str(error.strerror or error).lower()}"
