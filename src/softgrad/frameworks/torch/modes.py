"""Which tensors PyTorch is differentiating or batching at this moment."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.forward_ad import unpack_dual

__all__ = ["has_derivative", "is_batched_gradient", "is_plain", "wants_derivatives"]


def wants_derivatives(*arrays: Any) -> bool:
    """Tell whether a result made of these must go through PyTorch's own dispatch.

    So it is for a tensor that requires a gradient while autograd records, one that carries a
    tangent of forward-mode AD, and one that a transform of `torch.func` has wrapped: a formula
    would see one example where `vmap` holds many, and a kernel would see no numbers at all.
    """
    return any(
        wants_derivatives(*x) if isinstance(x, tuple) else _is_wrapped(x) or has_derivative(x)
        for x in arrays
        if isinstance(x, torch.Tensor | tuple)
    )


def has_derivative(x: Any) -> bool:
    """Tell whether a tensor is differentiated, as far as can be seen from outside of a wrapper."""
    if not isinstance(x, torch.Tensor):
        return False
    if x.requires_grad and torch.is_grad_enabled():
        return True
    return not _is_wrapped(x) and unpack_dual(x).tangent is not None


def is_plain(x: Any) -> bool:
    """Tell a tensor that has numbers to look at and no tangent."""
    hidden = _is_wrapped(x) or is_batched_gradient(x)
    return not hidden and unpack_dual(x).tangent is None


def _is_wrapped(x: Any) -> bool:
    # PyTorch has no public name for it, nor for the next one.
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(x))


def is_batched_gradient(x: Any) -> bool:
    """Tell a batch of gradients, from `is_grads_batched=True`, which `vmap` has no part in."""
    return bool(torch._C._functorch.is_legacy_batchedtensor(x))
