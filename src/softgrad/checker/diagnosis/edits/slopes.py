"""Elementwise functions whose derivative is another's, or is taken at another number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.base import Changes, Edit, capital
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.subject import Vector

__all__ = ["slopes"]


def _sigmoid(v: Vector) -> Vector:
    return np.asarray(0.5 + 0.5 * np.tanh(v / 2))


_NUMBERS: dict[str, Callable[[Vector, Vector], Vector]] = {
    "the output": lambda x, y: y,
    "the input": lambda x, y: x,
    "σ(input)": lambda x, y: _sigmoid(x),
    "σ(output)": lambda x, y: _sigmoid(y),
    "tanh(input)": lambda x, y: np.asarray(np.tanh(x)),
    "tanh(output)": lambda x, y: np.asarray(np.tanh(y)),
}
"""What a formula may be taken at: the function's input x or output y, or a function of them."""
_FORMULAS: dict[str, tuple[str, Callable[[Vector], Vector]]] = {
    "1": ("chain-term", lambda v: 0 * v + 1),
    "v": ("chain-term", lambda v: v),
    "1 − v": ("chain-term", lambda v: 1 - v),
    "1 + v": ("chain-term", lambda v: 1 + v),
    "v²": ("chain-term", lambda v: v * v),
    "1 + v²": ("chain-term", lambda v: 1 + v * v),
    "v·(1 − v)": ("wrong-variable", lambda v: v * (1 - v)),
    "1 − v²": ("wrong-variable", lambda v: 1 - v * v),
    "1[v > 0]": ("wrong-variable", lambda v: np.where(v > 0, 1.0, 0.0)),
}
"""The derivatives of common functions, and what becomes of them when a part is forgotten."""


def slopes(graph: Graph) -> Iterator[Edit]:
    """Yield the slopes that an elementwise stretch of the forward may be given."""
    for before, after in _stretches(graph):
        of, by = graph.steps[after].label, graph.steps[before].label
        text = f"the derivative of {of} with respect to {by}"
        for at, number in _NUMBERS.items():
            for formula, (code, slope) in _FORMULAS.items():
                if code == "chain-term" and at not in ("the output", "the input"):
                    continue  # the derivative of another function, at a function of a number
                if formula == "v" and not (
                    at == "the output" and _is_sigmoid(graph, before, after)
                ):
                    code = "wrong-variable"  # no part of the slope, as of v·(1 − v), but another

                def changes(
                    graph: Graph,
                    after: int = after,
                    before: int = before,
                    number: Callable[[Vector, Vector], Vector] = number,
                    slope: Callable[[Vector], Vector] = slope,
                    formula: str = formula,
                ) -> list[Change]:
                    x, y = graph.steps[before].value, graph.steps[after].value
                    with np.errstate(all="ignore"):
                        d = np.asarray(slope(number(x, y))).reshape(-1)
                    plain = d.size > 1 and not np.ptp(d)  # one number is no slope of a function
                    chosen = d.size == 1 and formula == "1[v > 0]"  # 0 and 1 come too easily
                    if not np.isfinite(d).all() or (formula != "1" and plain) or chosen:
                        return []
                    return [Change(after, before, np.diag(d) - graph.stretch(before, after))]

                if formula != "1":
                    said = f"In {text} stands {formula}, v being {at}."
                    yield Edit(code, said, changes, place=after)
                elif at == "the output":
                    said = f"{capital(text)} is not applied."
                    yield Edit(code, said, changes, place=after)
        yield from _of_the_layer_before(graph, before, after)
        yield Edit(
            "chain-term", f"{capital(text)} is not applied, all but its sign.",
            _sign_alone(before, after), place=after,
        )  # fmt: skip


def _of_the_layer_before(graph: Graph, before: int, after: int) -> Iterator[Edit]:
    """Yield the slope in terms of the output, where another layer's output stands for it.

    That is an array of the same shape which goes into the function's input through a product, as
    the state before of a recurrent network.
    """
    y, d = graph.steps[after].value, np.diag(graph.stretch(before, after))
    right = [slope for _, slope in _FORMULAS.values() if np.allclose(slope(y).ravel(), d)]
    if not right or _layer_before(graph, before, after) is None:
        return

    def changes(graph: Graph) -> list[Change]:
        of = _layer_before(graph, before, after)
        if of is None:
            return []
        d = right[0](graph.steps[of].value).ravel()
        return [Change(after, before, np.diag(d) - graph.stretch(before, after))]

    text = f"The slope of {graph.steps[after].label} is that at what goes into it through a product"
    said = f"{text}, such as the state before, and must be that at its own output."
    yield Edit("wrong-variable", said, changes, place=after)


def _layer_before(graph: Graph, before: int, after: int) -> int | None:
    """Return the nearest array of a step's shape that it is made of through a product."""
    shape = graph.steps[after].value.shape
    open_ = seen = {(before, False)}
    found = set()
    while open_:
        reached = set()
        for place, through in open_:
            if through and graph.steps[place].value.shape == shape and graph.moving[place]:
                found.add(place)
                continue
            product = graph.steps[place].name in ("matmul", "dot", "einsum")
            reached |= {(k, through or product) for k in graph.steps[place].operands}
        open_ = reached - seen  # the ways are many, the steps are few
        seen = seen | open_
    return max(found, default=None)


def _sign_alone(before: int, after: int) -> Changes:
    """Return the changes by which a slope that has both signs becomes ±1."""

    def changes(graph: Graph) -> list[Change]:
        J = graph.stretch(before, after)
        signs = np.sign(J)
        return [Change(after, before, signs - J)] if np.ptp(np.diag(signs)) else []

    return changes


def _is_sigmoid(graph: Graph, before: int, after: int) -> bool:
    """Whether a slope is y·(1 − y), of the output y."""
    y = graph.steps[after].value.ravel()
    return bool(np.allclose(np.diag(graph.stretch(before, after)), y * (1 - y), rtol=1e-7))


def _stretches(graph: Graph) -> list[tuple[int, int]]:
    """Return steps before and after elementwise functions of one array, the shortest first."""
    found = []
    for before, first in enumerate(graph.steps):
        if not graph.moving[before]:
            continue
        closed = {before}  # what depends on this step alone
        for after in range(before + 1, len(graph.steps)):
            last = graph.steps[after]
            edges = graph.edges[after]
            if not edges or any(graph.before(edge) not in closed for edge in edges):
                continue
            closed.add(after)
            by_entry = last.elementwise or last.name == "where"
            if by_entry and last.value.shape == first.value.shape:
                d = np.diag(graph.stretch(before, after))
                if (np.ptp(d) or d.size == 1) and not (
                    graph.stretch(before, after) - np.diag(d)
                ).any():
                    found.append((before, after))
    return sorted(found, key=lambda pair: pair[1] - pair[0])
