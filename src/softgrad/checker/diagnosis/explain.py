"""From a failed check to a name: facts, the wider dtype, the twin's Jacobians, the rest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.besides import in_shape, without_severed
from softgrad.checker.diagnosis.facts import fact
from softgrad.checker.diagnosis.here import (
    WRONG_ONLY,
    only_here,
    placed,
    refuted,
    rounding,
    unnamed,
)
from softgrad.checker.diagnosis.jacobians import Spot, Unusable
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.diagnosis.metered import Metered, Spent
from softgrad.checker.diagnosis.multiples import multiple
from softgrad.checker.diagnosis.twin import draw, nearer, one_output, plans
from softgrad.checker.diagnosis.twins import named
from softgrad.checker.formats import is_floating
from softgrad.checker.guards import in_words, unguarded
from softgrad.checker.oracle import choose_oracle
from softgrad.checker.report import Diagnosis, Where
from softgrad.checker.subject import Arrays, Subject, flat

__all__ = ["diagnose"]

PASSED_OVER: tuple[type[Exception], ...] = (Ended, Exception)
"""What may go wrong here without costing the verdict. The tests take out all but the first."""
_TWINS = 2
"""The twins that are looked at before a mistake is left without a name."""
_PARTS = (0.25, 0.0625, 0.015625)
"""Of the way between two points, where the forward takes other steps at each."""
_KEPT = 30
"""The calls of the forward that are kept for finding the place."""


def diagnose(subject: Subject, seed: int) -> tuple[Diagnosis, Where | None]:
    """Say what the mistake of a failed check is, as far as it can be known, and where it is."""
    metered = Metered.of(subject)
    try:
        return _diagnose(metered, np.random.default_rng([seed, 1]))
    finally:
        subject.forward_calls += metered.meter.forward
        subject.backward_calls += metered.meter.backward


def _diagnose(subject: Metered, rng: np.random.Generator) -> tuple[Diagnosis, Where | None]:
    """Diagnose without the small constants that the forward adds, if the backward has none."""
    found = None
    with suppress(Spent):
        found = unguarded(subject)
    if found is None:
        return _diagnosed(subject, rng)
    if found.in_forward and found.in_backward:
        return _diagnosed(subject, rng)
    bare, said = found.subject, in_words(found.subject)
    if found.in_forward:
        bare = replace(bare, vjp=subject.vjp, kept_vjp=subject.kept_vjp)
    with suppress(Spent, Ended):
        locator = Locator(bare, bare.first_outputs(), rng)
        if set(locator.right) == {True}:
            text = f"The derivative is taken without {said}, which the forward has."
            if not found.in_forward:
                text = f"The derivative is taken with {said}, which the forward has not."
            evidence = "where 0 stands there it is right"
            return Diagnosis("wrong-variable", text, evidence=evidence), None
    diagnosis, where = _diagnosed(bare, rng)
    return replace(diagnosis, evidence=f"{diagnosis.evidence}; without {said}"), where


def _diagnosed(subject: Metered, rng: np.random.Generator) -> tuple[Diagnosis, Where | None]:
    found: Diagnosis | None = None
    where: Where | None = None
    try:
        outputs = subject.first_outputs()
        if not np.isfinite(flat(outputs)).all():
            return unnamed("The forward's outputs are not finite.", ""), None
        differing = _other_forward(subject, outputs, rng)
        if differing is not None:
            return differing, None
        locator = Locator(subject, outputs, rng)
        rest = without_severed(subject, locator) or in_shape(subject, locator, rng)
        if rest is not None:
            return _diagnosed(rest, rng)
        found = fact(subject, outputs, locator) or rounding(locator)
        if found is not None:
            return found, _which(found, locator, "")
        if not subject.cotangents:  # at second order there is more to say
            with subject.meter.keeping(_KEPT), suppress(Spent):
                found = multiple(locator, rng)
        if found is not None:
            return found, _which(found, locator, ", everywhere")
        with subject.meter.keeping(_KEPT):
            found = _by_jacobians(subject, locator, rng)
            if found is None or found.code == "unnamed":
                found = _by_output(locator, rng) or found
        twin = found is not None
        found = found or only_here(locator)
        wrong = locator.wrong_inputs()
        if wrong:
            where = locator.place(wrong[0], sets=found.code == "subset" or not twin)
            if len(wrong) > 1:
                others = ", ".join(subject.floating_names[i] for i in wrong[1:])
                where = replace(where, text=f"{where.text}; also {others}")
        if where is not None and (found.message.startswith(WRONG_ONLY) or not twin):
            found = placed(found, where, locator)
    except Spent:
        found = found or unnamed("The gradient is wrong.", "no call is left to look further")
    except PASSED_OVER as error:
        # The verdict stands, whatever these functions do on a twin.
        reason = f"{type(error).__name__}: {error}"
        found = found or unnamed("What is wrong could not be looked into.", reason)
    return found, where


def _other_forward(subject: Metered, outputs: Arrays, rng: np.random.Generator) -> Diagnosis | None:
    """Look at the forward first, where there is a reference for it."""
    if subject.reference is None:
        return None
    _, (finding,) = choose_oracle(subject, outputs)
    if finding.level != "fail":
        return None
    evidence = "the backward is right for neither of them"
    for name, own in (("forward", replace(subject, reference=None)), ("reference", subject)):
        if set(Locator(own, outputs, rng).right) == {True}:
            evidence = f"the backward is right for the {name}, and so not for the other"
    return unnamed("The forward differs from its reference, and must be mended first.", evidence)


def _which(found: Diagnosis, locator: Locator, part: str) -> Where | None:
    """Return the inputs that a mistake concerns which is not one of a place within them."""
    wrong = [] if found.code == "aliasing" else locator.wrong_inputs()
    if not wrong:
        return None
    first, *others = (locator.subject.floating_names[where] for where in wrong)
    text = first + part + ("; also " + ", ".join(others) if others else "")
    return Where(locator.subject.floating[wrong[0]], None, None, None, None, text)


def _by_output(locator: Locator, rng: np.random.Generator) -> Diagnosis | None:
    """Explain what comes from one output of several, where the others' part is right."""
    subject, outputs = locator.subject, locator.outputs
    wrong: list[tuple[int, Locator]] = []
    for place, output in enumerate(outputs if len(outputs) > 1 else ()):
        if is_floating(output):
            alone = Locator(one_output(subject, place), (output,), rng)
            if False in alone.right:
                wrong.append((place, alone))
    if len(wrong) != 1:
        return None
    (place, alone) = wrong[0]
    found = _by_jacobians(alone.subject, alone, rng)
    if found is None or found.code == "unnamed":
        return None
    text = f"For the incoming gradient of output {place} alone: {found.message}"
    return replace(found, message=text)


