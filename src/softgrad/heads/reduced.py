"""A head's loss with all that needs no logits: checked targets, weights, and the reduction."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import array_api_compat

from softgrad.arrays import Array, describe, is_on_gpu, namespace, quiet, real_array, same_kind
from softgrad.errors import mismatch
from softgrad.heads.arguments import detached
from softgrad.heads.layer import LinearLayer
from softgrad.heads.loop import LossOfLogits, positions_used
from softgrad.heads.plan import cuts
from softgrad.heads.tiled import ListedLoss
from softgrad.kernels import How
from softgrad.losses import CrossEntropy, TopK
from softgrad.losses.cross_entropy import CrossEntropyRows
from softgrad.losses.reduced import AbstractRowLosses, RowFactors
from softgrad.losses.row_targets import (
    AbstractTargets,
    DenseTargets,
    LabelTargets,
    targets_of,
)
from softgrad.losses.spread.loss import check_targets_of_part, weigh_parts
from softgrad.losses.spread.rows import Few, ShardedRows
from softgrad.losses.targets import check_targets, lay_out_weights

__all__ = ["ReducedHead"]

_WEIGHED, _WEIGHED_ON_GPU = 1024, 32
"""Bytes of memory to have for every dense target that is weighed: a cache wants few at a time."""


@dataclass(frozen=True, eq=False)
class ReducedHead:
    """The loss of all rows, and what the reduction makes of it."""

    loss: LossOfLogits
    factors: RowFactors
    loss_bar: Array | None
    """The gradient that comes from above, as one number a row: [N]; None stands for ones."""

    @classmethod
    def of(
        cls, loss: CrossEntropy, layer: LinearLayer, targets: Any, options: Mapping[str, Any]
    ) -> ReducedHead:
        """Check targets and options, and weigh every row."""
        like = layer.like
        K, N, shards = layer.classes, prod(layer.batch), layer.shards
        on_gpu = is_on_gpu(layer.x)
        given = _targets(loss, layer, targets)
        c = lay_out_weights("class_weights", options.get("class_weights"), like, (K,))
        w = lay_out_weights("row_weights", options.get("row_weights"), like, layer.batch)
        xp = namespace(like)
        w = layer.ones((N,)) if w is None else xp.reshape(w, (N,))
        with quiet():
            step = max(1, layer.memory // ((_WEIGHED_ON_GPU if on_gpu else _WEIGHED) * K))
            if shards is not None and isinstance(given, DenseTargets):
                weights, masses = weigh_parts(loss, given, w, c, step, shards)
            else:
                weights, masses = _weigh(loss, given, w, c, step)
            factors = RowFactors.of(weights, masses, loss)
        few, spread = _listed(loss, given, layer, c), bool(loss.label_smoothing)
        at: Callable[[Array, Any], AbstractRowLosses]
        if shards is None:
            at = partial(_at, loss, given, weights, masses, c, layer.how)
        else:
            own = None if spread else few
            at = partial(_at_part, loss, given, own, weights, masses, c, layer)
        used = None if on_gpu else positions_used(weights)  # whose number would be waited for
        if on_gpu and (loss.ignore_index is not None or options.get("row_weights") is not None):
            layer = replace(layer, counts=weights != 0)
        listed = few if loss.soft_cap is None and not spread else None
        if shards is None and layer.choice.impl == "triton":  # a soft cap and smoothing too
            is_read_as_is = isinstance(given, LabelTargets | DenseTargets)
            light = is_read_as_is or (few is not None and not spread)
        else:
            light = listed is not None and layer.choice.impl == "numba"
        bar = _loss_bar(options.get("loss_bar"), layer, () if factors.reduced else layer.batch)
        return cls(LossOfLogits(layer, at, factors.factor, used, light, listed), factors, bar)

    def value(self, losses: Array) -> Array:
        """Reduce the losses of all rows [N]."""
        batch = self.loss.layer.batch
        with quiet():
            return self.factors.reduce(namespace(losses).reshape(losses, batch))

    def value_dot(self, losses_dot: Array) -> Array:
        """Reduce rates of change [N]: what a mean over nothing is does not change."""
        return replace(self, factors=replace(self.factors, of_nothing=None)).value(losses_dot)


def _loss_bar(bar: Any, layer: LinearLayer, shape: tuple[int, ...]) -> Array | None:
    """Return a gradient shaped like the loss, or a number, as one number a row: [N]."""
    if bar is None:
        return None
    rows = layer.zeros((prod(layer.batch),))
    if isinstance(bar, numbers.Real) and not isinstance(bar, bool):
        return rows + float(bar)
    bar = same_kind("loss_bar", real_array("loss_bar", bar), layer.x)
    if tuple(bar.shape) not in ((), shape):
        raise ValueError(mismatch("loss_bar", f"of shape {shape}", describe(bar)))
    bar = layer.cast(detached(bar))
    return rows + (bar if bar.ndim == 0 else namespace(bar).reshape(bar, rows.shape))


def _targets(loss: CrossEntropy, layer: LinearLayer, targets: Any) -> AbstractTargets:
    """Check targets for logits [..., K], and give them one batch axis."""
    K, batch = layer.classes, layer.batch
    if layer.shards is None:
        checked = check_targets(targets, layer.x, (*batch, K), batch, loss.takes_top_k)
    else:
        checked = check_targets_of_part(targets, layer.x, batch, -1, layer.shards)
    if isinstance(checked, TopK):
        checked = TopK(checked.ids, layer.cast(checked.probabilities))
    rules = loss.ignore_index, loss.rest
    return targets_of(checked, layer.empty(batch), K, *rules, look=loss.validate).flat()


def _weigh(
    loss: CrossEntropy, targets: AbstractTargets, w: Array, c: Array | None, step: int
) -> tuple[Array, Array]:
    """Return the rows' weights and masses; dense targets are looked at some rows at a time."""
    if not isinstance(targets, DenseTargets) or (c is None and not loss.validate):
        return loss.weigh(targets, w, c)
    parts = [loss.weigh(targets.take(cut), w[cut], c) for cut in cuts(w.shape[0], step)]
    weights, masses = zip(*parts, strict=True) if parts else ([w], [w])
    xp = namespace(w)
    return xp.concat(list(weights)), xp.concat(list(masses))


