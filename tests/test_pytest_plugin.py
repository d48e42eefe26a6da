"""The pytest plugin: sessions of pytest inside of tests, and what comes out of them."""

from __future__ import annotations

import ast
import html
import json
import re
import sys
import tomllib
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import softgrad as sg
from report_runs import FOREIGN
from softgrad.checker import Report, check
from softgrad.checker.diagnosis.examples import diagonal_only
from softgrad.explain.layer_checks import LayerCheck
from softgrad.report.page import render
from softgrad.report.session import session_page

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PREAMBLE = """
import numpy as np
import pytest
from softgrad.checker.diagnosis.examples import diagonal_only, softmax

Z = np.random.default_rng(0).normal(size=(4, 5))
G = np.random.default_rng(1).normal(size=(4, 5))
ONES = np.ones((4, 5))

def right(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))
"""
OK, FAILED, INTERNAL, USAGE, NO_TESTS = 0, 1, 3, 4, 5


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Load what inner sessions need.

    They run in this process, and pytester forgets what they load: it would be loaded a second time,
    and many libraries do not survive that.
    """
    for name in ("xdist.dsession", "pytest_softgrad"):
        import_module(name)
    report = check(sg.softmax, diagonal_only, [2.0, 1.0, 0.0])
    assert "diagonal-only" in str(report)
    assert render(session_page([LayerCheck("", report)], ""))


class Loaded:
    """Sees to it that `_loaded` has loaded everything."""

    def __init__(self) -> None:
        self.before = set(sys.modules)

    def pytest_unconfigure(self) -> None:
        new = sys.modules.keys() - self.before
        ours = {"conftest", "test_it", "_pytest", *sys.stdlib_module_names}
        assert {name.partition(".")[0] for name in new} <= ours, sorted(new)


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run a file of tests; `run(source, *options)` returns what pytest said."""
    # No other plugin that is installed here, not even the one that is tested, but by name.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def session(
        source: str, *options: str, plugin: str = "pytest_softgrad", preamble: str = PREAMBLE
    ) -> pytest.RunResult:
        pytester.makepyfile(test_it=preamble + source)
        # Our own session, around this one, takes warnings as errors.
        given = ("-p", plugin, "--strict-markers", "-W", "default", *options)
        return pytester.runpytest_inprocess(*given, plugins=[Loaded()])

    return session


def checks_in(file: Path) -> list[dict[str, Any]]:
    document = json.loads(file.read_text("utf-8"))
    assert document["schema"] == "softgrad.pytest/1"
    return document["checks"]


# --- the fixture -----------------------------------------------------------------------------


def test_a_right_backward_passes_and_its_report_is_returned(run):
    result = run("""
def test_softmax(gradcheck):
    report = gradcheck(softmax, right, Z)
    assert (report.verdict, report.seed, report.subject) == ("pass", 0, "right")

def test_options(gradcheck):
    report = gradcheck(softmax, right, Z, dtype="float32", seed=5, where=Z > 0)
    assert (report.dtype, report.seed) == ("float32", 5)
""", "-W", "error")  # fmt: skip
    result.assert_outcomes(passed=2)


