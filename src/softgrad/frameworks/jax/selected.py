"""Selected log-probabilities as a rule: three outputs, differentiated in x, W and bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from softgrad.arrays import Array, compute_dtype, describe, dtype_name, same_kind
from softgrad.errors import mismatch
from softgrad.frameworks.jax.concrete import has_numbers
from softgrad.frameworks.jax.constants import refuse_group
from softgrad.frameworks.jax.layer import Chunk, Layer
from softgrad.frameworks.jax.products import AbstractRule, Arrays, Tree
from softgrad.frameworks.jax.value import value
from softgrad.heads.arguments import parts_of_layer
from softgrad.heads.options import Options, check_options
from softgrad.heads.selected_log_probs import SelectedLogProbs
from softgrad.heads.selected_rows import (
    Selected,
    SelectedCotangents,
    SelectedFunction,
    SelectedRows,
)
from softgrad.kernels import How, choose
from softgrad.losses.targets import check_labels

__all__ = ["selected_value"]


def selected_value(
    head: SelectedLogProbs, x: Any, W: Any, ids: Any, bias: Any, options: Mapping[str, Any]
) -> Selected:
    """Return the outputs of a head, with their derivatives in x, W and bias."""
    check_options(options, Options)
    refuse_group(options)
    parts = parts_of_layer(x, W, bias)
    x, W, _ = parts
    choose(options.get("impl", "auto"), x)
    ids, batch = same_kind("ids", ids, x), tuple(x.shape[:-1])
    if "int" not in dtype_name(ids) or batch not in (tuple(ids.shape), tuple(ids.shape[:-1])):
        expected = f"integers of shape {batch} or of k more at its end"
        raise ValueError(mismatch("ids", expected, describe(ids)))
    if 0 in batch:
        log_probs, others = (jnp.zeros(shape, compute_dtype(x)) for shape in (ids.shape, batch))
        return Selected(log_probs, others, others)
    if has_numbers(ids):
        there = np.asarray(ids)
        check_labels(there, there, W.shape[0], None, "ids")
    return Selected(*value(_SelectedRule(head), parts, ids))


@dataclass(frozen=True)
class _SelectedRule(AbstractRule):
    """The head; its constant is the ids."""

    head: SelectedLogProbs

    def value(self, x: Arrays, constants: Tree) -> Arrays:
        layer, rows = self._layer(x), _Rows.of(self.head, x, constants)

        def step(_: None, chunk: Chunk) -> tuple[None, Selected]:
            return None, rows.at(chunk, layer.logits(chunk)).value()

        return rows.shaped(layer.scan(rows.all, step)[1])

    def push(self, x: Arrays, constants: Tree, u: Arrays) -> Arrays:
        layer, rows = self._layer(x), _Rows.of(self.head, x, constants)

        def step(_: None, chunk: Chunk) -> tuple[None, Selected]:
            z_dot = layer.logits_dot(chunk, u)
            return None, rows.at(chunk, layer.logits(chunk)).tangent(z_dot)

        return rows.shaped(layer.scan(rows.all, step)[1])

    def pull(self, x: Arrays, constants: Tree, w: Arrays) -> Arrays:
        layer, rows = self._layer(x), _Rows.of(self.head, x, constants)
        bars = rows.bars(w)

        def step(sums: Arrays, chunk: Chunk) -> tuple[Arrays, Array]:
            at = rows.function(chunk, layer.logits(chunk), bars)
            return layer.add(sums, chunk, at.gradient(at.weights), None, ())

        return layer.gradients(*layer.scan(rows.all, step, layer.no_bars()))

    def slope(self, x: Arrays, constants: Tree, w: Arrays, v: Arrays) -> Arrays:
        layer, rows = self._layer(x), _Rows.of(self.head, x, constants)
        bars = rows.bars(w)

        def step(sums: Arrays, chunk: Chunk) -> tuple[Arrays, Array]:
            at = rows.function(chunk, layer.logits(chunk), bars)
            curved = at.hessian(at.weights).apply(layer.logits_dot(chunk, v))
            return layer.add(sums, chunk, curved, at.gradient(at.weights), v)

        return layer.gradients(*layer.scan(rows.all, step, layer.no_bars()))

    def bend(self, x: Arrays, constants: Tree, u: Arrays, v: Arrays) -> Arrays:
        layer, rows = self._layer(x), _Rows.of(self.head, x, constants)

        def step(_: None, chunk: Chunk) -> tuple[None, Selected]:
            def tangent(z: Array, z_dot: Array) -> Selected:
                return rows.at(chunk, z).tangent(z_dot)

            point = layer.logits(chunk), layer.logits_dot(chunk, u)
            dots = layer.logits_dot(chunk, v), layer.logits_bent(chunk, u, v)
            bent: Selected = jax.jvp(tangent, point, dots)[1]
            return None, bent

        return rows.shaped(layer.scan(rows.all, step)[1])

    def refuse_derivatives(self, constants_dot: Tree) -> None:
        """Ids are never differentiated."""

    def _layer(self, x: Arrays) -> Layer:
        return Layer(x[0], x[1], x[2], self.head.budget(x[0]))


@dataclass(frozen=True, eq=False)
class _Rows:
    """The classes of every row, and how outputs are laid out."""

    head: SelectedLogProbs
    ids: Array  # [N, k]
    shapes: tuple[tuple[int, ...], ...]
    """Of log_probs, logsumexp and entropy."""

    bad: Array  # [N, k], True for an id that is out of range

    @classmethod
    def of(cls, head: SelectedLogProbs, x: Arrays, ids: Array) -> _Rows:
        batch, N = tuple(x[0].shape[:-1]), prod(x[0].shape[:-1])
        labels = check_labels(ids, ids, x[1].shape[0], None, "ids")
        shape = (N, 1) if tuple(ids.shape) == batch else (N, ids.shape[-1])
        index = jnp.where(labels.in_range, labels.index, 0).reshape(shape)
        shapes = (tuple(ids.shape), batch, batch)
        return cls(head, index, shapes, ~labels.in_range.reshape(shape))

    @property
    def all(self) -> Array:
        return jnp.ones(self.ids.shape[0], bool)

    def at(self, chunk: Chunk, logits: Array) -> SelectedRows:
        ids, how = self.ids[chunk.rows], How("reference")
        return SelectedRows(logits, ids, self.head.temperature, self.head.soft_cap, how)

    def function(self, chunk: Chunk, logits: Array, bars: SelectedCotangents) -> SelectedFunction:
        """Return Σ ⟨bar, output⟩ of every row as its loss; 0 for a row that does not count."""
        ones = chunk.counts.astype(logits.dtype)
        some = SelectedCotangents(*(bar[chunk.rows] for bar in bars))
        return SelectedFunction(ones, ones, self.at(chunk, logits), some)

    def bars(self, w: Arrays) -> SelectedCotangents:
        """Return cotangents by rows; NaN for an id that is out of range."""
        N, k = self.ids.shape
        shapes, dtype = ((N, k), (N,), (N,)), next(bar.dtype for bar in w if bar is not None)
        given = zip(w, shapes, strict=True)
        a, b, c = (jnp.zeros(s, dtype) if bar is None else bar.reshape(s) for bar, s in given)
        return SelectedCotangents(jnp.where(self.bad, jnp.nan, a), b, c)

    def shaped(self, found: Selected) -> Arrays:
        """Return outputs as they are asked for; NaN for an id that is out of range."""
        log_probs = jnp.where(self.bad, jnp.nan, found.log_probs)
        parts = zip((log_probs, *found[1:]), self.shapes, strict=True)
        return tuple(part.reshape(shape) for part, shape in parts)
