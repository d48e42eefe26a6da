"""The arguments that heads share: checked before any work, each error with both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import array_api_compat

from softgrad.arrays import Array, describe, dtype_name, namespace, real_array, same_kind
from softgrad.errors import mismatch
from softgrad.heads.layer import LinearLayer, Tangents
from softgrad.heads.options import Options, check_options
from softgrad.heads.products import products_for
from softgrad.kernels import choose
from softgrad.layout import Layout
from softgrad.losses.spread.shards import AbstractRanks, Shards

__all__ = ["NOTHING", "detached", "linear_layer", "parts_of_layer", "tangents"]

_PARTS = ("x", "W", "bias")

NOTHING: Mapping[str, str] = MappingProxyType({})


def linear_layer(
    x: Any,
    W: Any,
    bias: Any,
    memory: int,
    options: Mapping[str, Any],
    kind: type = Options,
    *,
    no_kernel: str = "",
    ranks: AbstractRanks | None = None,
    call: Mapping[str, str] = NOTHING,
) -> LinearLayer:
    """Return the layer of x [..., D], W [K, D] and bias [K], with the options that all heads have.

    Where there are ranks, W and bias are the own part of theirs, and `call` is what must be the
    same on all of them, beside what is seen here.

    Raises
    ------
    TypeError, ValueError
        One of them has another kind, shape or dtype than it must have, there are no classes, an
        option is none of its kind, or the implementation that is asked for cannot do the work.
    """
    check_options(options, kind)
    frozen = _names(options.get("frozen", ()))
    x, W, bias = parts_of_layer(x, W, bias, some=1 if ranks is None else 0)
    shards = None
    if ranks is not None:
        shards = _shards(ranks, x, W, bias, {**call, **_said_of_x(frozen, options)})
    bias = None if bias is None else detached(bias)
    batch, dtype, xp = tuple(x.shape[:-1]), Layout.of(x, -1).compute_dtype, namespace(x)
    # All logits decide, those of a chunk would not: no setting and no verb changes the choice.
    K = W.shape[0] if shards is None else max(shards.sizes)
    logits = xp.broadcast_to(products_for(x).empty((1, 1), dtype, x), (prod(batch), K))
    choice = choose(options.get("impl", "auto"), logits, no_kernel)
    products = products_for(x, choice.impl)
    rows = xp.reshape(detached(x), (prod(batch), x.shape[-1]))
    layer = LinearLayer(
        rows, detached(W), bias, batch, dtype, products, memory, choice, frozen, shards=shards
    )
    return replace(layer, dots=tangents(layer, options))


def parts_of_layer(x: Any, W: Any, bias: Any, some: int = 1) -> tuple[Array, Array, Array | None]:
    """Return x [..., D], W [K, D] and bias [K] as arrays of one library and dtype.

    Raises
    ------
    TypeError, ValueError
        One of them has another kind, shape or dtype than it must have, or there are fewer classes
        than `some`.
    """
    x = real_array("x", x)
    if x.ndim == 0:
        raise ValueError(mismatch("x", "an array with a feature axis", "a single number"))
    W = same_kind("W", real_array("W", W), x)
    if W.ndim != 2 or W.shape[1] != x.shape[-1]:
        expected = f"of shape (K, {x.shape[-1]}) to match `x` {tuple(x.shape)}"
        raise ValueError(mismatch("W", expected, describe(W)))
    if W.dtype != x.dtype:
        raise TypeError(mismatch("W", f"{dtype_name(x)} to match `x`", describe(W)))
    K = W.shape[0]
    if some > K:
        raise ValueError(mismatch("W", "of at least one class", f"shape {tuple(W.shape)}"))
    if bias is not None:
        bias = same_kind("bias", real_array("bias", bias), x)
        if tuple(bias.shape) != (K,):
            expected = f"of shape ({K},) to match `W` {tuple(W.shape)}"
            raise ValueError(mismatch("bias", expected, describe(bias)))
    return x, W, bias


def tangents(layer: LinearLayer, options: Mapping[str, Any]) -> Tangents:
    """Return directions laid out like the layer's arguments.

    Raises
    ------
    TypeError, ValueError
        A direction is not like the argument that it moves, or moves a bias that is not there.
    """
    x_dot, W_dot, bias_dot = (options.get(f"{name}_dot") for name in _PARTS)
    if bias_dot is not None and layer.bias is None:
        raise ValueError(mismatch("bias_dot", "None where there is no bias", describe(bias_dot)))
    D = layer.x.shape[1]
    x_dot = _like("x_dot", x_dot, layer.x, (*layer.batch, D))
    if x_dot is not None:
        x_dot = namespace(x_dot).reshape(x_dot, tuple(layer.x.shape))
    W_dot = _like("W_dot", W_dot, layer.x, tuple(layer.W.shape))
    return Tangents(x_dot, W_dot, _like("bias_dot", bias_dot, layer.x, tuple(layer.W.shape[:1])))


def _shards(
    ranks: AbstractRanks, x: Array, W: Array, bias: Array | None, call: Mapping[str, str]
) -> Shards:
    """Agree with the other ranks on the call, and learn how many classes each has."""
    if not array_api_compat.is_torch_array(x):
        raise TypeError(mismatch("x", "a PyTorch tensor where there is a group", describe(x)))
    said = {
        "W": f"{dtype_name(W)} (…, {W.shape[1]})",
        "x": describe(x),
        "bias": "None" if bias is None else dtype_name(bias),
    }
    shards = Shards.agreed(ranks, int(W.shape[0]), {**call, **said})
    if shards.classes == 0:
        raise ValueError(mismatch("W", "of at least one class on some rank", "no class"))
    return shards


def _said_of_x(frozen: frozenset[str], options: Mapping[str, Any]) -> dict[str, str]:
    """Return what all ranks do with the features that they share."""
    return {
        "frozen": "x" if "x" in frozen else "not x",
        "x_dot": "None" if options.get("x_dot") is None else "a direction",
    }


def _names(frozen: Any) -> frozenset[str]:
    """Return what is frozen; raise unless all names are those of arguments that have a gradient."""
    expected = f"a collection of names among {', '.join(map(repr, _PARTS))}"
    try:
        names = frozenset(frozen)
    except TypeError:
        raise TypeError(mismatch("frozen", expected, repr(frozen))) from None
    if isinstance(frozen, str) or not names <= set(_PARTS):
        raise ValueError(mismatch("frozen", expected, repr(frozen)))
    return names


def _like(name: str, v: Any, x: Array, shape: tuple[int, ...]) -> Array | None:
    if v is None:
        return None
    v = same_kind(name, real_array(name, v), x)
    if tuple(v.shape) != shape:
        raise ValueError(mismatch(name, f"of shape {shape}", describe(v)))
    return detached(v)


def detached(x: Array) -> Array:
    """Return a tensor without its history: what is computed here is not to be recorded."""
    return x.detach() if array_api_compat.is_torch_array(x) else x
