"""Computations as texts: a stored graph says what its nodes compute, wherever it is read."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, is_dataclass
from functools import reduce
from typing import Any

from softgrad.errors import mismatch

__all__ = ["read", "written"]


def written(value: Any) -> str:
    """Return the text of a dataclass of settings; equal ones have the same text."""
    return json.dumps(_plain(value), default=repr)


def read(text: str) -> Any:
    """Return the dataclass that a text says.

    Raises
    ------
    LookupError
        It is none of a module that has been imported: a text runs nothing else.
    """
    return _filled(json.loads(text))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        return {kind: {f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, dict):
        return {"": {name: _plain(part) for name, part in value.items()}}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def _filled(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(map(_filled, plain))
    if isinstance(plain, dict):
        ((kind, given),) = plain.items()
        parts = {name: _filled(part) for name, part in given.items()}
        return _kind(kind)(**parts) if kind else parts
    return plain


def _kind(name: str) -> Any:
    module, _, path = name.partition(":")
    found = reduce(
        lambda at, part: getattr(at, part, None), path.split("."), sys.modules.get(module)
    )
    if not (isinstance(found, type) and is_dataclass(found)):
        expected = f"with {path} of the module {module}, which must be imported first"
        raise LookupError(mismatch("a graph", expected, "a text alone"))
    return found
