"""The terminal: nothing is wider than it, no number is broken, colours where they are wanted."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

import softgrad as sg
from cli_runs import softgrad
from softgrad.report.colours import diverging, hexadecimal
from softgrad.results import number

COMMANDS = {
    "jacobian": ("jacobian", "2,1,0,-1", "--cotangent", "1,0,0,0"),
    "large jacobian": ("jacobian", ",".join(map(str, range(40)))),
    "compare": ("compare",),
    "follow": ("follow", "--steps", "30"),
    "check": ("check", "--example", "subset"),
    "examples": ("check", "--list-examples"),
    "shapes": ("shapes", "softmax", "2,1,0"),
    "env": ("env",),
}
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


@pytest.fixture(params=[40, 80, 200])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return int(request.param)


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.parametrize("args", COMMANDS.values(), ids=COMMANDS)
def test_nothing_is_wider_than_the_terminal(args: tuple[str, ...], width: int) -> None:
    lines = softgrad(*args).out.splitlines()
    assert lines
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_number_and_no_word_is_broken(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    seen = softgrad("compare").out
    document = softgrad("compare", "--json").document
    for head in document["heads"]:
        assert head["name"] in seen
        for row in head["W_bar"]:
            for value in row:
                assert number(value) in seen.split()


def test_sixteen_colours_tell_the_signs(coloured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM")
    seen = softgrad("jacobian", "2,1,0,-1").out
    cells = re.findall(r"\x1b\[30;(\d+)m +(-?[0-9.]+) ", seen)
    assert len(cells) == 16
    assert all((colour == "104") == value.startswith("-") for colour, value in cells)


def test_a_training_is_told_in_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")
    seen = softgrad("train", "iris", "--epochs", 2, "--report", "r.html").out
    assert max(map(len, seen.splitlines())) <= 40
    assert "…" not in seen
    folded = re.sub(
        r"\W", "", "".join(line.split("│")[1] for line in seen.splitlines() if "│" in line)
    )
    assert "softmaxcross_entropy" in folded


def test_a_jacobian_uses_the_room_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {}
    for width in (40, 60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        out = softgrad("jacobian", "2,1,0,-1").out
        shown[width] = len(re.findall(r"^ *i = ", out, re.MULTILINE)), "row sum" in out
        assert ("Row sum" in out) == ("row sum" in out)  # what is not shown is not explained
    assert shown == {40: (3, False), 60: (4, False), 80: (4, True), 200: (4, True)}


@pytest.mark.usefixtures("coloured")
def test_cells_have_the_colours_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = softgrad("jacobian", "2,1,0").out
    J = sg.softmax.jacobian([2.0, 1.0, 0.0])
    for value in J.ravel():
        red, green, blue = bytes.fromhex(hexadecimal(diverging(value, J.max()))[1:])
        cell = rf"\x1b\[[0-9;]*48;2;{red};{green};{blue}m +{re.escape(number(value))} \x1b"
        assert re.search(cell, out), value


@pytest.mark.usefixtures("coloured")
@pytest.mark.parametrize("args", COMMANDS.values(), ids=COMMANDS)
def test_colours_say_nothing_that_the_words_do_not(
    args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    coloured = softgrad(*args).out
    monkeypatch.setenv("NO_COLOR", "1")
    without = softgrad(*args).out
    assert not [c for c in ESCAPE.findall(without) if set(c.split(";")) & {"38", "48", "31", "32"}]
    monkeypatch.delenv("FORCE_COLOR")
    piped = softgrad(*args).out
    assert "\x1b" not in piped

    def words(text: str) -> list[str]:
        plain = ESCAPE.sub("", text)
        return [word for word in plain.split() if not re.search(r"\d (ms|s)|\d\.\d", word)]

    assert words(coloured) == words(without) == words(piped)


FOREIGN = "yes\x1b]0;owned\x07\x1b[2J\x9b31m"
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def test_a_terminal_obeys_no_name_in_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORCE_COLOR", "1")  # stdout is then taken for a terminal
    monkeypatch.setenv("NO_COLOR", "1")
    lines = ["a,kind", *(f"{k},{'no' if k < 20 else FOREIGN}" for k in range(40))]
    data = tmp_path / "t\x1b[31m.csv"
    data.write_text("\n".join(lines) + "\n")
    trained = softgrad("train", data, "--epochs", 5, "-o", "m\x1b[31m", "--report", "r\x1b[1m")
    predicted = softgrad("predict", "m\x1b[31m", data)
    by_solver = softgrad("train", data, "--solver", "auto", "-o", "n\x1b[31m")
    for outcome in (trained, predicted):
        assert "yes\ufffd]0;owned\ufffd\ufffd[2J\ufffd31m" in outcome.out
    for outcome in (trained, predicted, by_solver):
        assert outcome.code == 0
        assert "\ufffd" in outcome.out
        # What is left is how rich draws what is bold.
        assert not OBEYED.search(ESCAPE.sub("", outcome.out))
        assert "31" not in ESCAPE.findall(outcome.out + outcome.err)


def test_a_pipe_gets_every_name_to_the_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    lines = ["a,kind", *(f"{k},{'no' if k < 20 else FOREIGN}" for k in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert softgrad("train", "t.csv", "--epochs", 5, "-o", "m").code == 0
    written = csv.reader(softgrad("predict", "m", "t.csv").out.splitlines(keepends=True))
    assert next(written) == ["row", "class", "p(no)", f"p({FOREIGN})"]
    predicted = softgrad("predict", "m", "t.csv", "--json")
    assert predicted.document["classes"] == ["no", FOREIGN]
    assert not OBEYED.search(predicted.out)
