"""What both Jacobians at two points of a twin show: a name, a set of entries, or facts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np

from softgrad.checker.diagnosis.edits.naming import by_steps
from softgrad.checker.diagnosis.here import SOME_SLICES, WRONG_ONLY, stands_out, unnamed
from softgrad.checker.diagnosis.jacobians import Matrix, Spot, Unusable
from softgrad.checker.diagnosis.locate import Locator, named_sets
from softgrad.checker.diagnosis.scales import Factor, told
from softgrad.checker.diagnosis.selection import Fit, Views, best, rank
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Diagnosis
from softgrad.checker.richardson import rms

__all__ = ["named"]

PASSED_OVER: tuple[type[Exception], ...] = (Unusable, Exception)
"""What may go wrong in a user's steps and costs no other name. The tests take out the last."""
_NEARLY = 0.9
"""The part of a named set that must be wrong, where all else is right."""
Seen = dict[int, tuple[Views, list[Fit]]]
"""By wrong input: its Jacobians at both points, and the hypotheses, best first."""


def named(spots: tuple[Spot, Spot], wrong: list[int], locator: Locator) -> Diagnosis:
    """Explain what is wrong at two points of a twin, by hypotheses first and by steps then."""
    swapped = _swapped(spots, wrong)
    if swapped is not None:
        return swapped
    names = spots[0].subject.floating_names
    seen = _ranked(spots, wrong)
    found = _of_all(seen, wrong, names, locator)
    if found is not None and found.code == "cotangent" and len(wrong) < len(names):
        found = None  # what is right for another input is not ignored
    found = found or _of_a_set(seen, wrong, locator) or _of_a_step(spots, wrong)
    found = found or _of_some(seen, names, locator)
    if found is not None:
        return found
    left = [_explained(names[where], *known, locator) for where, known in seen.items()]
    if not left:
        raise Unusable
    return min(left, key=lambda explained: explained.code == "unnamed")


def _ranked(spots: tuple[Spot, Spot], wrong: list[int]) -> Seen:
    """Rank the explanations of every wrong input whose Jacobian can be had, the smallest first."""
    seen: Seen = {}
    for where in sorted(wrong, key=lambda where: spots[0].points[where].size):
        try:
            views = _views(spots, where)
        except Unusable:
            break
        seen[where] = views, rank(views)
    return seen


def _of_a_step(spots: tuple[Spot, Spot], wrong: list[int]) -> Diagnosis | None:
    """Return the mistake in one step of the forward; None where that cannot be followed."""
    try:
        return by_steps(spots, wrong)
    except PASSED_OVER:
        return None


def _of_all(
    seen: Seen,
    wrong: list[int],
    names: tuple[str, ...],
    locator: Locator,
) -> Diagnosis | None:
    """Return the name that every wrong input bears."""
    if len(seen) < len(wrong):
        return None
    codes = set()
    for views, ranked in seen.values():
        fit = best(ranked, views)[0]
        codes.add(None if fit is None else fit.code)
    return _of_some(seen, names, locator) if len(codes) == 1 and None not in codes else None


def _of_a_set(seen: Seen, wrong: list[int], locator: Locator) -> Diagnosis | None:
    """Return the set of entries, such as those at the labels, that alone is wrong."""
    if len(wrong) > 1 or not seen:
        return None
    where, (views, _) = next(iter(seen.items()))
    sets = dict(named_sets(locator.subject, where, locator.points[where]))

    def is_refuted(name: str) -> bool:
        """Whether the inputs as they are show more than the set to be wrong."""
        return name in sets and locator.agrees(where, ~sets[name]) is False

    found = _confined(views, named=True, is_refuted=is_refuted)
    return found if found is not None and found.code == "subset" else None


def _of_some(seen: Seen, names: tuple[str, ...], locator: Locator) -> Diagnosis | None:
    """Name the first wrong input's mistake that has a name."""
    found: Diagnosis | None = None
    for where, (views, ranked) in seen.items():
        fit, runner_up = best(ranked, views)
        if fit is not None and found is None:
            found = _diagnosis(fit, runner_up, views, locator)
        elif fit is not None and found is not None:
            found = replace(found, evidence=f"{found.evidence}; {names[where]}: {fit.code} too")
    return found


