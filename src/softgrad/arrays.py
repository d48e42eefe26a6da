"""What is asked of arrays: NumPy's, PyTorch's, JAX's and any other array-API library's alike."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from softgrad.errors import mismatch

__all__ = [
    "Array",
    "adapter_for",
    "as_array",
    "as_integer",
    "boolean_mask",
    "compute_dtype",
    "computed",
    "cuts",
    "describe",
    "dtype_name",
    "index_dtype",
    "indices",
    "is_at_hand",
    "is_concrete",
    "is_of_another_library",
    "is_on_gpu",
    "is_spread",
    "is_want_of_memory",
    "namespace",
    "quiet",
    "real_array",
    "same_kind",
    "wider_dtype",
]

Array: TypeAlias = Any
"""An array of any supported library; shapes stand beside the lines as ``# [N, K]``."""

_FLOATS = ("float16", "bfloat16", "float32", "float64")


def namespace(*arrays: Array) -> Any:
    """Return the array-API namespace that the arrays share."""
    types = tuple(map(type, arrays))
    found = _NAMESPACES.get(types)
    if found is None:
        found = array_api_compat.array_namespace(*arrays)
        # NumPy's and PyTorch's: JAX has NumPy arrays of its own.
        if found.__name__.startswith("array_api_compat."):
            _NAMESPACES[types] = found
    return found


_NAMESPACES: dict[tuple[type, ...], Any] = {}
"""What has been asked for: formulas ask dozens of times."""


def dtype_name(x: Array) -> str:
    """Return "float32" for NumPy's, PyTorch's and JAX's float32 alike."""
    kind: Any = type(x.dtype)
    return _name_of(kind, x.dtype)


@lru_cache
def _name_of(_kind: Any, dtype: Any) -> str:  # dtypes of two libraries are not to be compared
    return getattr(dtype, "name", None) or str(dtype).rsplit(".", 1)[-1]


def compute_dtype(x: Array) -> Any:
    """Return the dtype that is computed in: float32 for half precision, or x's own."""
    return namespace(x).float32 if dtype_name(x) in ("float16", "bfloat16") else x.dtype


def computed(x: Array) -> Array:
    """Return an array in the dtype that is computed in."""
    dtype = compute_dtype(x)
    return x if x.dtype == dtype else namespace(x).astype(x, dtype)


def as_integer(name: str, value: Any) -> int:
    """Return an integer of any library as Python's; a bool is none."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise TypeError(mismatch(name, "an integer", repr(value)))


def describe(x: Array) -> str:
    """Write dtype and shape for an error message: "float64 (8, 3)"."""
    return f"{dtype_name(x)} {tuple(x.shape)}" if hasattr(x, "shape") else repr(x)


def as_array(name: str, x: Any) -> Array:
    """Return an array as it is, and numbers or nested sequences of them as a NumPy array.

    An array of foreign byte order becomes a native one.
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            mismatch(name, "a plain array; give the mask as `where=`", "a numpy.ma.MaskedArray")
        )
    if not array_api_compat.is_array_api_obj(x) or isinstance(x, np.generic):
        try:
            x = np.asarray(x)
        except ValueError:
            got = "sequences of different lengths"
            raise ValueError(mismatch(name, "an array", got)) from None
    if array_api_compat.is_torch_array(x) and str(x.layout) != "torch.strided":
        raise TypeError(mismatch(name, "a dense tensor (such as x.to_dense())", str(x.layout)))
    if isinstance(x, np.ndarray) and not x.dtype.isnative:
        return x.astype(x.dtype.newbyteorder("="))
    return x


def real_array(name: str, x: Any) -> Array:
    """Return `x` as a real array; integers become the library's default float first.

    Raises
    ------
    TypeError
        `x` is boolean, complex, text, an object or a masked array.
    """
    x = as_array(name, x)
    if dtype_name(x) in _FLOATS:
        return x
    xp = namespace(x) if x.dtype != object else None
    if xp is None or dtype_name(x) == "bool" or not xp.isdtype(x.dtype, "integral"):
        expected = "real numbers (float16, bfloat16, float32, float64 or integers)"
        raise TypeError(mismatch(name, expected, describe(x)))
    return xp.astype(x, xp.asarray(1.0).dtype)


def same_kind(name: str, x: Any, like: Array) -> Array:
    """Return `x` as an array of the library that `like` comes from.

    Raises
    ------
    TypeError
        `x` comes from another library: nothing is converted silently.
    ValueError
        They are on different devices: nothing is moved silently.
    """
    x = as_array(name, x)
    try:
        namespace(x, like)
    except TypeError:
        expected, got = type(like).__module__.split(".")[0], type(x).__module__.split(".")[0]
        raise TypeError(mismatch(name, f"of the same kind ({expected})", got)) from None
    if x.ndim and (is_on_gpu(x) or is_on_gpu(like)) and x.device != like.device:
        expected = f"on the device {str(like.device)!r} like the others"
        raise ValueError(mismatch(name, expected, f"one on {str(x.device)!r}"))
    return x


