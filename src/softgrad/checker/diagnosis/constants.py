"""What the constants of a twin are: labels, masks, orders and lengths that fit its sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.checker.diagnosis.plan import Plan, Shape
from softgrad.checker.subject import AnyArray, has_two_values

__all__ = ["are_of_rows", "as_array", "as_full", "constant", "is_order", "one_hot", "one_hot_axis"]


def constant(value: Any, plan: Plan, rng: np.random.Generator, shapes: list[Shape]) -> Any:
    """Return integers and booleans that fit the twin's sizes; `shapes` are the original inputs'."""
    if isinstance(value, int) and not isinstance(value, bool) and plan.fresh:
        return plan.sizes.get(value, value) if value > 3 else value
    array = as_array(value)
    if array is None or not plan.fresh:
        return value
    axis = one_hot_axis(array)
    if axis is not None:
        return _of_form(value, one_hot(array, plan.reshape(array.shape), axis, rng))
    length = _longest(array, shapes)
    if length is not None:
        drawn = rng.integers(1, plan.sizes.get(length, length) + 1, plan.reshape(array.shape))
        drawn.flat[0] = plan.sizes.get(length, length)
        return _of_form(value, np.where(np.ptp(array), drawn, drawn.max()).astype(array.dtype))
    drawn = rng.choice(array.ravel(), plan.reshape(array.shape))
    if drawn.size > 1 and array.size > 1 and array.min() < array.max():
        drawn.flat[0], drawn.flat[-1] = array.min(), array.max()  # both kinds of a mask, say
        drawn = as_full(drawn, array, rng)
    if array.dtype.kind in "iu" and array.max() > 1:
        # Labels and indices point into the shortest axis that is long enough for all of them.
        into = min((n for n in plan.sizes if n > array.max()), default=None)
        if into is not None:
            # In what is spelt, 0 may be a blank that never occurs; labels of rows may be any class.
            spelt = not are_of_rows(array, shapes)
            least = int(array.min() > 0 and plan.sizes[into] > 2 and spelt)
            fresh = rng.integers(least, plan.sizes[into], drawn.shape).astype(array.dtype)
            if is_order(array):
                return _of_form(value, _order(fresh, rng))
            if fresh.size > 2 and len(np.unique(array)) < array.size:
                fresh.flat[-1] = fresh.flat[0]  # what occurs twice there occurs twice here
            if np.ptp(array) and fresh.size > 1 and not np.ptp(fresh):
                fresh.flat[fresh.size // 2] = (fresh.flat[0] + 1) % plan.sizes[into]
            drawn = np.where(drawn < 0, drawn, fresh)
    return _of_form(value, drawn)


def _longest(array: AnyArray, shapes: list[Shape]) -> int | None:
    """Return the length of an axis of which every row says how much of it counts, if it is one.

    Padded sequences have such lengths, and the longest fills the axis. Labels, along the last
    axis, count from 0.
    """
    rank = array.ndim
    if array.dtype.kind not in "iu" or not rank or not array.size:
        return None
    if array.min() < 1 or array.max() < 2:
        return None
    for shape in shapes:
        if len(shape) > rank + 1 and shape[:rank] == array.shape and shape[rank] == array.max():
            return shape[rank]
    return None


def is_order(array: AnyArray) -> bool:
    """Whether every row says in which order entries are taken, and one leaves not all in place."""
    places = np.arange(array.shape[-1] if array.ndim else 0)
    in_order = array.ndim > 0 and bool((np.sort(array, axis=-1) == places).all())
    return in_order and bool((array != places).any())


def _order(like: AnyArray, rng: np.random.Generator) -> AnyArray:
    """Return rows in each of which every entry has another's place."""
    drawn = np.empty_like(like)
    for row in drawn.reshape(-1, like.shape[-1]):
        cycle = rng.permutation(len(row))
        row[cycle] = np.roll(cycle, 1)
    return drawn


def _of_form(value: Any, drawn: AnyArray) -> Any:
    """Return an array as a list where it stands for one."""
    return drawn if isinstance(value, np.ndarray) else drawn.tolist()


def as_array(value: Any) -> AnyArray | None:
    """Return arrays, and lists of integers, as arrays."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, list) and value and np.asarray(value).dtype.kind in "iub":
        return np.asarray(value)
    return None


def are_of_rows(labels: AnyArray, shapes: list[Shape]) -> bool:
    return any(labels.shape == shape[: labels.ndim] for shape in shapes)


def one_hot_axis(array: AnyArray) -> int | None:
    """Return the axis along which the larger of two values stands once; None where there is none.

    It is the last one where labels are rows, and the first where they are columns.
    """
    if array.ndim < 2 or not has_two_values(array):
        return None
    top = array == array.max()
    axes = (-1, *range(array.ndim - 1))
    return next((axis for axis in axes if (top.sum(axis=axis) == 1).all()), None)


def one_hot(
    like: AnyArray, shape: tuple[int, ...], axis: int, rng: np.random.Generator
) -> AnyArray:
    """Return labels with one largest entry each along an axis, of the same dtype."""
    drawn = np.full(shape, like.min())
    at = rng.integers(shape[axis], size=np.take(drawn, [0], axis=axis).shape)
    np.put_along_axis(drawn, at, like.max(), axis=axis)
    return drawn


def as_full(drawn: AnyArray, like: AnyArray, rng: np.random.Generator) -> AnyArray:
    """Give every row a largest entry where all rows of the original have one: a mask keeps some."""
    top = like.max()
    if like.ndim > 1 and drawn.shape[-1] and (like == top).any(axis=-1).all():
        empty = ~(drawn == top).any(axis=-1)
        drawn[..., rng.integers(drawn.shape[-1])][empty] = top
    return drawn
