"""A cross-entropy of logits whose classes are spread over processes, reduced over the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import array_api_compat

from softgrad.arrays import Array, cuts, describe, dtype_name, namespace, quiet, real_array
from softgrad.errors import mismatch
from softgrad.kernels import How, choose
from softgrad.layout import Layout
from softgrad.linear import AbstractLinearMap
from softgrad.linear.base import Shapes
from softgrad.linear.rows import weighted
from softgrad.losses.reduced import AbstractRowLosses, ReducedLoss, RowFactors
from softgrad.losses.row_targets import AbstractTargets, DenseTargets, targets_of
from softgrad.losses.simplex import check_probabilities
from softgrad.losses.spread.rows import Few, ShardedRows
from softgrad.losses.spread.shards import AbstractRanks, Shards, all_or_none, at_work, content_of
from softgrad.losses.targets import TopK, check_targets, lay_out_targets, lay_out_weights

if TYPE_CHECKING:
    from softgrad.losses.cross_entropy import CrossEntropy

__all__ = ["check_targets_of_part", "reduced_of_part", "weigh_parts"]

_BLOCK = 2**18
"""Numbers of targets that are looked at at a time."""


def reduced_of_part(
    loss: Any, x: Any, targets: Any, options: Mapping[str, Any], verb: str
) -> ReducedLoss:
    """Check the arguments with the other ranks, and take the loss of rows of which x has a part.

    `loss` is a `CrossEntropy`, and the verb what is asked of it.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `CrossEntropy`, or ranks differ, or there is a mask.
    """
    with all_or_none(options["group"]) as ranks:
        loss.check_options(options)
        if options.get("where") is not None:
            raise TypeError(mismatch("where", "None where there is a group", "a mask"))
        x = real_array("x", x)
        if not array_api_compat.is_torch_array(x) or x.ndim == 0:
            expected = "a PyTorch tensor with a class axis, where there is a group"
            raise TypeError(mismatch("x", expected, describe(x)))
        layout = Layout.of(x, options.get("axis", -1))
        impl = choose(options.get("impl", "auto"), x).impl
        with quiet():
            x_rows = layout.to_rows(x)
        batch, k = tuple(x_rows.shape[:-1]), x_rows.shape[-1]
        weights = {
            name: content_of(name, options.get(name), whole=True)
            for name in ("row_weights", "class_weights")
        }
        call = {
            "call": verb,
            "loss": repr(loss),
            "impl": options.get("impl", "auto"),
            "x": f"{dtype_name(x)} of {batch} rows",
            "targets": content_of("targets", targets),
            **weights,
        }
        shards = Shards.agreed(ranks, k, call)
        if shards.classes == 0:
            raise ValueError(mismatch("x", "of at least one class on some rank", "no class"))
        checked = check_targets_of_part(targets, x, batch, layout.axis or 0, shards)
        with quiet():
            laid_out = lay_out_targets(checked, layout)
            rows = _rows(loss, x_rows, laid_out, options, How(impl), shards)
            factors = RowFactors.of(rows.weights, rows.masses, loss)
            return ReducedLoss(rows, layout, factors, shards)


def _rows(
    loss: CrossEntropy,
    x: Array,
    targets: Array | TopK,
    options: Mapping[str, Any],
    how: How,
    shards: Shards,
) -> _Batch:
    """Weigh rows [..., k] whose targets were laid out."""
    xp, batch, K = namespace(x), tuple(x.shape[:-1]), shards.classes
    N = prod(batch)
    w = lay_out_weights("row_weights", options.get("row_weights"), x, batch)
    c = lay_out_weights("class_weights", options.get("class_weights"), x, (K,))
    like = xp.zeros(batch, dtype=x.dtype, device=array_api_compat.device(x))
    given = targets_of(targets, like, K, loss.ignore_index, loss.rest).flat()
    w = xp.reshape(like + 1 if w is None else w, (N,))
    if isinstance(given, DenseTargets):
        step = max(1, _BLOCK // max(1, x.shape[-1]))
        weights, masses = weigh_parts(loss, given, w, c, step, shards)
    else:
        weights, masses = loss.weigh(given, w, c)
    some: AbstractTargets | Few = given
    listed = None if loss.label_smoothing else given.listed(c)
    if listed is not None:
        ids, p = listed
        some = Few(ids - shards.start, xp.zeros_like(ids, dtype=w.dtype) + 1 if p is None else p)
    flat, own = xp.reshape(x, (N, x.shape[-1])), None if c is None else c[shards.own]
    inner = ShardedRows(weights, masses, flat, some, own, loss, how, shards)
    return _Batch(xp.reshape(weights, batch), xp.reshape(masses, batch), inner, tuple(x.shape))


@dataclass(frozen=True, eq=False)
class _Batch(AbstractRowLosses):
    """Rows with any batch axes, by those with one."""

    rows: ShardedRows
    shape: tuple[int, ...]  # [..., k]

    def value(self, factor: Array) -> Array:
        with at_work(self.rows.shards.ranks):
            value = self.rows.value(namespace(factor).reshape(factor, (-1,)))
            return namespace(value).reshape(value, self.shape[:-1])

    def gradient(self, factor: Array) -> Array:
        with at_work(self.rows.shards.ranks):
            gradient = self.rows.gradient(namespace(factor).reshape(factor, (-1,)))
            return namespace(gradient).reshape(gradient, self.shape)

    def value_and_gradient(self, factor: Array, out: Array | None = None) -> tuple[Array, Array]:
        value, gradient = self.value(factor), self.gradient(factor)
        if out is not None:
            out[...] = gradient
        return value, gradient if out is None else out

    def hessian(self, factor: Array) -> AbstractLinearMap:
        xp, ranks = namespace(factor), self.rows.shards.ranks
        return _Flattened(self.rows.hessian(xp.reshape(factor, (-1,))), self.shape, ranks)


@dataclass(frozen=True, eq=False, repr=False)
class _Flattened(AbstractLinearMap):
    """A symmetric map of rows, for arrays with any batch axes."""

    inner: AbstractLinearMap
    shape: tuple[int, ...]
    ranks: AbstractRanks

    @property
    def shapes(self) -> Shapes:
        return self.shape, self.shape

    def apply(self, x_dot: Array) -> Array:
        xp = namespace(x_dot)
        with at_work(self.ranks):
            flat = xp.reshape(x_dot, (prod(self.shape[:-1]), self.shape[-1]))
            return xp.reshape(self.inner.apply(flat), self.shape)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.apply(y_bar)

    def as_matrix(self) -> Array:
        return self.inner.as_matrix()


def check_targets_of_part(
    targets: Any, like: Array, batch: tuple[int, ...], axis: int, shards: Shards
) -> Array | TopK:
    """Return targets of rows whose classes are spread: indices, `TopK`, or numbers.

    Numbers have their classes along an axis, all K of them or the own ones; the own ones come back.
    """
    axis = axis % (len(batch) + 1)
    own, whole = (
        (*batch[:axis], classes, *batch[axis:])
        for classes in (shards.own.stop - shards.own.start, shards.classes)
    )
    if array_api_compat.is_torch_array(targets) and tuple(targets.shape) == own:
        return real_array("targets", targets)
    checked = check_targets(targets, like, whole, batch, True)
    if isinstance(checked, TopK) or checked.ndim == len(batch):
        return checked
    return checked[(*(slice(None),) * axis, shards.own)]


def weigh_parts(
    loss: CrossEntropy, targets: DenseTargets, w: Array, c: Array | None, step: int, shards: Shards
) -> tuple[Array, Array]:
    """Do what `CrossEntropy.weigh` does, where every rank has the targets of its own classes."""
    xp = namespace(w)

    if c is None and not loss.validate:
        return w, w

    def sums(c: Array) -> Array:
        parts = [targets.take(cut).mass(c) for cut in cuts(w.shape[0], step)]
        return shards.summed(xp.concat(parts) if parts else w)

    shards.meet()
    with at_work(shards.ranks):
        masses = w if c is None else weighted(w, sums(c[shards.own]))
        if not loss.validate:
            return w, masses
        ones = xp.ones(targets.t.shape[1:], dtype=w.dtype, device=array_api_compat.device(w))
        total, negative = sums(ones), xp.any(targets.t < 0, axis=-1)
    check_probabilities(xp.where(negative, -total, total)[:, None], w != 0)
    return w, masses