def test_the_failure_is_the_diagnosis_at_the_line_of_the_test(run):
    result = run("""
def test_softmax(gradcheck):
    gradcheck(softmax, diagonal_only, Z)
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*gradcheck(softmax, diagonal_only, Z)",
            "E * FAIL  diagonal_only  relative error *",
            "E * Only the diagonal of the Jacobian is used*",
            "E * you return *g * s * (1 - s)",
            "E * it should be *",
            "E * seed 0",
            "test_it.py:*: AssertionError",
        ]
    )
    assert not re.search(r"^\S*softgrad\S*\.py:\d+", result.stdout.str(), re.MULTILINE)


def test_an_inconclusive_check_fails_and_says_so(run):
    result = run("""
def test_steps(gradcheck):
    gradcheck(np.sign, lambda z, g: 0 * z, Z)
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * INCONCLUSIVE *", "E * inconclusive check shows nothing*"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("seed=-1", "ValueError: `seed` must be an integer that is not negative, got -1"),
        ("sed=1", "TypeError: * unexpected keyword argument 'sed'"),
    ],
    ids=["value", "name"],
)
def test_a_wrong_argument_is_shown_at_the_line_of_the_test(run, options, words):
    result = run(f"""
def test_softmax(gradcheck):
    gradcheck(softmax, right, Z, {options})
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*gradcheck(softmax, right, Z, *", f"E * {words}"])
    assert not re.search(r"^\S*softgrad\S*\.py:\d+", result.stdout.str(), re.MULTILINE)


def test_the_nearest_marker_decides_and_the_call_before_it(run):
    result = run("""
@pytest.mark.gradcheck(seed=1, thorough=True)
class TestClass:
    def test_of_the_class(self, gradcheck):
        report = gradcheck(softmax, right, Z)
        assert report.seed == 1
        assert report.cost.backward > 9

    @pytest.mark.gradcheck(seed=2)
    def test_of_its_own(self, gradcheck):
        report = gradcheck(softmax, right, Z)
        assert report.seed == 2
        assert report.cost.backward > 9
        report = gradcheck(softmax, right, Z, seed=3, thorough=False)
        assert report.seed == 3
        assert report.cost.backward <= 9
""", "--softgrad-seed=7")  # fmt: skip
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "got"),
    [("sed=1, sead=2", "sed, sead"), ("3", "3"), ("seed=1, rtol=3", "rtol")],
    ids=["two", "unnamed", "one of two"],
)
def test_an_unknown_argument_of_the_marker_is_named(run, marker, got):
    result = run(f"""
@pytest.mark.gradcheck({marker})
def test_softmax(gradcheck):
    raise SystemExit
""")
    result.assert_outcomes(errors=1)
    known = "dtype, reference, where, seed, thorough, order, second"
    result.stdout.fnmatch_lines([f"*gradcheck takes {known} by name, got {got}"])


def test_the_seed_of_the_command_line_makes_other_probes(run, tmp_path):
    source = """
def test_softmax(gradcheck):
    gradcheck(softmax, right, Z.astype("float32"))
"""
    reports = []
    for seed in ("4", "5", "4"):
        file = tmp_path / "checks.json"
        run(source, f"--softgrad-seed={seed}", f"--softgrad-json={file}").assert_outcomes(passed=1)
        (found,) = checks_in(file)
        reports.append(found["report"])
    assert [report["seed"] for report in reports] == [4, 5, 4]
    errors = [report["relative_error"] for report in reports]
    assert errors[0] != errors[1]
    assert errors[0] == errors[2]


@pytest.mark.parametrize("seed", ["-1", "1.5", "x", ""])
def test_a_seed_that_is_none_is_refused(run, seed):
    result = run("def test_it(): pass", f"--softgrad-seed={seed}")
    assert result.ret == USAGE
    result.stderr.fnmatch_lines(["*--softgrad-seed: expected an integer that is not negative*"])


# --- the files -------------------------------------------------------------------------------

MANY = """
import time

@pytest.mark.parametrize("slow", [0.5, 0, 0, 0])
def test_right(gradcheck, slow):
    time.sleep(slow)  # the first test is the last one that is done
    gradcheck(softmax, right, Z)
    gradcheck(softmax, right, -Z, seed=1)

def test_without(): pass

def test_wrong(gradcheck):
    gradcheck(softmax, diagonal_only, Z)

@pytest.fixture
def early(gradcheck):
    yield gradcheck(softmax, right, Z, seed=2)
    gradcheck(softmax, right, Z, seed=3)

def test_by_a_fixture(early, gradcheck):
    gradcheck(softmax, right, Z, seed=4)
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_each_check_is_written_once_in_the_order_of_the_tests(run, pytester, processes):
    options = ("-p", "xdist", "-n", processes)
    result = run(MANY, *options, "--softgrad-json=c.json", "--softgrad-report=c.html")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*- gradient checks: *c.html, *c.json -*"])
    checks = checks_in(pytester.path / "c.json")
    rights = [f"test_right[{slow}]" for slow in ("0.5", "0_0", "0_1", "0_2")]
    expected = [(name, seed) for name in rights for seed in (0, 1)]
    expected += [("test_wrong", 0)] + [("test_by_a_fixture", seed) for seed in (2, 4, 3)]
    assert len(checks) == 12
    found = [(check["nodeid"], check["report"]["seed"]) for check in checks]
    assert [(re.sub(r".*::", "", name), seed) for name, seed in found] == expected
    for check_ in checks:
        failed = check_["nodeid"].endswith("test_wrong")
        assert check_["report"]["verdict"] == ("fail" if failed else "pass")
        assert Report.from_dict(check_["report"]).to_dict() == check_["report"]
    page = (pytester.path / "c.html").read_text("utf-8")
    assert "11 of 12 gradient checks pass: 1 failed." in page
    assert "Only the diagonal of the Jacobian is used" in page
    assert "test_it.py::test_wrong" in page
    assert f"test_it.py::{rights[0]}, check 2" in page
    assert page.count("as your backward says, and as was measured") == 1
    assert f"-W default -p xdist -n {processes} --softgrad-json=c.json" in page
    for word in ("<script", " src=", " href=", "url(", "@import"):
        assert word not in page.replace(' href="data:image/png;base64,', "")


def test_names_of_tests_are_text_in_the_page(run, pytester):
    source = f"""
@pytest.mark.parametrize("x", [1], ids=[{FOREIGN!r}])
def test_softmax(gradcheck, x):
    gradcheck(softmax, diagonal_only, Z)
"""
    run(source, "--softgrad-report=c.html").assert_outcomes(failed=1)
    page = (pytester.path / "c.html").read_text("utf-8")
    assert FOREIGN not in page
    assert "<img" not in page
    assert html.unescape(page).count(FOREIGN) >= 2


def test_files_are_written_where_nothing_was_checked_and_not_where_nothing_ran(run, pytester):
    options = ("--softgrad-json=c.json", "--softgrad-report=c.html")
    source = "def test_it(): pass"
    run(source, *options, "--collect-only")
    assert not list(pytester.path.glob("c.*"))
    run(source, *options).assert_outcomes(passed=1)
    assert checks_in(pytester.path / "c.json") == []
    assert "No gradient was checked." in (pytester.path / "c.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--softgrad-report=no/c.html"], "--softgrad-report: *no/c.html: there is no directory*"),
        (["--softgrad-json=no/c.json"], "--softgrad-json: *no/c.json: there is no directory*"),
        (["--softgrad-json=."], "--softgrad-json: *expected a file, got a directory"),
        (["--softgrad-json="], "--softgrad-json: *expected a file, got a directory"),
        (
            ["--softgrad-json=c", "--softgrad-report=./c"],
            "--softgrad-json: *c: expected a file of its own",
        ),
    ],
    ids=["no folder", "no folder for JSON", "folder", "empty", "the same twice"],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_tests(run, options, words):
    result = run("def test_it(): pass", *options)
    assert result.ret == USAGE
    result.stderr.fnmatch_lines([f"ERROR: {words}"])
    assert "passed" not in result.stdout.str()


