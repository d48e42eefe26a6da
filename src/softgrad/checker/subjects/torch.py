"""PyTorch: functions of tensors, autograd functions and modules."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from softgrad.checker.calls import Ended, guarded
from softgrad.checker.diagnosis.graph.traced import Tape
from softgrad.checker.formats import FORMATS, bfloat16
from softgrad.checker.subject import AnyArray
from softgrad.checker.subjects.library import IMPLICIT, AbstractLibrary, Function, Unpacked, leaves
from softgrad.checker.subjects.torch_steps import Follower
from softgrad.errors import mismatch

__all__ = ["Library", "is_function", "is_tensor", "to_tensor", "unpack"]

Graph = tuple[list[Any], list[Any]]
"""Leaves, and the outputs that were computed from them."""


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of PyTorch."""
    return isinstance(value, torch.Tensor)


def to_tensor(array: AnyArray) -> Any:
    """Return a NumPy array as a tensor of PyTorch."""
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))


def is_function(value: Any) -> bool:
    """Whether it is a module or an autograd function."""
    return isinstance(value, torch.nn.Module) or _autograd_function(value) is not None


def unpack(function: Any, inputs: tuple[Any, ...]) -> Unpacked:
    """Return the function that is to be checked; a module's parameters join its inputs."""
    names = tuple(f"input {place}" for place in range(len(inputs)))
    if isinstance(function, torch.nn.Module):
        function = _own_copy(function, inputs)
        parameters = {n: p for n, p in function.named_parameters() if p.requires_grad}
        names += tuple(f"parameter {name}" for name in parameters)
        run = _Module(function, parameters, inputs)
        return Unpacked(type(function).__name__, run, (*inputs, *parameters.values()), names)
    owner = _autograd_function(function)
    if owner is not None:
        return Unpacked(owner.__name__, owner.apply, inputs, names)
    return Unpacked(getattr(function, "__name__", type(function).__name__), function, inputs, names)


class Library(AbstractLibrary):
    """Tensors share the memory of NumPy's arrays, so that what is overwritten shows there."""

    def __init__(self) -> None:
        self.remarks = []
        self._devices: list[Any] = []
        self._floating: tuple[int, ...] = ()
        self._home = torch.device("cpu")
        self._cuda: list[int] = []

    def read(self, name: str, value: Any) -> AnyArray | None:
        """Return a tensor or array as a NumPy array; None for what is handed on as it is."""
        if isinstance(value, np.ndarray):
            return value.astype(value.dtype.newbyteorder("="), copy=False)
        if not is_tensor(value):
            if any(map(is_tensor, leaves(value))):
                raise TypeError(mismatch(name, "a tensor", f"tensors in a {type(value).__name__}"))
            return None
        if value.is_floating_point() and value.dtype not in _FORMATS:
            raise TypeError(mismatch(name, f"of {FORMATS}, or of integers", value.dtype))
        return _to_array(value)

    def prepare(self, inputs: tuple[Any, ...], floating: tuple[int, ...]) -> None:
        """Take note of the devices."""
        self._floating = floating
        on = [value.device for value in inputs if is_tensor(value)]
        self._home = on[0] if on else self._home
        arrays = self._home  # NumPy's arrays go where the tensors are
        self._devices = [
            value.device if is_tensor(value) else arrays if isinstance(value, np.ndarray) else None
            for value in inputs
        ]
        self._cuda = sorted({device.index for device in on if device.type == "cuda"})

    def call(self, function: Function, arrays: tuple[Any, ...], *cotangent: Any) -> Any:
        """Call a function of tensors."""
        with self._tensors(arrays, *cotangent) as tensors:
            result = function(*tensors)
            if isinstance(result, (tuple, list, dict)):
                return tuple(map(_outward, leaves(result)))
            return _outward(result)

    def automatic(self, function: Function) -> tuple[Function, Function]:
        """Return the VJP by autograd, and one on the last graph."""
        kept: list[Graph] = []

        def backward(*arguments: Any) -> tuple[AnyArray | None, ...]:
            *arrays, cotangent = arguments
            with self._tensors(tuple(arrays)) as tensors:
                kept[:] = [_graph(function, tensors, self._floating)]
                return self._pull_back(kept[0], cotangent)

        def again(cotangent: Any) -> tuple[AnyArray | None, ...]:
            with self._tensors(()):
                return self._pull_back(kept[0], cotangent)

        owner = _autograd_function(function)
        backward.__wrapped__ = owner.backward if owner else function  # type: ignore[attr-defined]
        return backward, again

    def push(
        self, function: Function, arrays: tuple[Any, ...], tangents: tuple[AnyArray, ...]
    ) -> tuple[tuple[AnyArray, ...], tuple[AnyArray, ...]]:
        """Return outputs and their tangents by forward mode."""
        with self._tensors(arrays) as tensors, forward_ad.dual_level(), _quiet():
            for place, tangent in zip(self._floating, tangents, strict=True):
                moved = _to_tensor(tangent, tensors[place].device)
                tensors[place] = forward_ad.make_dual(tensors[place], moved)
            duals = [_dual(out) for out in leaves(_primal(function)(*tensors)) if out is not None]
            return tuple(y for y, _ in duals), tuple(y_dot for _, y_dot in duals)

    def backward_of(self, function: Function) -> Function:
        """Return the backward as a function of inputs and cotangents, itself differentiable."""
        count, floating = len(self._devices), self._floating

        def backward(*arguments: Any) -> tuple[Any, ...]:
            xs, outputs = _graph(function, arguments[:count], floating)
            outputs = list(filter(_is_real, outputs))
            x_bars = _x_bars(xs, outputs, arguments[count:], create_graph=True)
            return tuple(
                torch.zeros_like(x) if x_bar is None else x_bar
                for x, x_bar in zip(xs, x_bars, strict=True)
            )

        backward.__wrapped__ = function  # type: ignore[attr-defined]
        return backward

    def follow(
        self, function: Function, arrays: tuple[Any, ...], tape: Tape, inputs: Sequence[int]
    ) -> list[int]:
        """Write down what is done with tensors, call by call."""
        follower = Follower(tape)
        with self._tensors(arrays) as tensors, torch.no_grad():
            for place, step in zip(self._floating, inputs, strict=True):
                follower.know(tensors[place], step)
            with follower:
                result = _primal(function)(*tensors)
            return [follower.output(out) for out in leaves(result) if out is not None]

    def excuse(self, function: Function, arrays: tuple[Any, ...]) -> str | None:
        """Say why PyTorch's own gradient is not the slope of what is computed; None if it is."""
        if isinstance(function, _Module) and function.has_spectral_norm:
            return _SPECTRAL
        with self._tensors(arrays) as tensors:
            _, outputs = _graph(function, tensors, self._floating)
        implicit = any("Gamma" in name or "Dirichlet" in name for name in _nodes(outputs))
        return IMPLICIT.format("PyTorch") if implicit else None

    def _pull_back(self, graph: Graph, cotangent: Any) -> tuple[AnyArray | None, ...]:
        xs, outputs = graph
        arrays = cotangent if isinstance(cotangent, tuple) else (cotangent,)
        cotangents = [_to_tensor(array, self._home) for array in arrays]
        x_bars = _x_bars(xs, outputs, cotangents, retain_graph=True)
        _write_back(tuple(arrays), cotangents)
        return tuple(None if x_bar is None else _to_array(x_bar) for x_bar in x_bars)

    @contextmanager
    def _tensors(self, arrays: tuple[Any, ...], *cotangent: Any) -> Iterator[list[Any]]:
        """Make the arguments of one call; random numbers are those of every other call."""
        # What is drawn is put back at the end, so that the next call draws the same.
        with _no_inference(), torch.random.fork_rng(self._cuda):
            tensors = [
                value if device is None else _to_tensor(value, device)
                for value, device in zip(arrays, self._devices, strict=False)
            ]
            tensors += [_inward(c, self._home) for c in cotangent]
            yield tensors
        for array, tensor in zip((*arrays, *cotangent), tensors, strict=True):
            _write_back(array, tensor)


