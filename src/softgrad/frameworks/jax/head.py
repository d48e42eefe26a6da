"""The head as a rule: x, W and bias are differentiated, and the logits never stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, compute_dtype, computed, namespace, quiet
from softgrad.frameworks.jax.concrete import has_numbers, on_host
from softgrad.frameworks.jax.constants import Constants, refuse_derivatives, refuse_group
from softgrad.frameworks.jax.layer import Chunk, Layer
from softgrad.frameworks.jax.products import Arrays, Tree
from softgrad.frameworks.jax.value import AbstractScalarRule, value
from softgrad.heads import LinearCrossEntropy
from softgrad.heads.arguments import parts_of_layer
from softgrad.heads.options import LossOptions, check_options
from softgrad.kernels import choose
from softgrad.linear.rows import weighted
from softgrad.losses import CrossEntropy, TopK
from softgrad.losses.cross_entropy import CrossEntropyRows
from softgrad.losses.reduced import RowFactors
from softgrad.losses.row_targets import AbstractTargets, targets_of
from softgrad.losses.targets import check_targets, lay_out_weights

__all__ = ["head_value"]


def head_value(
    head: LinearCrossEntropy,
    x: Any,
    W: Any,
    targets: Any,
    bias: Any,
    options: Mapping[str, Any],
    axis: str | None = None,
) -> Array:
    """Return the value of a head, with its derivatives in x, W and bias.

    `axis` is the axis of the mesh along which the classes are spread, inside of `shard_map`.

    Raises
    ------
    TypeError
        The targets or an option are differentiated: a head has no derivative in them.
    """
    check_options(options, LossOptions)
    refuse_group(options)
    parts = parts_of_layer(x, W, bias)
    x = parts[0]
    choose(options.get("impl", "auto"), x)
    rule = _HeadRule(head, axis)
    if 0 in x.shape[:-1]:  # without rows there is nothing to go through
        no_logits = jnp.zeros((*x.shape[:-1], rule.layer(parts).classes), x.dtype)
        return head.loss(no_logits, targets, **options)
    constants = Constants.of(targets, options, x).arrays
    if has_numbers(constants):
        with quiet():
            like = np.zeros(x.shape[:-1], compute_dtype(x))
            _Rows.of(head.loss, like, rule.layer(parts).classes, on_host(constants))
    return value(rule, parts, constants, axis)[0]


@dataclass(frozen=True, eq=False)
class _Rows:
    """All that is known of the rows without their logits: targets, weights, and the reduction."""

    loss: CrossEntropy
    targets: AbstractTargets
    weights: Array  # [N]
    masses: Array  # [N]
    class_weights: Array | None  # [K]
    factors: RowFactors

    @classmethod
    def of(cls, loss: CrossEntropy, like: Array, classes: int, constants: dict[str, Any]) -> _Rows:
        """Check targets and weights for rows like an array [...], and weigh every row."""
        xp, batch = namespace(like), tuple(like.shape)
        targets = check_targets(constants["targets"], like, (*batch, classes), batch, top_k=True)
        if isinstance(targets, TopK):
            targets = TopK(targets.ids, computed(targets.probabilities))
        c = lay_out_weights("class_weights", constants.get("class_weights"), like, (classes,))
        w = lay_out_weights("row_weights", constants.get("row_weights"), like, batch)
        w = xp.ones_like(like) if w is None else w
        flat = targets_of(targets, like, classes, loss.ignore_index, loss.rest).flat()
        weights, masses = loss.weigh(flat, xp.reshape(w, (prod(batch),)), c)
        return cls(loss, flat, weights, masses, c, RowFactors.of(weights, masses, loss))

    @property
    def used(self) -> Array:
        return self.weights != 0

    def at(self, chunk: Chunk, logits: Array) -> CrossEntropyRows:
        """Return the losses of a chunk."""
        weights = jnp.where(chunk.counts, self.weights[chunk.rows], 0)
        targets, masses = self.targets.take(chunk.rows), self.masses[chunk.rows]
        return self.loss.at_logits(logits, targets, weights, masses, self.class_weights)

    def factor(self, chunk: Chunk, bar: Array | None = None) -> Array:
        """Return what each loss of a chunk is multiplied by, with a gradient from above [N]."""
        factor = self.factors.factor if bar is None else self.factors.factor * bar
        return jnp.where(chunk.counts, factor[chunk.rows], 0)  # [n]


@dataclass(frozen=True)
class _HeadRule(AbstractScalarRule):
    head: LinearCrossEntropy
    axis: str | None

    @property
    def in_one_pass(self) -> bool:
        return self.head.reduction != "none"

    def value(self, x: Arrays, constants: Tree) -> Arrays:
        layer, rows = self.layer(x), self._rows(x, constants)

        def step(_: None, chunk: Chunk) -> tuple[None, Array]:
            return None, rows.at(chunk, layer.logits(chunk)).value(rows.factor(chunk))

        losses = layer.scan(rows.used, step)[1]
        return (rows.factors.reduce(losses.reshape(layer.batch)),)

    def value_and_gradient(self, x: Arrays, constants: Tree) -> tuple[Array, Arrays]:
        layer, rows = self.layer(x), self._rows(x, constants)

        def step(bars: Arrays, chunk: Chunk) -> tuple[Arrays, Arrays]:
            loss, z_bar = rows.at(chunk, layer.logits(chunk)).value_and_gradient(rows.factor(chunk))
            bars, x_bar = layer.add(bars, chunk, z_bar, None, ())
            return bars, (loss, x_bar)

        bars, (losses, x_bar) = layer.scan(rows.used, step, layer.no_bars())
        return rows.factors.reduce(losses.reshape(layer.batch)), layer.gradients(bars, x_bar)

    def summed(self, terms: Arrays) -> Array:
        of_x, *of_classes = terms
        total = sum(term for term in of_classes if term is not None)
        if self.axis is not None and any(term is not None for term in of_classes):
            total = lax.psum(total, self.axis)
        return total if of_x is None else of_x + total

    def push(self, x: Arrays, constants: Tree, u: Arrays) -> Arrays:
        layer, rows = self.layer(x), self._rows(x, constants)

        def step(_: None, chunk: Chunk) -> tuple[None, Array]:
            gradient = rows.at(chunk, layer.logits(chunk)).gradient(rows.factor(chunk))
            return None, accurate_sum(weighted(gradient, layer.logits_dot(chunk, u)))

        return self._reduced(layer, rows, layer.scan(rows.used, step)[1])

    def pull(self, x: Arrays, constants: Tree, w: Arrays) -> Arrays:
        layer, rows = self.layer(x), self._rows(x, constants)
        bar = self._bar(layer, w)

        def step(bars: Arrays, chunk: Chunk) -> tuple[Arrays, Array]:
            z_bar = rows.at(chunk, layer.logits(chunk)).gradient(rows.factor(chunk, bar))
            return layer.add(bars, chunk, z_bar, None, ())

        return layer.gradients(*layer.scan(rows.used, step, layer.no_bars()))

    def slope(self, x: Arrays, constants: Tree, w: Arrays, v: Arrays) -> Arrays:
        layer, rows = self.layer(x), self._rows(x, constants)
        bar = self._bar(layer, w)

        def step(bars: Arrays, chunk: Chunk) -> tuple[Arrays, Array]:
            at, factor = rows.at(chunk, layer.logits(chunk)), rows.factor(chunk, bar)
            curved = at.hessian(factor).apply(layer.logits_dot(chunk, v))
            return layer.add(bars, chunk, curved, at.gradient(factor), v)

        return layer.gradients(*layer.scan(rows.used, step, layer.no_bars()))

    def bend(self, x: Arrays, constants: Tree, u: Arrays, v: Arrays) -> Arrays:
        layer, rows = self.layer(x), self._rows(x, constants)

        def step(_: None, chunk: Chunk) -> tuple[None, Array]:
            at, factor = rows.at(chunk, layer.logits(chunk)), rows.factor(chunk)
            curved = at.hessian(factor).apply(layer.logits_dot(chunk, v))
            along = accurate_sum(weighted(curved, layer.logits_dot(chunk, u)))
            bent = weighted(at.gradient(factor), layer.logits_bent(chunk, u, v))
            return None, along + accurate_sum(bent)

        return self._reduced(layer, rows, layer.scan(rows.used, step)[1])

    def refuse_derivatives(self, constants_dot: Tree) -> None:
        refuse_derivatives(constants_dot)

    def layer(self, x: Arrays) -> Layer:
        return Layer(x[0], x[1], x[2], self.head.budget(x[0]), self.axis)

    def _rows(self, x: Arrays, constants: Tree) -> _Rows:
        like = jnp.zeros(x[0].shape[:-1], compute_dtype(x[0]))
        return _Rows.of(self.head.loss, like, self.layer(x).classes, constants)

    def _bar(self, layer: Layer, w: Arrays) -> Array:
        """Return the gradient from above as one number a row: [N]."""
        return jnp.broadcast_to(w[0].reshape(-1), (prod(layer.batch),))

    def _reduced(self, layer: Layer, rows: _Rows, losses_dot: Array) -> Arrays:
        """Reduce rates of change [N]: what a mean over nothing is does not change."""
        dots = losses_dot.reshape(layer.batch)
        return (dots.sum() if rows.factors.reduced else dots,)
