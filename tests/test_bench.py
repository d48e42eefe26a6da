"""Benchmarks: what is wrong is never timed; medians, ratios and goals come out right."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import bench_cases as cases
from bench_cases import ALL, CASE, EFFORT, EXACT, MEMORY, Clock, right, way
from softgrad.bench import SUITES, Benchmark, bench, compiler
from softgrad.bench.child import peak_of
from softgrad.bench.data import CONFIDENT, head_inputs, logits
from softgrad.bench.exact import TOLERANCE, errors
from softgrad.bench.goals import FasterThan, LinearCost, WithinFloor
from softgrad.bench.machine import Machine
from softgrad.bench.measure import measure
from softgrad.bench.timing import Effort, medians
from softgrad.bench.ways import cross_entropy, head, softmax, softmax_vjp
from softgrad.bench.work import Case, UnavailableError

MACHINE = Machine("a processor", 2, "Linux x86_64", "3.11.7", {"softgrad": "0.1.0"})


def always(clock, name, seconds, answer):
    return clock.work(name, itertools.repeat(seconds), answer)


# --- the gate --------------------------------------------------------------------------------


def test_errors_are_relative_to_the_largest_entry_and_to_the_row():
    found = errors(right(off=1e-6, confident=0.5), EXACT)
    assert found.largest == pytest.approx(1e-6, rel=1e-6)
    assert found.confident == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("role", ["ours", "peer"])
def test_gate_refuses_nan_and_what_is_off(role):
    nan = (np.array(1.5), np.full((3, 2), np.nan))
    assert errors(right(), EXACT).passes(role)
    assert not errors(nan, EXACT).passes(role)
    assert not errors(right(off=2 * TOLERANCE), EXACT).passes(role)


def test_gate_holds_softgrad_to_confident_rows_too():
    lost = errors(right(confident=-1.0), EXACT)
    assert lost.passes("peer")
    assert not lost.passes("ours")


@pytest.mark.parametrize("row", [0, 2_000_000])
def test_gate_sees_every_block_of_a_long_answer(row):
    exact = replace(EXACT, arrays=(np.linspace(-1, 1, 2_000_001)[:, None],), confident_in=0)
    answer = exact.arrays[0].copy()
    answer[row] += 0.5
    assert errors((answer,), exact).largest == pytest.approx(0.5, rel=1e-9)


def test_gate_refuses_another_shape():
    with pytest.raises(ValueError, match="shapes"):
        errors((np.array(1.5), np.zeros(3)), EXACT)


# --- the clock -------------------------------------------------------------------------------


def test_medians_are_those_of_the_rounds_that_count():
    clock = Clock()
    durations = iter([9.0, 9.0, 5.0, 1.0, 2.0])  # a turn of the first round is two calls
    runs = {"a": clock.work("a", durations, ())}
    effort = Effort(seconds=0.0, least=3, most=5, settle=0.0, calls=1)
    assert medians(runs, effort, clock) == ({"a": 2.0}, 3)


def test_short_runs_settle_before_they_are_timed():
    clock = Clock()
    # Two calls settle, two are timed; slow ones at the begin of a turn are in no median.
    durations = itertools.cycle([0.05, 0.02, 0.001, 0.003])
    runs = {"a": clock.work("a", durations, ())}
    effort = Effort(seconds=0.0, least=3, most=3, settle=0.06, calls=2)
    found, rounds = medians(runs, effort, clock)
    assert rounds == 3
    assert found["a"] == pytest.approx(0.002, rel=1e-9)


def test_ways_take_turns_in_changing_order():
    clock = Clock()
    runs = {name: always(clock, name, 1.0, ()) for name in "abc"}
    effort = Effort(seconds=0.0, least=8, most=8, settle=0.0, calls=1)
    medians(runs, effort, clock)
    rounds = [tuple(clock.order[i : i + 3]) for i in range(6, len(clock.order), 3)]
    assert len(rounds) == 8
    assert all(set(order) == set("abc") for order in rounds)
    assert len(set(rounds)) > 1


@pytest.mark.parametrize(("one", "rounds"), [(1.0, 10), (100.0, 4), (1e-3, 20), (0.0, 20)])
def test_rounds_fill_the_seconds_within_bounds(one, rounds):
    assert Effort(seconds=10, least=4, most=20, settle=0, calls=1).rounds(one) == rounds


# --- a case ----------------------------------------------------------------------------------


def case_of(clock, ours=None, peer=None, goals=()):
    ways = (
        way("softgrad", "ours", always(clock, "softgrad", 2.0, ours or right()), floor="copy"),
        way("PyTorch", "peer", always(clock, "PyTorch", 7.0, peer or right()), floor="copy"),
        way("copy", "floor", always(clock, "copy", 1.0, ())),
    )
    return Case("suite", "3 × 2", ways, goals)


def test_a_right_case_is_timed_and_judged():
    clock = Clock()
    goals = (FasterThan(3), FasterThan(4), WithinFloor(2))
    measured = measure(case_of(clock, goals=goals), EFFORT, clock)
    seconds = {m.way: m.seconds for m in measured.measurements}
    assert seconds == {"softgrad": 2.0, "PyTorch": 7.0, "copy": 1.0}
    assert [(v.value, v.holds) for v in measured.verdicts] == [
        (3.5, True), (3.5, False), (2.0, True),
    ]  # fmt: skip
    assert not measured.wrong


@pytest.mark.parametrize("wrong", [{"off": 0.01}, {"confident": 0.01}])
def test_nothing_is_timed_where_softgrad_is_wrong(wrong):
    clock = Clock()
    measured = measure(case_of(clock, right(**wrong), goals=(FasterThan(3),)), EFFORT, clock)
    assert measured.wrong
    assert [m.seconds for m in measured.measurements] == [None, None, None]
    assert measured.verdicts[0].holds is None
    assert clock.order == ["softgrad", "PyTorch", "copy"]  # once each, for the gate
    shown = str(Benchmark(MACHINE, False, (), (measured,)))
    assert "softgrad is wrong here: nothing was timed" in shown
    assert "1e-02" in shown


def test_a_wrong_peer_has_an_error_and_no_time():
    clock = Clock()
    measured = measure(case_of(clock, peer=right(off=0.01)), EFFORT, clock)
    ours, peer, _ = measured.measurements
    assert (ours.seconds, peer.seconds) == (2.0, None)
    assert peer.error == pytest.approx(0.01, rel=1e-6)
    assert peer.wrong
    assert not measured.wrong


@pytest.mark.parametrize(
    ("error", "wrong", "words"),
    [
        (UnavailableError("no compiler"), False, "not available: no compiler"),
        (ModuleNotFoundError("No module named 'x'"), False, "not available: No module named 'x'"),
        (RuntimeError("two\nlines"), True, "RuntimeError: two lines"),
    ],
)
def test_a_way_that_raises_says_why(error, wrong, words):
    clock = Clock()

    def fail():
        raise error

    case = case_of(clock)
    failing = replace(case.ways[1], prepare=fail)
    measured = measure(replace(case, ways=(case.ways[0], failing)), EFFORT, clock)
    assert measured.measurements[0].seconds == 2.0
    assert (measured.measurements[1].problem, measured.measurements[1].wrong) == (words, wrong)


# --- goals -----------------------------------------------------------------------------------


def test_goal_is_against_the_fastest_of_a_library():
    assert FasterThan(3).judge(ALL)[0].value == pytest.approx(3.5, rel=1e-12)
    jax = FasterThan(5, library="JAX").judge(ALL)[0]
    assert (jax.value, jax.holds) == (pytest.approx(4.5, rel=1e-12), False)
    none = FasterThan(1, library="SciPy").judge(ALL)[0]
    assert (none.value, none.holds) == (None, None)


def test_every_way_of_ours_has_its_own_floor():
    other = replace(cases.OURS, way="softgrad, PyTorch", floor="half", seconds=1e-3)
    half = replace(cases.FLOOR, way="half", seconds=0.5e-3)
    verdicts = WithinFloor(2).judge((*ALL, other, half))
    assert [(v.way, v.value, v.holds) for v in verdicts] == [
        ("softgrad", 2.0, True),
        ("softgrad, PyTorch", 2.0, True),
    ]


def test_linear_cost_compares_units_of_work():
    sizes = [replace(cases.OURS, way=str(n), work=n, seconds=s) for n, s in ((1, 2.0), (4, 10.0))]
    verdict = LinearCost(1.2).judge(sizes)[0]
    assert (verdict.value, verdict.holds) == (1.25, False)
    assert LinearCost(1.3).judge(sizes)[0].holds
    assert LinearCost(1.3).judge([sizes[0], replace(sizes[1], seconds=None)])[0].holds is None


# --- the result ------------------------------------------------------------------------------


def test_json_round_trips():
    odd = replace(CASE, measurements=(replace(cases.OURS, error=float("inf")), *ALL[1:]))
    result = Benchmark(MACHINE, True, ("a note",), (odd, MEMORY))
    assert Benchmark.from_dict(json.loads(result.to_json())) == result


def test_another_document_is_refused():
    with pytest.raises(ValueError, match=r"softgrad\.bench/1"):
        Benchmark.from_dict({"schema": "softgrad.env/1"})


def test_table_shows_times_ratios_errors_and_verdicts():
    shown = str(Benchmark(MACHINE, False, ("a note",), (CASE, MEMORY)))
    lines = {line.split("│")[1].strip(): line for line in shown.splitlines() if "│" in line}
    assert [cell.strip() for cell in lines["PyTorch"].split("│")[2:7]] == [
        "7", "7", "3.5", "2e-07", "1e+00",
    ]  # fmt: skip
    assert lines["SciPy"].count("—") == 5
    assert "71.6" in shown
    for words in ("a processor, 2 cores", "a note", "SciPy: not available", "3.5: holds",
                  "2: missed", "not measured", "1 of 3 goals holds."):  # fmt: skip
        assert words in shown


def test_missing_peers_are_named(monkeypatch):
    monkeypatch.setattr("softgrad.bench.machine.PEERS", {"SciPy": "scipy", "Other": "not-there"})
    assert Machine.this().missing == ("Other",)
    assert "Other is not installed, and not compared." in bench((), quick=True).notes


def test_unknown_suite_is_refused():
    with pytest.raises(ValueError, match=r"`suites` must be among cross-entropy.*got 'nope'"):
        bench(["nope"])


# --- inputs and ways -------------------------------------------------------------------------


def test_confident_rows_are_confident():
    given = logits(64, 50)
    z = given.z.astype(np.float64)
    p = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
    others = np.where(np.arange(50) == given.y[:, None], 0, p).sum(axis=1)
    np.testing.assert_allclose(others[CONFIDENT], 1e-9, rtol=1e-4)
    assert np.all(others[CONFIDENT.stop :] > 1e-6)


def test_confident_rows_of_a_head_are_confident():
    given = head_inputs(32, 64, 500)
    z = given.x.astype(np.float64) @ given.W.T.astype(np.float64) + given.b
    p = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
    others = np.where(np.arange(500) == given.y[:, None], 0, p).sum(axis=1)
    np.testing.assert_allclose(others[CONFIDENT], 1e-9, rtol=1e-3)


LOGITS = logits(16, 12)
WAYS = {
    f"{name}, {made.name}": made
    for name, table in {
        "cross-entropy": cross_entropy.ways(LOGITS),
        "softmax": softmax.ways(LOGITS),
        "vjp given p": softmax_vjp.ways_given_p(LOGITS),
        "vjp from logits": softmax_vjp.ways_from_logits(LOGITS),
        "head": head.ways(head_inputs(16, 32, 40)),
    }.items()
    for made in table
    if made.exact is not None and made.name != compiler.TORCH_COMPILE
}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_is_right_and_right_again(name):
    pytest.importorskip({"PyTorch": "torch", "JAX": "jax"}.get(WAYS[name].library, "scipy"))
    run = WAYS[name].prepare()
    run()
    assert errors(run(), WAYS[name].exact()).passes(WAYS[name].role)


def test_exact_answers_agree_with_differences(rng):
    given = head_inputs(12, 16, 20)
    exact = head.in_float64(given).arrays

    def loss(x, W, b):
        return float(head.in_float64(replace(given, x=x, W=W, b=b)).arrays[0])

    at = [v.astype(np.float64) for v in (given.x, given.W, given.b)]
    along = [rng.standard_normal(v.shape) for v in at]
    h = 1e-5
    ends = [loss(*(v + s * h * d for v, d in zip(at, along, strict=True))) for s in (1, -1)]
    slope = sum(np.sum(g * d) for g, d in zip(exact[1:], along, strict=True))
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, rel=1e-7)


# --- torch.compile and memory ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (subprocess.TimeoutExpired("python", 180), "within 180 s"),
        (subprocess.CalledProcessError(1, "python", stderr="x\nCppCompileError: no g++\n"), "g++"),
        (subprocess.CalledProcessError(1, "python", stderr=""), "it fails"),
    ],
)
def test_a_compiler_that_fails_is_not_available(monkeypatch, outcome, words):
    pytest.importorskip("torch")

    def run(*args, **options):
        raise outcome

    monkeypatch.setattr(subprocess, "run", run)
    compiler._problem.cache_clear()
    with pytest.raises(UnavailableError, match=words.replace("+", r"\+")):
        compiler.torch_compile(abs)
    compiler._problem.cache_clear()


def test_a_child_tells_its_peak():
    assert peak_of("3 GEMMs, NumPy", (64, 16, 128), run=True) > 2**20


def test_a_child_s_peak_counts_what_is_stored():
    shape = (512, 16, 20_000)  # 39 MiB of products
    peaks = [_peak_of_child("3 GEMMs, NumPy", shape, run) for run in (True, False)]
    assert 35 < (peaks[0] - peaks[1]) / 2**20 < 60


def _peak_of_child(name, shape, run):
    text = json.dumps({"way": name, "shape": shape, "run": run})
    done = subprocess.run(
        [sys.executable, "-m", "softgrad.bench.child", text],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def test_every_suite_has_quick_cases_of_its_own():
    from softgrad.bench.suites import TIMED

    assert set(SUITES) == {*TIMED, "memory"}
    for name, made in TIMED.items():
        for case in made(True):
            assert case.suite.startswith(name)
            assert case.goals == ()
            assert any(w.role == "ours" for w in case.ways)
