"""Predictions of a linear layer, some rows of logits at a time: the best class, and the k best."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from softgrad.arrays import Array, as_integer, index_dtype, namespace, quiet
from softgrad.errors import mismatch
from softgrad.heads.arguments import parts_of_layer
from softgrad.heads.layer import LinearLayer
from softgrad.heads.loop import blocks
from softgrad.heads.options import Options, check_options
from softgrad.heads.selected_rows import SelectedRows
from softgrad.heads.sharded_selected import selected_part
from softgrad.kernels import choose
from softgrad.losses.spread.shards import Shards

__all__ = ["TopClasses", "argmax", "some_of", "top_ids_of_jax", "top_k"]


class TopClasses(NamedTuple):
    """The k likeliest classes of every row, the likeliest first; of equals the first."""

    ids: Any  # integers [..., k]
    log_probs: Any  # [..., k]


def argmax(layer: LinearLayer) -> Array:
    """Return the first class of the largest logit: [...]."""
    ids = _ids(layer, 1)
    xp = namespace(ids)
    with quiet():
        for rows, z in blocks(layer, [layer.logits], light=True):
            if layer.shards is None:
                ids[rows] = xp.argmax(z, axis=-1, keepdims=True)
            else:
                ids[rows] = first_largest_of_ranks(z, 1, layer.shards)
    return xp.reshape(ids, layer.batch)


def top_k(layer: LinearLayer, k: int, temperature: float, soft_cap: float | None) -> TopClasses:
    """Return the k likeliest classes; NaN counts as the largest."""
    shards = layer.shards
    ids, log_probs = _ids(layer, k), layer.empty((layer.x.shape[0], k))
    xp = namespace(ids)
    with quiet():
        for rows, z in blocks(layer, [layer.logits]):
            # A cap may round two logits to one, so that logits as they are decide.
            if shards is None:
                best = first_largest(z, k)
                at = SelectedRows(z, best, temperature, soft_cap, layer.how).value()
            else:
                best = first_largest_of_ranks(z, k, shards)
                at = selected_part(layer, z, best, temperature, soft_cap).value()
            ids[rows], log_probs[rows] = best, at.log_probs
    shape = (*layer.batch, k)
    return TopClasses(xp.reshape(ids, shape), xp.reshape(log_probs, shape))


def top_ids_of_jax(
    x: Any, W: Any, bias: Any, k: Any, memory: int, options: Mapping[str, Any]
) -> Array:
    """Return the ids of the k likeliest classes for arrays of JAX, which are never written to."""
    check_options(options, Options)
    parts = parts_of_layer(x, W, bias)
    choose(options.get("impl", "auto"), parts[0])
    compiled = import_module("softgrad.frameworks.jax.predictions")
    ids: Array = compiled.first_largest(memory, some_of(k, parts[1].shape[0]), parts)
    return ids


def some_of(k: Any, K: int) -> int:
    """Return the number of classes that are asked for; raise unless there are so many."""
    count = as_integer("k", k)
    if not 0 < count <= K:
        raise ValueError(mismatch("k", f"from 1 to the {K} classes", k))
    return count


def first_largest(z: Array, k: int) -> Array:
    """Return where the k largest entries of every row stand, in falling order; of equals the first.

    A library's own choice among equals would depend on its algorithm.
    """
    xp = namespace(z)
    z = xp.where(xp.isnan(z), xp.zeros_like(z) + xp.inf, z)
    bound = _kth_largest(z, k)  # [n, 1]
    above, equal = z > bound, z == bound
    room = k - xp.sum(above, axis=-1, keepdims=True)
    chosen = above | (equal & (xp.cumulative_sum(xp.astype(equal, room.dtype), axis=-1) <= room))
    ids = xp.reshape(xp.nonzero(chosen)[1], (z.shape[0], k))  # rising
    values = xp.take_along_axis(z, ids, axis=-1)
    order = xp.argsort(values, axis=-1, descending=True, stable=True)
    return xp.take_along_axis(ids, order, axis=-1)


def first_largest_of_ranks(z: Array, k: int, shards: Shards) -> Array:
    """Return the same for logits of which every rank has a part: each rank's best, compared."""
    xp, own = namespace(z), min(k, z.shape[1])
    ids = first_largest(z, own) if own else xp.astype(z[:, :0], index_dtype(z))
    values = _padded(xp.take_along_axis(z, ids, axis=-1) if own else z[:, :0], k)
    all_values, all_ids = shards.ranks.gathered(values, _padded(ids + shards.start, k))
    best = [slice(0, min(k, size)) for size in shards.sizes]  # others are padding
    z = xp.concat([all_values[rank][:, some] for rank, some in enumerate(best)], axis=-1)
    ids = xp.concat([all_ids[rank][:, some] for rank, some in enumerate(best)], axis=-1)
    return xp.take_along_axis(ids, first_largest(z, k), axis=-1)


def _padded(v: Array, k: int) -> Array:
    """Return rows [n, k] that begin with those of an array."""
    xp = namespace(v)
    rest = xp.zeros((v.shape[0], k - v.shape[1]), dtype=v.dtype, device=array_api_compat.device(v))
    return xp.concat([v, rest], axis=-1)


def _kth_largest(z: Array, k: int) -> Array:
    """Return the k-th largest entry of every row: [n, 1]."""
    if isinstance(z, np.ndarray):
        return np.partition(z, z.shape[-1] - k, axis=-1)[:, -k, None]
    return z.topk(k, dim=-1).values[:, -1:]


def _ids(layer: LinearLayer, k: int) -> Array:
    """Return room for ids: [N, k]."""
    dtype = index_dtype(layer.x)
    return layer.products.empty((layer.x.shape[0], k), dtype, layer.x)
