"""A head whose classes are spread over devices, inside of `jax.shard_map`."""

from __future__ import annotations

from typing import Any, Unpack

from softgrad.arrays import Array
from softgrad.frameworks.jax import head_value
from softgrad.heads import LinearCrossEntropy, linear_cross_entropy
from softgrad.heads.options import LossOptions

__all__ = ["sharded_linear_cross_entropy"]


def sharded_linear_cross_entropy(
    x: Any,
    W: Any,
    targets: Any,
    bias: Any = None,
    *,
    axis_name: str,
    head: LinearCrossEntropy = linear_cross_entropy,
    **options: Unpack[LossOptions],
) -> Array:
    """Return the loss of a head of which every device has some classes; call it in `shard_map`.

    Parameters
    ----------
    x : array [..., D]
        The features of all rows, the same on every device.
    W : array [K / devices, D]
        The device's own part of the weights, in the order of the devices.
    targets : array or TopK
        As in `softgrad.linear_cross_entropy`, with indices among all K classes; on every device.
    bias : array [K / devices], optional
    axis_name : str
        The axis of the mesh along which the classes are spread.
    head : LinearCrossEntropy
        The settings.
    **options
        ``class_weights`` [K] and ``row_weights`` [...], on every device.

    Returns
    -------
    array
        The loss, the same on every device.

    Derivative
    ----------
    As in `softgrad.linear_cross_entropy`: x_bar is the same on every device, W_bar and bias_bar are
    the device's own.

    Numerics
    --------
    Those of one device: the logits of a chunk of rows are brought together before the formula sees
    them, which costs their communication and no digit (tests/test_jax_head.py).
    """
    return head_value(head, x, W, targets, bias, options, axis_name)
