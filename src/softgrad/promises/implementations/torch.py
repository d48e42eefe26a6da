"""PyTorch: derivatives by autograd, and by its forward mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from softgrad.promises.implementations.base import AbstractImplementation, Call, Threads
from softgrad.promises.rows import AnyArray

__all__ = ["Implementation"]


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Implementation(AbstractImplementation):
    """A function of tensors, which share the memory of NumPy's arrays."""

    limit_threads: Threads | None = _threads

    has_strides: ClassVar[bool] = True

    def inward(self, array: AnyArray, dtype: str) -> Any:
        tensor = torch.from_numpy(array)
        return tensor.to(getattr(torch, dtype)) if array.dtype.kind == "f" else tensor

    def value(self, call: Call) -> AnyArray:
        arguments, options = self.given(call)
        with torch.no_grad():
            return _outward(self.function(*arguments, **options))

    def vjp(self, call: Call, y_bar: AnyArray) -> tuple[AnyArray, ...]:
        _, bars = self._backward(call, y_bar, create_graph=False)
        return tuple(map(_outward, bars))

    def jvp(self, call: Call, tangents: tuple[AnyArray, ...]) -> AnyArray:
        arguments, options = self.given(call)

        def of_floats(*floats: Any) -> Any:
            given = dict(zip(call.floating, floats, strict=True))
            return self.function(*(given.get(i, a) for i, a in enumerate(arguments)), **options)

        floats = tuple(arguments[i] for i in call.floating)
        dots = tuple(self.inward(tangent, call.dtype) for tangent in tangents)
        return _outward(torch.func.jvp(of_floats, floats, dots)[1])

    def hvp(
        self, call: Call, y_bar: AnyArray, tangents: tuple[AnyArray, ...]
    ) -> tuple[AnyArray, ...]:
        leaves, bars = self._backward(call, y_bar, create_graph=True)
        dots = [self.inward(tangent, call.dtype) for tangent in tangents]
        # Second derivatives are symmetric: those of the slope along the tangents are the product.
        return tuple(map(_outward, torch.autograd.grad(bars, leaves, dots)))

    def _backward(self, call: Call, y_bar: AnyArray, *, create_graph: bool) -> tuple[Any, Any]:
        """Return what is differentiated, and the gradients."""
        arguments, options = self.given(call)
        leaves = [arguments[i].requires_grad_() for i in call.floating]
        y = self.function(*arguments, **options)
        above = self.inward(y_bar, call.dtype).to(y.dtype)
        return leaves, torch.autograd.grad(y, leaves, above, create_graph=create_graph)


def _outward(tensor: Any) -> AnyArray:
    here = tensor.detach()
    array: AnyArray = (here.float() if here.element_size() == 2 else here).numpy()
    return array
