"""softmax and log_softmax with PyTorch's arguments."""

# ruff: noqa: A002  `input` is PyTorch's name for it
from __future__ import annotations

import torch

from softgrad.frameworks.torch.direct import map_of_rows
from softgrad.maps import AbstractMap
from softgrad.maps import log_softmax as softgrad_log_softmax
from softgrad.maps import softmax as softgrad_softmax

__all__ = ["along", "log_softmax", "softmax"]


def softmax(input: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return softmax along an axis, as `torch.softmax` does.

    Parameters
    ----------
    input : Tensor
        Of any shape, a single number too.
    dim : int
        The class axis.
    dtype : torch.dtype, optional
        What `input` is cast to first.

    Returns
    -------
    Tensor
        Probabilities, shaped like `input`.

    Raises
    ------
    TypeError, ValueError
        `input` is not of real numbers, or `dim` is not one of its axes.

    Derivative
    ----------
    As in `softgrad.softmax`, to second order and in every mode of PyTorch.

    Numerics
    --------
    As in `softgrad.softmax`.

    Examples
    --------
    >>> softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    return along(softgrad_softmax, input, dim, dtype)


def log_softmax(input: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return the logarithm of softmax along an axis, as `torch.log_softmax` does.

    Parameters, Returns and Raises are those of `softmax` here.

    Derivative
    ----------
    As in `softgrad.log_softmax`, to second order and in every mode of PyTorch.

    Numerics
    --------
    As in `softgrad.log_softmax`.

    Examples
    --------
    >>> log_softmax(torch.tensor([40.0, 0.0]), dim=0)
    tensor([-4.2484e-18, -4.0000e+01])
    """
    return along(softgrad_log_softmax, input, dim, dtype)


def along(
    f: AbstractMap, x: torch.Tensor, dim: int, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Return the value of a map along an axis, where a single number has one as well."""
    x = x if dtype is None else x.to(dtype)
    y = map_of_rows(f, x, dim)
    if y is not None:
        return y
    return f(x, axis=dim) if x.ndim else f(x[None], axis=dim)[0]