def test_a_file_that_cannot_be_written_in_the_end_is_said(run, pytester):
    pytester.mkdir("gone")
    source = """
import os

def test_it(gradcheck):
    gradcheck(softmax, right, Z)
    os.rmdir("gone")
"""
    result = run(source, "--softgrad-json=gone/c.json")
    assert result.ret == INTERNAL
    result.stdout.fnmatch_lines(["*- gradient checks: *c.json: cannot be written: no such file*"])


# --- the planted mistake ---------------------------------------------------------------------


@pytest.fixture
def blind(monkeypatch):
    """Let the checker pass everything."""

    def passing(*arguments: Any, **options: Any) -> Report:
        return replace(check(*arguments, **options), verdict="pass")

    monkeypatch.setattr(sg, "check", passing)


@pytest.mark.parametrize("mark", ["", "@pytest.mark.xfail"])
@pytest.mark.usefixtures("blind")
def test_the_session_ends_where_the_checker_passes_a_planted_mistake(run, mark):
    result = run(f"""
def test_first(): pass

{mark}
def test_softmax(gradcheck):
    gradcheck(softmax, right, Z)

def test_later(): pass
""")
    assert result.ret == FAILED
    result.assert_outcomes(passed=1, **{"xfailed" if mark else "errors": 1})
    result.stdout.fnmatch_lines(["!* softgrad's checker did not reject a backward that is known*!"])


@pytest.mark.usefixtures("blind")
def test_nothing_is_planted_where_nothing_is_checked(run):
    run("def test_it(): pass").assert_outcomes(passed=1)


