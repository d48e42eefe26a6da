"""`softgrad conformance`: shipped implementations and the user's own; exit codes; bad input."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli_runs import assert_refused, softgrad

GOOD = """
import softgrad as sg

print("loading")


def softmax(z):
    return sg.softmax(z)


pair = softmax, sg.softmax.vjp
"""
USUAL = """
import numpy as np


def softmax(z):
    E = np.exp(z - z.max(axis=-1, keepdims=True))
    return E / E.sum(axis=-1, keepdims=True)


def fails(z):
    raise ValueError("never")
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.py"
    path.write_text(GOOD, encoding="utf-8")
    return path


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    path = tmp_path / "usual.py"
    path.write_text(USUAL, encoding="utf-8")
    return path


def test_a_function_that_keeps_all_exits_with_0(good: Path) -> None:
    outcome = softgrad("conformance", f"{good}:pair", "--suite", "softmax")
    assert outcome.code == 0
    assert "softmax by softmax: 19 promises: 16 kept, 3 not offered" in outcome.out
    assert outcome.err == "loading\n"


def test_a_function_that_breaks_one_exits_with_1(usual: Path) -> None:
    outcome = softgrad("conformance", f"{usual}:softmax", "--suite=softmax", "--json")
    assert outcome.code == 1
    assert outcome.document["schema"] == "softgrad.conformances/1"
    (result,) = outcome.document["results"]
    assert result["schema"] == "softgrad.conformance/1"
    broken = {o["promise"] for o in result["outcomes"] if o["verdict"] == "broken"}
    assert "wide-range" in broken


def test_a_function_that_cannot_be_measured_exits_with_4(usual: Path) -> None:
    (usual.parent / "odd.py").write_text(
        "def softmax(z):\n    raise ValueError('not today')\n", encoding="utf-8"
    )
    place = f"{usual.parent / 'odd.py'}:softmax"
    outcome = softgrad("conformance", place, "--suite=softmax", "--framework=numpy")
    assert outcome.code == 4
    assert "could not run (ValueError: not today): ordinary-rows" in outcome.out


def test_all_suites_of_a_shipped_one_are_measured() -> None:
    outcome = softgrad("conformance", "scipy", "--json")
    assert outcome.code == 1
    results = outcome.document["results"]
    assert [result["suite"] for result in results] == ["softmax", "log_softmax"]
    assert {result["implementation"] for result in results} == {"scipy"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["Missing argument 'TARGET'"]),
        (["nope"], ["expected softgrad, softgrad-torch, softgrad-jax", "got 'nope'"]),
        (["usual.py:softmax"], ["--suite: expected softmax, log_softmax"]),
        (["usual.py:softmax", "--suite=softplus"], ["--suite", "softplus"]),
        (["usual.py:softmax", "--suite=softmax", "--framework=mlx"], ["--framework", "mlx"]),
        (["usual.py:softmix", "--suite=softmax"], ["did you mean 'softmax'"]),
        (["gone.py:softmax", "--suite=softmax"], ["gone.py: no such file"]),
        (["usual.py:np", "--suite=softmax"], ["`implementation` must be a function", "module"]),
        (["usual.py:fails", "--suite=softmax"], ["NumPy: ValueError: never"]),
        (["torch-fused", "--suite=softmax"], ["among linear_cross_entropy for 'torch-fused'"]),
    ],
)
def test_bad_usage_is_one_line(
    args: list[str], words: list[str], usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(usual.parent)
    assert_refused(softgrad("conformance", *args), *words)


def test_a_shipped_one_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optax", None)
    monkeypatch.delitem(sys.modules, "softgrad.promises.adapters.optax", raising=False)
    assert_refused(softgrad("conformance", "optax"), "pip install optax")
