"""The arguments of a head: checked before any work, each error with both sides."""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from typing import Any

import array_api_compat

from softgrad.arrays import Array, Layout, describe, dtype_name, namespace, real_array, same_kind
from softgrad.errors import mismatch
from softgrad.heads.layer import LinearLayer, Tangents
from softgrad.heads.products import products_for

__all__ = ["check_frozen", "detached", "linear_layer", "tangents"]

_PARTS = ("x", "W", "bias")


def linear_layer(x: Any, W: Any, bias: Any) -> LinearLayer:
    """Return the layer of x [..., D], W [K, D] and bias [K].

    Raises
    ------
    TypeError, ValueError
        One of them has another kind, shape or dtype than it must have, or there are no classes.
    """
    x = real_array("x", x)
    products = products_for(x)
    if x.ndim == 0:
        raise ValueError(mismatch("x", "an array with a feature axis", "a single number"))
    W = same_kind("W", real_array("W", W), x)
    if W.ndim != 2 or W.shape[1] != x.shape[-1]:
        expected = f"of shape (K, {x.shape[-1]}) to match `x` {tuple(x.shape)}"
        raise ValueError(mismatch("W", expected, describe(W)))
    if W.dtype != x.dtype:
        raise TypeError(mismatch("W", f"{dtype_name(x)} to match `x`", describe(W)))
    if W.shape[0] == 0:
        raise ValueError(mismatch("W", "of at least one class", f"shape {tuple(W.shape)}"))
    if bias is not None:
        bias = same_kind("bias", real_array("bias", bias), x)
        if tuple(bias.shape) != (W.shape[0],):
            expected = f"of shape ({W.shape[0]},) to match `W` {tuple(W.shape)}"
            raise ValueError(mismatch("bias", expected, describe(bias)))
        bias = detached(bias)
    batch = tuple(x.shape[:-1])
    dtype = Layout.of(x, -1).compute_dtype
    rows = namespace(x).reshape(detached(x), (prod(batch), x.shape[-1]))
    return LinearLayer(rows, detached(W), bias, batch, dtype, products)


def tangents(layer: LinearLayer, x_dot: Any, W_dot: Any, bias_dot: Any) -> Tangents:
    """Return directions laid out like the layer's arguments.

    Raises
    ------
    TypeError, ValueError
        A direction is not like the argument that it moves, or moves a bias that is not there.
    """
    if bias_dot is not None and layer.bias is None:
        raise ValueError(mismatch("bias_dot", "None where there is no bias", describe(bias_dot)))
    D = layer.x.shape[1]
    x_dot = _like("x_dot", x_dot, layer.x, (*layer.batch, D))
    if x_dot is not None:
        x_dot = namespace(x_dot).reshape(x_dot, tuple(layer.x.shape))
    W_dot = _like("W_dot", W_dot, layer.W, tuple(layer.W.shape))
    return Tangents(x_dot, W_dot, _like("bias_dot", bias_dot, layer.x, tuple(layer.W.shape[:1])))


def check_frozen(frozen: Collection[str]) -> None:
    """Raise unless all names are those of arguments that have a gradient."""
    if isinstance(frozen, str) or not set(frozen) <= set(_PARTS):
        expected = f"a collection of names among {', '.join(map(repr, _PARTS))}"
        raise ValueError(mismatch("frozen", expected, repr(frozen)))


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