def _explained(name: str, views: Views, ranked: list[Fit], locator: Locator) -> Diagnosis:
    """Try what takes further calls; say at least where the error is, or what is known of it."""
    ranked = rank(views, ranked)
    fit, runner_up = best(ranked, views)
    if fit is None:
        return _confined(views) or _facts(ranked, views, name)
    return _diagnosis(fit, runner_up, views, locator)


def _swapped(spots: tuple[Spot, Spot], wrong: list[int]) -> Diagnosis | None:
    """Two wrong gradients, each of which is right for the other input."""
    for one, other in combinations(wrong, 2):
        if spots[0].points[one].shape != spots[0].points[other].shape:
            continue
        left = max(_left(spot, *pair) for spot in spots for pair in ((one, other), (other, one)))
        if left < 1e-5:
            names = spots[0].subject.floating_names
            text = f"The gradients of {names[one]} and {names[other]} are swapped."
            evidence = f"each explains the other's error but for {left:.0e} of it"
            return Diagnosis("axis", text, evidence=evidence)
    return None


def _left(spot: Spot, one: int, other: int) -> float:
    """Return what another input's derivative leaves of an error, along a direction."""
    direction = np.random.default_rng(0).uniform(0.5, 1.5, spot.points[one].size)
    answer = spot.analytic[one] @ direction
    own, others = (spot.slope(where, spot.points, direction)[0] for where in (one, other))
    return rms(answer - others) / (rms(answer - own) or 1.0)


def _views(spots: tuple[Spot, Spot], where: int) -> Views:
    first = _view(spots[0], where, None)
    return first, _view(spots[1], where, first.pattern)


def _view(spot: Spot, where: int, pattern: Matrix | None) -> View:
    A = spot.analytic[where]
    J, bar = spot.numeric(where, pattern=pattern)
    if not (A - J).any():
        raise Unusable
    narrow = bool((A.astype(np.float32).astype(np.float64) == A).all())
    epsilon = 2.0**-23 if narrow else 2.0**-52
    return View(spot, where, A, J, bar + 4 * epsilon * rms(A))


def _diagnosis(fit: Fit, runner_up: Fit | None, views: Views, locator: Locator) -> Diagnosis:
    view = views[0]
    shape = " × ".join(map(str, view.x.shape)) + " entries" if view.x.ndim else "one number"
    floor = max(fit.misfit, *(v.bar / v.error for v in views if v.error))
    evidence = f"explains all but {floor:.0e} of the error on a twin of {shape}, at two points"
    next_one = None
    if runner_up is not None:
        times = runner_up.misfit / floor
        evidence += f"; the next explanation, {runner_up.code}, is {times:.0e} times worse"
        next_one = f"{runner_up.code} ({times:.0e} times worse): {runner_up.message}"
    sums = _row_sums(view)
    evidence += f"; {sums}" if sums else ""
    found = Diagnosis(fit.code, fit.message, fit.guess.formula, evidence, next_one)
    return _scaled(found, fit, views, locator) if fit.hypothesis.any_factor else found


def _scaled(found: Diagnosis, fit: Fit, views: Views, locator: Locator) -> Diagnosis:
    """Say what a factor is, so that it is right at the inputs as they are, too.

    Raises
    ------
    Unusable
        There it is none.
    """
    # Along two directions what is no factor may come within the accuracy of one.
    c = locator.factor(views[0].where, accuracy=1e-3, directions=4)
    if c is None or math.isnan(c):
        raise Unusable
    if abs(c + 1) < 1e-3:
        return replace(found, code="sign", message="The gradient has the wrong sign.")
    one, other = (Factor(v.factor, v.spot.subject, v.spot.outputs) for v in views)
    words = told(one, other, Factor(c, locator.subject, locator.outputs))
    return replace(found, message=replace(fit, words=words).message)


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


