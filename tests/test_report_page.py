"""The page: strict, small, whole, the same every time, and deaf to what strings say."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from html.parser import HTMLParser

import pytest

import softgrad
from foreign_strings import PAYLOADS
from report_cases import SVG, page, roots
from softgrad.foreign import clean
from softgrad.report.page import Figure, Page, Section, render, write
from softgrad.report.words import _character_width
from softgrad.results import Paragraph, Table

# A harmless character for each width, so that the same things are cut and turned.
HARMLESS = {0.41: "i", 0.98: "m", 0.0: "\u0301", 1.05: "漢", 0.78: "A", 0.65: "a"}


class Structure(HTMLParser):
    """Collects the tags with their attributes, and the text between them."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[object] = []
        self.text: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_endtag(self, tag):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def handle_comment(self, data):
        self.tags.append(("comment", data))

    def handle_decl(self, decl):
        self.tags.append(("declaration", decl))

    def handle_pi(self, data):
        self.tags.append(("instruction", data))

    def unknown_decl(self, data):
        self.tags.append(("unknown", data))


def twin(payload: str) -> str:
    return "".join(" " if c == " " else HARMLESS[_character_width(c)] for c in clean(payload))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_foreign_string_is_text_and_nothing_else(payload):
    report = page(payload)
    foreign, harmless = Structure(render(report)), Structure(render(page(twin(payload))))
    assert foreign.tags == harmless.tags
    lines = "\n".join(clean(line) for line in payload.split("\n"))
    # The title twice, the verdict, a heading, captions, paragraphs, cells, the command and more.
    assert "".join(foreign.text).count(lines) > 20
    for figure in report.sections[0].figures:
        assert {root.tag for root in roots(figure.svg)} == {f"{SVG}svg"}


@pytest.mark.parametrize("name", ["a", "漢字 é 🙂", "a\udc80b"])
def test_a_page_of_any_letters_is_written_whole(name, tmp_path):
    write(page(name), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes().decode() == render(page(name))


def test_the_policy_allows_the_one_style_and_nothing_else():
    document = render(page("a"))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', document)
    (style,) = re.findall(r"<style>(.*?)</style>", document, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = policy.replace("&#39;", "'")
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_a_page_runs_nothing_and_loads_nothing():
    for tag, attributes in [t for t in Structure(render(page("a"))).tags if isinstance(t, tuple)]:
        names = [] if isinstance(attributes, str) else [name for name, _ in attributes]
        assert tag not in ("script", "link", "iframe", "object", "a", "base")
        assert not [n for n in names if n.startswith("on") or n in ("style", "src", "id")]
    assert "@import" not in render(page("a"))
    assert "url(" not in render(page("a"))


def test_every_element_is_closed():
    stack = []
    void = {"meta", "declaration"}
    for tag in Structure(render(page("a"))).tags:
        if isinstance(tag, tuple):
            stack += [] if tag[0] in void else [tag[0]]
        else:
            assert stack.pop() == tag
    assert not stack


def test_the_verdict_comes_before_the_sections_and_the_command_after():
    sections = (Section("why", (Paragraph("because"),)),)
    document = render(Page("title", Paragraph("it passes", "good"), sections, "softgrad check"))
    order = ["it passes", "why", "because", "softgrad check", f"softgrad {softgrad.__version__}"]
    places = [document.index(words) for words in order]
    assert places == sorted(places)
    assert '<p class="verdict good">it passes</p>' in document


def test_numbers_are_set_right_and_words_left():
    table = Table(("name", "size"), (("W", -0.25), ("b", 1e-12)))
    document = render(Page("t", Paragraph("v"), (Section("s", (table,)),), "c"))
    assert '<td>W</td><td class="number">−0.25</td>' in document
    assert '<td class="number">1e−12</td>' in document
    assert '<th scope="col">name</th><th scope="col" class="number">size</th>' in document


def test_an_empty_table_has_its_columns():
    section = Section("s", (Table(("name", "size"), ()),))
    assert '<th scope="col">size</th>' in render(Page("t", Paragraph("v"), (section,), "c"))


def test_a_page_is_the_same_every_time():
    assert render(page("a")) == render(page("a"))


def test_a_page_with_every_drawing_is_small():
    assert len(render(page("a")).encode()) < 60_000


def test_a_picture_must_be_markup():
    with pytest.raises(TypeError, match="`svg` must be Markup"):
        Figure("<svg></svg>", "caption")


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(page("a"), target)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]
