"""Small real runs for the reports, and what an HTML reader sees of a page."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

from softgrad.cli.command import Output
from softgrad.cli.fitting import Fit, Settings
from softgrad.explain.language_training import LanguageTraining
from softgrad.explain.tour import Tour, take_tour
from softgrad.explain.training import Training
from softgrad.report.page import Page, render

FOREIGN = "<img src=x onerror=alert(1)>\"'&</title></svg>"


@cache
def trained(data: str, settings: str = "{}") -> Fit:
    fit = Fit(data, Settings(**json.loads(settings)))
    fit.check()
    fit.train(Output.standard(as_json=True))
    return fit


def training(data: str = "iris", **settings: Any) -> Training:
    return trained(data, json.dumps({"hidden": [8], "epochs": 4} | settings)).result()


def tour(data: str = "digits") -> Tour:
    fit = trained(data, json.dumps({"hidden": [16], "epochs": 4}))
    X = fit.model.standardizer(fit.held_out.X)
    return take_tour(fit.result(), fit.model.network, X, fit.held_out.y)


def language_training(**fields: Any) -> LanguageTraining:
    known = LanguageTraining(
        corpus="stdlib", files=1, held_out_files=1, skipped_files=0, tokens=10, held_out_tokens=5,
        types=4, held_out_unknown=0, settings={"context": 3, "dim": 2, "epochs": 1, "seed": 0},
        parameters=9, epoch_losses=(1.0,), training_loss=1.0, uniform_loss=2.0, unigram_loss=1.5,
        characters_per_token=3.0, tokens_per_second=10.0, seconds=1.0, peak_bytes=None,
    )  # fmt: skip
    return replace(known, **fields)


def captions(page: Page) -> list[str]:
    return [figure.caption for section in page.sections for figure in section.figures]


def sentences(page: Page) -> str:
    """Return the verdict, the paragraphs and the captions as one text."""
    blocks = [block for section in page.sections for block in section.blocks]
    texts = [getattr(block, "text", "") for block in blocks]
    return "\n".join([page.verdict.text, *texts, *captions(page)])


class Elements(HTMLParser):
    """Collects the names of a page's elements and their attributes, and its text."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(render(page))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_nothing_runs(page: Page) -> None:
    elements = Elements(page)
    assert not elements.names & {"script", "img", "link", "iframe", "object", "a", "base", "form"}
    assert not [n for n in elements.attributes if n.startswith("on") or n in ("style", "src")]
    assert "default-src 'none'" in render(page).replace("&#39;", "'")
