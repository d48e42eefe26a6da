"""Rows that come once, written to a file without a name as they come."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import UsageError, mismatch
from softgrad.learn.blocks.stored import StoredRows

__all__ = ["Spill"]


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
        """Return all rows; there is one at least."""
        assert self._file is not None
        shape = (self._rows, self._columns)
        return StoredRows(np.memmap(self._file, self._dtype, "r", shape=shape))

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Say of an error what it means."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"{self.folder}: the rows of `X` were not written: {reason}"
            raise UsageError(f"{message}; `cache` names another folder") from error
