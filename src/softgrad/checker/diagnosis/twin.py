"""A small twin of the inputs: other numbers, and pairwise distinct primes for sizes.

On it whole Jacobians are affordable, and no two axes can be taken for one another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, count, islice
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.constants import (
    are_of_rows,
    as_array,
    as_full,
    constant,
    is_order,
    one_hot,
    one_hot_axis,
)
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.diagnosis.plan import Plan, Shape
from softgrad.checker.subject import AnyArray, Subject, Vector
from softgrad.checker.subjects.library import Lifted

__all__ = ["draw", "nearer", "one_output", "plans"]

LARGEST = 250
"""The most entries that a twin's inputs may have together."""
_LARGEST_SPARE = 400
"""The same of a twin that is the last resort: its sizes divide one another."""


def plans(subject: Subject) -> Iterator[Plan]:
    """Yield the plans in order of preference; not all of them suit every function."""
    shapes = [v.shape for v in map(as_array, subject.values) if v is not None and v.ndim]
    sizes = list(dict.fromkeys(n for shape in shapes for n in shape if n > 1))
    # With a third size the primes begin at 2, or the Jacobians would be large.
    several = ((3,) if max(map(len, shapes), default=0) > 1 else (5,), (3, 5))
    primes = several[len(sizes) - 1] if 0 < len(sizes) < 3 else (2, 3, 5, 7, 11, 13)
    if len(shapes) == 1 and len(set(shapes[0])) < len(shapes[0]) <= 3:
        own = (3, 5) if len(shapes[0]) == 2 else (2, 3, 5)
        first = tuple(p if n > 1 else n for n, p in zip(shapes[0], own, strict=True))
        yield Plan(
            "every axis of another length",
            lambda shape: first,
            dict(zip(shapes[0], first, strict=True)),
        )
    if sizes and len(sizes) <= len(primes):
        # Where labels are spelt by steps, what is longer stays so, or they would not fit.
        lengths = sorted(sizes) if _is_spelt(subject) else sizes
        # Two entries have one order besides their own, and it undoes itself.
        ordered = _ordered(subject)
        lengths = sorted(lengths, key=lambda n: n in ordered)
        yield _by_size("every size another prime", dict(zip(lengths, primes, strict=False)))
    if sizes and shapes[0]:
        last = shapes[0][-1]
        kept = {n: n if n == last else p for n, p in zip(sizes, (3, 5, 2, 7, 11, 13), strict=False)}
        if len(sizes) > 1 and len(kept) == len(sizes):
            yield _by_size("the last axis as it is", kept)
    yield Plan("the shapes as they are", lambda shape: shape, {n: n for n in sizes})
    if sizes:
        spare = [_by_size("sizes with the same divisors", _divisible(sizes, n)) for n in (3, 5, 2)]
        if shared := _shared(shapes):
            spare.insert(0, _by_size("the same share of an axis", _sharing(sizes, shared)))
        if flat := _flattened(shapes, sizes):
            spare.insert(0, _by_size("one axis for several, laid flat", flat))
        fitting = (plan for plan in spare if _size(subject, plan) <= _LARGEST_SPARE)
        smaller = [
            _by_size("sizes in the same relations", _related(sizes, least)) for least in (3, 2)
        ]
        smaller = [plan for plan in smaller if _size(subject, plan) <= LARGEST][:1]
        if len(sizes) > 3:
            smaller.append(_by_size("the smallest sizes", dict(zip(sizes, count(2), strict=False))))
        smaller.append(_by_size("even and odd sizes", _alike_by_two(sizes)))
        yield from (replace(plan, spare=True) for plan in (*islice(fitting, 2), *smaller))
    yield Plan("the inputs as they are", lambda shape: shape, {n: n for n in sizes}, fresh=False)


def _ordered(subject: Subject) -> set[int]:
    """Return the lengths of which an argument says an order."""
    arrays = [a for a in map(as_array, subject.values) if a is not None and a.dtype.kind in "iu"]
    return {array.shape[-1] for array in arrays if array.size and is_order(array)}


