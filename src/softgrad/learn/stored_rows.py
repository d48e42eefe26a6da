"""Rows in a file: written as they come, and mapped such that a block is in memory at a time."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike

from softgrad.arrays import Array
from softgrad.errors import UsageError, mismatch
from softgrad.heads.plan import cuts

__all__ = ["Spill", "StoredRows", "cut_rows", "every"]

_BLOCK = 2**24
"""Bytes of a block where nothing else says how large it is."""

_READ_AROUND = 2**16
"""Bytes that come into memory with one that is read."""


@dataclass(frozen=True, eq=False)
class StoredRows:
    """What stands for X [N, D] where X need not fit into memory: a part of it is an array.

    A mapped page counts as memory of the process for as long as the system likes. Before a block is
    given out, all pages are handed back; one that is still needed comes again from the file, or
    from where the system keeps what it has read. This costs nothing that could be measured, and a
    peak of memory means something.
    """

    array: Any
    """An np.memmap [N, D] of float32 or float64, the numbers of a row side by side.

    Of no rows it is any array, which maps nothing.
    """

    folder: str | os.PathLike[str] | None = None
    """Where a part of the rows is written to; None for the system's folder of temporary files."""

    shift: Array | None = None
    """What is taken from every row as it is read: [D]."""

    scale: Array | None = None
    """What it is divided by then: [D]."""

    columns: Array | None = None
    """The indices of those that are read; None for all."""

    as_dtype: DTypeLike | None = None
    """What the numbers become as they are read; None for what they are."""

    @property
    def shape(self) -> tuple[int, int]:
        N, D = self.array.shape
        return N, D if self.columns is None else len(self.columns)

    @property
    def size(self) -> int:
        """N times D."""
        N, D = self.shape
        return N * D

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return np.dtype(self.array.dtype if self.as_dtype is None else self.as_dtype)

    @property
    def row_bytes(self) -> int:
        """What comes into memory with a row."""
        size = self.array.shape[1] * max(self.array.dtype.itemsize, self.dtype.itemsize)
        return int(max(size, min(self.array.strides[0], size + _READ_AROUND)))

    def __getitem__(self, rows: Any) -> Array:
        """Return some rows [n, D]: a slice, or a copy of those with given indices."""
        self.release()
        block = np.asarray(self.array[rows], self.as_dtype)
        if self.columns is not None:
            block = block[:, self.columns]
        if self.shift is not None:
            block = block - self.shift
        return block if self.scale is None else block / self.scale

    def blocks(self) -> Iterator[Array]:
        """Go through the rows."""
        for rows in cuts(self.shape[0], max(1, _BLOCK // self.row_bytes)):
            yield self[rows]

    def every(self, step: int, first: int = 0) -> StoredRows:
        """Return every so manieth row."""
        return replace(self, array=self.array[first::step])

    def seen(self, shift: Array | None, scale: Array | None) -> StoredRows:
        """Return the rows minus one row [D] of their dtype, and divided by another."""
        return replace(self, shift=shift, scale=scale)

    def only(self, columns: Array) -> StoredRows:
        """Return the rows with some of their columns, by index."""
        before = columns if self.columns is None else self.columns[columns]
        kept = (None if row is None else row[columns] for row in (self.shift, self.scale))
        return replace(self, columns=before).seen(*kept)

    def astype(self, dtype: DTypeLike, copy: bool = False) -> StoredRows:
        """Return the rows in another dtype; nothing is copied."""
        return replace(self, as_dtype=dtype)

    def taken(self, rows: Array) -> StoredRows:
        """Return rows of given indices, which rise, as a file of their own."""
        first = 0
        with Spill(self.folder) as spill:
            for block in self.blocks():
                here = slice(*np.searchsorted(rows, [first, first + len(block)]))
                spill.add(block[rows[here] - first])
                first += len(block)
            return spill.rows()

    def release(self) -> None:
        """Hand back the memory of what was read."""
        mapped = getattr(self.array, "_mmap", None)
        # Pages of a copy-on-write map may hold what is in no file.
        if mapped is not None and self.array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def cut_rows(X: Any, memory: int, row_bytes: int = 1) -> Iterator[slice]:
    """Cut rows such that a buffer of so many bytes a row fits the memory.

    Of rows in a file, what is read fits it as well.
    """
    if isinstance(X, StoredRows):
        row_bytes = max(row_bytes, X.row_bytes)
    return cuts(X.shape[0], max(1, memory // row_bytes))


def every(step: int, rows: Any, first: int = 0) -> Any:
    """Return those of some rows whose number, counted from `first`, is a multiple of the step."""
    start = -first % step
    return rows.every(step, start) if isinstance(rows, StoredRows) else rows[start::step]


class Spill(ExitStack):
    """A temporary file that rows [n, D] of one dtype are added to.

    Nobody else sees the file, and it is gone when the rows are, however the process ends. It is
    written as files are, and not through a map: a full disk is an error then, and no crash.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        super().__init__()
        self.folder = Path(tempfile.gettempdir() if folder is None else folder)
        if not self.folder.is_dir():
            raise ValueError(mismatch("cache", "a folder", repr(str(folder))))
        self._file: IO[bytes] | None = None
        self._rows, self._columns, self._dtype = 0, 0, np.dtype(np.float64)

    def add(self, X: Array) -> None:
        """Write a block of rows [n, D]."""
        self._rows, self._columns, self._dtype = self._rows + len(X), X.shape[1], X.dtype
        if not len(X):
            return
        left = np.ascontiguousarray(X).data.cast("B")
        with self._room():
            if self._file is None:  # without a buffer, which closing it would try to write again
                file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
                self._file = self.enter_context(file)
            while left:
                left = left[self._file.write(left) :]

    def rows(self) -> StoredRows:
        """Return all rows."""
        shape = (self._rows, self._columns)
        if self._file is None:
            return StoredRows(np.empty(shape, self._dtype), self.folder)
        return StoredRows(np.memmap(self._file, self._dtype, "r", shape=shape), self.folder)

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Say of an error what it means."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"{self.folder}: the rows of `X` were not written: {reason}"
            raise UsageError(f"{message}; `cache` names another folder") from error
