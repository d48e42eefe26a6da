"""The explorer without a browser: the file, the call, the command, the server."""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import re
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from cli_runs import assert_refused, softgrad
from explorer_golden import GOLDEN, golden
from softgrad.cli.local_page import LocalPage
from softgrad.report.colours import PALETTE

BUILT = Path(sg.__file__).parent / "report" / "explorer.html"


def start_of(page: str) -> str:
    (start,) = re.findall(r'<html lang="en" data-start="([^"]*)">', page)
    return html.unescape(start)


def test_the_page_is_small() -> None:
    assert BUILT.stat().st_size <= 150_000


def test_bars_have_the_report_s_colours() -> None:
    style = (Path(__file__).parent.parent / "web" / "src" / "style.css").read_text("utf-8")
    found = re.findall(r"background: (#\w+)", style)
    assert len(found) == 3
    assert set(found) < set(PALETTE)


def test_the_policy_allows_the_one_script_and_the_one_style() -> None:
    page = BUILT.read_text("utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digests = (
        base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in (script, style)
    )
    script_digest, style_digest = digests
    assert policy.split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{script_digest}'",
        f"style-src 'sha256-{style_digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_page_begins_at_the_logits_that_are_given() -> None:
    explorer = sg.explore(np.array([3, -1.5, 1e-7, 0.1], dtype=np.float64), target=1)
    assert explorer.logits == (3.0, -1.5, 1e-7, 0.1)
    assert start_of(explorer.page) == "view=forward&z=3.0,-1.5,1e-07,0.1&t=1"
    assert explorer.page.replace(html.escape(start_of(explorer.page)), "") == BUILT.read_text(
        "utf-8"
    )


def test_the_least_likely_class_is_the_target_unless_one_is_given() -> None:
    assert sg.explore([0.0, -3.0, 2.0]).target == 1
    assert sg.explore([0.0, -3.0, 2.0], target=np.int64(2)).target == 2


