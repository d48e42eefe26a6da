"""Rows in a file that is mapped into memory, of which a block is there at a time."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.heads.plan import cuts

__all__ = ["StoredRows"]

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
    """An np.memmap [N, D] of float32 or float64, the numbers of a row side by side."""

    @property
    def shape(self) -> tuple[int, int]:
        N, D = self.array.shape
        return N, D

    @property
    def size(self) -> int:
        """N times D."""
        return int(self.array.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def row_bytes(self) -> int:
        """What comes into memory with a row."""
        size = self.shape[1] * self.dtype.itemsize
        return int(max(size, min(self.array.strides[0], size + _READ_AROUND)))

    def __getitem__(self, rows: Any) -> Array:
        """Return some rows [n, D]: a slice, or a copy of those with given indices."""
        self.release()
        return np.asarray(self.array[rows])

    def blocks(self) -> Iterator[Array]:
        """Go through the rows."""
        for rows in cuts(self.shape[0], max(1, _BLOCK // self.row_bytes)):
            yield self[rows]

    def every(self, step: int) -> StoredRows:
        """Return every so manieth row."""
        return StoredRows(self.array[::step])

    def release(self) -> None:
        """Hand back the memory of what was read."""
        # Pages of a copy-on-write map may hold what is in no file.
        if self.array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
            self.array._mmap.madvise(mmap.MADV_DONTNEED)
