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
    labels.LABEL_RANGE,  # the last: a GPU that met a wrong label answers nothing more
)
"""In the order in which they are measured."""
