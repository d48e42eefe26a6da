"""A process of its own for one way: it prints its peak of resident memory.

Both kinds of child load the same libraries and take the way once at a small size. Then one runs it
at the full size, and the other holds inputs and outputs alone.
"""

from __future__ import annotations

import json
import sys
from typing import NoReturn

import numpy as np

from softgrad.bench.data import HeadInputs, head_inputs
from softgrad.bench.resident import peak_resident
from softgrad.bench.ways import head
from softgrad.bench.work import Run

__all__ = ["main", "peak_of"]

_SMALL, _SMALL_WITH_MANY_CLASSES = (2048, 16, 1024), (64, 16, 250_000)
"""Large enough that whatever the way loads is loaded before the peak is taken."""


def main(text: str) -> None:
    """Print the peak in bytes of ``{"way": name, "shape": [N, D, K], "run": bool}``."""
    what = json.loads(text)
    try:
        print(peak_of(what["way"], tuple(what["shape"]), what["run"]))
    except ImportError as error:
        _give_up(f"not available: {error}")
    except Exception as error:
        _give_up(f"{type(error).__name__}: {' '.join(str(error).split())}")


def peak_of(way: str, shape: tuple[int, int, int], run: bool) -> int:
    """Return the peak of this process after it has taken the way, or only held its arrays."""
    small = _SMALL_WITH_MANY_CLASSES if shape[-1] >= 250_000 else _SMALL
    _prepared(way, head_inputs(*small))()
    given = head_inputs(*shape)
    if run:
        held = _prepared(way, given)()
    else:
        held = tuple(np.ones_like(array) for array in (given.x, given.W, given.b))
    peak = peak_resident()
    del held
    return peak


def _prepared(name: str, given: HeadInputs) -> Run:
    return next(way for way in head.ways(given) if way.name == name).prepare()


def _give_up(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