def _is_spelt(subject: Subject) -> bool:
    """Whether there are labels that are not those of rows."""
    arrays = [a for a in map(as_array, subject.values) if a is not None and a.dtype.kind in "iu"]
    rows = [point.shape for point in subject.points]
    return any(array.ndim and not are_of_rows(array, rows) for array in arrays)


def _shared(shapes: list[Shape]) -> list[int]:
    """Return the lengths of an axis that one input has in part of another's, as of heads."""
    found = set()
    for one, other in combinations(shapes, 2):
        for n, m in zip(one, other, strict=False) if len(one) == len(other) else ():
            if 1 < n != m > 1 and max(n, m) % min(n, m) == 0:
                found |= {n, m}
    return sorted(found)


def _sharing(sizes: list[int], shared: list[int]) -> dict[int, int]:
    """Return small sizes in which lengths that are shares of each other stay so."""
    found = {n: 2 * (n // shared[0]) for n in shared}
    rest = iter((2, 3, 5, 7, 11))
    return found | {n: next(rest, 13) for n in sizes if n not in found}


def _flattened(shapes: list[Shape], sizes: list[int]) -> dict[int, int]:
    """Return small sizes where one is that of other axes laid flat, as of an image; else none."""
    for axes in (axes for shape in shapes for axes in (shape, shape[1:])):
        product = math.prod(axes)
        if len(axes) > 1 and product in sizes and product not in axes:
            small = iter((2, 3, 5, 7))
            found = {n: next(small, n) for n in dict.fromkeys(axes) if n > 1}
            found[product] = math.prod(found.get(n, n) for n in axes)
            rest = (k for k in (4, 7, 9, 11, 13) if k not in found.values())
            return found | {n: next(rest, n) for n in sizes if n not in found}
    return {}


def _divisible(sizes: list[int], least: int) -> dict[int, int]:
    """Return small sizes that the same numbers divide, and that stand in the same ratios."""
    found: dict[int, int] = {}
    for n in sorted(sizes):
        ratios = [m for m in found if n % m == 0 and n // m in (2, 3, 4)]
        if ratios:
            found[n] = found[ratios[-1]] * (n // ratios[-1])
            continue
        divisor = math.gcd(n, 12)
        times = (k for k in (1, 2, 3, 5, 7, 11) if least <= k * divisor not in found.values())
        found[n] = divisor * next(times, 13)
    return found


def _related(sizes: list[int], least: int) -> dict[int, int]:
    """Return the smallest sizes of which one is another plus 1, or a small multiple, as here."""
    found: dict[int, int] = {}
    for n in sorted(sizes):
        multiples = [found[m] * (n // m) for m in found if n % m == 0 and n // m in (2, 3, 4)]
        fresh = max(found.values(), default=least - 1) + 1
        found[n] = found[n - 1] + 1 if n - 1 in found else max(multiples, default=fresh)
    return found


def _alike_by_two(sizes: list[int]) -> dict[int, int]:
    """Return small sizes that are even where those of the original are."""
    odd, even = iter((3, 5, 7, 9, 11, 13)), iter((4, 6, 8, 10, 12, 14))
    return {n: next(odd if n % 2 else even, n) for n in sorted(sizes)}


def draw(
    subject: Metered,
    plan: Plan,
    rng: np.random.Generator,
    largest: float | None = None,
    like: Metered | None = None,
) -> Metered | None:
    """Return the subject at a twin of its inputs in float64; None where that would be large.

    Labels and masks are those of `like`, if there is one: a forward then takes the same steps.
    """
    masked = any(mask is not None for mask in subject.masks)
    if masked and plan.fresh:  # what may be infinite where is known of the original alone
        return None
    largest = largest or (_LARGEST_SPARE if plan.spare else LARGEST)
    if _size(subject, plan) > largest:
        return None
    shapes = [point.shape for point in subject.points]
    values = tuple(
        _floats(value, plan, rng)
        if place in subject.floating
        else constant(value, plan, rng, shapes)
        for place, value in enumerate(subject.values)
    )
    if like is not None:
        pairs = enumerate(zip(values, like.values, strict=True))
        values = tuple(v if place in subject.floating else known for place, (v, known) in pairs)
    masks = subject.masks if masked else (None,) * len(subject.floating)
    forward = subject.reference or subject.forward
    return replace(
        subject, forward=forward, reference=None, values=values, masks=masks, damage=set()
    )


def nearer(twin: Metered, to: Metered, part: float) -> Metered:
    """Return a twin with its numbers at a part of their way from another one's."""
    pairs = enumerate(zip(twin.values, to.values, strict=True))
    values = tuple(
        other + part * (own - other) if place in twin.floating else own
        for place, (own, other) in pairs
    )
    return replace(twin, values=values)


def _size(subject: Subject, plan: Plan) -> int:
    """Return the number of entries of a twin's inputs."""
    return sum(int(np.prod(plan.reshape(point.shape))) for point in subject.points)


def one_output(subject: Metered, place: int) -> Metered:
    """Return a subject that has one output of several alone; the others' cotangents are zero."""
    own = subject.reference or subject.forward

    def alone(*arguments: Any) -> Any:
        return own(*arguments)[place]

    def vjp(*arguments: Any) -> Any:
        outputs = subject.forward(*arguments[:-1])
        g = [np.zeros_like(output) for output in outputs]
        g[place] = arguments[-1]
        return subject.vjp(*arguments[:-1], tuple(g))

    return replace(
        subject,
        forward=replace(own, only=place) if isinstance(own, Lifted) else alone,
        vjp=vjp,
        kept_vjp=None,
        reference=None,
        forwards_per_vjp=subject.forwards_per_vjp + 1,
        several_outputs=False,
        damage=set(),
    )


def _by_size(name: str, sizes: dict[int, int]) -> Plan:
    return Plan(name, lambda shape: tuple(sizes.get(n, n) for n in shape), sizes)


def _floats(value: AnyArray, plan: Plan, rng: np.random.Generator) -> AnyArray:
    """Return numbers of the same kind: probabilities, masks, positive numbers, or any."""
    wide = np.asarray(value, np.float64)
    shape = plan.reshape(wide.shape)
    if wide.size == 0:
        return np.zeros(shape)
    if not plan.fresh:
        moved = rng.standard_normal(shape) * 2.0**-6 * min(1.0, float(np.abs(wide).max()) or 1.0)
        return wide if wide.size == 1 else wide + moved
    if wide.size == 1:
        # A number may be a rate or a temperature: nearer to zero it still is one.
        return np.full(shape, wide.reshape(-1)[0] * rng.uniform(0.5, 1.0))
    if wide.size > 8 and len(np.unique(wide)) <= 3 and np.ptp(wide) > 0:
        axis = one_hot_axis(wide)
        if axis is not None:
            return one_hot(wide, shape, axis, rng)
        drawn = rng.choice(np.unique(wide), shape)
        drawn.flat[0], drawn.flat[-1] = wide.min(), wide.max()
        return as_full(drawn, wide, rng)
    return _of_kind(wide, rng.standard_normal(shape))


def _of_kind(like: Vector, normal: Vector) -> Vector:
    def spread(z: Vector, axis: int) -> Vector:
        e = np.exp(z)
        return np.asarray(e / e.sum(axis=axis, keepdims=True))

    if like.min() >= 0:
        axis = _sums_to_one(like)
        if axis is not None:
            return spread(normal, axis)
        if like.max() < 1:
            return np.asarray(1 / (1 + np.exp(-normal)))
        return np.asarray(np.exp(normal / 2))
    if like.max() <= 0:
        axis = _sums_to_one(np.exp(like))
        return -np.exp(normal / 2) if axis is None else np.log(spread(normal, axis))
    return normal


def _sums_to_one(p: Vector) -> int | None:
    """Return the axis along which numbers are probabilities, the last one first."""
    for axis in (-1, *range(p.ndim - 1)) if p.ndim else ():
        # float16 keeps three digits of a probability.
        if p.shape[axis] > 1 and np.allclose(p.sum(axis=axis), 1, atol=1e-2):
            return int(axis)
    return None
