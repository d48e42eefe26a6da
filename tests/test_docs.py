"""The documentation: what its pages run, where they link to, and which tests they name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import softgrad
from softgrad.checker.diagnosis import CODES

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
EXECUTED = [p for p in PAGES if "```{code-cell}" in p.read_text(encoding="utf-8")]


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def script_of(page: Path) -> str:
    """Return the page with its code cells alone; they keep their line numbers."""
    lines, in_cell = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        mark = line.startswith(("```", ":tags:"))
        if line.startswith("```"):
            in_cell = line == "```{code-cell}"
        lines.append(line if in_cell and not mark else "")
    return "\n".join(lines)


def links_of(page: Path) -> list[str]:
    """Return the pages that a page links to, in its text and in its tables of contents."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    for contents in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
        entries = [line for line in contents.splitlines() if line and not line.startswith(":")]
        links += [f"{entry}.md" for entry in entries]
    return [link for link in links if "://" not in link]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's forward mode
@pytest.mark.parametrize("page", EXECUTED, ids=name_of)
def test_code_cells_run(page: Path) -> None:
    with np.printoptions():  # pages change them
        exec(compile(script_of(page), str(page), "exec"), {"__name__": "__main__"})


def test_cells_are_found() -> None:
    """A parser that finds nothing would let every page pass."""
    questions = [page for page in EXECUTED if page.parent.name == "questions"]
    assert len(questions) == 7
    for page in EXECUTED:
        assert "import softgrad as sg" in script_of(page), name_of(page)
        assert "```{code" not in script_of(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    missing = [link for link in links_of(page) if not (page.parent / link.split("#")[0]).exists()]
    assert not missing


def slug_of(heading: str) -> str:
    """Return what a link to a heading ends in."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections_of(page: Path) -> dict[str, str]:
    """Return the text of every section of the second level, by its slug."""
    text = re.sub(r"```{toctree}.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    parts = re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return {slug_of(heading): body for heading, body in parts}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_headings(page: Path) -> None:
    for link in links_of(page):
        file, _, heading = link.partition("#")
        if heading:
            assert heading in sections_of(page.parent / file if file else page), link


def test_every_symptom_leads_to_the_line_to_change() -> None:
    page = DOCS / "questions" / "gradient-check.md"
    symptoms = [link.removeprefix("#") for link in links_of(page) if link.startswith("#")]
    assert len(symptoms) > 12
    for symptom in symptoms:
        section = sections_of(page)[symptom]
        assert "```{code-cell}" in section
        assert re.search(r"\bline\b.*\bto be changed|[Ll]ine to change", section), symptom


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = {(page.parent / link).resolve() for page in PAGES for link in links_of(page)}
    assert {page.resolve() for page in PAGES} - listed == {(DOCS / "index.md").resolve()}


def test_named_tests_exist() -> None:
    sources = "\n".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("*.py"))
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))
    }
    assert named
    assert not {name for name in named if f"def {name}(" not in sources}


def test_catalogue_has_a_section_with_an_example_for_every_name() -> None:
    sections = sections_of(DOCS / "mistakes.md")
    assert tuple(sections) == CODES
    for name, text in sections.items():
        assert f'mended("{name}")' in text
        assert f'checked("{name}")' in text


def test_reference_has_every_public_name() -> None:
    reference = "\n".join(p.read_text(encoding="utf-8") for p in (DOCS / "reference").glob("*.md"))
    missing = [n for n in softgrad.__all__ if not re.search(rf"[ `.]{n}\b", reference)]
    assert not missing


PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

```{code-cell}
import softgrad as sg

sg.explore([2.0, 1.0, 0.0])
```
"""


@pytest.mark.slow
def test_a_built_page_asks_the_network_for_nothing(tmp_path: Path) -> None:
    """Not even where the explorer is a widget, of which a notebook keeps the state."""
    for needed in ("sphinx", "myst_nb", "furo", "anywidget"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    source, site = tmp_path / "docs", tmp_path / "site"
    shutil.copytree(DOCS / "_static", source / "_static")
    shutil.copy(DOCS / "conf.py", source)
    (source / "index.md").write_text(PAGE, "utf-8")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(source), str(site)]
    subprocess.run(command, check=True, timeout=300)
    page = (site / "index.html").read_text("utf-8")
    assert page.count('<iframe title="softgrad explorer"') == 1
    loading = r"<(?:script|link|img|iframe|source)[^>]*(?:src|href)=\"([^\"]*)"
    asked = re.findall(loading, page)
    assert len(asked) > 5
    assert not [address for address in asked if "//" in address]
