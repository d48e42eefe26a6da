"""Seeds, from whatever scikit-learn takes as `random_state`, and NumPy's generators."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.arrays import Array, as_integer
from softgrad.errors import mismatch

__all__ = ["check_random_state", "seed_words"]


def check_random_state(random_state: Any) -> None:
    """Raise for what is no seed and no generator; nothing is drawn."""
    if isinstance(random_state, (np.random.Generator, np.random.RandomState, type(None))):
        return
    try:
        seed = as_integer("random_state", random_state)
    except TypeError:
        seed = -1
    if seed < 0:
        expected = "None, an integer of at least 0, a Generator or a RandomState"
        raise ValueError(mismatch("random_state", expected, repr(random_state)))


def seed_words(random_state: Any) -> Array:
    """Return four words of uint32; a generator is advanced, and None is NumPy's global one.

    >>> seed_words(0)
    array([2968811710, 3677149159,  745650761, 2884920346], dtype=uint32)
    """
    check_random_state(random_state)
    if isinstance(random_state, np.random.Generator):
        return random_state.integers(2**32, size=4, dtype=np.uint32)
    if random_state is None:
        return np.random.randint(2**32, size=4, dtype=np.uint32)  # noqa: NPY002
    if isinstance(random_state, np.random.RandomState):
        return np.asarray(random_state.randint(2**32, size=4, dtype=np.uint32))
    return np.random.SeedSequence(int(random_state)).generate_state(4)
