"""What a user gave, as an implementation of some library."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from softgrad.errors import MissingExtraError, mismatch
from softgrad.promises.implementations.base import AbstractImplementation, Call, Threads
from softgrad.promises.implementations.numpy import Implementation as OfNumPy
from softgrad.promises.implementations.numpy import WithVjp
from softgrad.promises.rows import random_rows
from softgrad.promises.suites import AbstractSuite

__all__ = ["FRAMEWORKS", "implementation_of"]

FRAMEWORKS = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}


def implementation_of(
    given: Any, framework: str | None, threads: Threads | None, suite: AbstractSuite
) -> tuple[str, AbstractImplementation]:
    """Return the name of a framework, and what was given as a function of NumPy arrays.

    Raises
    ------
    TypeError
        It is no function, or it takes the arrays of no library that is loaded.
    ValueError
        There is no such framework, or it is not that of a pair.
    MissingExtraError
        The framework is not installed.
    """
    if isinstance(given, tuple) and len(given) == 2 and all(map(callable, given)):
        if framework not in (None, "numpy"):
            expected = "'numpy' for a pair: others differentiate a function themselves"
            raise ValueError(mismatch("framework", expected, repr(framework)))
        given, framework = WithVjp(*given), "numpy"
    if not callable(given):
        expected = "a function, a pair of a function and its VJP, or a name"
        raise TypeError(mismatch("implementation", expected, type(given).__name__))
    if framework is None:
        framework = _guessed(given, suite)
    if framework not in FRAMEWORKS:
        raise ValueError(mismatch("framework", f"among {', '.join(FRAMEWORKS)}", repr(framework)))
    options = {} if threads is None else {"limit_threads": threads}
    return framework, _kind(framework)(given, **options)


def _kind(framework: str) -> type[AbstractImplementation]:
    if framework == "numpy":
        return OfNumPy
    try:
        module = import_module(f"softgrad.promises.implementations.{framework}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(FRAMEWORKS[framework], framework) from error
    kind: type[AbstractImplementation] = module.Implementation
    return kind


def _guessed(function: Any, suite: AbstractSuite) -> str:
    """Call the function with arrays of each library that is loaded; it returns its own kind.

    A library that is not loaded has made no function.
    """
    failures = []
    for framework in ("numpy", *(name for name in ("torch", "jax") if name in sys.modules)):
        made = _kind(framework)(function)
        rows = random_rows(2, 3)
        arguments, _ = made.given(Call(suite.arguments(rows, has_bias=False), {}, rows.dtype))
        try:
            result = function(*arguments)
        except Exception as error:
            failures.append(f"{FRAMEWORKS[framework]}: {type(error).__name__}: {error}")
            continue
        return next(_frameworks_of(result), framework)
    expected = "a function of arrays of NumPy, PyTorch or JAX (or say which by framework=)"
    raise TypeError(mismatch("implementation", expected, "; ".join(failures)))


def _frameworks_of(result: Any) -> Iterator[str]:
    """Yield the framework whose array a result is."""
    for name, kind in (("torch", "Tensor"), ("jax", "Array")):
        if name in sys.modules and isinstance(result, getattr(sys.modules[name], kind)):
            yield name
