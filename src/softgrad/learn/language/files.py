"""The files of a corpus: what is text in a folder, or the source of Python's standard library."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from softgrad.errors import UsageError

__all__ = ["STDLIB", "files_of", "read_text"]

STDLIB = "stdlib"
"""The name of the corpus that every Python has."""

_NO_SOURCE = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
"""Folders of the standard library whose files are somebody else's, or made to be tested with."""


def files_of(source: str | os.PathLike[str], rng: np.random.Generator) -> list[Path]:
    """Return the files of a corpus in random order.

    Raises
    ------
    UsageError
        There is no such folder, it cannot be read, or there is no file in it.
    """
    files = _of_stdlib() if source == STDLIB else _of_folder(Path(source))
    if not files:
        raise UsageError(f"{source}: there are no files in it")
    return [files[i] for i in rng.permutation(len(files))]


def read_text(path: Path) -> str | None:
    """Return the text of a file, and None if it is no text: not UTF-8, or with zero bytes.

    Raises
    ------
    UsageError
        The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    return None if "\0" in text else text


def _of_stdlib() -> list[Path]:
    folder = Path(sysconfig.get_paths()["stdlib"])
    return [path for path in _walk(folder, _NO_SOURCE) if path.suffix == ".py"]


def _of_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        got = "a file" if folder.exists() else "there is no such folder"
        raise UsageError(f"{folder}: expected {STDLIB} or a folder of text files; {got}")
    return list(_walk(folder, set()))


def _walk(folder: Path, leave_out: set[str]) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, in order; what is hidden is left out."""

    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error) from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(n for n in folders if n not in leave_out and not n.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _unreadable(path: object, error: OSError) -> UsageError:
    return UsageError(f"{path}: cannot be read: {str(error.strerror or error).lower()}")
