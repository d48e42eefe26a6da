"""Second derivatives: the backward is the forward, of the inputs and the cotangent together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from softgrad.checker.probes import cotangents
from softgrad.checker.subject import Subject, is_floating
from softgrad.errors import mismatch

__all__ = ["demand_second", "second_order"]

Function = Callable[..., Any]


def demand_second(subject: Subject, second: Function | None) -> None:
    """Raise unless the derivative of the backward is to be had.

    Raises
    ------
    TypeError, ValueError
        `second`, or another argument, must be given or left out.
    """
    if subject.reference is not None:
        raise ValueError(mismatch("reference", "left out where `order` is 2", "a function"))
    if subject.forwards_per_vjp:
        raise TypeError(mismatch("forward", "no layer where `order` is 2", subject.name))
    if subject.reverse is None and second is None:
        expected = "the derivative of `backward` where `order` is 2"
        raise TypeError(mismatch("second", expected, "None"))
    if subject.reverse is not None and second is not None:
        expected = "left out where `forward` is differentiated by its library"
        raise ValueError(mismatch("second", expected, "a function"))


def second_order(subject: Subject, second: Function | None, seed: int) -> Subject:
    """Return the subject whose forward is the backward of `subject`, at a random cotangent.

    Raises
    ------
    Ended
        The forward raised.
    """
    outputs = subject.first_outputs()
    cotangent = cotangents(np.random.default_rng(seed), outputs, 1)[0]
    if subject.reverse:
        cotangent = tuple(filter(is_floating, cotangent))
    count = len(subject.values)
    added = tuple(count + i for i, c in enumerate(cotangent) if is_floating(c))
    floating = (*subject.floating, *added)
    if subject.reverse:
        forward, vjp, kept = subject.reverse(cotangent, floating)
    else:
        assert second is not None
        forward, vjp, kept = *_of_pair(subject, second, count), None
    names = tuple(f"cotangent {i}" for i in range(len(cotangent)))
    return Subject(
        f"{subject.name}, second order",
        forward,
        vjp,
        (*subject.values, *cotangent),
        floating,
        (*subject.masks, *(None for _ in added)),
        kept,
        names=(*subject.names, *names),
        remarks=subject.remarks,
        damage=subject.damage,
        cotangents=len(cotangent),
    )


def _of_pair(subject: Subject, second: Function, count: int) -> tuple[Function, Function]:
    several = subject.several_outputs

    def split(arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        inputs, cotangent = arguments[:count], arguments[count:]
        return inputs, cotangent if several else cotangent[0]

    def forward(*arguments: Any) -> Any:
        inputs, cotangent = split(arguments)
        result = subject.vjp(*inputs, cotangent)
        if isinstance(result, (tuple, list)):
            return tuple(entry for entry in result if entry is not None)
        return result

    def vjp(*arguments: Any) -> tuple[Any, ...]:
        inputs, cotangent = split(arguments[:-1])
        result = subject.call(second, inputs, cotangent, arguments[-1])
        if not isinstance(result, (tuple, list)):
            return (result,)
        # The gradients in several cotangents are a tuple, as those are.
        *entries, last = result
        return (*entries, *last) if isinstance(last, (tuple, list)) else (*entries, last)

    forward.__wrapped__, vjp.__wrapped__ = subject.vjp, second  # type: ignore[attr-defined]
    return forward, vjp
