"""The tests' own test: scans every test file for comparisons that cannot fail."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from asserts import (
    assert_close,
    assert_mpmath_close,
    assert_not_uniform,
    assert_same_bits,
    assert_within,
    assert_zero,
)

FILES = sorted(Path(__file__).parent.glob("*.py"))
TRUTHS = {"allclose", "array_equal", "isclose", "isfinite", "isnan", "all", "any", "isinstance"}
PRODUCTS = {"jvp", "vjp", "hvp", "mv", "rmv", "backward"}


def name_of(call: ast.expr) -> str:
    """Return the last part of the name that is called, or nothing."""
    if not isinstance(call, ast.Call):
        return ""
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


def number(node: ast.expr | None) -> float | None:
    """Return a number that is written out, or None."""
    return (
        float(node.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
        else None
    )


def idle_statements(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find comparisons and truth values that nobody asserts, and asserts that always hold."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and (
            isinstance(node.value, ast.Compare | ast.BoolOp) or name_of(node.value) in TRUTHS
        ):
            yield node.lineno, "a comparison that nothing asserts"
        if isinstance(node, ast.Assert):
            test = node.test
            if isinstance(test, ast.Tuple) or (isinstance(test, ast.Constant) and test.value):
                yield node.lineno, "an assert that always holds"
            if isinstance(test, ast.Compare) and is_itself(test.left, test.comparators[0]):
                yield node.lineno, "a comparison of something with itself"


def is_itself(left: ast.expr, right: ast.expr) -> bool:
    """Tell whether two expressions are one; two calls may well differ, and are worth comparing."""
    calls = any(isinstance(node, ast.Call) for node in ast.walk(left))
    return not calls and ast.dump(left) == ast.dump(right)


def duplicate_tests(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find tests that a later one of the same name replaces."""
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef)]
    for scope in scopes:
        names = [n for n in scope.body if isinstance(n, ast.FunctionDef)]
        counts = Counter(n.name for n in names)
        for node in names:
            if node.name.startswith("test") and counts[node.name] > 1:
                yield node.lineno, f"{node.name} stands {counts[node.name]} times"


def uniform_directions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find products with a vector of ones, which lies in softmax's null space."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node) in PRODUCTS:
            for argument in node.args:
                if name_of(argument) in {"ones", "ones_like"}:
                    yield node.lineno, f"{name_of(node)} of a vector of ones"


def absolute_tolerances(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find tolerances that do not know how large the answer is.

    Beside digits that are written out, as in a published example, an absolute one is right.
    """
    written = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_literal(node.value, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        name, given = name_of(node), {k.arg: k.value for k in getattr(node, "keywords", [])}
        if name == "assert_almost_equal":
            yield node.lineno, "assert_almost_equal counts decimals"
        if name not in {"assert_allclose", "allclose", "isclose", "approx"}:
            continue
        if any(is_literal(argument, written) for argument in node.args):
            continue
        alone = "rel" not in given if name == "approx" else number(given.get("rtol")) == 0
        if alone and number(given.get("abs" if name == "approx" else "atol")):
            yield node.lineno, f"{name} with an absolute tolerance alone"


def is_literal(node: ast.expr, written: set[str]) -> bool:
    """Tell whether an expression is digits, or a name that was given digits."""
    if isinstance(node, ast.Name):
        return node.id in written
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


SCANS = {
    scan.__name__: scan
    for scan in (idle_statements, duplicate_tests, uniform_directions, absolute_tolerances)
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
def test_no_test_is_idle(scan: Callable[..., Iterator[tuple[int, str]]], file: Path) -> None:
    found = [
        f"{file.name}:{line}: {what}" for line, what in scan(ast.parse(file.read_text("utf-8")))
    ]
    assert not found, "\n".join(found)


BAD = {
    "idle_statements": [
        "def test_a():\n    f(x) == 1",
        "def test_a():\n    np.allclose(a, b)",
        "def test_a():\n    assert (a, 'message')",
        "def test_a():\n    assert a.b == a.b",
    ],
    "duplicate_tests": ["def test_a():\n    pass\ndef test_a():\n    pass"],
    "uniform_directions": ["f.vjp(x, np.ones_like(x))", "J.rmv(np.ones(3))"],
    "absolute_tolerances": [
        "np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)",
        "assert a == pytest.approx(b, abs=1e-3)",
        "np.testing.assert_almost_equal(a, b)",
    ],
}


@pytest.mark.parametrize(
    ("scan", "source"), [(s, code) for s, codes in BAD.items() for code in codes]
)
def test_scans_find_what_they_look_for(scan: str, source: str) -> None:
    assert list(SCANS[scan](ast.parse(source)))


def test_test_functions_stand_in_files_that_pytest_collects() -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert file.name.startswith("test_"), f"{file.name}:{node.lineno}"


# --- the helpers that compare ----------------------------------------------------------------


def refused(helper: Callable[..., object], *arguments: object, **options: object) -> None:
    with pytest.raises(AssertionError):
        helper(*arguments, **options)


def test_helpers_refuse_what_zeros_would_pass() -> None:
    zeros, one = np.zeros(3), np.array([0.0, 1e-20, 0.0])
    refused(assert_close, zeros, zeros, u=4)
    refused(assert_close, one, one, u=4, scale=1.0)
    refused(assert_close, np.zeros(0), np.zeros(0), u=4)
    refused(assert_mpmath_close, zeros, [0.0, 0.0, 0.0], u=4)
    refused(assert_zero, zeros, u=4, scale=0.0)
    refused(assert_same_bits, np.zeros(0), np.zeros(0))
    refused(assert_within, np.zeros(0), np.zeros(0), "nothing")
    refused(assert_within, np.zeros(1), np.full(1, np.inf), "an infinite bound")
    refused(assert_not_uniform, np.full((2, 3), 0.7))


def test_helpers_refuse_wrong_answers() -> None:
    right = np.array([1.0, 2.0, -3.0])
    for wrong in (right * (1 + 1e-12), -right, right[:2], np.array([1.0, np.nan, -3.0]), 0 * right):
        refused(assert_close, wrong, right, u=64)
        refused(assert_mpmath_close, wrong, right.tolist(), u=64)
        refused(assert_same_bits, wrong, right)
    refused(assert_same_bits, np.array([0.0]), np.array([-0.0]))
    refused(assert_same_bits, right.astype(np.float32), right)
    refused(assert_zero, right * 1e-10, u=64, scale=1.0)


def test_helpers_pass_right_answers() -> None:
    right = np.array([1.0, 2.0, -3.0])
    assert_close(right * (1 + 2e-16), right, u=8)
    assert_mpmath_close(right, right.tolist(), u=1)
    assert_same_bits(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))
    assert_zero(right * 1e-16, u=8, scale=1.0)
    assert_not_uniform(right)
