"""The promises of all suites, a file for each theme."""

from softgrad.promises.battery import (
    accuracy,
    derivatives,
    infinities,
    invariance,
    labels,
    memory,
    precision,
    sizes,
    upstream,
)

__all__ = ["PROMISES"]

PROMISES = (
    *accuracy.PROMISES,
    *infinities.PROMISES,
    *labels.PROMISES,
    *upstream.PROMISES,
    *memory.PROMISES,
    *sizes.PROMISES,
    *invariance.PROMISES,
    *derivatives.PROMISES,
    *precision.PROMISES,
)
"""In the order of a report."""
