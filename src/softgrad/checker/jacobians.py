"""Both Jacobians of one input on a small twin, to be looked at: the backward's and the true one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from softgrad.checker.arguments import make_subject
from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.jacobians import Matrix, Spot, Unusable
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.diagnosis.twin import draw, plans
from softgrad.checker.draws import draws_alike
from softgrad.checker.report import Report
from softgrad.checker.second_order import second_order

__all__ = ["PASSED_OVER", "Jacobians", "jacobians_of"]

PASSED_OVER: tuple[type[Exception], ...] = (Ended, Unusable, Exception)
"""What may go wrong on a twin and costs nothing but the picture. The tests take out the last."""


@dataclass(frozen=True, eq=False)
class Jacobians:
    """How every output changes with every entry of one input, in two ways."""

    input: str
    """What the report calls it."""
    shape: tuple[int, ...]
    """Of the input on the twin."""
    analytic: Matrix  # [M, n]; the backward's answers to unit cotangents
    measured: Matrix  # [M, n]
    bar: float
    """The error bar of what was measured, an RMS."""
    rows: int = 1
    """Alike and independent parts of the twin, of which this is one: the worst."""


@draws_alike
def jacobians_of(
    report: Report,
    forward: Any,
    backward: Any = None,
    *inputs: Any,
    dtype: DTypeLike | None = None,
    second: Callable[..., Any] | None = None,
    **_: Any,
) -> Jacobians | None:
    """Return the Jacobians of the input that a report on these functions calls wrong.

    Of a report that calls none wrong, those of the first. Other options of `softgrad.check` are
    passed over. None where no small twin can be had.
    """
    with np.errstate(all="ignore"):
        try:
            subject = make_subject(forward, backward, inputs, dtype, None, None)
            if report.order == 2:
                subject = second_order(subject, second, report.seed)
            where = 0 if report.where is None else subject.floating.index(report.where.input)
            for spot in _spots(Metered.of(subject), report.seed):
                found = _looked_at(spot, where)
                # A mistake that shows at some shapes alone is no mistake on other twins.
                if found is not None and (report.verdict != "fail" or _differ(found)):
                    return found
        except PASSED_OVER:
            pass
    return None


def _spots(subject: Metered, seed: int) -> Iterator[Spot]:
    rng = np.random.default_rng([seed, 2])
    for plan in plans(subject):
        twin = draw(subject, plan, rng)
        if twin is not None:
            yield Spot(twin)


def _looked_at(spot: Spot, where: int) -> Jacobians | None:
    try:
        analytic = spot.analytic[where]
        measured, bar = spot.numeric(where)
    except (Unusable, Ended):
        return None
    shape = spot.points[where].shape
    name = spot.subject.floating_names[where]
    return _one_part(Jacobians(name, shape, analytic, measured, bar))


def _differ(found: Jacobians) -> bool:
    gap = np.abs(found.analytic - found.measured).max(initial=0.0)
    return bool(gap > 32 * found.bar + 1e-9 * np.abs(found.measured).max(initial=0.0))


def _one_part(whole: Jacobians) -> Jacobians:
    """Return the worst of the rows, if none has to do with another."""
    R = int(np.prod(whole.shape[:-1]))
    M, n = whole.analytic.shape
    if R < 2 or M % R:
        return whole
    both = np.stack([whole.analytic, whole.measured]).reshape(2, R, M // R, R, n // R)
    apart = ~np.eye(R, dtype=bool)
    if both.transpose(1, 3, 0, 2, 4)[apart].any():
        return whole
    parts = both[:, np.arange(R), :, np.arange(R)]  # [R, 2, M/R, n/R]
    worst = int(np.abs(parts[:, 0] - parts[:, 1]).max(axis=(1, 2)).argmax())
    analytic, measured = parts[worst]
    return Jacobians(whole.input, whole.shape, analytic, measured, whole.bar, rows=R)
