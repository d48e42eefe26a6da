"""The inputs of a check: random numbers, or the arrays of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from softgrad.errors import UsageError

__all__ = ["draw_inputs", "read_inputs"]

Arrays = list[npt.NDArray[Any]]


def draw_inputs(shapes: Sequence[tuple[int, ...]], scale: float, seed: int) -> Arrays:
    """Return random numbers of the normal distribution, times `scale`."""
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):  # the checker says that an input is infinite
        return [scale * rng.standard_normal(shape) for shape in shapes]


def read_inputs(path: Path) -> Arrays:
    """Return the arrays of an npz file in their order, or that of an npy file.

    Raises
    ------
    UsageError
        It is none of both, or holds something else than numbers.
    """
    try:
        found = np.load(path, allow_pickle=False)
        arrays = [found] if isinstance(found, np.ndarray) else [found[name] for name in found]
    except (ValueError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path}: expected arrays of numbers in an npz or npy file") from error
    if not arrays:
        raise UsageError(f"{path}: there is no array in it")
    return arrays
