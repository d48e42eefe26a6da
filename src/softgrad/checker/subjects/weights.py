"""Where an object keeps arrays, and which of them are named as a weight and its gradient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from softgrad.checker.formats import is_floating
from softgrad.checker.subject import AnyArray

__all__ = ["Path", "Weight", "array_at", "arrays_of", "in_words", "named_weights", "put"]

Path = tuple[Any, ...]
"""Attributes, keys and indices that lead from an object to an array."""

_NAMES = ("d{}", "d_{}", "grad_{}", "{}_grad", "gradient_{}", "{}_gradient", "{}_bar")
_PAIRS = {
    **dict.fromkeys(("params", "parameters", "weights"), ("grads", "gradients")),
    **dict.fromkeys(("value", "data"), ("grad", "gradient")),
}
_DEPTH = 4


class _Key(str):
    """A key of a dictionary, which is written otherwise than an attribute."""


_NO_OWNERS = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType)


@dataclass(frozen=True)
class Weight:
    """A weight, where it is kept, all names of one array, and where its gradient is."""

    places: tuple[Path, ...]
    gradient: tuple[Path, ...]

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return in_words(self.places[0])


def arrays_of(owner: Any) -> dict[Path, AnyArray]:
    """Return the floating-point arrays in an object's attributes, and in what it keeps there."""
    return dict(_arrays(owner, (), set()))


def _arrays(owner: Any, path: Path, seen: set[int]) -> Iterator[tuple[Path, AnyArray]]:
    if id(owner) in seen or len(path) == _DEPTH:
        return
    seen.add(id(owner))
    for key, value in _parts(owner):
        if isinstance(value, np.ndarray):
            if is_floating(value) and value.size:
                yield (*path, key), value
        else:
            yield from _arrays(value, (*path, key), seen)


def _parts(owner: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(owner, dict):
        return [(_Key(k) if isinstance(k, str) else k, value) for k, value in owner.items()]
    if isinstance(owner, (list, tuple)):
        return list(enumerate(owner))
    if isinstance(owner, _NO_OWNERS):
        return []
    return list(getattr(owner, "__dict__", {}).items())


def array_at(owner: Any, path: Path) -> AnyArray | None:
    """Return the array that a path leads to, None where it leads to none."""
    for key in path:
        owner = dict(_parts(owner)).get(key)
    return owner if isinstance(owner, np.ndarray) else None


def put(owner: Any, path: Path, value: AnyArray) -> None:
    """Keep another array where a path leads to."""
    *way, last = path
    for key in way:
        owner = dict(_parts(owner))[key]
    if isinstance(owner, (dict, list)):
        owner[last] = value
    else:
        setattr(owner, last, value)


def in_words(path: Path) -> str:
    """Write a path as code does: ``layers[0].W``."""
    text = str(path[0])
    for key in path[1:]:
        text += f"[{key!r}]" if isinstance(key, _Key) or not isinstance(key, str) else f".{key}"
    return text


def named_weights(kept: dict[Path, AnyArray], now: dict[Path, AnyArray]) -> list[Weight]:
    """Return those of the arrays `kept` to which one array of `now` is named as the gradient."""
    found: dict[int, Weight] = {}
    for path, array in kept.items():
        gradients = {
            id(now[other]): other
            for other in _gradients_of(path)
            if other in now and _fits(now[other], array) and now[other] is not array
        }
        if len(gradients) == 1 and id(array) not in found:
            (gradient,) = gradients.values()
            found[id(array)] = Weight(_same(kept, array), _same(now, now[gradient]))
    return list(found.values())


def _fits(gradient: AnyArray, weight: AnyArray) -> bool:
    """Whether a gradient has a weight's shape, but for axes of length 1 or that are not summed."""
    if [n for n in gradient.shape if n > 1] == [n for n in weight.shape if n > 1]:
        return True
    own = (1,) * (gradient.ndim - weight.ndim) + weight.shape
    pairs = zip(gradient.shape, own, strict=False)
    return gradient.ndim == len(own) and all(m in (1, n) for n, m in pairs)


def _same(arrays: dict[Path, AnyArray], array: AnyArray) -> tuple[Path, ...]:
    return tuple(path for path, other in arrays.items() if other is array)


def _gradients_of(path: Path) -> Iterator[Path]:
    """Yield where a gradient would be that is named after the array at `path`."""
    *owner, last = path
    yield from ((*owner, name) for name in _names_after(last))
    if len(path) > 1:
        *owner, collection, last = path
        for name in _names_after(collection):
            yield (*owner, name, last)
            yield from ((*owner, name, key) for key in _names_after(last))


def _names_after(name: Any) -> Iterator[str]:
    if isinstance(name, str):
        private, bare = name[: len(name) - len(name.lstrip("_"))], name.lstrip("_")
        yield from (private + form.format(bare) for form in _NAMES)
        yield from _PAIRS.get(bare, ())