@pytest.mark.parametrize(
    ("logits", "target", "error", "words"),
    [
        ([1.0], None, ValueError, "`logits` must be 2 to 8 numbers, got 1"),
        (np.zeros(9), None, ValueError, "`logits` must be 2 to 8 numbers, got 9"),
        ([[1.0, 2.0]], None, ValueError, r"`logits` must be of shape \(K,\)"),
        ([1.0, np.nan], None, ValueError, "`logits` must be finite"),
        ([1.0, -2e6], None, ValueError, r"`logits` must be no larger than 1e\+06, got 2e\+06"),
        (["a", "b"], None, TypeError, "logits"),
        ([1.0, 2.0], 2, IndexError, "`target` must be a class index from 0 to 1, got 2"),
        ([1.0, 2.0], 0.0, TypeError, "`target` must be a class index"),
    ],
)
def test_bad_arguments_are_refused(logits: Any, target: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        sg.explore(logits, target)


def test_the_view_that_is_asked_for_is_shown_first() -> None:
    assert start_of(sg.explore(view="hidden").page).startswith("view=hidden&")
    with pytest.raises(ValueError, match=r"`view` must be one of forward, .*, got 'pie'"):
        sg.explore(view="pie")


def test_a_notebook_gets_a_frame_that_may_run_scripts_and_nothing_else() -> None:
    explorer = sg.explore([1.0, 2.0])
    shown = explorer._repr_html_()
    assert re.findall(r'sandbox="([^"]*)"', shown) == ["allow-scripts"]
    (document,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert html.unescape(document) == explorer.page
    assert shown.count("<") == 2  # the frame's own tags: the page is inside an attribute


def test_write_makes_the_file(tmp_path: Path) -> None:
    explorer = sg.explore([1.0, 2.0])
    explorer.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == explorer.page


# --- the command ----------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", urls.append)
    return urls


def test_the_command_writes_the_page_and_opens_it(tmp_path: Path, opened: list[str]) -> None:
    file = tmp_path / "page.html"
    outcome = softgrad("explore", "--logits", "-1,2,0.5", "--target", 1, "-o", file)
    assert (outcome.code, outcome.err) == (0, "")
    assert file.read_text("utf-8") == sg.explore([-1.0, 2.0, 0.5], 1).page
    assert opened == [file.as_uri()]


def test_the_command_writes_where_it_stands_unless_told(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert softgrad("explore", "--no-open").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["softgrad-explorer.html"]
    assert opened == []


def test_the_page_goes_to_standard_output_when_asked(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = softgrad("explore", "--logits", "9,1,0", "-o", "-")
    assert (outcome.code, outcome.err, opened) == (0, "", [])
    assert outcome.out == sg.explore([9.0, 1.0, 0.0]).page
    for beside in (["--json"], ["--serve", 0]):
        assert_refused(softgrad("explore", "-o", "-", *beside), "-o -", str(beside[0]))
    assert list(tmp_path.iterdir()) == []


def test_json_says_where_and_opens_nothing(tmp_path: Path, opened: list[str]) -> None:
    document = softgrad("explore", "-o", tmp_path / "p.html", "--json").document
    assert document["schema"] == "softgrad.explore/1"
    assert document["file"] == str(tmp_path / "p.html")
    assert (document["logits"], document["target"]) == ([2.0, 1.0, 0.0], 2)
    assert opened == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--logits", "1"], ["`logits` must be 2 to 8 numbers"]),
        (["--logits", "1,x"], ["--logits", "numbers with commas"]),
        (["--logits", "1,nan"], ["finite"]),
        (["--target", "3"], ["`target` must be a class index from 0 to 2, got 3"]),
        (["-o", "no/such/folder/page.html"], ["no directory"]),
        (["--serve", "70000"], ["--serve", "70000"]),
        (["--serve", "x"], ["--serve"]),
    ],
)
def test_bad_usage_is_refused(args: list[str], words: list[str], opened: list[str]) -> None:
    assert_refused(softgrad("explore", *args), *words)
    assert opened == []


def test_a_port_that_is_taken_is_refused() -> None:
    with LocalPage("", 0) as server:
        outcome = softgrad("explore", "--serve", server.server_port, "--no-open")
        assert_refused(outcome, f"--serve {server.server_port}", "in use")


def test_serve_ends_without_a_complaint(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: LocalPage) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalPage, "serve_forever", interrupted)
    outcome = softgrad("explore", "--serve", 0)
    assert (outcome.code, outcome.err) == (0, "")
    (url,) = opened
    assert url.startswith("http://127.0.0.1:")
    assert url in outcome.out


# --- the server -----------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[LocalPage]:
    with LocalPage("<!doctype html>page", 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def asked(
    server: LocalPage, method: str = "GET", path: str = "/", **headers: str
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_the_server_gives_the_page_to_this_machine(server: LocalPage) -> None:
    assert server.server_address[0] == "127.0.0.1"
    own = f"127.0.0.1:{server.server_port}"
    assert asked(server) == (200, "<!doctype html>page")
    assert asked(server, Host=f"localhost:{server.server_port}")[0] == 200
    assert asked(server, Origin=f"http://{own}")[0] == 200
    assert asked(server, "HEAD") == (200, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
    ],
)
def test_the_server_refuses_other_sites(server: LocalPage, headers: dict[str, str]) -> None:
    status, body = asked(server, **headers)
    assert status == 403
    assert "page" not in body


@pytest.mark.parametrize("path", ["/x", "/../etc/passwd", "/?a"])
def test_the_server_has_one_page(server: LocalPage, path: str) -> None:
    assert asked(server, path=path)[0] == 404


def test_the_server_takes_nothing(server: LocalPage) -> None:
    assert asked(server, "POST")[0] == 501


# --- the numbers that the page is tested on -------------------------------------------------


def test_golden_numbers_are_those_of_this_library() -> None:
    found, wanted = json.loads(golden()), json.loads(GOLDEN.read_text("utf-8"))
    assert list(found) == list(wanted)
    for name in wanted:
        slack = 1e-6 if name == "quotients" else 1e-15  # rounding over a small step
        assert_alike(found[name], wanted[name], name, slack)


def assert_alike(found: Any, wanted: Any, where: str, slack: float) -> None:
    """Raise unless two JSON values are the same but for rounding."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted), where
        for key in wanted:
            assert_alike(found[key], wanted[key], f"{where}.{key}", slack)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for i, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_alike(one, other, f"{where}[{i}]", slack)
    elif isinstance(wanted, float):
        assert abs(found - wanted) <= 1e-12 * abs(wanted) + slack, where
    else:
        assert found == wanted, where