def test_the_planted_mistake_is_in_no_file(run, pytester):
    source = "def test_it(gradcheck): gradcheck(softmax, right, Z)"
    run(source, "--softgrad-json=c.json").assert_outcomes(passed=1)
    assert [found["report"]["subject"] for found in checks_in(pytester.path / "c.json")] == [
        "right"
    ]


# --- tests that show nothing -----------------------------------------------------------------

# Each says what is warned of.
VACUOUS = """
def test_sum_of_softmax(gradcheck):
    "*the forward is constant*"
    gradcheck(lambda z: softmax(z).sum(axis=-1), lambda z, g: 0 * z, Z)

def test_ones(gradcheck):
    "*the cotangent is uniform along axis 1*"
    gradcheck.assert_close(0 * Z, right(Z, ONES), atol=1e-8, cotangent=ONES)

def test_ones_of_log_softmax(gradcheck):
    "*the cotangent is uniform along axis 1*"
    z_bar = 1 - 5 * softmax(Z)
    gradcheck.assert_close(z_bar, z_bar, cotangent=ONES)

def test_ones_in_float32(gradcheck):
    "*the cotangent is uniform along axis 1*"
    z_bar = 1 - 5 * softmax(Z.astype("float32"))
    gradcheck.assert_close(z_bar, z_bar, rtol=1e-5, cotangent=ONES)

def test_rows_that_are_equal(gradcheck):
    "*the cotangent is uniform along axis 0*"
    g = np.ones((4, 1)) * G[:1]
    z_bar = right(Z.T, g.T).T
    gradcheck.assert_close(z_bar, z_bar, atol=1e-8, cotangent=g)

def test_tolerance(gradcheck):
    "*zeros passes this comparison: no expected entry is larger than *e-07*atol=1e-05*"
    gradcheck.assert_close(0 * Z, 1e-6 * right(Z, G), atol=1e-5, cotangent=G)

def test_relative_tolerance(gradcheck):
    "*zeros passes this comparison*rtol=1"
    gradcheck.assert_close(0 * Z, right(Z, G), rtol=1)

def test_nothing(gradcheck):
    "*zeros passes this comparison*"
    gradcheck.assert_close(Z[:0], Z[:0], cotangent=Z[:0])

def test_zero_of_one_class(gradcheck):
    "*zeros passes this comparison*"
    gradcheck.assert_close(0 * Z[:, :1], 0 * Z[:, :1], cotangent=G[:, :1])
"""

SOUND = """
def test_check(gradcheck):
    gradcheck(softmax, right, Z)

def test_random_cotangent(gradcheck):
    gradcheck.assert_close(right(Z, G), right(Z, G), cotangent=G)

def test_tolerance(gradcheck):
    gradcheck.assert_close(right(Z, G), right(Z, G), atol=1e-5)

def test_ones_where_there_is_no_sum(gradcheck):
    gradcheck.assert_close(np.exp(Z), np.exp(Z), cotangent=ONES)

def test_ones_where_slopes_are_small(gradcheck):
    gradcheck.assert_close(np.exp(Z - 40), np.exp(Z - 40), cotangent=ONES)

def test_ones_of_another_shape(gradcheck):
    centred = G - G.mean(axis=-1, keepdims=True)
    gradcheck.assert_close(centred, centred, cotangent=ONES[0])

def test_one_class(gradcheck):
    gradcheck.assert_close(np.exp(Z[:, :1]), np.exp(Z[:, :1]), cotangent=ONES[:, :1] * G[:, :1])

def test_scalar(gradcheck):
    gradcheck.assert_close(2.0, 2.0, cotangent=1.0)

def test_infinite(gradcheck):
    gradcheck.assert_close([np.inf, -np.inf], [np.inf, -np.inf], rtol=0, cotangent=[1.0, 1.0])
"""


def test_tests_that_show_nothing_are_warned_of(run):
    words = re.findall(r'^    "(.*)"$', VACUOUS, re.MULTILINE)
    assert len(words) == VACUOUS.count("def test_") == 9
    result = run(VACUOUS)
    result.assert_outcomes(passed=9, warnings=9)
    for words_ in words:
        result.stdout.fnmatch_lines([f"*test_it.py:*: VacuousTestWarning: {words_}"])
    said = re.findall(r"VacuousTestWarning: .*\n(.*)", result.stdout.str())
    assert len(said) == 9
    assert all(line.startswith("    gradcheck") for line in said)  # the line of the test
    run(VACUOUS, "-W", "error::pytest_softgrad.VacuousTestWarning").assert_outcomes(failed=9)


