"""Logits that a linear layer has not made yet: a loss of them never needs them, others do.

A language model's forward shapes, shifts and widens its logits before their loss is taken. Rows of
features can be shaped and shifted in their place. Whatever else is done to the logits makes them:
the answer is then that of the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from softgrad.heads import LinearCrossEntropy
from softgrad.losses.reduced import Reduction
from softgrad.torch.arguments import as_linear, has_other_variables, settings

__all__ = ["UnmadeLogits"]


@dataclass(frozen=True, eq=False)
class _Layer:
    """The weights of a linear layer as they are at a call."""

    W: torch.Tensor  # [K, D]
    bias: torch.Tensor | None  # [K]
    versions: tuple[int, ...]

    @classmethod
    def of(cls, W: torch.Tensor, bias: torch.Tensor | None) -> _Layer:
        return cls(W, bias, _versions(W, bias))

    def detached(self) -> _Layer:
        bias = None if self.bias is None else self.bias.detach()
        return _Layer(self.W.detach(), bias, self.versions)

    def parts(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the weights, or raise RuntimeError: an optimiser's step has changed them."""
        if _versions(self.W, self.bias) != self.versions:
            raise RuntimeError(_CHANGED)
        return self.W, self.bias


_CHANGED = (
    "the output layer has changed since the call that these logits are of; "
    "they are made when somebody looks at them: look before the optimiser's step"
)


def _versions(*tensors: torch.Tensor | None) -> tuple[int, ...]:
    """Return how often tensors have been changed in place; inference mode does not count that."""
    return tuple(t._version for t in tensors if t is not None and not t.is_inference())


class UnmadeLogits(torch.Tensor):  # type: ignore[misc]
    """x Wᵀ + b, for features x [..., D]; as a tensor it is one NaN in the shape of logits."""

    x: torch.Tensor  # [..., D]
    layer: _Layer

    @staticmethod
    def of(x: torch.Tensor, W: torch.Tensor, bias: torch.Tensor | None) -> UnmadeLogits:
        """Return the logits of a linear layer; autocast gives it its dtype, as ever."""
        x, W, bias = as_linear(x, W, bias)
        return _unmade(x, _Layer.of(W, bias), x.dtype)

    @cached_property
    def made(self) -> torch.Tensor:
        """The logits, differentiable if they would have been at the call."""
        with torch.inference_mode(False), torch.enable_grad():
            return F.linear(self.x, *self.layer.parts()).to(self.dtype)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _OF_THE_SHAPE:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if func in _WITHOUT_LOGITS and isinstance(args[0] if args else None, cls):
            answer = _WITHOUT_LOGITS[func](*args, **kwargs)
            if answer is not None:
                return answer
        args, kwargs = tree_map(_made, (args, kwargs))
        return func(*args, **kwargs)


def _unmade(x: torch.Tensor, layer: _Layer, dtype: torch.dtype) -> UnmadeLogits:
    if not torch.is_grad_enabled():
        x, layer = x.detach(), layer.detached()
    number = torch.full((), torch.nan, dtype=dtype, device=x.device)
    shape = (*x.shape[:-1], layer.W.shape[0])
    z: UnmadeLogits = number.expand(shape).as_subclass(UnmadeLogits)
    z.x, z.layer = x, layer
    return z


def _made(value: Any) -> Any:
    return value.made if isinstance(value, UnmadeLogits) else value


def _with_rows(z: UnmadeLogits, x: torch.Tensor) -> UnmadeLogits:
    return _unmade(x, z.layer, z.dtype)


def _same(z: UnmadeLogits) -> UnmadeLogits:
    return z


def _float(z: UnmadeLogits) -> UnmadeLogits:
    return _unmade(z.x, z.layer, torch.float32)


def _shaped(z: UnmadeLogits, *shape: Any) -> UnmadeLogits | None:
    """Return other axes of rows; None where the class axis does not stay what it is."""
    after = torch.empty(z.shape, device="meta").reshape(*shape).shape
    if not after or after[-1] != z.shape[-1]:
        return None
    return _with_rows(z, z.x.reshape(*after[:-1], z.x.shape[-1]))


def _indexed(z: UnmadeLogits, index: Any) -> UnmadeLogits | None:
    """Return some rows; None where classes are chosen as well."""
    index = index if isinstance(index, tuple) else (index,)
    if not all(i is ... or isinstance(i, int | slice) for i in index):
        return None
    takes_all = index[-1:] == (slice(None),)
    if takes_all or (... not in index and len(index) < z.ndim):
        return _with_rows(z, z.x[index])
    return None


def _cross_entropy(
    z: UnmadeLogits,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor | None:
    """Return the loss of rows [N, K]; None for what the head does not do."""
    is_deprecated = size_average is not None or reduce is not None
    if z.ndim != 2 or is_deprecated or has_other_variables(target, weight):
        return None
    probabilities = target.shape == z.shape
    head = LinearCrossEntropy(**settings(probabilities, ignore_index, reduction, label_smoothing))
    W, bias = z.layer.parts()
    return head.value(z.x, W, target, bias, class_weights=weight).to(z.dtype)


_Tensor = torch.Tensor

_OF_THE_SHAPE = {
    _Tensor.shape.__get__,
    _Tensor.dtype.__get__,
    _Tensor.device.__get__,
    _Tensor.ndim.__get__,
    _Tensor.is_cuda.__get__,
    _Tensor.size,
    _Tensor.dim,
    _Tensor.numel,
    _Tensor.is_floating_point,
}

_WITHOUT_LOGITS: dict[Any, Callable[..., Any]] = {
    _Tensor.contiguous: _same,
    _Tensor.float: _float,
    _Tensor.view: _shaped,
    _Tensor.reshape: _shaped,
    _Tensor.__getitem__: _indexed,
    F.cross_entropy: _cross_entropy,
}
"""What is done to logits on the way to their loss; None says that it takes the logits after all."""
