"""The one step of the forward whose derivative, taken wrongly, explains the backward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from softgrad.checker.diagnosis.edits.arrangement import copied, exchanged, rearranged, turned
from softgrad.checker.diagnosis.edits.averages import other_axes
from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.edits.case import Case
from softgrad.checker.diagnosis.edits.choices import choices, other_masks
from softgrad.checker.diagnosis.edits.labels import (
    labelled_rows,
    not_subtracted,
    one_class,
    other_labels,
    two_classes,
)
from softgrad.checker.diagnosis.edits.logsumexps import logsumexps, missing
from softgrad.checker.diagnosis.edits.nodes import (
    divisors_missing,
    factors_missing,
    factors_too_many,
)
from softgrad.checker.diagnosis.edits.parts import calls_passed_over, for_operands, passed_over
from softgrad.checker.diagnosis.edits.picks import counted_once, last_of_row, next_to
from softgrad.checker.diagnosis.edits.replays import replays
from softgrad.checker.diagnosis.edits.sets import in_sets, one_number
from softgrad.checker.diagnosis.edits.single import (
    as_it_is,
    branches,
    inverted,
    multiples,
    other_constants,
    other_numbers,
    powers,
    reversed_sign,
    squared,
    summed,
    without_factor,
)
from softgrad.checker.diagnosis.edits.slopes import slopes
from softgrad.checker.diagnosis.edits.softmaxes import softmaxes
from softgrad.checker.diagnosis.edits.tails import tails
from softgrad.checker.diagnosis.edits.turns import not_carried, of_other_turns
from softgrad.checker.diagnosis.edits.upstreams import other_upstreams
from softgrad.checker.diagnosis.edits.uses import (
    detached,
    one_slice,
    one_use,
    reductions,
    uncancelled,
    unsummed,
)
from softgrad.checker.diagnosis.edits.weights import other_weights
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.steps import Step
from softgrad.checker.diagnosis.jacobians import Spot
from softgrad.checker.diagnosis.scales import Factor, agreed
from softgrad.checker.report import Diagnosis

__all__ = ["by_steps"]

_MOST = 12000
"""Edits that are tried at most."""
_LEFT = 1e-4
"""An edit leaves no more than this part of the error."""
_EXACT = 1e-7
"""What leaves less than this is not looked for further."""

_CHOICES = ("where", "clip", "maximum", "minimum")
_OF_SOFTMAXES = (one_class, not_subtracted, softmaxes, logsumexps, labelled_rows, two_classes)
_LIKELY = (
    multiples, not_carried, as_it_is, branches, without_factor, choices, turned, rearranged, copied,
    next_to, last_of_row, unsummed, one_slice, inverted, of_other_turns, powers, squared, summed,
)  # fmt: skip
"""What may be wrong with a step, or with all turns of a loop."""


def by_steps(spots: tuple[Spot, Spot], wrong: Sequence[int]) -> Diagnosis | None:
    """Name a mistake in one step of the forward that explains the gradients of wrong inputs.

    One that explains them all is preferred; else it is that of the first of which one is found.
    """
    graphs = _alike(spots)
    if graphs is None:
        return None
    still = graphs[0].idle & graphs[1].idle
    one, other = (graph.without(still) for graph in graphs)
    found = _explained((one, other), _edits, spots, wrong)
    if found is None and still:
        # Where a maximum is subtracted, a backward may be written for numbers without it.
        bare = tuple(graph.without_shifts for graph in (one, other))
        if bare[0] is not None and bare[1] is not None:
            found = _explained((bare[0], bare[1]), _edits, spots, wrong)
    # Reverse mode knows no step that is idle, such as the maximum that softmax subtracts.
    return found or _explained(
        graphs,
        lambda cases: chain(uncancelled(cases[0].graph), detached(cases[0].graph)),
        spots,
        wrong,
    )


def _explained(
    graphs: tuple[Graph, Graph],
    edits: Callable[[Sequence[Case]], Iterator[Edit]],
    spots: tuple[Spot, Spot],
    wrong: Sequence[int],
) -> Diagnosis | None:
    scopes = [list(wrong), *([where] for where in wrong if len(wrong) > 1)]
    pairs = list(zip(graphs, spots, strict=True))
    cases = [[Case(graph, spot, scope) for graph, spot in pairs] for scope in scopes]
    found: list[list[_Fit]] = [[] for _ in scopes]
    meter = spots[0].subject.meter
    besides: list[Edit] = []
    for edit in islice(edits(cases[0]), _MOST):
        if meter.work <= 0:
            break  # the likelier edits have been tried
        meter.work -= len(graphs[0].steps)
        changes = edit.changes(graphs[0])
        for case, fits in zip(cases, found, strict=True):
            fit = _fit(edit, changes, case)
            if fit is not None:
                fits.append(fit)
        if edit.is_likely and cases[0][0].times(edit, changes) is not None:
            besides.append(edit)
        if found[0] and found[0][-1].clean and found[0][-1].left < _EXACT:
            break
    clean = [[fit for fit in fits if fit.clean] for fits in found]
    # One that changes other inputs and does not explain them needs more than a few numbers.
    several = [fits if case[0].has_many else [] for case, fits in zip(cases, found, strict=True)]
    for case, fits in zip(cases * 2, clean + several, strict=True):
        first = min(fits, key=lambda fit: max(fit.left, _EXACT), default=None)
        if first is not None and not any(first.is_rivalled(fit) for fit in fits):
            return _said(first, case)
    said = (_said_besides(edit, cases[0], spots) for edit in besides)
    return next((diagnosis for diagnosis in said if diagnosis is not None), None)


def _said_besides(edit: Edit, cases: Sequence[Case], spots: tuple[Spot, Spot]) -> Diagnosis | None:
    """Name a mistake in one step where all is multiplied by a known constant besides."""
    pairs = [case.left_of(edit) for case in cases]
    left = max(left for _, left in pairs)
    if not all(case.is_usable for case in cases) or left > _EXACT:
        return None
    factors = (
        Factor(c, spot.subject, spot.outputs) for (c, _), spot in zip(pairs, spots, strict=True)
    )
    constant = agreed(*factors, signed=True)
    if constant is None:
        return None
    found = _said(_Fit(edit, 1.0, left, True), cases)
    return replace(found, message=f"{found.message} {constant.also}")


@dataclass(frozen=True)
class _Fit:
    """An edit that explains the error at both points, and what it leaves."""

    edit: Edit
    factor: float
    left: float
    clean: bool
    """Whether it leaves the inputs alone that are right."""

    def is_rivalled(self, other: _Fit) -> bool:
        """Whether another name comes near; of two that are exact the first is taken."""
        near = max(10 * self.left, _EXACT)
        return other.edit.code != self.edit.code and self.left > _EXACT and other.left < near


def _fit(edit: Edit, changes: Sequence[Change], cases: Sequence[Case]) -> _Fit | None:
    if not (cases[0].is_usable and cases[1].is_usable and cases[0].may_be(edit, changes)):
        return None
    factors = [case.factor(edit.changes(case.graph)) if edit.multiple else 1.0 for case in cases]
    if abs(factors[0] - factors[1]) > 1e-5 * abs(factors[0]):
        return None
    pairs = [case.left(edit, c) for case, c in zip(cases, factors, strict=True)]
    left, clean = max(left for left, _ in pairs), all(clean for _, clean in pairs)
    return _Fit(edit, factors[0], left, clean) if left < _LEFT else None


def _edits(cases: Sequence[Case]) -> Iterator[Edit]:
    """Yield the mistakes that the steps may hold, the likelier ones first."""
    case, graph = cases[0], cases[0].graph
    loops = _loops(graph)
    repeated = {place for places in loops for place in places}
    alone = [[place] for place in range(len(graph.steps)) if place not in repeated]
    turns = [[place] for place in sorted(repeated)]
    for source in _OF_SOFTMAXES:
        edits = _together(graph, source(graph))
        yield from (replace(edit, is_likely=case.has_many) for edit in edits)
    yield from other_labels(graph)
    yield from _together(graph, one_use(graph, in_loops=True))
    for family in _LIKELY:
        yield from _over(family, graph, chain(alone, loops))
    yield from one_use(graph, in_loops=False)
    yield from exchanged(graph)
    yield from counted_once(graph)
    yield from reductions(graph)
    yield from other_axes(graph)
    yield from _together(graph, slopes(graph))
    yield from _together(graph, factors_missing(graph))
    yield from _together(graph, divisors_missing(graph))
    yield from _together(graph, factors_too_many(graph))
    yield from one_number(case)
    yield from tails(graph)
    for places in chain(alone, loops):
        likely = filter(case.may_be_of, replays(graph, places))
        yield from (replay.edit for replay in likely)
    for edit in _over(multiples, graph, turns):
        yield replace(edit, code="subset")  # one turn of a loop
    yield from _over(other_constants, graph, chain(alone, loops))
    yield from _over(other_masks, graph, chain(alone, loops))
    yield from _over(other_numbers, graph, chain(alone, loops, turns))
    for family in (multiples, as_it_is, without_factor):
        yield from _over(family, graph, _calls(graph, loops))
    yield from in_sets(case)
    for places in _calls(graph, loops):
        likely = filter(case.may_be_of, replays(graph, places))
        yield from (replay.edit for replay in likely)
    yield from calls_passed_over(graph)
    for source in (missing, passed_over):
        yield from for_operands(graph, source(graph))
    for family in (as_it_is, without_factor, reversed_sign):
        yield from for_operands(graph, _over(family, graph, chain(alone, loops)))
    yield from other_upstreams(graph)
    yield from other_weights(cases)


def _over(
    family: Callable[[Graph, list[int], int], Iterator[Edit]],
    graph: Graph,
    groups: Iterable[list[int]],
) -> Iterator[Edit]:
    for group in groups:
        for k in range(len(graph.steps[group[0]].operands)):
            moving = [place for place in group if (place, k) in graph.locals]
            if moving:
                yield from family(graph, moving, k)


def _together(graph: Graph, edits: Iterator[Edit]) -> Iterator[Edit]:
    """Yield edits, and after them those of all turns of a loop, or of all calls of a function."""
    groups: dict[object, list[Edit]] = {}
    seen: Counter[object] = Counter()
    for edit in edits:
        yield edit
        if edit.place is not None:
            what = edit.code, edit.message, edit.place
            seen[what] += 1  # of one step there may be two, as with a mask and without it
            own = edit.code, edit.message, seen[what]
            for group in _written_at(graph.steps[edit.place]):
                groups.setdefault((*own, group), []).append(edit)
    tried = set()
    for same in groups.values():
        places = tuple(edit.place for edit in same)
        if len(same) > 1 and (same[0].code, same[0].message, places) not in tried:
            tried.add((same[0].code, same[0].message, places))

            def changes(graph: Graph, same: Sequence[Edit] = same) -> list[Change]:
                parts = [edit.changes(graph) for edit in same]
                return list(chain.from_iterable(parts)) if all(parts) else []

            yield replace(same[0], changes=changes, place=None)


def _written_at(step: Step) -> Iterator[object]:
    """Yield what steps have in common that are one line of a loop, or of a function."""
    yield step.name, step.site
    for depth in range(1, len(step.site.calls) if step.site is not None else 0):
        assert step.site is not None
        yield step.name, step.site.calls[:depth]


def _loops(graph: Graph) -> list[list[int]]:
    """Return the steps that are written at one place and were run several times."""
    groups: dict[object, list[int]] = {}
    for place, step in enumerate(graph.steps):
        if step.function is not None:
            groups.setdefault((step.name, step.site), []).append(place)
    return [places for places in groups.values() if len(places) > 1]


def _calls(graph: Graph, loops: Sequence[list[int]]) -> Iterator[list[int]]:
    """Yield the steps that are one line of a function which is called at several places."""
    groups: dict[object, list[int]] = {}
    for place, step in enumerate(graph.steps):
        if step.function is not None and step.site is not None:
            for group in islice(_written_at(step), 1, None):
                groups.setdefault(group, []).append(place)
    seen = set(map(tuple, loops))
    for places in groups.values():
        if len(places) > 1 and tuple(places) not in seen:
            seen.add(tuple(places))
            yield places


def _said(fit: _Fit, cases: Sequence[Case]) -> Diagnosis:
    edit, c = fit.edit, fit.factor
    code, text = edit.code, edit.message
    if edit.multiple:
        words = {0: "is missing", 2: "is counted twice", 0.5: "is halved", -1: "has the wrong sign"}
        near = [word for value, word in words.items() if abs(1 + c - value) < 1e-5]
        said = near[0] if near else f"is {1 + c:.6g} times what it must be"
        text = said.join(text.rsplit("{}", 1))  # the user's line may have braces of its own
        if abs(c + 1) < 1e-5 and all(case.is_of_output(edit) for case in cases):
            if edit.place is not None and cases[0].is_chosen(edit.place, _CHOICES):
                code = "subset"
            else:
                code, text = "cotangent", f"A part of the incoming gradient is not used: {text}"
        elif abs(c + 1) < 1e-5:
            code = "subset" if all(case.is_cut(edit) for case in cases) else code
            code = "zero" if all(case.is_severed() for case in cases) else code
        elif all(case.is_whole(edit) for case in cases):
            code = "sign" if abs(c + 2) < 1e-5 else "scale"
    elif edit.times in (1.0, -2.0) and all(case.is_whole(edit) for case in cases):
        code = "sign" if edit.times == -2.0 else "scale"
    if code == "chain-term" and not all(case.is_of_chain(edit) for case in cases):
        code = "wrong-variable"
    if code in ("chain-term", "wrong-variable", "scale") and all(
        case.is_of_softmax_sum(edit) for case in cases
    ):
        code = "projection-term"
    if code == "chain-term" and edit.place is not None:
        # A slope that is not applied is a term, on whichever branch of a choice.
        if edit.multiple and all(case.is_selected(edit) for case in cases):
            code = "subset"
        elif all(case.is_picked(edit) for case in cases):
            code = "sign" if edit.multiple and abs(c + 2) < 1e-5 else "subset"
        elif all(case.is_projection(edit) for case in cases):
            code = "projection-term"
    evidence = f"explains all but {fit.left:.0e} of the error on a twin, at two points"
    return Diagnosis(code, text, evidence=evidence)


def _alike(spots: tuple[Spot, Spot]) -> tuple[Graph, Graph] | None:
    """Return the graphs at both points; None where the forward takes other steps at the second."""
    one, other = (spot.graph for spot in spots)
    if one is None or other is None:
        return None
    return (one, other) if one.form == other.form else None
