"""`softgrad bench` on the command line."""

from __future__ import annotations

import json

import pytest

from bench_cases import CASE
from cli_runs import assert_refused, softgrad
from softgrad.bench import Benchmark
from softgrad.bench.machine import Machine

MACHINE = Machine("a processor", 2, "Linux", "3.11", {"softgrad": "0.1.0"})


def test_quick_suite_measures_and_says_where(tmp_path):
    file = tmp_path / "bench.json"
    outcome = softgrad("bench", "--quick", "--suite", "softmax", "--output", file, "--json")
    assert outcome.code == 0
    assert outcome.document == json.loads(file.read_text(encoding="utf-8"))
    result = Benchmark.from_dict(outcome.document)
    assert result.machine.versions["softgrad"]
    assert {case.suite for case in result.cases} == {"softmax"}
    for case in result.cases:
        ours = case.measurements[0]
        assert ours.seconds > 0
        assert ours.error < 1e-6
        assert not any(m.way == "torch.compile" for m in case.measurements)


def made(case, monkeypatch):
    def bench(suites, quick, watch):
        watch(case)
        return Benchmark(MACHINE, quick, (), (case,))

    monkeypatch.setattr("softgrad.bench.bench", bench)


def test_table_is_shown_and_a_missed_goal_is_no_failure(monkeypatch):
    made(CASE, monkeypatch)
    outcome = softgrad("bench")
    assert outcome.code == 0
    assert "a processor" in outcome.out
    assert "missed" in outcome.out
    assert outcome.err.strip() == ""


def test_a_wrong_answer_of_our_own_is_a_failed_check(monkeypatch):
    from dataclasses import replace

    ours = replace(CASE.measurements[0], seconds=None, wrong=True, problem="wrong by more")
    made(replace(CASE, measurements=(ours, *CASE.measurements[1:])), monkeypatch)
    outcome = softgrad("bench")
    assert outcome.code == 1
    assert "softgrad is wrong here" in outcome.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--suite", "nope"], ["--suite", "nope", "softmax-vjp"]),
        (["--output", "no/such/file.json"], ["--output", "no/such"]),
    ],
)
def test_bench_refuses(args, words):
    assert_refused(softgrad("bench", *args), *words)