def _listed(
    loss: CrossEntropy, targets: AbstractTargets, layer: LinearLayer, class_weights: Array | None
) -> ListedLoss | None:
    """Return the loss by its classes that have a target, where those are few."""
    listed = targets.listed(class_weights)
    if listed is None:
        return None
    all_ids, all_masses = listed
    first = 0 if layer.shards is None else layer.shards.start

    def at(rows: Any) -> tuple[Array, Array]:
        ids, masses = all_ids[rows], None if all_masses is None else all_masses[rows]
        xp = namespace(layer.x)
        if masses is None:
            masses = xp.ones(ids.shape, dtype=layer.dtype, device=array_api_compat.device(ids))
        return ids - first, masses

    return ListedLoss(at, loss.z_loss, loss.temperature)


def _at_part(
    loss: CrossEntropy,
    targets: AbstractTargets,
    listed: ListedLoss | None,
    weights: Array,
    masses: Array,
    class_weights: Array | None,
    layer: LinearLayer,
    logits: Array,
    rows: Any,
) -> ShardedRows:
    """Return the losses at the own logits of some rows."""
    shards = layer.shards
    assert shards is not None
    c = None if class_weights is None else class_weights[shards.own]
    some = targets.take(rows) if listed is None else Few(*listed.at(rows))
    return ShardedRows(weights[rows], masses[rows], logits, some, c, loss, layer.how, shards)


def _at(
    loss: CrossEntropy,
    targets: AbstractTargets,
    weights: Array,
    masses: Array,
    class_weights: Array | None,
    how: How,
    logits: Array,
    rows: Any,
) -> CrossEntropyRows:
    """Return the losses at logits of some rows."""
    return loss.at_logits(
        logits, targets.take(rows), weights[rows], masses[rows], class_weights, how
    )
