"""scipy.optimize.check_grad of ⟨g, f(x)⟩."""

from __future__ import annotations

import numpy as np
from scipy.optimize import check_grad

from benchmarks.checker.cases import Case
from benchmarks.checker.peers.peer import Peer, Projected, is_double

__all__ = ["SCIPY"]

LARGEST = 2000
THRESHOLD = 1e-5


def _accepts(case: Case) -> bool:
    scalar = Projected(case)
    error = check_grad(scalar.value, scalar.gradient, scalar.start)
    return bool(error <= THRESHOLD * np.linalg.norm(scalar.gradient(scalar.start)))


def _takes(case: Case) -> bool:
    return is_double(case) and sum(x.size for x in case.right.points) <= LARGEST


SCIPY = Peer(
    "scipy check_grad",
    f"the scalar ⟨g, f(x)⟩ with a random g, float64; passes if the error is at most "
    f"{THRESHOLD:g} of the gradient's length; not run above {LARGEST} numbers in",
    _takes,
    _accepts,
)