@contextmanager
def _no_inference() -> Iterator[None]:
    """Leave the inference mode that the check may be called in: no graph is built there."""
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            yield
    else:
        yield


def _graph(function: Function, tensors: Sequence[Any], floating: tuple[int, ...]) -> Graph:
    xs = [tensors[place].requires_grad_() for place in floating]
    with torch.enable_grad():
        outputs = guarded("With gradients enabled the forward", "fail", function, tensors)
        return xs, [out for out in leaves(outputs) if out is not None]


def _x_bars(
    xs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any], **how: bool
) -> Sequence[Any]:
    """Return the gradient in each input, None where no chain leads to it."""
    pairs = [
        (out, c.to(out.device))
        for out, c in zip(outputs, cotangents, strict=True)
        if _is_real(out) and out.requires_grad
    ]
    if not pairs:
        return [None] * len(xs)
    ends, given = zip(*pairs, strict=True)
    try:
        found: Sequence[Any] = torch.autograd.grad(ends, xs, given, allow_unused=True, **how)
    except RuntimeError as error:
        if "use_reentrant=True" in str(error):
            raise Ended("doubt", _REENTRANT) from None
        raise
    return found


def _own_copy(module: Any, inputs: tuple[Any, ...]) -> Any:
    """Return a copy whose state may change, and whose lazy parameters have their sizes."""
    try:
        copied = deepcopy(module)
    except Exception:  # whatever it keeps; a tensor within a graph, say
        copied = module
    lazy = torch.nn.parameter.is_lazy
    if any(map(lazy, (*copied.parameters(), *copied.buffers()))):
        try:
            with torch.random.fork_rng(), torch.no_grad():
                copied(*map(_as_tensor, inputs))
        except Exception as error:
            expected = "a module whose lazy parameters are set by a first call with these inputs"
            got = f"{type(error).__name__}: {error}"
            raise ValueError(mismatch("forward", expected, got)) from None
    return copied


