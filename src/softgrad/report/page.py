"""The report: one HTML file that loads nothing, runs nothing, and says its verdict first."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

import softgrad
from softgrad.errors import mismatch
from softgrad.files import write_atomically
from softgrad.foreign import clean_lines
from softgrad.report.scales import pretty
from softgrad.results import Block, Paragraph

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Figure", "Fold", "Page", "Section", "render", "write"]


@dataclass(frozen=True)
class Figure:
    """One or more <svg> elements, as the drawing functions return them, and a caption."""

    svg: Markup
    caption: str

    def __post_init__(self) -> None:
        # A plain string would be shown as its own source text; it may also be foreign.
        if not isinstance(self.svg, Markup):
            raise TypeError(mismatch("svg", "Markup from a drawing function", type(self.svg)))


@dataclass(frozen=True)
class Fold:
    """Details that a reader opens."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs and tables, pictures, and details."""

    heading: str
    blocks: tuple[Block, ...] = ()
    figures: tuple[Figure, ...] = ()
    folds: tuple[Fold, ...] = ()


@dataclass(frozen=True)
class Page:
    """A report: its title, what came out of it, why, and the command that repeats it."""

    title: str
    verdict: Paragraph
    sections: tuple[Section, ...]
    command: str


def render(page: Page) -> str:
    """Return the page as one HTML document; the same page gives the same bytes.

    Every string of `page` is foreign: it is escaped, and reaches no attribute and no style.

    Examples
    --------
    >>> page = Page("Report", Paragraph("1 < 2", "good"), (), "softgrad demo")
    >>> '<p class="verdict good">1 &lt; 2</p>' in render(page)
    True
    """
    style = resources.files(__package__).joinpath("templates/report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            style=Markup(style),
            style_hash=f"sha256-{digest}",
            version=softgrad.__version__,
        )
    )


def write(page: Page, path: str | os.PathLike[str]) -> None:
    """Write `render(page)` to `path`, whole or not at all.

    Raises
    ------
    OSError
        The folder is missing or not writable, or the disk is full; `path` is then as it was.
    """
    write_atomically(path, render(page))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("softgrad.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
    )
    environment.globals["pretty"] = pretty
    return environment


def _clean(value: Any) -> Any:
    """Take out of a foreign string what HTML cannot hold; only its line breaks stay."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return clean_lines(value)
