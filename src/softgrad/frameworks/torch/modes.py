"""What PyTorch is doing with tensors now: it differentiates, batches, traces or casts them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.autograd.forward_ad import unpack_dual

from softgrad.arrays import is_spread

__all__ = [
    "can_look_at",
    "dtensors",
    "has_derivative",
    "has_numbers",
    "is_autocast",
    "is_batched_gradient",
    "is_ordinary",
    "is_plain",
    "is_recorded",
    "is_shape_alone",
    "may_vary",
    "wants_derivatives",
]


def wants_derivatives(*arrays: Any) -> bool:
    """Tell whether a result made of these must go through PyTorch's own dispatch.

    So it is for a tensor that requires a gradient while autograd records, one that carries a
    tangent of forward-mode AD, and one that a transform of `torch.func` has wrapped: a formula
    would see one example where `vmap` holds many, and a kernel would see no numbers at all. Nor are
    there any while a graph is traced, and autocast would change what a formula computes in. Who
    writes down what is done to tensors sees an operator, and not what a kernel does behind it.
    """
    if torch.compiler.is_dynamo_compiling() or is_recorded():
        return True
    return any(
        wants_derivatives(*x) if isinstance(x, tuple) else _is_special(x)
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


def may_vary(x: torch.Tensor) -> bool:
    """Tell whether a tensor is differentiated, or a wrapper hides whether it is."""
    if torch.compiler.is_dynamo_compiling():
        return bool(x.requires_grad) and torch.is_grad_enabled()
    return has_derivative(x) or _is_wrapped(x)


def is_plain(x: Any) -> bool:
    """Tell a tensor that has no part in a transform, and no tangent.

    While a transform runs, none is plain: one from outside may require a gradient there, through
    a node that the transform must know.
    """
    hidden = _is_wrapped(x) or is_batched_gradient(x) or _is_transforming()
    return not hidden and unpack_dual(x).tangent is None


def is_ordinary(x: Any) -> bool:
    """Tell numbers in C order on the CPU in which no transform, mode or subclass has a part.

    Their memory is all there is to them, but that they may require a gradient.
    """
    return (
        not torch.compiler.is_dynamo_compiling()
        and type(x) in _ORDINARY
        and x.is_cpu
        and x.is_contiguous()
        and not x.is_neg()
        and is_plain(x)
        and not is_recorded()
        and not torch._C._is_tracing()
    )


_ORDINARY = (torch.Tensor, torch.nn.Parameter)


def is_recorded() -> bool:
    """Tell whether a dispatch mode is on, which looks at operators as they run."""
    return bool(torch._C._len_torch_dispatch_stack())


def is_shape_alone(x: Any) -> bool:
    """Tell a tensor without numbers: one of the device meta, or that stands in while tracing."""
    return isinstance(x, FakeTensor | FunctionalTensor) or (
        isinstance(x, torch.Tensor) and x.is_meta
    )


def can_look_at(x: torch.Tensor) -> bool:
    """Tell whether numbers may decide what is done: they are there, and the only ones."""
    return is_plain(x) and not is_shape_alone(x) and not is_recorded()


def has_numbers(x: torch.Tensor) -> bool:
    """Tell whether a program may look at a tensor's numbers."""
    return not (torch.compiler.is_dynamo_compiling() or is_shape_alone(x))


def is_autocast(device_type: str) -> bool:
    """Tell whether autocast is on; some devices have none."""
    exists = torch.amp.is_autocast_available(device_type)
    return exists and bool(torch.is_autocast_enabled(device_type))


def is_batched_gradient(x: Any) -> bool:
    """Tell a batch of gradients, from `is_grads_batched=True`, which `vmap` has no part in."""
    return bool(torch._C._functorch.is_legacy_batchedtensor(x))


def dtensors() -> Any:
    """Return the module that takes DTensors apart, which is loaded for whoever has one."""
    return import_module("softgrad.frameworks.torch.dtensors")


def _is_special(x: torch.Tensor) -> bool:
    return (
        is_spread(x)
        or has_derivative(x)
        or _is_wrapped(x)
        or is_shape_alone(x)
        or is_autocast(x.device.type)
    )


# PyTorch has no public names for what follows, nor for `is_batched_gradient`.


def _is_wrapped(x: Any) -> bool:
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(x))


def _is_transforming() -> bool:
    """Tell whether a transform of `torch.func` runs."""
    return torch._C._functorch.peek_interpreter_stack() is not None