def _as_tensor(value: Any) -> Any:
    return to_tensor(value) if isinstance(value, np.ndarray) else value


class _Module:
    """A module as a function of its inputs and its parameters; its own state is left alone."""

    def __init__(self, module: Any, parameters: dict[str, Any], inputs: tuple[Any, ...]) -> None:
        self._module = module
        self._names = tuple(parameters)
        self._formats = _formats((*inputs, *parameters.values()))
        self.__wrapped__ = module.forward

    @property
    def has_spectral_norm(self) -> bool:
        """Whether a power iteration is made in every call."""
        for module in self._module.modules():
            hooks = (module, *module._forward_pre_hooks.values())
            if module.training and any("SpectralNorm" in type(hook).__name__ for hook in hooks):
                return True
        return False

    def __call__(self, *arguments: Any) -> Any:
        count = len(arguments) - len(self._names)
        state = dict(zip(self._names, arguments[count:], strict=True))
        formats = _formats(arguments)
        # Where the inputs are cast to another format, buffers and frozen parameters go with them.
        cast = formats.pop() if len(formats) == 1 and formats != self._formats else None
        for name, tensor in (*self._module.named_buffers(), *self._module.named_parameters()):
            if name not in state:
                fixed = tensor.detach().clone()
                state[name] = fixed.to(cast) if cast and _is_real(fixed) else fixed
        return torch.func.functional_call(self._module, state, arguments[:count])


def _nodes(outputs: Iterable[Any]) -> Iterator[str]:
    """Yield the names of a graph's nodes."""
    left = [out.grad_fn for out in outputs if _is_real(out) and out.grad_fn is not None]
    seen = set(left)
    while left:
        node = left.pop()
        yield node.name()
        fresh = {before for before, _ in node.next_functions if before is not None} - seen
        seen |= fresh
        left += fresh


class _Context:
    """What the forward of an autograd function may say to its context, said to nobody."""

    def __init__(self, count: int) -> None:
        self.needs_input_grad = (True,) * count

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors

    save_for_forward = mark_dirty = mark_non_differentiable = save_for_backward

    def set_materialize_grads(self, value: bool) -> None:
        self.materialize_grads = value


_SPECTRAL = (
    "In training, spectral_norm changes its vectors in every call, and its gradient takes them for "
    "constants: differences cannot judge it. Check the module in eval()."
)
_REENTRANT = (
    "A checkpoint with use_reentrant=True hands its gradients to .backward() alone, and cannot be "
    "checked: set use_reentrant=False, which computes the same."
)
_FORMATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _autograd_function(value: Any) -> Any:
    """Return the class of an autograd function, or of its apply; None for anything else."""
    owner = value if isinstance(value, type) else getattr(value, "__self__", None)
    if not (isinstance(owner, type) and issubclass(owner, torch.autograd.Function)):
        return None
    named = value is owner or getattr(value, "__name__", "") == "apply"
    return owner if named else None


def _primal(function: Function) -> Function:
    """Return what an autograd function computes, without its rules for derivatives."""
    owner = _autograd_function(function)
    if owner is None:
        return function
    if owner.setup_context is not torch.autograd.Function.setup_context:
        return owner.forward  # type: ignore[no-any-return]
    return lambda *inputs: owner.forward(_Context(len(inputs)), *inputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what PyTorch says of itself when its forward mode is used for the first time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        yield


def _is_real(value: Any) -> bool:
    return is_tensor(value) and value.is_floating_point()


def _formats(values: Iterable[Any]) -> set[Any]:
    return {value.dtype for value in values if _is_real(value)}


def _inward(cotangent: Any, device: Any) -> Any:
    if isinstance(cotangent, tuple):
        return tuple(_to_tensor(part, device) for part in cotangent)
    return _to_tensor(cotangent, device)


def _to_tensor(array: AnyArray, device: Any) -> Any:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(array).to(device)


def _to_array(tensor: Any) -> AnyArray:
    here = tensor.detach()
    if here.layout != torch.strided:
        here = here.to_dense()
    here = here.cpu().resolve_conj().resolve_neg()
    if here.dtype == torch.bfloat16:
        return np.array(here.view(torch.int16).numpy()).view(bfloat16())
    return np.array(here.numpy())


def _outward(value: Any) -> Any:
    if value is None:
        return None
    return _to_array(value) if is_tensor(value) else np.asarray(value)


def _dual(value: Any) -> tuple[AnyArray, AnyArray]:
    if not is_tensor(value):
        return np.asarray(value), np.zeros(np.shape(value))
    y, y_dot = forward_ad.unpack_dual(value)
    return _to_array(y), np.zeros(tuple(y.shape)) if y_dot is None else _to_array(y_dot)


def _write_back(array: Any, tensor: Any) -> None:
    """Bring to an array what was changed on a device that does not share its memory."""
    if isinstance(array, tuple):
        for part, its_tensor in zip(array, tensor, strict=True):
            _write_back(part, its_tensor)
    elif is_tensor(tensor) and tensor.device.type != "cpu":
        array[...] = _to_array(tensor)
