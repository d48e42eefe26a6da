"""From a failed check to a name: facts, the wider dtype, the twin's Jacobians, the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.facts import fact
from softgrad.checker.diagnosis.jacobians import Matrix, Spot, Unusable
from softgrad.checker.diagnosis.locate import Locator, named_sets
from softgrad.checker.diagnosis.scales import agreed
from softgrad.checker.diagnosis.selection import Fit, Views, best, rank
from softgrad.checker.diagnosis.twin import draw, plans
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Diagnosis, Where
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Subject, flat

__all__ = ["diagnose"]

_LARGEST = 250
"""The most outputs of a twin: each takes a call of the backward."""


def diagnose(subject: Subject, seed: int) -> tuple[Diagnosis, Where | None]:
    """Say what the mistake of a failed check is, as far as it can be known, and where it is."""
    rng = np.random.default_rng([seed, 1])
    found: Diagnosis | None = None
    where: Where | None = None
    try:
        outputs = subject.first_outputs()
        if not np.isfinite(flat(outputs)).all():
            return _unnamed("The forward's outputs are not finite.", ""), None
        locator = Locator(subject, outputs, rng)
        found = fact(subject, outputs, locator) or _rounding(locator)
        if found is None:
            found = _by_jacobians(subject, locator, rng)
        wrong = locator.wrong_inputs()
        if wrong and found.code != "aliasing":
            where = locator.place(wrong[0], sets=found.code in ("subset", "unnamed"))
        if found.code in ("subset", "unnamed") and found.formula is None and where is not None:
            found = _placed(found, where)
    except (Ended, TypeError):
        found = found or _unnamed("The functions cannot be run again.", "")
    return found, where


def _unnamed(message: str, evidence: str, runner_up: str | None = None) -> Diagnosis:
    return Diagnosis("unnamed", message, None, evidence, runner_up)


def _rounding(locator: Locator) -> Diagnosis | None:
    """Run the backward in a wider dtype, at the inputs as they are."""
    subject = locator.subject
    wider = {2: np.float64, 4: np.float64, 8: np.longdouble}
    dtype = max((p.dtype for p in subject.points), key=lambda d: d.itemsize)
    wide = wider[dtype.itemsize]
    points = tuple(point.astype(wide) for point in subject.points)
    cotangent = tuple(c.astype(wide) if c.dtype.kind == "f" else c for c in locator.cotangent)
    finite = all(np.isfinite(G).all() for G in locator.gradient)
    gradient = locator.answer(points, cotangent)
    if all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(gradient, locator.gradient, strict=True)
    ):
        return None
    for where in range(len(points)):
        if locator.agrees(where) and locator.agrees(where, gradient=gradient[where]):
            continue
        if not (locator.agrees(where) is False and locator.agrees(where, gradient=gradient[where])):
            return None
    name = "extended precision" if wide is np.longdouble else np.dtype(wide).name
    text = f"The formula is right, and its numbers are too coarse in {dtype}."
    if not finite:
        text = f"The formula is right, and numbers in it overflow in {dtype}."
    evidence = f"the same backward in {name} agrees with the differences of the forward"
    return Diagnosis("arithmetic", text, None, evidence, None)


def _by_jacobians(subject: Subject, locator: Locator, rng: np.random.Generator) -> Diagnosis:
    right: list[str] = []
    for plan in plans(subject):
        first, second = (draw(subject, plan, rng) for _ in range(2))
        if first is None or second is None:
            continue
        spots = Spot(first), Spot(second)
        try:
            wrong = _wrong(spots, rng)
            if wrong:
                return _named(spots, wrong, locator)
            right.append(plan.name)
        except (Unusable, Ended):
            continue
        finally:
            for twin in (first, second):
                subject.forward_calls += twin.forward_calls
                subject.backward_calls += twin.backward_calls
    return _only_here(locator, right)


def _wrong(spots: tuple[Spot, Spot], rng: np.random.Generator) -> list[int]:
    if flat(spots[0].outputs).size > _LARGEST:
        raise Unusable
    for spot in spots:
        assert spot.analytic
    return spots[0].wrong(rng)


def _named(spots: tuple[Spot, Spot], wrong: list[int], locator: Locator) -> Diagnosis:
    """Explain every wrong input by itself, and name what the first to be named shows."""
    open_yet: list[Diagnosis] = []
    named: list[tuple[int, Diagnosis]] = []
    for where in wrong:
        views = _views(spots, where)
        ranked = rank(views)
        fit, runner_up = best(ranked, views)
        place = spots[0].subject.floating[where]
        if fit is not None:
            named.append((place, _diagnosis(fit, runner_up, views, locator)))
        else:
            open_yet.append(_confined(views) or _facts(ranked, views, place))
    if not named:
        confined = [found for found in open_yet if found.code != "unnamed"]
        return (confined or open_yet)[0]
    found = named[0][1]
    also = [f"input {place}: {other.code}" for place, other in named[1:]]
    if also:
        found = replace(found, evidence=f"{found.evidence}; {', '.join(also)} too")
    return found


def _views(spots: tuple[Spot, Spot], where: int) -> Views:
    first = _view(spots[0], where, None)
    return first, _view(spots[1], where, first.pattern)


def _view(spot: Spot, where: int, pattern: Matrix | None) -> View:
    A = spot.analytic[where]
    J, bar = spot.numeric(where, pattern=pattern)
    narrow = bool((A.astype(np.float32).astype(np.float64) == A).all())
    epsilon = 2.0**-23 if narrow else 2.0**-52
    return View(spot, where, A, J, bar + 4 * epsilon * rms(A))


def _diagnosis(fit: Fit, runner_up: Fit | None, views: Views, locator: Locator) -> Diagnosis:
    view = views[0]
    shape = " × ".join(map(str, view.x.shape)) or "one number"
    floor = max(fit.misfit, *(v.bar / v.error for v in views if v.error))
    evidence = (
        f"explains all but {floor:.0e} of the error on a twin of {shape} entries, at two points"
    )
    if fit.code == "scale":
        fit = _scaled(fit, view, locator)
    next_one = None
    if runner_up is not None:
        times = runner_up.misfit / floor
        evidence += f"; the next explanation, {runner_up.code}, is {times:.0e} times worse"
        next_one = f"{runner_up.code} ({times:.0e} times worse): {runner_up.message}"
    sums = _row_sums(view)
    evidence += f"; {sums}" if sums else ""
    return Diagnosis(fit.code, fit.message, fit.guess.formula, evidence, next_one)


def _scaled(fit: Fit, view: View, locator: Locator) -> Fit:
    """Say what a factor is, so that it is right at the inputs as they are, too."""
    c = locator.factor(view.where)
    if c is None:
        return fit
    spot = view.spot
    words = agreed((fit.factor, spot.subject, spot.outputs), (c, locator.subject, locator.outputs))
    return replace(
        fit, words=words or (f"{c:.6g}" if abs(c - fit.factor) < 1e-4 * abs(c) else None)
    )


def _row_sums(view: View) -> str | None:
    """Where every row of J sums to 0, and not so of A, that is worth a word."""
    if view.rows is None or not view.elementwise:
        return None
    axis = view.rows.axis
    G = view.A.reshape(-1, *view.x.shape).sum(axis=axis + 1)
    if rms(G) <= 1e-6 * rms(view.J):
        return None
    where = f"along axis {axis - view.x.ndim}"
    return f"the gradient sums to {np.abs(G).max():.2g} {where} and must sum to 0"


def _confined(views: Views) -> Diagnosis | None:
    """An error in a few columns of the Jacobian, all else being right."""
    shown = []
    for view in views:
        error = np.abs(view.A - view.J).max(axis=0)
        size = float(np.abs(view.J).max())
        shown.append(error > max(1e-5 * size, 64 * view.bar))
    counts = [int(columns.sum()) for columns in shown]
    if any(2 * count > columns.size for count, columns in zip(counts, shown, strict=True)):
        return None
    if not counts[0]:
        return None
    names = []
    for view, columns in zip(views, shown, strict=True):
        support = columns.reshape(view.x.shape)
        sets = named_sets(view.spot.subject, view.where, view.x)
        names.append(
            [
                name
                for name, mask in sets
                if not (support & ~mask).any() and 2 * support.sum() > mask.sum()
            ]
        )
    common = [name for name in names[0] if name in names[1]]
    view = views[0]
    evidence = f"{counts[0]} of {view.x.size} entries are wrong on a twin, and the others right"
    what = common[0] if common else _slice(shown, view.x.shape) or "some entries"
    text = f"The gradient is wrong only at {what}."
    return Diagnosis("subset", text, None, evidence, None)


def _slice(shown: list[Matrix], shape: tuple[int, ...]) -> str | None:
    for axis, length in enumerate(shape):
        for name, at in (("first", 0), ("last", length - 1)):
            inside = np.indices(shape)[axis].ravel() == at
            if length > 1 and not any((columns & ~inside).any() for columns in shown):
                return f"the {name} slice along axis {axis}"
    return None


def _facts(ranked: list[Fit], views: Views, place: int) -> Diagnosis:
    """Say what is known of an error that no explanation fits, or that several do."""
    view = views[0]
    R = view.A - view.J
    values = np.linalg.svd(R, compute_uv=False)
    rank_of = int((values > max(1e-6 * values[0], 10 * view.bar)).sum())
    share = float(np.mean(np.abs(R) > max(1e-6 * np.abs(R).max(), 10 * view.bar)))
    scale = float(np.vdot(view.J, view.A) / (np.vdot(view.J, view.J) or 1.0))
    evidence = (
        f"on a twin of {' × '.join(map(str, view.x.shape))} entries the error of the Jacobian has "
        f"rank {rank_of} of {min(R.shape)} and is in {share:.0%} of its entries; the best factor "
        f"is {scale:.3g}"
    )
    near = sorted(ranked, key=lambda fit: fit.misfit)[:1]
    runner_up = f"{near[0].code}, which leaves {near[0].misfit:.1%} of the error" if near else None
    text = f"The gradient of input {place} is wrong, in a way that has no name here."
    return _unnamed(text, evidence, runner_up)


def _only_here(locator: Locator, right: list[str]) -> Diagnosis:
    """The twin is right, or there is none: what differs is the numbers, or the size."""
    evidence = f"right on a small twin ({right[0]})" if right else "no twin of the inputs would run"
    return _unnamed("The gradient is wrong, in a way that has no name here.", evidence)


def _placed(found: Diagnosis, where: Where) -> Diagnosis:
    """Name a mistake by its place, if that is a part of the input."""
    if where.subset is None and where.axis is None:
        return found
    text = f"The gradient is right but in a part: it is wrong in {where.text}."
    return replace(found, code="subset", message=text)
