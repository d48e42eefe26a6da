"""PyTorch: a run of a function of tensors, written down call by call."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from softgrad.checker.diagnosis.graph.calls import filled, outlined
from softgrad.checker.diagnosis.graph.steps import Site
from softgrad.checker.diagnosis.graph.traced import Tape, Untraceable
from softgrad.checker.subject import AnyArray

__all__ = ["Follower"]

_NAMES = {
    "sub": "subtract", "rsub": "subtract", "mul": "multiply", "div": "divide", "rpow": "pow",
    "true_divide": "divide", "rdiv": "divide", "rtruediv": "divide", "neg": "negative",
    "cat": "concatenate", "concat": "concatenate", "clamp": "clip", "masked_fill": "where",
    "amax": "max", "amin": "min", "linalg_norm": "norm", "linalg_vector_norm": "norm",
    "setitem": "_assigned", "data": "detach",
    **dict.fromkeys(
        ("getitem", "chunk", "split", "unbind", "select", "narrow", "index_select", "gather"),
        "_item",
    ),
}  # fmt: skip
"""NumPy's names of what PyTorch calls otherwise."""
_AS_THEY_ARE = ("contiguous", "detach", "data", "double", "to", "clone")
_MADE = ("empty", "zeros", "ones", "full", "rand", "new_", "bernoulli")
"""How the names of calls begin whose values do not come from the arguments' values."""
_HALF = (torch.bfloat16, torch.float16)
_LIBRARY = os.path.dirname(torch.__file__)


class Follower(TorchFunctionMode):  # type: ignore[misc]
    """While it is entered, every call of PyTorch on a tensor that it knows is a step."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape
        # The tensors are kept, so that no other one gets the id of one of them.
        self._known: dict[int, tuple[Any, int]] = {}

    def know(self, tensor: Any, step: int) -> None:
        """Take note of the step that a tensor is the value of."""
        self._known[id(tensor)] = tensor, step

    def place_of(self, tensor: Any) -> int | None:
        """Return the step that a tensor is the value of; None for a constant.

        Raises
        ------
        Untraceable
            It was changed by way of another tensor, which shares its memory.
        """
        if id(tensor) not in self._known:
            return None
        step = self._known[id(tensor)][1]
        if not np.array_equal(_plain(tensor), self._tape.steps[step].value, equal_nan=True):
            raise Untraceable
        return step

    def output(self, result: Any) -> int:
        """Return the step that an output is, which may be a constant."""
        place = self.place_of(result) if _is_real(result) else None
        if place is not None:
            return place
        array = _plain(result) if isinstance(result, torch.Tensor) else np.asarray(result)
        # Integers have no derivative.
        return self._tape.constant(array if array.dtype.kind == "f" else np.zeros(array.shape))

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Call a function, and write it down if it depends on an input."""
        options = options or {}
        name = _name_of(function)
        leaves: list[Any] = []
        outline = outlined((arguments, options), leaves, _is_real)
        places = [self.place_of(leaf) for leaf in leaves]
        moves = any(place is not None for place in places) and not name.startswith(_MADE)
        # What a call writes into its arguments must not be taken for what it was given.
        given = [
            np.array(_plain(leaf)) if moves and place is None else place
            for leaf, place in zip(leaves, places, strict=True)
        ]
        before = torch.get_rng_state()
        result = function(*arguments, **options)
        if name.startswith(("empty", "new_empty")) and _is_real(result):
            result.zero_()  # what is found there is no number of ours
        if moves:
            drew = not torch.equal(before, torch.get_rng_state())
            call = _Call(function, outline, leaves[0].device, before if drew else None)
            self._write(name, call, given, arguments[0] if name == "setitem" else result)
        return result

    def _write(self, name: str, call: _Call, given: Sequence[Any], result: Any) -> None:
        several = isinstance(result, (tuple, list))
        for part, tensor in enumerate(result if several else [result]):
            if not _is_real(tensor):
                continue
            if tensor.dtype != torch.float64:
                raise Untraceable  # differences of it would show nothing but rounding
            value = _plain(tensor).copy()
            shapes = [
                it.shape if isinstance(it, np.ndarray) else self._tape.steps[it].value.shape
                for it in given
            ]
            elementwise = _is_pointwise(name) and np.broadcast_shapes(*shapes) == value.shape
            step = self._tape.write(
                _NAMES.get(name, name), call.part(part if several else None), given, value,
                Site.of_caller(_LIBRARY), elementwise,
            )  # fmt: skip
            self.know(tensor, step)
            self._spread(tensor, step)

    def _spread(self, written: Any, step: int) -> None:
        """Write down that other tensors changed with one, which share its memory."""
        memory = written.untyped_storage().data_ptr()
        for tensor, before in list(self._known.values()):
            old = self._tape.steps[before].value
            shared = tensor is not written and tensor.untyped_storage().data_ptr() == memory
            if shared and not np.array_equal(_plain(tensor), old, equal_nan=True):
                call = partial(_replaced, _overlap(tensor, written))
                place = self._tape.write(
                    "_assigned", call, [before, step], _plain(tensor).copy(),
                    Site.of_caller(_LIBRARY), False,
                )  # fmt: skip
                self.know(tensor, place)


