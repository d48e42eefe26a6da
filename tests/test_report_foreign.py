"""Every real page shows foreign strings as they are, and nothing in them does anything."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import softgrad as sg
from foreign_strings import PAYLOADS
from report_runs import Elements, assert_nothing_runs, language_training, tour, trained, training
from softgrad.checker import Diagnosis, Finding, Formula, Report, Where, check
from softgrad.checker.jacobians import Jacobians, jacobians_of
from softgrad.explain.judged import Judged
from softgrad.explain.judged_tokens import JudgedTokens
from softgrad.explain.layer_checks import LayerCheck
from softgrad.explain.regression import Regression
from softgrad.foreign import clean
from softgrad.promises import Conformance, Outcome
from softgrad.report.check import check_page
from softgrad.report.conformance import conformance_page
from softgrad.report.language import language_page
from softgrad.report.page import Page
from softgrad.report.regression import regression_page
from softgrad.report.session import session_page
from softgrad.report.tour import tour_page
from softgrad.report.training import training_page


@cache
def checked() -> tuple[Report, Jacobians]:
    def diagonal_only(z, g):
        p = sg.softmax(z)
        return p * (1 - p) * g

    z = np.random.default_rng(0).normal(size=(4, 5))
    report = check(sg.softmax, diagonal_only, z)
    jacobians = jacobians_of(report, sg.softmax, diagonal_only, z)
    assert jacobians is not None
    return report, jacobians


def foreign_report(s: str) -> Report:
    diagnosis = Diagnosis("scale", s, Formula(s, s), s, s)
    where = Where(0, None, None, None, s, s)
    findings = (Finding("fail", s), Finding("note", s))
    report = replace(checked()[0], subject=s, oracle=s, dtype=s, findings=findings)
    return replace(report, diagnosis=diagnosis, where=where)


def foreign_rows(s: str) -> Judged:
    rows = trained("iris", '{"hidden": [8], "epochs": 4}').judged()
    return replace(rows, classes=(s, f"{s} 1", "c"), features=(s, *rows.features[1:]), are=s)


def foreign_tokens(s: str) -> JudgedTokens:
    p = np.array([[0.5, 0.25], [0.75, 0.125]])
    return JudgedTokens((s, "x"), (s, f"{s} 1"), np.array([0.25, 0.75]), ((f"{s} 2", s),) * 2, p)


def check_of(s: str) -> Page:
    return check_page(foreign_report(s), s, replace(checked()[1], input=s))


def session_of(s: str) -> Page:
    return session_page([LayerCheck(s, foreign_report(s)), LayerCheck(s, checked()[0])], s)


def training_of(s: str) -> Page:
    run, rows = training("iris"), foreign_rows(s)
    checks = (LayerCheck(s, foreign_report(s)), *run.checks[1:])
    settings = run.settings | {"target": s}
    run = replace(run, data=s, source=s, classes=rows.classes, checks=checks, settings=settings)
    return training_page(replace(run, layers=(s, *run.layers[1:])), rows)


def regression_of(s: str) -> Page:
    rows = foreign_rows(s)
    run = Regression(s, rows.classes, 4, {"target": s}, "newton", 2, 0.5, 1e-9, (0.5, 0.1), 1.0)
    return regression_page(run, rows, s)


def conformance_of(s: str) -> Page:
    broken, missing = (
        Outcome(s, s, "broken", 3.0, 1.0, s, s, s),
        Outcome(f"{s} 1", s, "could not run", None, 1.0, s, s, s),
    )
    return conformance_page([Conformance(s, s, s, {s: s}, (broken, missing))], s)


def language_of(s: str) -> Page:
    run = language_training(corpus=s, settings={"context": s, "dim": 4, "seed": 0})
    return language_page(run, [2.0, 1.0], foreign_report(s), foreign_tokens(s), (s, s))


def tour_of(s: str) -> Page:
    seen = tour("iris")
    classes = (s, f"{s} 1", "c")
    run = replace(seen.training, data=s, classes=classes)
    sample = replace(seen.sample, classes=classes)
    return tour_page(replace(seen, training=run, sample=sample, followed_classes=classes))


PAGES = {
    "check": check_of,
    "session": session_of,
    "training": training_of,
    "regression": regression_of,
    "conformance": conformance_of,
    "tour": tour_of,
    "language": language_of,
}
DRAWN = {"svg", "g", "title", "desc", "text", "tspan", "path", "line", "rect", "circle", "image"}
WRITTEN = {
    "html", "head", "meta", "style", "body", "header", "main", "section", "footer", "h1", "h2",
    "p", "pre", "div", "figure", "figcaption", "details", "summary",
    "table", "caption", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def test_payloads_are_many() -> None:
    assert len(set(PAYLOADS)) >= 60


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_foreign_string_does_nothing_on_a_real_page(payload: str, name: str) -> None:
    page = PAGES[name](payload)
    assert_nothing_runs(page)
    elements = Elements(page)
    assert elements.names <= DRAWN | WRITTEN
    first = clean(next(filter(None, payload.split())))
    assert first[:20] in elements.text


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_small_and_answers_first(name: str) -> None:
    from softgrad.report.page import render

    page = PAGES[name]("a name")
    document = render(page)
    assert len(document.encode()) < 300_000
    places = [document.index(f"<h2>{section.heading}") for section in page.sections]
    assert document.index('class="verdict') < places[0]
    assert places == sorted(places)
    assert places[-1] < document.index("<h2>Repeat it")
