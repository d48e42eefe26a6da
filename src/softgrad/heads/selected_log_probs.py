"""Log-probabilities of chosen classes of a linear layer: what preference losses are made of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, NamedTuple

from softgrad.arrays import (
    Array,
    adapter_for,
    as_integer,
    describe,
    dtype_name,
    namespace,
    quiet,
    real_array,
    same_kind,
)
from softgrad.errors import mismatch
from softgrad.heads.arguments import check_frozen, detached, linear_layer, tangents
from softgrad.heads.cotangents import Cotangents
from softgrad.heads.layer import Gradients, LinearLayer
from softgrad.heads.loop import (
    LossOfLogits,
    blocks_of_logits,
    blocks_of_tangents,
    losses_and_cotangents,
    positions_used,
    second_products,
)
from softgrad.heads.selected_rows import (
    Selected,
    SelectedCotangents,
    SelectedFunction,
    SelectedRows,
)
from softgrad.kernels import How, Impl, check_impl
from softgrad.losses.targets import check_labels
from softgrad.maps.rows import settle_real

__all__ = ["SelectedLogProbs", "selected_log_probs"]


class Given(NamedTuple):
    """The layer and the ids, checked."""

    layer: LinearLayer
    ids: Array  # [N, k]
    shape: tuple[int, ...]
    """The shape that the ids came in."""


@dataclass(frozen=True, kw_only=True)
class SelectedLogProbs:
    """log p of chosen classes, logsumexp and entropy of the logits x Wᵀ + b, never stored whole.

    With z = c·tanh((x Wᵀ + b)/c)/T, a row has log p_i = z_i − logsumexp(z) and the entropy
    −Σ p log p. Every loss that is made of them gets its gradient by `vjp`.

    Parameters
    ----------
    temperature : float
        T from 1e-30 to 1e30.
    soft_cap : float, optional
        c > 0.
    memory : int
        The bytes that buffers may take, 64 MiB. One row of logits is stored in any case.
    impl : {"auto", "reference", "numba"}
        What works on a chunk of logits; "auto" looks at the size of a chunk.

    Derivative
    ----------
    In z, the gradients are e_i − p, p and −J log p with J = diag(p) − p pᵀ. `hvp` is exact, the
    entropy's part included: −(J̇ log p + J z_dot).

    Numerics
    --------
    A confident row keeps its digits: its entropy is a sum of terms of one sign, and J is applied
    to log p centred on the largest p (tests/test_heads_selected.py).

    References
    ----------
    Williams, 1992 (REINFORCE); Rafailov et al., 2023 (preference losses).

    Examples
    --------
    >>> import numpy as np
    >>> from softgrad.heads import selected_log_probs
    >>> x, W = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> found = selected_log_probs(x, W, [2])
    >>> found.log_probs.round(4), found.entropy.round(4)
    (array([-0.4076]), array([0.8324]))
    """

    temperature: float = 1.0
    soft_cap: float | None = None
    memory: int = 64 * 2**20
    impl: Impl = "auto"

    def __post_init__(self) -> None:
        settle_real(self, "temperature", least=1e-30, most=1e30)  # 1/T is finite
        if self.soft_cap is not None:
            settle_real(self, "soft_cap", least=1e-30, most=1e30)
        check_impl(self.impl)
        if as_integer("memory", self.memory) < 1:
            raise ValueError(mismatch("memory", "a positive number of bytes", self.memory))

    def __call__(self, x: Any, W: Any, ids: Any, bias: Any = None) -> Selected:
        """Return log-probabilities, logsumexp and entropy; the same as `value`."""
        return self.value(x, W, ids, bias)

    def value(self, x: Any, W: Any, ids: Any, bias: Any = None) -> Selected:
        """Return log-probabilities, logsumexp and entropy of every row.

        Parameters
        ----------
        x : array [..., D], real
            Features: a NumPy array or a PyTorch tensor.
        W : array [K, D]
            Weights, in x's dtype.
        ids : integer array [...] or [..., k]
            One class of every row, or k.
        bias : array [K], optional

        Returns
        -------
        Selected
            ``log_probs`` in the shape of the ids, ``logsumexp`` [...] and ``entropy`` [...];
            float32 for half-precision input.

        Raises
        ------
        TypeError, ValueError
            An argument has another kind, shape or dtype than it must have, or there are no classes.
        IndexError
            An id is out of range; the message has the first position.
        """
        adapter = adapter_for(x, W, bias)
        if adapter is not None:
            found: Selected = adapter.selected_value(self, x, W, ids, bias)
            return found
        given = _given(x, W, ids, bias)
        found = _empty(given)
        with quiet():
            for rows, z, how in blocks_of_logits(given.layer, self.memory, impl=self.impl):
                _store(found, rows, self._rows(given, z, rows, how).value())
        return _shaped(found, given)

    def vjp(
        self,
        x: Any,
        W: Any,
        ids: Any,
        bias: Any = None,
        *,
        log_probs_bar: Any = None,
        logsumexp_bar: Any = None,
        entropy_bar: Any = None,
        frozen: Collection[str] = (),
    ) -> Gradients:
        """Return the gradients in x, W and bias of Σ ⟨bar, output⟩; None is a bar of zeros.

        Rows whose bars are all 0 cost nothing.
        """
        check_frozen(frozen)
        given = _given(x, W, ids, bias)
        bars = Cotangents(given.layer, frozen)
        loss = self._function(given, Selected(log_probs_bar, logsumexp_bar, entropy_bar))
        losses_and_cotangents(loss, None, bars)
        return bars.result()

    def jvp(
        self,
        x: Any,
        W: Any,
        ids: Any,
        bias: Any = None,
        *,
        x_dot: Any = None,
        W_dot: Any = None,
        bias_dot: Any = None,
    ) -> Selected:
        """Return the rates of change of all outputs along a direction; None does not move."""
        given = _given(x, W, ids, bias)
        dots = tangents(given.layer, x_dot, W_dot, bias_dot)
        found = _empty(given)
        with quiet():
            blocks = blocks_of_tangents(given.layer, self.memory, dots, impl=self.impl)
            for rows, z, z_dot, how in blocks:
                _store(found, rows, self._rows(given, z, rows, how).tangent(z_dot))
        return _shaped(found, given)

    def hvp(
        self,
        x: Any,
        W: Any,
        ids: Any,
        bias: Any = None,
        *,
        x_dot: Any = None,
        W_dot: Any = None,
        bias_dot: Any = None,
        log_probs_bar: Any = None,
        logsumexp_bar: Any = None,
        entropy_bar: Any = None,
        frozen: Collection[str] = (),
    ) -> Gradients:
        """Return the rate of change of `vjp` as x, W and bias move along a direction."""
        check_frozen(frozen)
        given = _given(x, W, ids, bias)
        dots = tangents(given.layer, x_dot, W_dot, bias_dot)
        bars = Cotangents(given.layer, frozen)
        loss = self._function(given, Selected(log_probs_bar, logsumexp_bar, entropy_bar))
        second_products(loss, None, dots, bars, gauss_newton=False)
        return bars.result()

    def _rows(self, given: Given, logits: Array, rows: Any, how: How) -> SelectedRows:
        return SelectedRows(logits, given.ids[rows], self.temperature, self.soft_cap, how)

    def _function(self, given: Given, bars: Selected) -> LossOfLogits:
        """Return Σ ⟨bar, output⟩ of every row as its loss."""
        layer = given.layer
        a, b, c = (_bar(name, getattr(bars, name), given) for name in Selected._fields)
        xp = namespace(a)
        silent = xp.all(a == 0, axis=-1) & (b == 0) & (c == 0)
        ones = layer.zeros((layer.x.shape[0],)) + 1
        used = positions_used(xp.where(silent, 0 * ones, ones))
        at = partial(self._function_at, given, SelectedCotangents(a, b, c), ones)
        return LossOfLogits(layer, at, ones, used, self.memory, self.impl)

    def _function_at(
        self,
        given: Given,
        bars: SelectedCotangents,
        ones: Array,
        logits: Array,
        rows: Any,
        how: How,
    ) -> SelectedFunction:
        some = SelectedCotangents(*(bar[rows] for bar in bars))
        at = self._rows(given, logits, rows, how)
        return SelectedFunction(ones[rows], ones[rows], at, some)


def _given(x: Any, W: Any, ids: Any, bias: Any) -> Given:
    """Check the arguments; ids get one batch axis and one axis of classes."""
    layer = linear_layer(x, W, bias)
    ids = same_kind("ids", ids, layer.x)
    shape, batch = tuple(ids.shape), layer.batch
    if "int" not in dtype_name(ids) or batch not in (shape, shape[:-1]):
        expected = f"integers of shape {batch} or of k more at its end"
        raise ValueError(mismatch("ids", expected, describe(ids)))
    index = check_labels(ids, ids, layer.W.shape[0], None, "ids").index
    k = 1 if shape == batch else shape[-1]
    return Given(layer, namespace(ids).reshape(index, (prod(batch), k)), shape)


def _bar(name: str, bar: Any, given: Given) -> Array:
    """Return a cotangent laid out by rows: [N, k] of log_probs, [N] of the others."""
    layer = given.layer
    shape, rows = layer.batch, tuple(given.ids.shape[:1])
    if name == "log_probs":
        shape, rows = given.shape, tuple(given.ids.shape)
    if bar is None:
        return layer.zeros(rows)
    name = f"{name}_bar"
    bar = same_kind(name, real_array(name, bar), layer.x)
    if tuple(bar.shape) != shape:
        raise ValueError(mismatch(name, f"of shape {shape}", describe(bar)))
    return namespace(bar).reshape(layer.cast(detached(bar)), rows)


def _empty(given: Given) -> Selected:
    N, k = given.ids.shape
    return Selected(*(given.layer.empty(shape) for shape in ((N, k), (N,), (N,))))


def _store(found: Selected, rows: Any, part: Selected) -> None:
    for whole, some in zip(found, part, strict=True):
        whole[rows] = some


def _shaped(found: Selected, given: Given) -> Selected:
    xp, batch = namespace(found.log_probs), given.layer.batch
    shapes = (given.shape, batch, batch)
    return Selected(*(xp.reshape(v, shape) for v, shape in zip(found, shapes, strict=True)))


selected_log_probs = SelectedLogProbs()
