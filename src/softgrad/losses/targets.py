"""Targets and weights: what is accepted, and what a bad label says."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import (
    Array,
    compute_dtype,
    describe,
    dtype_name,
    index_dtype,
    indices,
    is_at_hand,
    is_concrete,
    namespace,
    quiet,
    real_array,
    same_kind,
)
from softgrad.errors import mismatch
from softgrad.layout import Layout

__all__ = [
    "Labels",
    "TopK",
    "arrays_of",
    "check_labels",
    "check_targets",
    "lay_out_targets",
    "lay_out_weights",
    "one_hot",
    "spread_labels",
]

Shape = tuple[int, ...]


class TopK(NamedTuple):
    """Targets that name k classes a row, with their probabilities; an id may stand twice."""

    ids: Any  # integers [..., k]
    probabilities: Any  # [..., k]


def arrays_of(targets: Any) -> tuple[Any, ...]:
    """Return the arrays that targets are made of."""
    return tuple(targets) if isinstance(targets, TopK) else (targets,)


def check_targets(
    targets: Any, like: Array, shape: Shape, batch: Shape | None, top_k: bool
) -> Array | TopK:
    """Return targets for predictions of a shape, as arrays of the library that `like` is from.

    They are values of that shape, class indices of the shape `batch` where there is one, or, where
    `top_k` says so, a `TopK`.
    """
    if isinstance(targets, TopK) and top_k and batch is not None:
        return _check_top_k(targets, like, batch)
    targets = same_kind("targets", targets, like)
    is_bool = dtype_name(targets) == "bool"
    integer = not is_bool and "int" in dtype_name(targets)
    if batch is not None and integer and tuple(targets.shape) == batch:
        return targets
    if tuple(targets.shape) != shape or is_bool:
        expected = f"numbers of shape {shape}"
        if batch is not None:
            expected = f"integers of shape {batch} or probabilities of shape {shape}"
        raise (TypeError if is_bool else ValueError)(
            mismatch("targets", expected, describe(targets))
        )
    return real_array("targets", targets)


def _check_top_k(targets: TopK, like: Array, batch: Shape) -> TopK:
    ids = same_kind("targets.ids", targets.ids, like)
    probabilities = same_kind(
        "targets.probabilities", real_array("targets.probabilities", targets.probabilities), like
    )
    if "int" not in dtype_name(ids) or tuple(ids.shape[:-1]) != batch or ids.ndim != len(batch) + 1:
        expected = f"integers of shape {(*batch, 'k')}".replace("'", "")
        raise ValueError(mismatch("targets.ids", expected, describe(ids)))
    if tuple(probabilities.shape) != tuple(ids.shape):
        expected = f"of shape {tuple(ids.shape)} to match `targets.ids`"
        raise ValueError(mismatch("targets.probabilities", expected, describe(probabilities)))
    return TopK(ids, probabilities)


def lay_out_targets(targets: Array | TopK, layout: Layout, stored: bool = False) -> Array | TopK:
    """Return checked targets beside rows: values move their class axis last, indices stay."""
    if isinstance(targets, TopK):
        xp = namespace(targets.probabilities)
        return TopK(targets.ids, xp.astype(targets.probabilities, layout.compute_dtype))
    values = layout.axis is None or targets.ndim == layout.rows_ndim
    return layout.to_rows(targets, stored=stored) if values else targets


def lay_out_weights(name: str, weights: Any, x_rows: Array, shape: Shape) -> Array | None:
    """Return weights in the dtype that is computed in.

    Raises
    ------
    ValueError
        They have another shape, or one of them is negative, infinite or NaN.
    """
    if weights is None:
        return None
    weights = same_kind(name, real_array(name, weights), x_rows)
    if tuple(weights.shape) != shape:
        raise ValueError(mismatch(name, f"of shape {shape}", describe(weights)))
    xp = namespace(weights)
    with quiet():
        # What is too large becomes infinite.
        cast = xp.astype(weights, compute_dtype(x_rows))
    fine = (cast >= 0) & xp.isfinite(cast)
    if is_at_hand(weights) and not bool(xp.all(fine)):
        position, value = _first_bad(fine, weights)
        expected = f"not negative and finite in {dtype_name(cast)}"
        raise ValueError(mismatch(name, expected, f"{value} at {position}"))
    return cast


class Labels(NamedTuple):
    """Class indices that were checked."""

    index: Array  # [...], in the dtype that arrays are indexed by
    counts: Array | None  # [...], False where a row is ignored; None where all count
    in_range: Array  # [...], False only for what cannot be looked at before it is computed

    def each(self, f: Callable[[Array], Array]) -> Labels:
        """Return what a function makes of each array."""
        counts = None if self.counts is None else f(self.counts)
        return Labels(f(self.index), counts, f(self.in_range))


def check_labels(
    labels: Array,
    like: Array,
    classes: int,
    ignore_index: int | None,
    name: str = "targets",
    *,
    look: bool = False,
) -> Labels:
    """Return labels for a number of classes; `like` is an array on their device.

    Those on a GPU are looked at if that is said: it waits for all that is under way there.

    Raises
    ------
    IndexError
        A label is out of range: the message has the first position and its value.
    """
    xp = namespace(labels, like)
    index = xp.astype(labels, index_dtype(like), copy=False)
    in_range = (index >= 0) & (index < classes)
    counts = None
    if ignore_index is not None:
        counts = index != ignore_index
        if xp.isdtype(labels.dtype, "unsigned integer"):
            counts = counts | (index < 0)  # too large for the index dtype
        in_range = in_range | ~counts
    if (is_at_hand(in_range) or (look and is_concrete(in_range))) and not bool(xp.all(in_range)):
        position, value = _first_bad(in_range, labels)
        expected = f"class indices from 0 to {classes - 1}"
        raise IndexError(mismatch(name, expected, f"{value} at position {position}"))
    return Labels(index, counts, in_range)


def one_hot(labels: Array, like: Array) -> Array:
    """Return the labels as probabilities [..., K].

    Inside `jax.jit` a bad label makes its row NaN.

    Raises
    ------
    IndexError
        A label is out of range: the message has the first position and its value.
    """
    return spread_labels(check_labels(labels, like, like.shape[-1], None), like)


def spread_labels(labels: Labels, like: Array) -> Array:
    """Return checked labels as probabilities [..., K]: one 1 a row, or none where it is ignored."""
    xp = namespace(like)
    hit = labels.index[..., None] == indices(like)
    if labels.counts is not None:
        hit = hit & labels.counts[..., None]
    probabilities = xp.astype(hit, compute_dtype(like))
    bad = xp.zeros_like(probabilities) + xp.nan
    return xp.where(labels.in_range[..., None], probabilities, bad)


def _first_bad(fine: Array, values: Array) -> tuple[Any, Any]:
    """Return the position and the value of the first entry that is not fine."""
    xp = namespace(values)
    first = int(xp.argmax(xp.astype(~xp.reshape(fine, (-1,)), index_dtype(values))))
    shape = tuple(values.shape)
    position = tuple(int(i) for i in np.unravel_index(first, shape)) if prod(shape) else ()
    value = xp.reshape(values, (-1,))[first]
    return position[0] if len(position) == 1 else position, value.item()