@dataclass(frozen=True)
class _Call:
    """A call that can be made again, with other numbers."""

    function: Any
    outline: Any
    device: Any
    random: Any
    """The state of the random numbers, if it draws some."""

    def part(self, part: int | None) -> Callable[[Sequence[AnyArray]], AnyArray]:
        """Return the call as a function of arrays that returns one of its results."""

        def again(values: Sequence[AnyArray]) -> AnyArray:
            result = self._again(values)
            return _plain(result if part is None else result[part])

        return again

    def _again(self, values: Sequence[AnyArray]) -> Any:
        # A product of real and complex matrices is refused.
        dtype = np.result_type(*values)
        tensors = [torch.from_numpy(np.array(v, dtype)).to(self.device) for v in values]
        arguments, options = filled(self.outline, tensors)
        with torch.no_grad(), torch.random.fork_rng([], enabled=self.random is not None):
            if self.random is not None:
                torch.set_rng_state(self.random)
            result = self.function(*arguments, **options)
        return arguments[0] if result is None else result  # x[i] = y


def _overlap(tensor: Any, other: Any) -> AnyArray:
    """Return, for every entry of a tensor, its place in another one in the same memory, or −1."""
    places = np.arange(tensor.untyped_storage().nbytes() // tensor.element_size())
    own, others = (
        torch.from_numpy(places).as_strided(t.size(), t.stride(), t.storage_offset()).numpy()
        for t in (tensor, other)
    )
    found = np.full(places.shape, -1)
    found[others.reshape(-1)] = np.arange(others.size)
    return np.asarray(found[own])


def _replaced(places: AnyArray, values: Sequence[AnyArray]) -> AnyArray:
    before, others = values
    return np.asarray(np.where(places < 0, before, others.reshape(-1)[places]))


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", "step")
    if name == "__get__":  # of a property, such as x.T
        name = getattr(function.__self__, "__name__", name)
    return str(name).strip("_")


@cache
def _is_pointwise(name: str) -> bool:
    """Whether every entry of a result comes from the entries at the same place."""
    own = {"rsub": "sub", "rdiv": "div", "rtruediv": "div", "rpow": "pow"}.get(name, name)
    packet = getattr(torch.ops.aten, own, None)
    tags = [getattr(packet, overload).tags for overload in packet.overloads()] if packet else []
    return name in _AS_THEY_ARE or any(torch.Tag.pointwise in tag for tag in tags)


def _is_real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _plain(tensor: Any) -> AnyArray:
    here = tensor.detach().cpu().resolve_conj()
    found: AnyArray = (here.double() if here.dtype in _HALF else here).numpy()
    return found
