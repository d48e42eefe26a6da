"""The name by which a reader knows a map, a loss or a function."""

from __future__ import annotations

import dataclasses
from typing import Any

from softgrad import losses, maps

__all__ = ["public_name"]


def public_name(f: Any) -> str:
    """Return the public name of a map or loss, else its class and settings; a function's name.

    >>> public_name(maps.softmax), public_name(maps.Softmax(temperature=2.0)), public_name(len)
    ('softmax', 'Softmax(temperature=2.0)', 'len')
    """
    for room in (maps, losses):
        for name in room.__all__:
            if getattr(room, name) == f:
                return str(name)
    if isinstance(f, (maps.AbstractMap, losses.AbstractLoss)) and dataclasses.is_dataclass(f):
        settings = (field for field in dataclasses.fields(f) if field.init)
        given = (
            f"{field.name}={getattr(f, field.name)!r}"
            for field in settings
            if getattr(f, field.name) != field.default
        )
        return f"{type(f).__name__}({', '.join(given)})"
    return str(getattr(f, "__name__", type(f).__name__))
