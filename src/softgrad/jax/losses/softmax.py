"""Cross-entropies of softmax, as optax names them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, describe
from softgrad.errors import mismatch
from softgrad.jax.losses.arguments import Axes, Rows, rows_of, times_log
from softgrad.losses import CrossEntropy
from softgrad.maps import log_softmax

__all__ = [
    "poly_loss_cross_entropy",
    "safe_softmax_cross_entropy",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
]

_of_each = CrossEntropy(reduction="none")


def softmax_cross_entropy(logits: Any, labels: Any, axis: Axes = -1, where: Any = None) -> Array:
    """Return −Σ_j t_j log p_j of every row, as `optax.softmax_cross_entropy` does.

    Parameters
    ----------
    logits : array [..., K], floating-point
    labels : array that broadcasts to `logits`
        Probabilities; they need not sum to one.
    axis : int, tuple of ints or None
        The class axes; None stands for all.
    where : bool array shaped like `logits` or like the result, optional
        False takes a class out of its row; a row without classes has the loss 0.

    Returns
    -------
    array [...]
        In the dtype of `logits`; half precision is computed in float32.

    Raises
    ------
    TypeError, ValueError
        `logits` are not floating-point, shapes do not broadcast, or an axis is not there.

    Derivative
    ----------
    In `logits` p·Σt − t, in `labels` −log p; in every mode, and to any order.

    Numerics
    --------
    Terms of one sign are summed, and a confident row keeps its digits in the gradient as well. A
    label 0 at a logit −inf counts nothing (tests/test_jax_losses.py).

    Examples
    --------
    >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    >>> labels = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> print(softmax_cross_entropy(logits, labels))
    [0.2761... 2.951...]
    """
    rows = rows_of(logits, labels, axis, where)
    return _cross_entropy(rows, _log_probs(rows)).astype(rows.dtype)


def safe_softmax_cross_entropy(logits: Any, labels: Any) -> Array:
    """Return `softmax_cross_entropy` along the last axis, which is safe: 0·log 0 counts nothing."""
    return softmax_cross_entropy(logits, labels)


def softmax_cross_entropy_with_integer_labels(
    logits: Any, labels: Any, axis: int | tuple[int, ...] = -1, where: Any = None
) -> Array:
    """Return −log p of every row's label, as optax's function of this name does.

    Parameters
    ----------
    logits : array [..., K], floating-point
    labels : integer array that broadcasts with [...]
        For several class axes, indices into all of them together.
    axis : int or tuple of ints
    where : bool array shaped like `logits` or like the labels, optional

    Returns
    -------
    array [...]
        In the dtype of `logits`; a row without classes has the loss 0.

    Raises
    ------
    TypeError, ValueError
        As in `softmax_cross_entropy`, or `labels` are not integers.
    IndexError
        A label is out of range; compiled code makes the loss NaN instead.

    Derivative
    ----------
    In `logits` p − t, in every mode, and to any order.

    Numerics
    --------
    As in `softgrad.cross_entropy`.

    Examples
    --------
    >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    >>> print(softmax_cross_entropy_with_integer_labels(logits, jnp.array([0, 1])))
    [0.2761... 2.951...]
    """
    labels, rows = jnp.asarray(labels), rows_of(logits, None, axis, where)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(mismatch("labels", "integers", describe(labels)))
    options: Any = {} if rows.where is None else {"where": rows.where}
    batch = jnp.broadcast_shapes(rows.logits.shape[:-1], labels.shape)
    logits = jnp.broadcast_to(rows.logits, (*batch, rows.logits.shape[-1]))
    return _of_each(logits, jnp.broadcast_to(labels, batch), **options).astype(rows.dtype)


def poly_loss_cross_entropy(
    logits: Any, labels: Any, *, epsilon: Any = 2.0, axis: Axes = -1, where: Any = None
) -> Array:
    """Return −Σ_j t_j log p_j + ε Σ_j t_j (1 − p_j), as optax's function of this name does.

    Parameters are those of `softmax_cross_entropy`, and ε. 1 − p keeps its digits where p is near
    1.

    Examples
    --------
    >>> logits = jnp.array([0.14, 1.456, 2.356, -0.124, -2.47])
    >>> print(poly_loss_cross_entropy(logits, jnp.array([0.1, 0.15, 0.2, 0.25, 0.3])))
    4.5316...
    """
    rows = rows_of(logits, labels, axis, where)
    log_p = _log_probs(rows)
    others = accurate_sum(_labels(rows) * -jnp.expm1(log_p))
    return (_cross_entropy(rows, log_p) + epsilon * others).astype(rows.dtype)


def _log_probs(rows: Rows) -> Array:
    return log_softmax(rows.logits, where=rows.where)


def _labels(rows: Rows) -> Array:
    return rows.labels if rows.where is None else jnp.where(rows.where, rows.labels, 0)


def _cross_entropy(rows: Rows, log_p: Array) -> Array:
    return 0 - accurate_sum(times_log(_labels(rows), log_p))
