"""Log-probabilities of chosen classes of a linear layer: what preference losses are made of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, NamedTuple, Unpack

from softgrad.arrays import (
    Array,
    adapter_for,
    describe,
    dtype_name,
    is_on_gpu,
    namespace,
    quiet,
    real_array,
    same_kind,
)
from softgrad.errors import mismatch
from softgrad.heads.arguments import NOTHING, detached, linear_layer, tangents
from softgrad.heads.base import AbstractHead
from softgrad.heads.cotangents import Cotangents
from softgrad.heads.layer import Gradients, LinearLayer
from softgrad.heads.loop import (
    LossOfLogits,
    blocks,
    losses_and_cotangents,
    losses_bent,
    positions_used,
    second_products,
)
from softgrad.heads.options import (
    OF_SELECTED,
    Options,
    SelectedJvpOptions,
    SelectedProductOptions,
    SelectedVjpOptions,
    check_other,
)
from softgrad.heads.selected_rows import (
    Selected,
    SelectedCotangents,
    SelectedFunction,
    SelectedRows,
)
from softgrad.heads.sharded_selected import (
    ShardedSelectedFunction,
    ShardedSelectedRows,
    selected_part,
)
from softgrad.heads.verbs import takes_every_array
from softgrad.losses.reduced import AbstractRowLosses
from softgrad.losses.spread.shards import AbstractRanks, content_of, together, told
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
class SelectedLogProbs(AbstractHead):
    """log p of chosen classes, logsumexp and entropy of the logits x Wᵀ + b, never stored whole.

    With z = c·tanh((x Wᵀ + b)/c)/T, a row has log p_i = z_i − logsumexp(z) and the entropy
    −Σ p log p. Every loss that is made of them gets its gradient by `vjp`.

    Parameters
    ----------
    temperature : float
        T from 1e-30 to 1e30.
    soft_cap : float, optional
        c > 0.
    memory : int, optional
        The bytes that buffers may take: 64 MiB, or 512 MiB on a GPU. One row of logits is stored in
        any case.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        settle_real(self, "temperature", least=1e-30, most=1e30)  # 1/T is finite
        if self.soft_cap is not None:
            settle_real(self, "soft_cap", least=1e-30, most=1e30)

    def __call__(
        self, x: Any, W: Any, ids: Any, bias: Any = None, **options: Unpack[Options]
    ) -> Selected:
        """Return log-probabilities, logsumexp and entropy; the same as `value`."""
        return self.value(x, W, ids, bias, **options)

    @takes_every_array
    def value(
        self, x: Any, W: Any, ids: Any, bias: Any = None, **options: Unpack[Options]
    ) -> Selected:
        """Return log-probabilities, logsumexp and entropy of every row.

        Parameters
        ----------
        x : array [..., D], real
            Features: an array of NumPy or PyTorch, or of any library with the array API whose
            memory NumPy can share (DLPack, on the CPU); `value` and predictions take JAX's, too.
        W : array [K, D]
            Weights, in x's dtype.
        ids : integer array [...] or [..., k]
            One class of every row, or k.
        bias : array [K], optional
        impl : {"auto", "reference", "numba", "triton"}
            What works on the logits; "auto" looks at how many there are, and
            `softgrad.explain_impl` says what it chooses.
        group : process group of torch.distributed or DeviceMesh of one dimension, optional
            Whose ranks have some of the classes each, as in `linear_cross_entropy`; ids count
            among all classes.

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
            An id is out of range; the message has the first position. On a GPU its row is NaN
            instead.
        """
        adapter = adapter_for(x, W, bias)
        if adapter is not None:
            found: Selected = adapter.selected_value(self, x, W, ids, bias, options)
            return found
        with self._given(x, W, ids, bias, options, "value") as given, quiet():
            found, layer = _empty(given), given.layer
            for rows, z in blocks(layer, [layer.logits]):
                _store(found, rows, self._outputs(given, z, rows).value())
            return _shaped(found, given)

    @takes_every_array
    def vjp(
        self, x: Any, W: Any, ids: Any, bias: Any = None, **options: Unpack[SelectedVjpOptions]
    ) -> Gradients:
        """Return the gradients in x, W and bias of Σ ⟨bar, output⟩.

        The bars are `log_probs_bar`, `logsumexp_bar` and `entropy_bar`, like the outputs; one that
        is None or not given is 0, and rows whose bars are all 0 cost nothing. What is named in
        `frozen`, a collection of "x", "W" and "bias", has no gradient.
        """
        with self._with_bars(x, W, ids, bias, options, "vjp") as loss:
            bars = Cotangents(loss.layer)
            losses_and_cotangents(loss, None, bars)
            return bars.result()

    @takes_every_array
    def jvp(
        self, x: Any, W: Any, ids: Any, bias: Any = None, **options: Unpack[SelectedJvpOptions]
    ) -> Selected:
        """Return the rates of change of all outputs along a direction.

        The direction is `x_dot`, `W_dot` and `bias_dot`, like x, W and bias; what is None or not
        given does not move.
        """
        with self._given(x, W, ids, bias, options, "jvp") as given, quiet():
            found, layer = _empty(given), given.layer
            for rows, z, z_dot in blocks(layer, [layer.logits, layer.logits_dot]):
                _store(found, rows, self._outputs(given, z, rows).tangent(z_dot))
            return _shaped(found, given)

    @takes_every_array
    def second_derivative(
        self,
        x: Any,
        W: Any,
        ids: Any,
        bias: Any = None,
        *,
        other: Mapping[str, Any],
        **options: Unpack[SelectedJvpOptions],
    ) -> Selected:
        """Return the second derivatives along two directions: how `jvp` changes along the other.

        `other` is a dict of `x_dot`, `W_dot` and `bias_dot`. Each of the k + 2 outputs of a row
        costs a pass.
        """
        with told(options.get("group")):
            check_other(other)
        with self._given(x, W, ids, bias, options, "second_derivative", other) as given:
            (N, k), layer = given.ids.shape, given.layer
            dots, bent = tangents(layer, other), layer.empty((N, k + 2))
            for i in range(k + 2):
                one = layer.zeros((N, k + 2))
                one[:, i] = 1
                loss = self._function(given, SelectedCotangents(*_apart(one)))
                bent[:, i] = losses_bent(loss, dots)
            return _shaped(Selected(*_apart(bent)), given)

    @takes_every_array
    def hvp(
        self, x: Any, W: Any, ids: Any, bias: Any = None, **options: Unpack[SelectedProductOptions]
    ) -> Gradients:
        """Return the rate of change of `vjp` as x, W and bias move along a direction."""
        with self._with_bars(x, W, ids, bias, options, "hvp") as loss:
            bars = Cotangents(loss.layer)
            second_products(loss, None, bars, gauss_newton=False)
            return bars.result()

    def _given(
        self,
        x: Any,
        W: Any,
        ids: Any,
        bias: Any,
        options: Mapping[str, Any],
        verb: str,
        other: Mapping[str, Any] = NOTHING,
    ) -> AbstractContextManager[Given]:
        """Check the arguments, and work."""
        check = partial(self._check, x, W, ids, bias, options, verb, other)
        return together(options.get("group"), check)

    def _with_bars(
        self, x: Any, W: Any, ids: Any, bias: Any, options: Mapping[str, Any], verb: str
    ) -> AbstractContextManager[LossOfLogits]:
        """Check the arguments and cotangents, and work on Σ ⟨bar, output⟩."""

        def check(ranks: AbstractRanks | None) -> LossOfLogits:
            given = self._check(x, W, ids, bias, options, verb, NOTHING, ranks)
            bars = (_bar(name, options.get(f"{name}_bar"), given) for name in Selected._fields)
            return self._function(given, SelectedCotangents(*bars))

        return together(options.get("group"), check)

    def _check(
        self,
        x: Any,
        W: Any,
        ids: Any,
        bias: Any,
        options: Mapping[str, Any],
        verb: str,
        other: Mapping[str, Any],
        ranks: AbstractRanks | None,
    ) -> Given:
        """Check the arguments; ids get one batch axis and one axis of classes."""
        call = {} if ranks is None else self._call(ids, options, verb, other)
        memory, kind = self.budget(x), OF_SELECTED[verb]
        layer = linear_layer(x, W, bias, memory, options, kind, ranks=ranks, call=call)
        return self._checked(layer, ids)

    def _call(
        self, ids: Any, options: Mapping[str, Any], verb: str, other: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return what must be the same on all ranks, as texts."""
        bars = [name for name in Selected._fields if options.get(f"{name}_bar") is not None]
        return {
            "call": verb,
            "head": repr(self),
            "impl": options.get("impl", "auto"),
            "ids": content_of("ids", ids),
            "bars": ", ".join(bars),
            "other": "x_dot" if other.get("x_dot") is not None else "no x_dot",
        }

    def _checked(self, layer: LinearLayer, ids: Any) -> Given:
        ids = same_kind("ids", ids, layer.x)
        shape, batch = tuple(ids.shape), layer.batch
        if "int" not in dtype_name(ids) or batch not in (shape, shape[:-1]):
            expected = f"integers of shape {batch} or of k more at its end"
            raise ValueError(mismatch("ids", expected, describe(ids)))
        index = check_labels(ids, ids, layer.classes, None, "ids").index
        k = 1 if shape == batch else shape[-1]
        return Given(layer, namespace(ids).reshape(index, (prod(batch), k)), shape)

    def _rows(self, given: Given, logits: Array, rows: Any) -> SelectedRows:
        ids, how = given.ids[rows], given.layer.how
        return SelectedRows(logits, ids, self.temperature, self.soft_cap, how)

    def _outputs(
        self, given: Given, logits: Array, rows: Any
    ) -> SelectedRows | ShardedSelectedRows:
        if given.layer.shards is None:
            return self._rows(given, logits, rows)
        return self._part(given, logits, rows)

    def _part(
        self, given: Given, logits: Array, rows: Any, masses: Array | None = None
    ) -> ShardedSelectedRows:
        T, cap = self.temperature, self.soft_cap
        return selected_part(given.layer, logits, given.ids[rows], T, cap, masses)

    def _function(self, given: Given, bars: SelectedCotangents) -> LossOfLogits:
        """Return Σ ⟨bar, output⟩ of every row as its loss."""
        layer, (a, b, c) = given.layer, bars
        xp, used = namespace(a), None
        ones = layer.ones((layer.x.shape[0],))
        if not is_on_gpu(layer.x):  # their number would be waited for
            silent = xp.all(a == 0, axis=-1) & (b == 0) & (c == 0)
            used = positions_used(xp.where(silent, 0 * ones, ones))
        at = partial(self._function_at, given, bars, ones)
        return LossOfLogits(layer, at, ones, used)

    def _function_at(
        self, given: Given, bars: SelectedCotangents, ones: Array, logits: Array, rows: Any
    ) -> AbstractRowLosses:
        some = SelectedCotangents(*(bar[rows] for bar in bars))
        if given.layer.shards is not None:
            part = self._part(given, logits, rows, 0 - some.a)
            return ShardedSelectedFunction(ones[rows], ones[rows], part, some)
        return SelectedFunction(ones[rows], ones[rows], self._rows(given, logits, rows), some)


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


def _apart(columns: Array) -> tuple[Array, Array, Array]:
    """Return what belongs to log_probs, logsumexp and entropy: [N, k] and two times [N]."""
    return columns[:, :-2], columns[:, -2], columns[:, -1]


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
