"""One step's derivative: left out, doubled, without a factor, with one too many, elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from softgrad.checker.diagnosis.edits.base import (
    Changes,
    Edit,
    Places,
    becomes,
    capital,
    derivative,
    operand,
    with_operand,
)
from softgrad.checker.diagnosis.edits.functions import functions
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.subject import Vector

__all__ = [
    "as_it_is",
    "branches",
    "inverted",
    "multiples",
    "other_constants",
    "other_numbers",
    "powers",
    "reversed_sign",
    "squared",
    "summed",
    "without_factor",
]


_PRODUCTS = ("matmul", "dot", "einsum")
_Source = tuple[int | None, str, Callable[[Graph, int], Vector], int | None]


def multiples(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """A term of the chain rule left out, counted twice, subtracted, or times a number."""
    step = graph.steps[places[0]]
    text = capital(derivative(graph, places[0], k))
    code = "subset" if step.name == "where" else "chain-term"
    if len(places) == 1:
        yield Edit(code, f"{text} {{}}.", _times(places, k, 1.0), True, places[0])
        return
    for c, word in ((-1.0, "is missing"), (1.0, "is counted twice"), (-2.0, "has the wrong sign")):
        yield Edit(code, f"{text} {word}.", _times(places, k, c), times=c)
    yield Edit(code, f"{text} {{}}.", _times(places, k, 1.0), True)


def _times(places: Places, k: int, c: float) -> Changes:
    def changes(graph: Graph) -> list[Change]:
        return [
            Change(place, graph.before((place, k)), c * graph.locals[place, k]) for place in places
        ]

    return changes


def reversed_sign(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """A derivative with the wrong sign, as one that is made in a part."""
    text = f"{capital(derivative(graph, places[0], k))} has the wrong sign."
    yield Edit("sign", text, _times(places, k, -2.0), place=places[0])


def as_it_is(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """What comes in is passed on."""
    step = graph.steps[places[0]]
    if not graph.locals[places[0], k].any():
        return  # 0·x has the shape of x, and nothing to pass on
    several = step.elementwise and step.name != "where" and len(graph.edges[places[0]]) > 1
    if several or len(step.operands) == 1:
        text = f"{capital(derivative(graph, places[0], k))} is not applied"
        code, so = "chain-term", ""
        if _rearranges(graph.locals[places[0], k]):
            code, so = "axis", ": the entries are not put back where they came from"
        yield Edit(code, f"{text}{so}.", _passed_on(places, k), place=places[0])
        if step.name in ("multiply", "divide"):
            but = f"{text}, all but a sign."
            yield Edit("chain-term", but, _passed_on(places, k, -1.0), place=places[0])
    elif not step.elementwise and step.name in _PRODUCTS:
        text = f"{capital(derivative(graph, places[0], k))} is not applied: what comes in goes on"

        def same(graph: Graph, place: int) -> Matrix:
            return np.eye(*graph.locals[place, k].shape)

        if graph.values(places[0])[k].shape == step.value.shape:
            yield Edit("chain-term", f"{text} as it is.", becomes(places, k, same), place=places[0])


def _rearranges(L: Matrix) -> bool:
    """Tell a step that gives entries other places, as a transposition does."""
    ones = (L == 1).sum(axis=0) == 1
    moves = L.shape[0] == L.shape[1] and bool(ones.all() and np.count_nonzero(L) == len(L))
    return moves and not np.array_equal(L, np.eye(len(L)))


def branches(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """One branch of a `where` is taken everywhere."""
    if graph.steps[places[0]].name == "where":
        branch = operand(graph, places[0], k) or "one branch"
        text = f"{capital(derivative(graph, places[0], k))} is taken everywhere: as if the choice"
        yield Edit("subset", f"{text} were always {branch}.", _passed_on(places, k))


def _passed_on(places: Places, k: int, sign: float = 1.0) -> Changes:
    """Return the changes by which operand k gets what comes in, and the others get nothing."""

    def changes(graph: Graph) -> list[Change]:
        found = []
        for place in places:
            for edge in graph.edges[place]:
                L, own = graph.locals[edge], graph.values(place)[edge[1]]
                if edge[1] != k:
                    passed = np.zeros_like(L)
                elif own.shape == graph.steps[place].value.shape:
                    passed = sign * np.eye(own.size)
                else:
                    return []
                found.append(Change(place, graph.before(edge), passed - L))
        return found

    return changes


def without_factor(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """The other factor of a product is forgotten."""
    step = graph.steps[places[0]]
    for j, other in enumerate(step.operands):
        if j == k:
            continue

        value, code = graph.steps[other].value, "chain-term"
        if not graph.moving[other]:
            if np.isin(value, (0.0, 1.0)).all() and value.size > 1:
                code = "subset"  # a mask
            elif step.name == "divide":
                code = "scale"
        factor = operand(graph, places[0], j) or "the other operand"
        text = f"In {derivative(graph, places[0], k)} the factor {factor} is missing"
        for sign, but in ((1.0, ""), (-1.0, ", all but its sign")):

            def ones(graph: Graph, place: int, j: int = j, sign: float = sign) -> Vector:
                return np.full_like(graph.values(place)[j], sign)

            new = becomes(places, k, with_operand(k, j, ones))
            yield Edit(code, f"{text}{but}.", new, place=places[0])


def inverted(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """What must be divided by is multiplied with, or the reverse."""
    step, own = graph.steps[places[0]], graph.locals[places[0], k]
    if step.name not in ("multiply", "divide") or len(np.unique(own[own != 0])) < 2:
        return  # of one number it is a mistake of another name

    def inverse(graph: Graph, place: int) -> Matrix:
        L = graph.locals[place, k]
        return np.divide(1.0, L, out=np.zeros_like(L), where=L != 0)

    others = [j for j in range(len(step.operands)) if j != k]
    factor = (operand(graph, places[0], others[0]) if others else "") or "the other factor"
    text = f"In {derivative(graph, places[0], k)} {factor}"
    how = "divides where it must multiply"
    if step.name == "divide":
        how = "multiplies where it must divide"
    code = "chain-term" if any(graph.moving[step.operands[j]] for j in others) else "scale"
    yield Edit(code, f"{text} {how}.", becomes(places, k, inverse), place=places[0])


def powers(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """A factor too many or too few: the step's own value, an operand's, or any that fits."""
    step = graph.steps[places[0]]
    if not step.elementwise:
        return
    for j, name, source, other in _sources(graph, places):
        for how, power in (("missing", -1.0), ("one too many", 1.0)):

            def scaled(
                graph: Graph,
                place: int,
                source: Callable[[Graph, int], Vector] = source,
                power: float = power,
            ) -> Matrix | None:
                shape = graph.steps[place].value.shape
                with np.errstate(all="ignore"):
                    factor = np.broadcast_to(source(graph, place) ** power, shape).reshape(-1, 1)
                return factor * graph.locals[place, k] if np.isfinite(factor).all() else None

            text = f"In {derivative(graph, places[0], k)} a factor of {name} is {how}."
            code = "chain-term"
            if step.name == "multiply" and power > 0 and j == k and len(step.operands) == 2:
                code = "wrong-variable"  # a·b stands where b must
            taken = becomes(places, k, scaled)
            yield Edit(code, text, taken, place=places[0], factor=other)


def _sources(graph: Graph, places: Places) -> Iterator[_Source]:
    """Yield arrays that may be a factor: which operand, the name, the value, or another step."""
    step = graph.steps[places[0]]
    yield None, "its own value", lambda graph, place: graph.steps[place].value, None
    for j in range(len(step.operands)):
        name = operand(graph, places[0], j) or "an operand"
        yield j, name, partial(_of_operand, j), None
    own = {step.value.tobytes(), *(graph.steps[j].value.tobytes() for j in step.operands)}
    for other, seen in enumerate(graph.steps if len(places) == 1 else ()):
        if (
            seen.value.tobytes() not in own
            and seen.value.size > 1
            and _fits(seen.value.shape, step.value.shape)
        ):
            own.add(seen.value.tobytes())
            yield None, seen.label, partial(_of_step, other), other


def _of_operand(j: int, graph: Graph, place: int) -> Vector:
    return graph.values(place)[j]


def _of_step(other: int, graph: Graph, place: int) -> Vector:
    return graph.steps[other].value


def squared(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """A derivative that is multiplied in twice."""

    def twice(graph: Graph, place: int) -> Matrix:
        return np.asarray(graph.locals[place, k] ** 2)

    text = capital(derivative(graph, places[0], k))
    yield Edit("chain-term", f"{text} is applied twice.", becomes(places, k, twice))


def summed(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """The sum over all entries, where a slope must have each entry's own number."""
    L = graph.locals[places[0], k]
    if not graph.steps[places[0]].elementwise or not _is_diagonal(L) or not np.ptp(np.diag(L)):
        return

    def gathered(graph: Graph, place: int) -> Matrix:
        L = graph.locals[place, k]
        return np.asarray(np.trace(L) * np.eye(len(L)))

    text = f"In {derivative(graph, places[0], k)} the sum over all entries stands in each one's"
    yield Edit("wrong-variable", f"{text} place.", becomes(places, k, gathered), place=places[0])


