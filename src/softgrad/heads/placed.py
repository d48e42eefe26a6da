"""Verbs of heads at DTensors of PyTorch, whose classes are spread over the ranks of a mesh."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import ParamSpec, TypeVar

from softgrad.arrays import is_spread

__all__ = ["takes_dtensors"]

P = ParamSpec("P")
T = TypeVar("T")


def takes_dtensors(verb: Callable[P, T]) -> Callable[P, T]:
    """Let a verb take DTensors: it gets what this rank has of each, and gives DTensors back."""

    @wraps(verb)
    def call(*args: P.args, **options: P.kwargs) -> T:
        if _is_compiling() or not any(map(_is_spread, (*args, *options.values()))):
            return verb(*args, **options)
        dtensors = import_module("softgrad.frameworks.torch.dtensors")
        found: T = dtensors.at_head(verb, args, options)
        return found

    return call


def _is_spread(x: object) -> bool:
    return any(map(is_spread, x)) if isinstance(x, tuple) else is_spread(x)


def _is_compiling() -> bool:
    """Tell whether PyTorch reads the program: it is to find one node, which meets DTensors anew."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_dynamo_compiling())