def test_sound_tests_are_not_warned_of(run):
    run(SOUND).assert_outcomes(passed=9, warnings=0)


def test_gradients_that_differ_fail_without_a_warning(run):
    result = run("""
def test_it(gradcheck):
    gradcheck.assert_close(2e-6 * right(Z, G), 1e-6 * right(Z, G), atol=1e-8)
""")
    result.assert_outcomes(failed=1, warnings=0)
    result.stdout.fnmatch_lines([">*gradcheck.assert_close(*", "E *Not equal to tolerance*"])


@pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")
def test_tensors_are_compared_as_arrays(pytester):
    source = """
import torch

def test_it(gradcheck):
    x = torch.tensor(right(Z, G), requires_grad=True)
    gradcheck.assert_close(x, x.detach(), cotangent=torch.tensor(G))
    with pytest.raises(AssertionError):
        gradcheck.assert_close(x, 2 * x)
"""
    pytester.makepyfile(PREAMBLE + source)
    result = pytester.runpytest_subprocess("-p", "pytest_softgrad")
    result.assert_outcomes(passed=1, warnings=0)


# --- everyone else's sessions ----------------------------------------------------------------

LOADED = """
import sys

def pytest_unconfigure():
    print("loaded:", *sorted({"numpy", "softgrad", "click", "rich"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("argument", "loaded"),
    [("", "loaded:"), ("gradcheck", "loaded: numpy softgrad")],
    ids=["unused", "used"],
)
def test_nothing_is_imported_before_it_is_used(pytester, monkeypatch, argument, loaded):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(LOADED)
    pytester.makepyfile(f"def test_it({argument}): pass")
    result = pytester.runpytest_subprocess("-p", "pytest_softgrad", "-s")
    result.assert_outcomes(passed=1)
    assert loaded in result.outlines + result.errlines


@pytest.mark.parametrize(
    ("source", "code"),
    [("def test_it(): pass", OK), ("def test_it(): assert 0", FAILED), ("", NO_TESTS)],
    ids=["pass", "fail", "no tests"],
)
def test_a_session_without_checks_is_as_without_the_plugin(run, source, code):
    def said(plugin: str) -> list[str]:
        # pytest's header lists the plugins that are installed.
        result = run(source, "-W", "error", "--no-header", plugin=plugin)
        assert result.ret == code
        return [re.sub(r"[\d.]+s|-p \S+", "", line) for line in result.outlines]

    assert said("pytest_softgrad") == said("no:pytest_softgrad")


def test_it_is_installed_with_the_package_under_the_name_of_its_module():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert settings["project"]["entry-points"]["pytest11"] == {"pytest_softgrad": "pytest_softgrad"}
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "src/pytest_softgrad.py" in wheel["packages"]
    assert (ROOT / "src" / "pytest_softgrad.py").is_file()
    # pytest looks for this where it may not rewrite what it finds imported, and warns without it.
    for file in ("softgrad/__init__.py", "pytest_softgrad.py"):
        assert "PYTEST_DONT_REWRITE" in ast.get_docstring(
            ast.parse((ROOT / "src" / file).read_text("utf-8"))
        )


# --- what the documentation says --------------------------------------------------------------

PAGE = (ROOT / "docs" / "pytest.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_shows_a_mistake_a_marker_and_a_test_that_shows_nothing(run):
    mistake, marker, vacuous = EXAMPLES
    result = run(mistake, preamble="")
    result.assert_outcomes(failed=1)
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in shown.splitlines()])
    run(marker, preamble="").assert_outcomes(passed=1)
    run(vacuous, preamble="").assert_outcomes(passed=1, warnings=1)
    (settings,) = re.findall(r"```toml\n.*filterwarnings = \[\"(.*)\"\]\n```", PAGE, re.DOTALL)
    run(vacuous, "-W", settings, preamble="").assert_outcomes(failed=1)


def test_the_page_names_every_option():
    options = re.findall(
        r'"(--softgrad-\w+)"', (ROOT / "src/pytest_softgrad.py").read_text("utf-8")
    )
    assert len(set(options)) == 3
    assert all(f"`{option}=" in PAGE for option in options)
