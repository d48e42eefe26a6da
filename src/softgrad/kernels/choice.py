"""Which implementation does the work: the reference, or a compiled kernel.

The choice is a pure function of the operation, the array and what was asked for. No state and no
environment variable has a part in it; a Numba or a Triton that is missing or broken is the one
exception, and is said once.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import prod
from types import ModuleType
from typing import Any, Literal, get_args

import array_api_compat
import numpy as np

from softgrad.arrays import Array, adapter_for, dtype_name, is_on_gpu, is_want_of_memory
from softgrad.errors import mismatch

__all__ = ["Choice", "Impl", "check_impl", "choose", "explain_impl", "kernels", "works"]

Impl = Literal["auto", "reference", "numba", "triton"]

LEAST_SIZE = 2**17
"""Elements from which `"auto"` takes the kernels: the reference needs milliseconds for fewer, and
the first kernel needs a second to be loaded, or several to be compiled."""

LEAST_TENSOR = 1
"""The same for PyTorch's tensors: they come thousands of times in a loop, beside operations that
need microseconds, and a row alone has the bits that it has in a batch."""

LACKS = "this processor has no instructions for float16"

_HELP = {
    "numba": "Try: pip install --upgrade numba",
    "triton": "Triton wants a C compiler, such as gcc, and the headers of Python",
}


@dataclass(frozen=True)
class Choice:
    """An implementation, and why it was chosen."""

    impl: Literal["reference", "numba", "triton"]
    reason: str

    def __str__(self) -> str:
        return f"{self.impl}: {self.reason}"


def explain_impl(f: Any, *args: Any, **options: Any) -> Choice:
    """Return which implementation a map, a loss or a head takes for some arguments, and why.

    Parameters
    ----------
    f : map, loss or head
        Such as `softgrad.softmax` or `softgrad.cross_entropy`.
    *args, **options
        What `f` would be called with. The values of the arrays do not matter.

    Returns
    -------
    Choice
        ``impl``, "reference", "numba" or "triton", and the ``reason`` in words.

    Raises
    ------
    TypeError
        `f` is something else.
    ValueError
        ``impl`` is among the options, and cannot do the work.

    Examples
    --------
    >>> import numpy as np
    >>> import softgrad as sg
    >>> print(sg.explain_impl(sg.softmax, np.zeros((4, 10))))
    reference: 40 elements are fewer than 131072
    """
    if not hasattr(f, "choice"):
        expected = "a map, a loss or a head of softgrad"
        raise TypeError(mismatch("f", expected, type(f).__name__))
    choice: Choice = f.choice(*args, **options)
    return choice


def check_impl(impl: str) -> None:
    """Raise unless an implementation's name is known."""
    if impl not in get_args(Impl):
        raise ValueError(mismatch("impl", " or ".join(map(repr, get_args(Impl))), repr(impl)))


def choose(impl: str, x: Array, obstacle: str = "", on_gpu: str = "") -> Choice:
    """Return which implementation works on rows x.

    There may be another obstacle to kernels, or one to a GPU's.

    Raises
    ------
    ValueError
        `impl` is unknown, or was asked for and cannot work on such an array.
    ImportError
        `impl` is "numba" or "triton", and Numba or Triton cannot be loaded.
    """
    check_impl(impl)
    if impl == "reference":
        return Choice("reference", "asked for")
    obstacle = obstacle or _obstacle(x)
    if is_on_gpu(x):
        return _choose_on_gpu(impl, x, obstacle or on_gpu)
    if impl == "triton":
        got = "'triton': it works on tensors of a GPU"
        raise ValueError(mismatch("impl", "'auto', 'reference' or 'numba' here", got))
    if impl == "numba":
        if obstacle:
            raise ValueError(mismatch("impl", "'auto' or 'reference' here", f"'numba': {obstacle}"))
        kernels()
        if _lacks_float16(x):
            raise ValueError(mismatch("impl", "'auto' or 'reference' here", f"'numba': {LACKS}"))
        return Choice("numba", "asked for")
    if obstacle:
        return Choice("reference", obstacle)
    size, least = prod(x.shape), LEAST_TENSOR if array_api_compat.is_torch_array(x) else LEAST_SIZE
    if size < least:
        return Choice("reference", f"{size} elements are fewer than {least}")
    if not works():
        return Choice("reference", "Numba does not work here")
    if _lacks_float16(x):
        return Choice("reference", LACKS)
    return Choice("numba", f"{size} elements are at least {least}")


def _choose_on_gpu(impl: str, x: Array, obstacle: str) -> Choice:
    """Choose for a tensor on a GPU: however small it is, its kernel is one launch."""
    if dtype_name(x) == "float64":
        obstacle = obstacle or "kernels for GPUs have no float64"
    if impl == "numba":
        obstacle = obstacle or "it works on the CPU"
    if obstacle:
        if impl != "auto":
            got = f"{impl!r}: {obstacle}"
            raise ValueError(mismatch("impl", "'auto' or 'reference' here", got))
        return Choice("reference", obstacle)
    if impl == "triton":
        kernels("triton")
        return Choice("triton", "asked for")
    if find_spec("triton") is None:
        return Choice("reference", "Triton is not installed")
    if not works("triton", x.device):
        return Choice("reference", "Triton does not work here")
    return Choice("triton", "tensors on a GPU have kernels of their own")


@cache
def kernels(impl: str = "numba") -> ModuleType:
    """Return the compiled operations; import Numba or Triton if this is the first call."""
    return import_module(f"softgrad.kernels.{impl}.operations")


@cache
def works(impl: str = "numba", gpu: Any = None) -> bool:
    """Tell whether kernels can be loaded and compiled, for a GPU's device; warn once if not.

    A want of memory is no answer: another time there may be some.
    """
    try:
        kernels(impl).logsumexp(_least(gpu))
    except Exception as error:
        if is_want_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        warnings.warn(
            f"compiled kernels are off, since {impl.capitalize()} does not work here ({reason}); "
            f"results come from the slower reference. {_HELP[impl]}",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def _least(gpu: Any) -> Array:
    """Return a number for a kernel to try."""  # [1, 1]
    if gpu is None:
        return np.zeros((1, 1), np.float32)
    torch = sys.modules["torch"]
    return torch.zeros((1, 1), dtype=torch.float32, device=gpu)


def _obstacle(x: Array) -> str:
    """Return why kernels cannot work on an array, or nothing."""
    if array_api_compat.is_torch_array(x):
        if x.device.type != "cpu" and not is_on_gpu(x):
            return f"PyTorch tensors on {x.device.type!r} go through the reference"
        if adapter_for(x) is not None:
            return "PyTorch differentiates what is done to the tensor"
        if x.is_neg():
            return "PyTorch turns the tensor's signs as it is read"
        if sys.modules["torch"].jit.is_tracing():
            return "torch.jit.trace follows PyTorch's own operations alone"
    elif not array_api_compat.is_numpy_array(x):
        return f"arrays of {type(x).__module__.split('.')[0]} go through the reference"
    return ""


def _lacks_float16(x: Array) -> bool:
    """Tell whether kernels are for a processor that cannot read an array; import Numba."""
    return dtype_name(x) == "float16" and not _has_float16()


@cache
def _has_float16() -> bool:
    return bool(import_module("softgrad.kernels.numba.instructions").has_float16())
