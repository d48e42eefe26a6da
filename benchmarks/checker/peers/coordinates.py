"""What courses teach: ten coordinates by lot, central differences, a relative error each."""

from __future__ import annotations

import numpy as np

from benchmarks.checker.cases import Case
from benchmarks.checker.peers.peer import Peer, Projected, is_double

__all__ = ["COORDINATES", "COORDINATES_STRICT"]

STEP = 1e-5
DRAWN = 10


def _largest_error(case: Case) -> float:
    """Return the largest |a − n| / max(|a|, |n|) of ten coordinates; 0/0 is 0."""
    scalar = Projected(case)
    x, analytic = scalar.start, scalar.gradient(scalar.start)
    worst = 0.0
    for place in np.random.default_rng(1).integers(x.size, size=DRAWN):
        step = np.zeros_like(x)
        step[place] = STEP
        numeric = (scalar.value(x + step) - scalar.value(x - step)) / (2 * STEP)
        gap, size = abs(analytic[place] - numeric), max(abs(analytic[place]), abs(numeric))
        if not np.isfinite(gap):
            return float("inf")
        worst = max(worst, gap / size if size else 0.0)
    return worst


def _called(threshold: float) -> str:
    return (
        f"the scalar ⟨g, f(x)⟩ with a random g, float64; {DRAWN} coordinates by lot, central "
        f"differences with h = {STEP:g}; passes if |a − n| / max(|a|, |n|) ≤ {threshold:g} at each"
    )


def _peer(threshold: float) -> Peer:
    name = f"ten coordinates, {threshold:g}"
    return Peer(name, _called(threshold), is_double, lambda c: _largest_error(c) <= threshold)


COORDINATES, COORDINATES_STRICT = _peer(1e-4), _peer(1e-7)
