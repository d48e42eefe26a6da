"""Targets and weights: what is accepted, and what a bad label says."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from softgrad.arrays import (
    Array,
    Layout,
    describe,
    dtype_name,
    indices,
    is_concrete,
    namespace,
    quiet,
    real_array,
    same_kind,
)
from softgrad.errors import mismatch

__all__ = ["lay_out_targets", "lay_out_weights", "one_hot"]

Shape = tuple[int, ...]


def lay_out_targets(targets: Any, x: Array, layout: Layout, batch: Shape | None) -> Array:
    """Return targets as values [..., K] or, where `batch` is their shape, as indices [...]."""
    targets = same_kind("targets", targets, x)
    shape, is_bool = tuple(targets.shape), dtype_name(targets) == "bool"
    integer = not is_bool and "int" in dtype_name(targets)
    if batch is not None and integer and shape == batch:
        return targets
    if shape != tuple(x.shape) or is_bool:
        expected = f"numbers of shape {tuple(x.shape)}"
        if batch is not None:
            expected = f"integers of shape {batch} or probabilities of shape {tuple(x.shape)}"
        raise (TypeError if is_bool else ValueError)(
            mismatch("targets", expected, describe(targets))
        )
    return layout.to_rows(real_array("targets", targets))


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
        cast = xp.astype(weights, x_rows.dtype)  # what is too large for it becomes infinite
    fine = (cast >= 0) & xp.isfinite(cast)
    if is_concrete(weights) and not bool(xp.all(fine)):
        position, value = _first_bad(fine, weights)
        expected = f"not negative and finite in {dtype_name(x_rows)}"
        raise ValueError(mismatch(name, expected, f"{value} at {position}"))
    return cast


def one_hot(labels: Array, like: Array, ignore_index: int | None) -> tuple[Array, Array]:
    """Return the labels as probabilities [..., K], and the mask of rows that count [...].

    A row that is ignored is 0. Inside `jax.jit` a bad label makes its row NaN.

    Raises
    ------
    IndexError
        A label is out of range: the message has the first position and its value.
    """
    xp = namespace(labels, like)
    index, classes = indices(like), like.shape[-1]
    given, labels = labels, xp.astype(labels, index.dtype)
    wrapped = (labels < 0) & (given >= 0)  # too large for the index dtype
    counts = xp.ones_like(wrapped) if ignore_index is None else wrapped | (labels != ignore_index)
    in_range = (labels >= 0) & (labels < classes) | ~counts
    if is_concrete(in_range) and not bool(xp.all(in_range)):
        position, value = _first_bad(in_range, given)
        expected = f"class indices from 0 to {classes - 1}"
        raise IndexError(mismatch("targets", expected, f"{value} at position {position}"))
    hit = (labels[..., None] == index) & counts[..., None]
    probabilities = xp.astype(hit, like.dtype)
    bad = xp.zeros_like(probabilities) + xp.nan
    return xp.where(in_range[..., None], probabilities, bad), counts


def _first_bad(fine: Array, values: Array) -> tuple[Any, Any]:
    """Return the position and the value of the first entry that is not fine."""
    xp = namespace(values)
    first = int(xp.argmax(xp.astype(~xp.reshape(fine, (-1,)), indices(values[..., None]).dtype)))
    shape = tuple(values.shape)
    position = tuple(int(i) for i in np.unravel_index(first, shape)) if prod(shape) else ()
    value = xp.reshape(values, (-1,))[first]
    return position[0] if len(position) == 1 else position, value.item()