def boolean_mask(name: str, mask: Any, like: Array) -> Array:
    """Return a mask with the shape of `like`."""
    mask = same_kind(name, mask, like)
    xp = namespace(mask)
    if dtype_name(mask) != "bool":
        raise TypeError(mismatch(name, "boolean", describe(mask)))
    try:
        return xp.broadcast_to(mask, like.shape)
    except (ValueError, RuntimeError):
        expected = f"broadcastable to shape {tuple(like.shape)}"
        raise ValueError(mismatch(name, expected, tuple(mask.shape))) from None


def adapter_for(*arrays: Any) -> Any:
    """Return the module that differentiates for the framework of the arrays, or None.

    There is one for PyTorch, while it differentiates, batches, traces or casts one of them, and one
    for JAX.
    """
    # A TopK is a tuple of two arrays.
    parts = [part for x in arrays for part in (x if isinstance(x, tuple) else (x,))]
    torch = sys.modules.get("torch")
    if torch is not None and any(isinstance(x, torch.Tensor) for x in parts):
        adapter = sys.modules[_loaded("softgrad.frameworks.torch")]
    elif any(map(array_api_compat.is_jax_array, parts)):
        adapter = sys.modules[_loaded("softgrad.frameworks.jax")]
    else:
        return None
    return adapter if adapter.wants_derivatives(*parts) else None


def _loaded(module: str) -> str:
    """Load a module, and return its name."""
    return module if module in sys.modules else import_module(module).__name__


# `torch.compile` follows a call this far, and takes the name as it is: the mark is that of
# `torch.compiler.assume_constant_result`, which is not there before PyTorch is.
_loaded._dynamo_marked_constant = True  # type: ignore[attr-defined]


def is_concrete(x: Array) -> bool:
    """Tell whether values can be looked at: False inside `jax.jit` and its like."""
    return not (array_api_compat.is_jax_array(x) and type(x).__name__.endswith("Tracer"))


def is_of_another_library(x: Any) -> bool:
    """Tell an array that is neither NumPy's nor PyTorch's nor JAX's."""
    found = _OF_ANOTHER_LIBRARY.get(type(x))
    if found is None:
        known = (
            array_api_compat.is_numpy_array,
            array_api_compat.is_torch_array,
            array_api_compat.is_jax_array,
        )
        found = array_api_compat.is_array_api_obj(x) and not any(is_one(x) for is_one in known)
        _OF_ANOTHER_LIBRARY[type(x)] = found
    return found


_OF_ANOTHER_LIBRARY: dict[type, bool] = {}
"""What has been asked: each question takes some microseconds."""


def is_on_gpu(x: Array) -> bool:
    """Tell a tensor of a GPU that Triton compiles for."""
    return array_api_compat.is_torch_array(x) and x.device.type in _GPUS


_GPUS = {"cuda"}


def is_spread(x: Any) -> bool:
    """Tell a DTensor of PyTorch; where its module was not imported, there is none."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(x, module.DTensor)


def is_at_hand(x: Array) -> bool:
    """Tell whether looking at values costs nothing: a GPU's would have to be waited for."""
    return is_concrete(x) and not is_on_gpu(x)


def indices(x: Array) -> Array:
    """Return 0 … K−1 beside `x` [..., K], on its device."""  # [K]
    xp = namespace(x)
    if array_api_compat.is_jax_array(x):  # a tracer has no device to ask for
        return xp.arange(x.shape[-1])
    return xp.arange(x.shape[-1], device=array_api_compat.device(x))


def index_dtype(x: Array) -> Any:
    """Return the dtype of `indices`; none are made on a GPU for it."""
    xp = namespace(x)
    return xp.int64 if array_api_compat.is_torch_array(x) else xp.arange(0).dtype


def cuts(length: int, step: int) -> Iterator[slice]:
    """Cut 0 … length into slices."""
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def wider_dtype(x: Array) -> Any:
    """Return float64 for a float32 array whose library and device have it, else None."""
    if dtype_name(x) != "float32" or array_api_compat.is_jax_array(x):
        # JAX has float64 only when told so, and then a user asks for it by the input's dtype.
        return None
    device = array_api_compat.device(x)
    return None if getattr(device, "type", "") == "mps" else namespace(x).float64


_NO_MEMORY = ("out of memory", "DefaultCPUAllocator")
"""What RuntimeErrors of PyTorch and Triton say of a GPU's memory, and of the CPU's."""


def is_want_of_memory(error: Exception) -> bool:
    """Tell a want of memory, a GPU's or the CPU's, from other errors."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence NumPy's warnings: infinities and NaN in a formula are decided, not accidents.

    Raises
    ------
    MemoryError
        There is not enough, whichever library says so.
    """
    with np.errstate(all="ignore"):
        try:
            yield
        except RuntimeError as error:
            if not is_want_of_memory(error):
                raise
            raise MemoryError(str(error)) from error
