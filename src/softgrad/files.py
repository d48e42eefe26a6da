"""Atomic writes: a file is either the old one, whole, or the new one, whole; parts of pages."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

__all__ = ["remove_leftovers", "rewrite_between", "write_atomically"]

_PART = ".part"


def rewrite_between(page: Path, start: str, end: str, text: str) -> None:
    """Put `text` between two markers of a page.

    Raises
    ------
    ValueError
        The page does not have each marker once, the first one first.
    """
    old = page.read_text(encoding="utf-8")
    if old.count(start) != 1 or old.count(end) != 1 or old.index(start) > old.index(end):
        raise ValueError(f"{page}: expected one {start} and, after it, one {end}")
    before, after = old.split(start)[0], old.split(end)[1]
    write_atomically(page, f"{before}{start}\n{text}\n{end}{after}")


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write `content` beside `path`, sync it to disk, move it into place and sync that, too.

    Raises
    ------
    OSError
        The folder is missing or not writable, or the disk is full; `path` is then as it was.
    """
    target = Path(path).resolve()  # a link stays a link
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=_PART)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as public as the umask allows.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, target)
        _sync_folder(target.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what a process left beside `path` that was killed as it wrote."""
    target = Path(path).resolve()
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}{re.escape(_PART)}")
    for entry in os.scandir(target.parent):
        if pattern.fullmatch(entry.name):
            Path(entry).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make sure that a new name in a folder outlives a loss of power, where that can be asked."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
