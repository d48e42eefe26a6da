"""What a notebook and an interpreter show of every result: no script, little, and to be read."""

from __future__ import annotations

import importlib
import pkgutil
import re
import warnings
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from report_runs import language_training, tour, training
from softgrad.learn import reliability
from softgrad.nn import Adam, Epoch, History, build_mlp
from softgrad.nn import train as train_network
from softgrad.promises import Conformances
from softgrad.results import Result

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X @ [1.0, -1.0, 0.5] + RNG.normal(size=60) > 0).astype(int)
K, D = 100, 40
WIDE_X, WIDE_W = RNG.normal(size=D), RNG.normal(size=(K, D))


@cache
def fitted() -> Any:
    return sg.SoftmaxClassifier(C=np.inf).fit(X, Y)


def wrong(z: Any, g: Any) -> Any:
    return g * sg.softmax(z)


@cache
def broken() -> Any:
    return sg.conformance("softmax", (lambda z: np.exp(z), lambda z, g: g))


def history(epochs: int) -> History:
    sizes = {"0": 1.0}
    return History(tuple(Epoch(k, 1 / k, 0.5, 1 / k, 0.5, sizes) for k in range(1, epochs + 1)))


def regression() -> Any:
    from softgrad.explain.regression import Regression

    return Regression("x", ("a", "b"), 2, {}, "newton", 1, 0.5, 1e-9, (0.5,), 1.0)


def separation() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sg.SoftmaxClassifier(C=np.inf).fit(X, X[:, 0] > 0).separation_


RESULTS: dict[str, Callable[[], Any]] = {
    "Report": lambda: sg.check(sg.softmax, wrong, RNG.normal(size=(4, 37))),
    "Comparison": lambda: sg.compare(WIDE_X, WIDE_W, 1),
    "Followed": lambda: sg.follow(sg.softmax, "output", 5000, index=1, start=WIDE_X),
    "Shapes": lambda: sg.shapes(build_mlp(D, 10, hidden=(30, 20), seed=0), WIDE_X),
    "Conformance": broken,
    "Conformances": lambda: Conformances((broken(), broken())),
    "History": lambda: history(2000),
    "Training": lambda: training("digits"),
    "Tour": tour,
    "Regression": regression,
    "LanguageTraining": language_training,
    "Gradients": lambda: build_mlp(3, 2, hidden=(200,), seed=0).gradients(X, Y),
    "Reliability": lambda: reliability(fitted().predict_proba(X), Y),
    "Summary": lambda: fitted().summary(X, Y),
    "LikelihoodRatio": lambda: fitted().summary(X, Y).likelihood_ratio,
    "Separation": separation,
}
PICTURED = {"Comparison", "Followed", "Training", "History", "Conformance"}
WRITTEN = {"div", "p", "br", "table", "caption", "thead", "tbody", "tr", "th", "td"}
DRAWN = {"svg", "g", "title", "desc", "text", "path", "line", "rect", "circle", "image"}
# What the command line alone makes is not for notebooks; its benchmarks would take long.
ELSEWHERE = {"Benchmark", "Environment", "Examples"}


class Tags(HTMLParser):
    """Collects elements and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_every_result_is_looked_at() -> None:
    for module in pkgutil.walk_packages(sg.__path__, "softgrad."):
        if not module.name.startswith(("softgrad.kernels.numba", "softgrad.bench.ways")):
            importlib.import_module(module.name)
    names = {kind.__name__ for kind in Result.__subclasses__() if "softgrad" in kind.__module__}
    assert names == set(RESULTS) | ELSEWHERE


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_a_notebook_shows_a_result_without_script_and_small(make: Callable[[], Any]) -> None:
    result = make()
    html = result._repr_html_()
    assert len(html.encode()) <= 50_000
    tags = Tags(html)
    assert tags.seen <= WRITTEN | DRAWN
    assert ("svg" in tags.seen) == (type(result).__name__ in PICTURED)
    assert not [name for name in tags.attributes if name.startswith("on") or name == "src"]
    assert set(re.findall(r'href="([^,]*)', html)) <= {"data:image/png;base64"}
    assert "url(" not in html


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_an_interpreter_shows_a_result_to_be_read(make: Callable[[], Any]) -> None:
    result = make()
    lines = repr(result).splitlines()
    assert 1 <= len(lines) <= 100
    assert max(map(len, lines)) <= 100
    assert "array(" not in repr(result)
    assert str(result).startswith("\n".join(lines[:50]))


def test_a_choice_is_one_line() -> None:
    assert str(sg.explain_impl(sg.softmax, X)).startswith("reference: ")


def test_a_training_is_shown_by_its_history() -> None:
    network = build_mlp(3, 2, hidden=(4,), seed=0)
    seen = train_network(network, Adam(), X, Y, epochs=2)
    assert "epoch" in repr(seen)
