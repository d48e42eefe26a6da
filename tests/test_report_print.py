"""The report on paper, in a real browser: nothing is folded away, nothing runs off the sheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from explorer_browser import chromium, launch
from report_cases import drawings
from softgrad.report.page import Figure, Fold, Page, Section, render
from softgrad.results import Paragraph, Table

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if chromium() is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

SHEET = 718
"""What is left of the width of A4 between margins of 10 mm, in pixels of CSS."""


@pytest.fixture(scope="module")
def paper() -> Iterator[Any]:
    """A page with a wide table, a fold and every drawing, as it is printed."""
    wide = Table(tuple(f"one column {k}" for k in range(8)), (("several words", 0.25) * 4,) * 9)
    figures = tuple(Figure(svg, "A caption. " * 9) for svg in drawings("a").values())
    section = Section("All", (wide,), figures, (Fold("More", (Paragraph("Folded."), wide)),))
    with sync_api.sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": SHEET, "height": 1000})
        page.set_content(render(Page("Report", Paragraph("Good.", "good"), (section,), "do it")))
        page.emulate_media(media="print")
        yield page
        browser.close()


def test_folds_are_open_on_paper_and_closed_on_the_screen(paper: Any) -> None:
    def is_seen() -> list[bool]:
        seen: list[bool] = paper.eval_on_selector_all(
            "details *", "all => all.map(e => e.checkVisibility())"
        )
        return seen

    assert len(is_seen()) > 80
    assert all(is_seen())
    paper.emulate_media(media="screen")
    assert is_seen().count(True) == 1  # its name
    paper.emulate_media(media="print")


def test_nothing_is_wider_than_the_sheet(paper: Any) -> None:
    ends = paper.eval_on_selector_all(
        "body *:not(svg *)", "all => all.map(e => e.getBoundingClientRect().right)"
    )
    assert max(ends) <= SHEET


def test_small_pictures_stand_side_by_side(paper: Any) -> None:
    tops = paper.eval_on_selector_all(
        "figure", "all => all.map(e => Math.round(e.getBoundingClientRect().top))"
    )
    assert len(set(tops)) < len(tops)
