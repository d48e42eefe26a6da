"""An operator: a mistake that can be made in any backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.checker.subject import Array, Codes, Function, Pair, codes

__all__ = ["Operator", "Where", "always", "changed_answer", "changed_cotangent", "returned"]

Where = Callable[[Pair], bool]


@dataclass(frozen=True)
class Operator:
    """How a right backward becomes a wrong one, and the names that a careful reader accepts."""

    name: str
    codes: Codes
    mutate: Callable[[Pair], Function]
    """Returns a fresh wrong backward: some keep state."""
    applies: Where = lambda pair: True
    breach: bool = False
    """The numbers are right, and yet the backward breaks what is asked of one."""


def always(pair: Pair) -> bool:
    """Apply to every pair."""
    return True


def returned(entries: tuple[Any, ...]) -> Any:
    """Return one answer as it is, and several as a tuple."""
    return entries[0] if len(entries) == 1 else entries


def changed_answer(
    table: Mapping[str, tuple[str, Callable[..., Any]]],
    applies: Where = always,
    *,
    with_input: bool = False,
    breach: bool = False,
) -> list[Operator]:
    """Return operators that change every answer, given its input too if it is asked for."""

    def mutate(change: Callable[..., Any]) -> Callable[[Pair], Function]:
        def of_pair(pair: Pair) -> Function:
            def backward(*arguments: Any) -> Any:
                answers = pair.gradients(*arguments)
                if not with_input:
                    return returned(tuple(map(change, answers)))
                points = [arguments[place] for place in pair.floating]
                return returned(tuple(map(change, answers, points)))

            return backward

        return of_pair

    return [
        Operator(name, codes(known), mutate(change), applies, breach)
        for name, (known, change) in table.items()
    ]


def changed_cotangent(
    table: Mapping[str, tuple[str, Callable[[Array], Array]]], applies: Where = always
) -> list[Operator]:
    """Return operators that hand the right backward another cotangent."""

    def mutate(change: Callable[[Array], Array]) -> Callable[[Pair], Function]:
        def of_pair(pair: Pair) -> Function:
            def backward(*arguments: Any) -> Any:
                *inputs, g = arguments
                g = tuple(map(change, g)) if isinstance(g, tuple) else change(g)
                return pair.backward(*inputs, g)

            return backward

        return of_pair

    return [
        Operator(name, codes(known), mutate(change), applies)
        for name, (known, change) in table.items()
    ]
