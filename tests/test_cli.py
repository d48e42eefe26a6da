"""The command line as a whole: help, exit codes, one line an error, one JSON document."""

import json
import platform
import sys

import pytest

import softgrad as sg
from cli_runs import assert_refused, softgrad
from softgrad.cli.main import _COMMANDS


def test_help_lists_every_command_with_a_whole_sentence():
    outcome = softgrad("--help")
    assert outcome.code == 0
    assert outcome.err == ""
    for name in _COMMANDS:
        line = next(line for line in outcome.out.splitlines() if line.startswith(f"  {name} "))
        assert line.endswith(".")
        assert not line.endswith("...")


def test_help_documents_the_exit_codes():
    words = " ".join(softgrad("--help").out.split())
    for code in ("0 ok", "1 a check failed", "2 something", "3 an error of", "4 a check was"):
        assert code in words
    assert "130 interrupted" in words


def test_no_command_shows_the_help():
    assert softgrad() == softgrad("--help")


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help_with_the_shared_options(name):
    outcome = softgrad(name, "--help")
    assert outcome.code == 0
    assert "--json" in outcome.out
    assert "--traceback" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_version_is_the_library_s():
    assert softgrad("--version").out == f"softgrad, version {sg.__version__}\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope"], ["No such command 'nope'", "softgrad --help"]),
        (["train"], ["Missing argument 'DATA'", "softgrad train --help"]),
        (["env", "--nope"], ["No such option", "--nope"]),
        (["jacobian", "1,2", "--nope", "3"], ["--nope"]),
        (["train", "iris", "--seed", "-1"], ["--seed", "-1"]),
    ],
)
def test_bad_usage_is_one_line(args, words):
    assert_refused(softgrad(*args), *words)


def test_messages_hold_no_control_characters():
    outcome = softgrad("train", "no\nsuch\x1b[31mfile.csv")
    assert_refused(outcome, "no such")
    assert "\x1b" not in outcome.err


def test_an_error_of_our_own_is_one_line_with_a_hint(monkeypatch):
    monkeypatch.setattr(platform, "platform", lambda: 1 / 0)
    outcome = softgrad("env")
    assert outcome.code == 3
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert "ZeroDivisionError" in outcome.err
    assert "--traceback" in outcome.err


def test_traceback_shows_where_our_own_error_is(monkeypatch):
    monkeypatch.setattr(platform, "platform", lambda: 1 / 0)
    outcome = softgrad("env", "--traceback")
    assert outcome.code == 3
    assert "Traceback" in outcome.err
    assert "env.py" in outcome.err


def test_code_that_ends_the_process_anywhere_is_no_success(monkeypatch):
    monkeypatch.setattr(platform, "platform", lambda: sys.exit(0))
    assert_refused(softgrad("env"), "SystemExit: 0")


def test_an_interrupt_anywhere_is_130(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(platform, "platform", interrupt)
    outcome = softgrad("env")
    assert outcome.code == 130
    assert outcome.err.strip() == "softgrad: interrupted"


def test_env_tells_versions_and_what_is_absent(monkeypatch):
    monkeypatch.setattr("softgrad.cli.env._OPTIONAL", {"numpy": "x", "surely-not-there": "learn"})
    document = softgrad("env", "--json").document
    assert document["softgrad"] == sg.__version__
    assert document["python"] == platform.python_version()
    assert document["cpus"] >= 1
    assert document["optional"]["numpy"] == document["needed"]["numpy"] is not None
    assert document["optional"]["surely-not-there"] is None
    assert "pip install 'softgrad[learn]'" in softgrad("env").out


@pytest.mark.parametrize(
    "args",
    [
        ["env"],
        ["jacobian", "2,1,0"],
        ["compare"],
        ["follow"],
        ["shapes", "softmax", "2,1,0"],
    ],
)
def test_json_is_one_document_with_a_schema_and_nothing_else(args):
    outcome = softgrad(*args, "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    assert json.loads(outcome.out) == outcome.document
    assert outcome.document["schema"] == f"softgrad.{args[0]}/1"
    assert softgrad(*args).out.lstrip()[0] != "{"