def _by_jacobians(subject: Metered, locator: Locator, rng: np.random.Generator) -> Diagnosis | None:
    """Return what the twins show on which the backward is wrong, None where it never is."""
    known, tries = locator.wrong_inputs(or_open=True), 0
    found: Diagnosis | None = None
    for plan in plans(subject):
        if found is not None and not plan.fresh:
            break  # at two points that lie side by side a number fits too easily
        first = draw(subject, plan, rng)
        second = draw(subject, plan, rng, like=first)
        if first is None or second is None:
            continue
        each = subject.meter.left // 2
        spots = Spot(first, each), Spot(second, each)
        try:
            wrong = _wrong(spots, rng)
            # Numbers written for one shape are wrong at another: such a twin shows what is not so.
            locator.right_elsewhere |= not wrong
            if wrong and set(wrong) <= set(known):
                shown = named(_on_one_branch(spots), wrong, locator)
                if not refuted(shown, locator):
                    found, tries = found or shown, tries + 1
                    if shown.code != "unnamed":
                        return shown
                    if tries == _TWINS:
                        return found
        except (Unusable, Ended):
            continue
    return found


def _on_one_branch(spots: tuple[Spot, Spot]) -> tuple[Spot, Spot]:
    """Bring the second point so near to the first that the forward takes the same steps."""
    one, other = spots
    for part in _PARTS:
        if not one.takes_other_steps(other):
            return one, other
        other = Spot(nearer(spots[1].subject, one.subject, part), one.most)
    return one, other


def _wrong(spots: tuple[Spot, Spot], rng: np.random.Generator) -> list[int]:
    meter = spots[0].subject.meter
    sizes = {flat(spot.outputs).size for spot in spots}
    # Such as x[x > 0]: how many outputs there are depends on the numbers.
    if len(sizes) > 1 or 2 * max(sizes) > meter.most_backward - meter.backward:
        raise Unusable
    for spot in spots:
        assert spot.analytic
    return spots[0].wrong(rng)
