"""The page of one gradient check, and the picture of errors beside what rounding explains."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import softgrad as sg
from report_cases import SVG, roots, words
from report_runs import FOREIGN, Elements, assert_nothing_runs, sentences
from softgrad.checker import Finding, Report, check
from softgrad.explain.layer_checks import LayerCheck
from softgrad.report.check import check_page
from softgrad.report.checks import errors_chart
from softgrad.report.page import render
from softgrad.report.scales import pretty
from softgrad.report.session import session_page

Z = np.random.default_rng(0).normal(size=(4, 5))


def right(z, p_bar):
    return sg.softmax.vjp(z, p_bar)


def diagonal_only(z, p_bar):
    p = sg.softmax(z)
    return p * (1 - p) * p_bar


def reports() -> tuple[Report, Report]:
    return check(sg.softmax, right, Z), check(sg.softmax, diagonal_only, Z)


def drawn(report: Report) -> tuple[float, float, str]:
    """Return where the bar of a check ends, and where its dot stands, in which colour."""
    (svg,) = roots(errors_chart([LayerCheck("a", report)], "t"))
    bar, dot = next(svg.iter(f"{SVG}rect")), next(svg.iter(f"{SVG}circle"))
    end = float(bar.get("x", "")) + float(bar.get("width", ""))
    return end, float(dot.get("cx", "")), dot.get("fill", "")


@pytest.mark.parametrize("report", reports(), ids=["right", "wrong"])
def test_the_page_holds_the_report(report):
    page = check_page(report, "softgrad check my.py:f my.py:b")
    text = Elements(page).text
    for value in (report.relative_error, report.error_bar, 1e3 * report.cost.seconds):
        assert pretty(value) in text
    for word in (report.verdict, report.subject, report.oracle, report.dtype):
        assert word in text
    for finding in report.findings:
        assert finding.message in text
    if report.diagnosis is not None:
        for word in (report.diagnosis.code, report.diagnosis.message, report.diagnosis.evidence):
            assert word in text
    assert f"forward{report.cost.forward}" in text.replace("\n", "")
    assert page.command == "softgrad check my.py:f my.py:b"


@pytest.mark.parametrize(
    ("verdict", "tone", "words"),
    [
        ("pass", "good", "The gradient of right passes: relative error "),
        ("fail", "bad", "The gradient of right is wrong: relative error "),
        ("inconclusive", "plain", "The check of right is inconclusive: relative error "),
    ],
)
def test_the_verdict_comes_first(verdict, tone, words):
    page = check_page(replace(reports()[0], verdict=verdict))
    assert page.verdict.tone == tone
    assert page.verdict.text.startswith(words)


def test_a_check_that_compared_nothing_has_a_page_without_a_picture():
    report = replace(reports()[0], relative_error=None, error_bar=None, verdict="inconclusive")
    page = check_page(report)
    assert page.verdict.text == "The check of right is inconclusive."
    assert not any(section.figures for section in page.sections)
    assert Elements(page).text.count("nothing to compare") == 2


def test_what_was_found_has_the_weight_that_it_has():
    found = (Finding("fail", "it fails"), Finding("note", "it is noted"))
    sections = check_page(replace(reports()[1], findings=found)).sections
    (blocks,) = (section.blocks for section in sections if section.heading == "What was found")
    assert [(block.text, block.tone) for block in blocks] == [
        ("it fails", "bad"),
        ("it is noted", "plain"),
    ]


def test_foreign_names_are_text():
    report = replace(reports()[0], subject=FOREIGN, findings=(Finding("note", FOREIGN),))
    page = check_page(report, FOREIGN)
    assert_nothing_runs(page)
    assert Elements(page).text.count(FOREIGN) >= 2
    assert FOREIGN in sentences(page)


def test_the_page_of_a_session_begins_with_what_did_not_pass():
    right, wrong = reports()
    undecided = replace(right, verdict="inconclusive", relative_error=None, error_bar=None)
    checks = [LayerCheck("a", right), LayerCheck("b", wrong), LayerCheck("c", undecided)]
    page = session_page(checks, "pytest")
    assert page.verdict.text == "1 of 3 gradient checks pass: 1 failed, 1 inconclusive."
    assert page.verdict.tone == "bad"
    headings = [section.heading for section in page.sections]
    assert headings == ["b", "c", "All checks", "1 check that passed"]
    assert wrong.diagnosis.message in sentences(page)
    assert [row[0] for row in page.sections[2].blocks[0].rows] == ["a", "b", "c"]
    page = session_page(checks[:1], "pytest")
    assert page.verdict.text == "The gradient check passes."
    assert page.verdict.tone == "good"


def test_names_in_the_page_of_a_session_are_text():
    report = replace(reports()[1], subject=FOREIGN, findings=(Finding("note", FOREIGN),))
    page = session_page([LayerCheck(FOREIGN, report), LayerCheck(FOREIGN, reports()[0])], FOREIGN)
    assert_nothing_runs(page)
    assert Elements(page).text.count(FOREIGN) >= 5


def test_the_same_report_has_the_same_page():
    report = reports()[1]
    assert render(check_page(report)) == render(check_page(report))


def test_an_error_stands_on_its_bar_or_beyond_it():
    report = reports()[0]
    end, dot, _ = drawn(replace(report, relative_error=7e-9, error_bar=8e-9))
    assert dot < end
    end, dot, _ = drawn(replace(report, relative_error=9e-9, error_bar=8e-9))
    assert dot > end


def test_verdicts_have_their_colours():
    colours = {drawn(report)[2] for report in reports()}
    undecided = drawn(replace(reports()[0], verdict="inconclusive"))[2]
    assert len(colours | {undecided}) == 3


@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_an_error_that_is_not_finite_stands_further_out_than_1(error):
    report = replace(reports()[0], verdict="fail")
    end, dot, _ = drawn(replace(report, relative_error=error, error_bar=1.0))  # the bar ends at 1
    assert dot > end + 10


@pytest.mark.parametrize("error", [0.0, math.inf, math.nan, 1e300, 1e-300, None])
def test_any_error_can_be_drawn(error):
    report = replace(reports()[0], relative_error=error, error_bar=error)
    svg = errors_chart([LayerCheck("a", report)], "t")
    assert ("nothing to compare" in words(svg)) == (error is None)
    (root,) = roots(svg)
    width = float(root.get("width", ""))
    for dot in root.iter(f"{SVG}circle"):
        assert 0 <= float(dot.get("cx", "")) <= width


def test_the_worst_of_many_checks_are_drawn():
    report = reports()[0]
    checks = [
        LayerCheck(f"layer {k}", replace(report, relative_error=k * 1e-12)) for k in range(40)
    ]
    names = [name for name in words(errors_chart(checks, "t")) if name.startswith("layer ")]
    assert names == [f"layer {k}" for k in range(16, 40)]
    with pytest.raises(ValueError, match="`checks` must be at least one"):
        errors_chart([], "t")