def other_numbers(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """The derivative is right, and taken at another array than the step's own.

    In a loop it is the array of another turn, or of another line of the same turn.
    """
    step = graph.steps[places[0]]
    for j, own in enumerate(step.operands):
        value = graph.steps[own].value
        for other, seen in enumerate(graph.steps):
            if other == own or seen.value.shape != value.shape or value.ndim == 0:
                continue
            if np.array_equal(seen.value, value):
                continue
            offset = other - places[0]
            if len(places) > 1 and not 0 <= places[-1] + offset < len(graph.steps):
                continue

            def replaced(
                graph: Graph, place: int, other: int = other, offset: int = offset
            ) -> Vector:
                return graph.steps[other if len(places) == 1 else place + offset].value

            mine = operand(graph, places[0], j) or "its operand"
            text = f"In {derivative(graph, places[0], k)} {seen.label} stands where {mine} must."
            yield Edit("wrong-variable", text, becomes(places, k, with_operand(k, j, replaced)))


def other_constants(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """Where a step takes what the forward made of its other arguments, one of these stands."""
    step, own = graph.steps[places[0]], graph.locals[places[0], k]
    made = [j for j, n in enumerate(step.operands) if j != k and not graph.moving[n]]
    if made:
        shape = graph.values(places[0])[made[0]].shape
    elif step.name == "multiply" and len(step.operands) == 1 and _is_diagonal(own):
        shape = step.value.shape  # the other factor is no step, and seen in the derivative alone
    else:
        return
    for name in _made_of_given(graph, shape):
        for sign, minus in ((1.0, ""), (-1.0, "minus ")):

            def given(graph: Graph, place: int, name: str = name, sign: float = sign) -> Vector:
                return sign * _made_of_given(graph, shape)[name]

            def alone(
                graph: Graph, place: int, given: Callable[[Graph, int], Vector] = given
            ) -> Matrix:
                return np.diag(given(graph, place).ravel())

            new = with_operand(k, made[0], given) if made else alone
            what = operand(graph, places[0], made[0]) if made else ""
            text = f"In {derivative(graph, places[0], k)} {minus}{name} stands where"
            text += f" {what or 'the other factor'} must"
            code, more = "wrong-variable", "."
            if made and _is_masked(graph.values(places[0])[made[0]], given(graph, places[0])):
                code, more = "subset", ": it is not 0 where that is 0, and the same elsewhere."
            yield Edit(code, f"{text}{more}", becomes(places, k, new), place=places[0])


def _is_masked(value: Vector, whole: Vector) -> bool:
    """Whether an array is another one with some entries set to 0."""
    return bool((value == 0).any()) and np.array_equal(np.where(value != 0, whole, 0.0), value)


def _is_diagonal(L: Matrix) -> bool:
    return L.shape[0] == L.shape[1] and not (L - np.diag(np.diag(L))).any()


def _made_of_given(graph: Graph, shape: tuple[int, ...]) -> dict[str, Vector]:
    """Return the arguments of a shape, and what activations make of them, by their names."""
    if ("given", shape) not in graph.kept:
        found: dict[str, Vector] = {}
        for place, given in enumerate(graph.given):
            if isinstance(given, np.ndarray) and given.shape == shape and given.dtype.kind in "iuf":
                array, name = given.astype(np.float64), f"input {place}"
                found[name] = array
                found |= {form.format(name): function(array) for form, function in functions(array)}
        graph.kept["given", shape] = found
    known: dict[str, Vector] = graph.kept["given", shape]
    return known


def _fits(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    pairs = zip(shape[::-1], into[::-1], strict=False)
    return len(shape) <= len(into) and all(n in (1, m) for n, m in pairs)