def _confined(
    views: Views, named: bool = False, is_refuted: Callable[[str], bool] = lambda name: False
) -> Diagnosis | None:
    """An error in a few columns of the Jacobian, or those of a set with a name, all else right."""
    shown, live = [], []
    for view in views:
        error, own = (np.abs(M).max(axis=0) for M in (view.A - view.J, view.J))
        # An error may be small next to the gradient, and everywhere none the less.
        least = max(1e-6 * float(error.max()), 64 * view.bar)
        shown.append(error > least)
        live.append((own > least) | shown[-1])  # that nothing is right says nothing
    names = []
    for view, columns, seen in zip(views, shown, live, strict=True):
        support, alive = columns.reshape(view.x.shape), seen.reshape(view.x.shape)
        sets = named_sets(view.spot.subject, view.where, view.x)
        names.append(
            [
                name
                for name, mask in sets
                if not (support & ~mask).any() and support.sum() > _NEARLY * (mask & alive).sum()
            ]
        )
    common = [name for name in names[0] if name in names[1] and not is_refuted(name)]
    view = views[0]
    counts = [int(columns.sum()) for columns in shown]
    few = all(2 * count <= seen.sum() for count, seen in zip(counts, live, strict=True))
    if not counts[0] or not (few or common):
        return None
    evidence = f"{counts[0]} of {view.x.size} entries are wrong on a twin, and the others right"
    if named and not (common and all(n < its.sum() for n, its in zip(counts, live, strict=True))):
        return None
    what = common[0] if common else _slice(shown, view.x.shape)
    # Some entries of all may be a gate, or what one of several terms reaches: no set by itself.
    text = f"{WRONG_ONLY} {what or 'some entries'}."
    evidence += _there(views, shown)
    return Diagnosis("subset" if what else "unnamed", text, evidence=evidence)


def _there(views: Views, shown: list[Matrix]) -> str:
    """Say what the gradient is where it is wrong, if that is one thing."""
    factors = []
    for view, columns in zip(views, shown, strict=True):
        A, J = view.A[:, columns], view.J[:, columns]
        size = float(np.vdot(J, J))
        if rms(J) <= max(1e-6 * rms(A), 8 * view.bar):
            return "; there it must be 0"
        factors.append(float(np.vdot(J, A)) / size)
        if rms(A - factors[-1] * J) > 1e-5 * max(rms(A), rms(J)):
            return ""
    if np.ptp(factors) > 1e-5 * max(map(abs, factors)):
        return ""
    known = {-1.0: "it has the wrong sign", 0.0: "it is 0, and must not be"}
    near = next((text for c, text in known.items() if abs(factors[0] - c) < 1e-5), None)
    return f"; there {near or f'it is {factors[0]:.6g} times what it must be'}"


def _slice(shown: list[Matrix], shape: tuple[int, ...]) -> str | None:
    for axis, length in enumerate(shape):
        for name, at in (("first", 0), ("last", length - 1)):
            inside = np.indices(shape)[axis].ravel() == at
            if length > 1 and not any((columns & ~inside).any() for columns in shown):
                return f"the {name} slice along axis {axis}"
    if not all(columns.any() for columns in shown):
        return None
    for axis, length in enumerate(shape):
        index = np.indices(shape)[axis].ravel()
        ranges = [(index[columns].min(), index[columns].max() + 1) for columns in shown]
        if length > 1 and all(stands_out(start, stop, length) for start, stop in ranges):
            return f"{SOME_SLICES} {axis}"
    return None


def _facts(ranked: list[Fit], views: Views, name: str) -> Diagnosis:
    """Say what is known of an error that no explanation fits, or that several do."""
    view = views[0]
    R = view.A - view.J
    values = np.linalg.svd(R, compute_uv=False)
    rank_of = int((values > max(1e-6 * values[0], 10 * view.bar)).sum())
    share = float(np.mean(np.abs(R) > max(1e-6 * np.abs(R).max(), 10 * view.bar)))
    evidence = (
        f"on a twin of {' × '.join(map(str, view.x.shape))} entries the error of the Jacobian has "
        f"rank {rank_of} of {min(R.shape)} and is in {share:.0%} of its entries; the best factor "
        f"is {view.factor:.3g}"
    )
    near = sorted(ranked, key=lambda fit: fit.misfit)[:1]
    runner_up = f"{near[0].code}, which leaves {near[0].misfit:.1%} of the error" if near else None
    text = f"The gradient of {name} is wrong, in a way that has no name here."
    return unnamed(text, evidence, runner_up)
