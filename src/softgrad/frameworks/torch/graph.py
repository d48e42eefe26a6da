"""A call as one node of the graph that `torch.compile` makes of a program.

The compiler reads programs line by line, and would read the formulas. Here it finds a function that
it takes as it is: arrays are its arguments, and all that is no array is a text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import torch

__all__ = ["one_node"]

T = TypeVar("T")
Template: TypeAlias = tuple[Any, Any]
"""(None, number of a tensor), (a type, its parts by name), or (object, what is neither)."""


def one_node(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function of maps, losses, tensors and options, as one node where it is compiled."""

    @wraps(function)
    def call(*args: Any) -> Any:
        if not torch.compiler.is_dynamo_compiling():
            return function(*args)
        tensors: list[torch.Tensor] = []
        template = _template(dict(enumerate(args)), tensors)
        text = _remember(function, template)
        return _node(text, *tensors)

    return call


def _template(value: Any, tensors: list[torch.Tensor]) -> Template:
    """Return what a value is made of, but for its tensors, which are appended to a list."""
    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return None, len(tensors) - 1
    if isinstance(value, dict):
        parts = value
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = {name: getattr(value, name) for name in value._fields}
    elif is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # A setting is no size that may vary from call to call. The compiler has loaded the module.
        return object, torch.fx.experimental.symbolic_shapes.guard_scalar(value)
    else:
        return object, value
    return type(value), tuple((name, _template(part, tensors)) for name, part in parts.items())


def _filled(template: Template, tensors: tuple[torch.Tensor, ...]) -> Any:
    """Return the value that a template was made of."""
    kind, inside = template
    if kind is None:
        return tensors[inside]
    if kind is object:
        return inside
    parts = {name: _filled(part, tensors) for name, part in inside}
    return parts if kind is dict else kind(**parts)


_CALLS: dict[str, tuple[Callable[..., Any], Template]] = {}
"""What stands in graphs, by the text that stands there."""


def _remember(function: Callable[..., Any], template: Template) -> str:
    """Write a call down, and return its text; the compiler runs this as it is."""
    torch.compiler.allow_in_graph(_node)
    text = f"{function.__name__}{template}"
    _CALLS[text] = function, template
    return text


# The mark of `torch.compiler.assume_constant_result`. That function would load the compiler, for
# seconds and without need, and modules with it that hold a process group for ever.
_remember._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _node(text: str, *tensors: torch.Tensor) -> Any:
    function, template = _CALLS[text]
    return function(*_filled(template, tensors).values())
