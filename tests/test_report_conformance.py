"""The page of promises: the broken ones in words, all of them on one picture."""

from __future__ import annotations

import math

import pytest

from report_cases import SVG, roots, words
from report_runs import Elements, assert_nothing_runs, captions, sentences
from softgrad.promises import Conformance, Outcome
from softgrad.report.conformance import conformance_page
from softgrad.report.page import render
from softgrad.results import Paragraph


def outcome(name: str, verdict: str, figure: float | None, at_most: float = 4.0) -> Outcome:
    says = f"What {name} says."
    return Outcome(name, says, verdict, figure, at_most, "ulp", f"where {name} is")  # type: ignore[arg-type]


def conformance(*outcomes: Outcome) -> Conformance:
    return Conformance("softmax", "mine", "numpy", {"numpy": "2.0"}, outcomes)


KEPT, EXACT = outcome("kept-one", "kept", 2.0), outcome("exact", "kept", 0.0, 0.0)
BROKEN, NOT_EXACT = outcome("broken-one", "broken", 40.0), outcome("bits", "broken", 3.0, 0.0)
MISSING = outcome("missing-one", "not offered", None)
CRASHED = outcome("crashed-one", "could not run", None)


@pytest.mark.parametrize(
    ("outcomes", "tone", "text"),
    [
        ([KEPT, EXACT], "good", "mine keeps 2 of 2 promises."),
        ([KEPT, BROKEN], "bad", "mine keeps 1 of 2 promises: 1 broken."),
        ([KEPT, MISSING], "good", "mine keeps 1 of 2 promises: 1 not offered."),
        ([KEPT, CRASHED], "plain", "mine keeps 1 of 2 promises: 1 could not run."),
        ([MISSING], "plain", "mine keeps 0 of 1 promise: 1 not offered."),
    ],
)
def test_the_verdict_counts(outcomes: list[Outcome], tone: str, text: str) -> None:
    assert conformance_page([conformance(*outcomes)]).verdict == Paragraph(text, tone)  # type: ignore[arg-type]


def test_what_is_broken_is_said_with_its_place() -> None:
    text = sentences(conformance_page([conformance(KEPT, BROKEN)]))
    assert "broken-one: What broken-one says." in text
    assert "Measured were 40 ulp; 4 are allowed, at where broken-one is." in text
    assert "kept-one" not in text
    assert "No promise is broken" in sentences(conformance_page([conformance(KEPT)]))


def test_dots_stand_in_the_grey_where_a_promise_is_kept() -> None:
    page = conformance_page([conformance(KEPT, EXACT, BROKEN, NOT_EXACT, MISSING)])
    (figure,) = (figure for section in page.sections for figure in section.figures)
    (root,) = roots(figure.svg)
    bars = [r for r in root.iter(f"{SVG}rect") if r.get("height") == "12"][:4]
    dots = [float(dot.get("cx", "")) for dot in root.iter(f"{SVG}circle")][:4]
    ends = [float(bar.get("x", "")) + float(bar.get("width", "")) for bar in bars]
    assert [dot <= end for dot, end in zip(dots, ends, strict=True)] == [True, True, False, False]
    assert "not measured" in words(figure.svg)
    assert "allowed" in words(figure.svg)
    assert "more than 1000 at 1000" in captions(page)[0]


def test_every_promise_and_every_reason_is_on_the_page() -> None:
    outcomes = (KEPT, EXACT, BROKEN, MISSING, CRASHED, outcome("endless", "broken", math.inf))
    page = conformance_page([conformance(*outcomes), conformance(KEPT)], "softgrad conformance x")
    text = Elements(page).text
    for each in outcomes:
        assert each.promise in text
        assert each.says in text
    assert "where crashed-one is" in text
    assert page.command == "softgrad conformance x"
    assert "numpy2.0" in text.replace("\n", "")
    assert_nothing_runs(page)
    assert render(page) == render(page)
