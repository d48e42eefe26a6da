"""One small page with every kind of drawing, its strings given; and what a reader of SVG sees."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from softgrad.report.confusion import confusion_matrix
from softgrad.report.heat_map import heat_map, heat_maps
from softgrad.report.lines import Line, line_chart
from softgrad.report.page import Figure, Fold, Page, Section
from softgrad.report.panels import Panel
from softgrad.report.simplex import Path, simplex
from softgrad.results import Paragraph, Table

SVG = "{http://www.w3.org/2000/svg}"


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def jacobian(classes: int, seed: int = 0) -> np.ndarray:
    p = softmax(2 * np.random.default_rng(seed).normal(size=classes))
    return np.diag(p) - np.outer(p, p)


def drawings(name: str) -> dict[str, Markup]:
    """Return every kind of drawing with `name` wherever a foreign string can stand."""
    rng = np.random.default_rng(5)
    names = [name, f"{name} 1", "c"]
    walk = softmax(np.cumsum(rng.normal(size=(40, 3)), axis=0))
    return {
        "numbers": heat_map(rng.normal(size=(3, 3)), name, names, names, row_title=name),
        "picture": heat_map(jacobian(20), name, [name] * 20, [name] * 20, column_title=name),
        "merged": heat_map(jacobian(80), name, [name] * 80, [name] * 80),
        "panels": heat_maps([Panel(rng.normal(size=(2, 3)), name, names[:2], names)] * 2),
        "confusion": confusion_matrix(rng.integers(0, 9, (3, 3)), names, name),
        "lines": line_chart(
            [Line(n, walk[:, k]) for k, n in enumerate(names)], name, x_label=name, y_label=name
        ),
        "simplex": simplex([Path(n, walk) for n in names], names, name),
    }


def page(name: str) -> Page:
    table = Table((name, "value"), ((name, 0.25), ("b", -1.0)), name)
    figures = tuple(Figure(svg, name) for svg in drawings(name).values())
    fold = Fold(name, (Paragraph(name), table))
    section = Section(name, (Paragraph(name, "quiet"), table), figures, (fold,))
    return Page(name, Paragraph(name, "good"), (section,), name)


def roots(svg: Markup) -> list[ET.Element]:
    """Parse a drawing of one or more <svg> elements as XML."""
    return list(ET.fromstring(f"<all>{svg}</all>"))


def words(svg: Markup) -> list[str]:
    """Return the texts that are written, without tooltips."""
    elements = [e for root in roots(svg) for e in root.iter(f"{SVG}text")]
    return [(e.text or "") + "".join(child.tail or "" for child in e) for e in elements]


def placed(
    element: ET.Element, x: float = 0, y: float = 0
) -> Iterator[tuple[ET.Element, float, float]]:
    """Yield every element with the sum of the translations around it."""
    transform = element.get("transform", "")
    if transform.startswith("translate("):
        dx, dy = map(float, transform[len("translate(") : -1].split())
        x, y = x + dx, y + dy
    yield element, x, y
    for child in element:
        yield from placed(child, x, y)
