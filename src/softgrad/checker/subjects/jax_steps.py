"""JAX: a function's program, run operation by operation; those of one expression are a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, groupby
from typing import Any

import jax
import jaxlib
import numpy as np
from jax.extend import core

from softgrad.checker.diagnosis.graph.steps import Site
from softgrad.checker.diagnosis.graph.traced import Tape, Untraceable
from softgrad.checker.subject import AnyArray
from softgrad.checker.subjects.jax_primitives import ELEMENTWISE, as_numpy, called, evaluated, run

__all__ = ["Array", "Follower"]

_LIBRARIES = (os.path.dirname(jax.__file__), os.path.dirname(jaxlib.__file__))
_MOST = 2000
"""Operations beyond which a function is not followed."""
_NAMES = {
    "add_any": "add", "clamp": "clip", "div": "divide", "dot_general": "matmul",
    "dynamic_slice": "_item", "dynamic_update_slice": "_assigned", "gather": "_item",
    "logistic": "sigmoid", "mul": "multiply", "neg": "negative", "reduce_max": "max",
    "reduce_min": "min", "reduce_prod": "prod", "reduce_sum": "sum", "scatter": "_assigned",
    "select_n": "where", "slice": "_item", "split": "_item", "stop_gradient": "detach",
    "sub": "subtract",
}  # fmt: skip
"""NumPy's names of what JAX calls otherwise."""
_ARRANGE = ("broadcast_in_dim", "convert_element_type", "expand_dims", "reshape", "squeeze")
"""What stands beside the operation that an expression is."""


@dataclass(eq=False)
class Array:
    """A value of the run, and the operation that it comes from."""

    value: AnyArray
    origin: _Operation | None = None
    """None for inputs and constants."""
    step: int | None = None
    """Where it stands on the tape."""
    is_literal: bool = False

    @property
    def moves(self) -> bool:
        """Whether it depends on an input."""
        return self.origin is not None or self.step is not None


@dataclass(eq=False)
class _Operation:
    name: str
    call: Callable[[Sequence[AnyArray]], list[AnyArray]]
    inputs: list[Array]
    site: Site | None
    elementwise: bool
    outputs: list[Array] = field(default_factory=list)


class Follower:
    """Runs programs and keeps the operations that depend on an input."""

    def __init__(self) -> None:
        self._operations: list[_Operation] = []

    def run(self, program: Any, given: Sequence[Array], within: Site | None = None) -> list[Array]:
        """Run a program; `within` is where it is called, if that is no place of its own."""
        jaxpr = program.jaxpr
        known = dict(zip(jaxpr.constvars, map(_constant, program.consts), strict=True))
        known.update(zip(jaxpr.invars, given, strict=True))

        def read(variable: Any) -> Array:
            if isinstance(variable, core.Literal):
                return Array(np.asarray(variable.val), is_literal=True)
            return known[variable]  # type: ignore[no-any-return]

        for equation in jaxpr.eqns:
            inputs = [read(variable) for variable in equation.invars]
            results = self._equation(equation, inputs, _site(equation, within))
            known.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def write(self, tape: Tape, outputs: Iterable[Array]) -> list[int]:
        """Write the steps on a tape; return those that the outputs are."""
        groups = [list(group) for _, group in groupby(self._operations, _key_of())]
        group_of = {id(op): n for n, group in enumerate(groups) for op in group}
        ends = {id(array) for array in outputs}
        for n, group in enumerate(groups):
            for op in group:
                outer = (array for array in op.inputs if array.origin is not None)
                ends |= {id(a) for a in outer if group_of[id(a.origin)] != n}
        for group in groups:
            for array in (array for op in group for array in op.outputs):
                if id(array) in ends and array.origin is not None:
                    _write(tape, array, group)
        return [_end(tape, array) for array in outputs]

    def _equation(self, equation: Any, inputs: list[Array], site: Site | None) -> list[Array]:
        control = {"scan": self._scan, "while": self._while, "cond": self._cond}
        if equation.primitive.name in control:
            return control[equation.primitive.name](equation.params, inputs, site)
        program = called(equation)
        if program is not None and _is_of_user(program):
            return self.run(program, inputs, site)
        name = equation.primitive.name
        if program is not None:
            name = _source(program).partition(" ")[0].strip("_")
        return self._apply(name, partial(evaluated, equation), inputs, site, _is_plain(equation))

    def _scan(self, params: Any, inputs: list[Array], site: Site | None) -> list[Array]:
        consts, carried = params["num_consts"], params["num_carry"]
        fixed, carry, rows = inputs[:consts], inputs[consts:][:carried], inputs[consts:][carried:]
        found: list[list[Array]] = []
        for t in sorted(range(params["length"]), reverse=params["reverse"]):
            row = partial(_row, t)
            turn = [self._apply("_item", row, [array], site, False)[0] for array in rows]
            results = self.run(params["jaxpr"], [*fixed, *carry, *turn], site)
            carry = results[:carried]
            found.append(results[carried:])
        columns = map(list, zip(*(found[::-1] if params["reverse"] else found), strict=True))
        return [*carry, *(self._apply("stack", _stacked, c, site, False)[0] for c in columns)]

    def _while(self, params: Any, inputs: list[Array], site: Site | None) -> list[Array]:
        count, more = params["cond_nconsts"], params["body_nconsts"]
        asked, fixed, carry = inputs[:count], inputs[count:][:more], inputs[count:][more:]
        while run(params["cond_jaxpr"], [array.value for array in (*asked, *carry)])[0]:
            carry = self.run(params["body_jaxpr"], [*fixed, *carry], site)
        return carry

    def _cond(self, params: Any, inputs: list[Array], site: Site | None) -> list[Array]:
        last = len(params["branches"]) - 1
        branch = params["branches"][min(max(int(inputs[0].value), 0), last)]
        return self.run(branch, inputs[1:], site)

    def _apply(
        self,
        name: str,
        call: Callable[[Sequence[AnyArray]], list[AnyArray]],
        inputs: list[Array],
        site: Site | None,
        elementwise: bool,
    ) -> list[Array]:
        values = call([array.value for array in inputs])
        if not any(array.moves for array in inputs):
            return list(map(Array, values))
        op = _Operation(_NAMES.get(name, name), call, inputs, site, elementwise)
        for value in values:
            if value.dtype.kind == "f" and value.dtype != np.float64:
                raise Untraceable  # differences of it would show nothing but rounding
            op.outputs.append(Array(value, op if value.dtype.kind == "f" else None))
        self._operations.append(op)
        if len(self._operations) > _MOST:
            raise Untraceable
        return op.outputs


def _row(t: int, values: Sequence[AnyArray]) -> list[AnyArray]:
    return [np.asarray(values[0][t])]


def _stacked(values: Sequence[AnyArray]) -> list[AnyArray]:
    return [np.stack(values)]


def _write(tape: Tape, array: Array, group: Sequence[_Operation]) -> None:
    """Write an expression's value as a function of what comes from outside of it."""
    operations: list[_Operation] = []
    outer: list[Array] = []

    def visit(array: Array) -> None:
        if array.origin is None or array.origin not in group:
            if array not in outer:
                outer.append(array)
        elif array.origin not in operations:
            for other in array.origin.inputs:
                visit(other)
            operations.append(array.origin)

    visit(array)
    # Integers, and numbers within the expression, are no operands.
    operands = [a for a in outer if a.moves or (a.value.dtype.kind == "f" and not a.is_literal)]

    def again(values: Sequence[AnyArray]) -> AnyArray:
        known = {id(a): a.value for a in outer}
        known.update((id(a), np.asarray(v)) for a, v in zip(operands, values, strict=True))
        for op in operations:
            results = op.call([known[id(a)] for a in op.inputs])
            known.update((id(a), value) for a, value in zip(op.outputs, results, strict=True))
        return known[id(array)]

    shapes = [a.value.shape for a in operands]
    elementwise = all(op.elementwise for op in operations)
    given = [a.value if a.step is None else a.step for a in operands]
    array.step = tape.write(
        _name_of(operations), again, given, array.value, operations[-1].site,
        elementwise and np.broadcast_shapes(*shapes) == array.value.shape,
    )  # fmt: skip


def _name_of(operations: Sequence[_Operation]) -> str:
    names = [op.name for op in operations if op.name not in _ARRANGE]
    if names == ["sum", "divide"]:
        return "mean"
    return names[0] if len(names) == 1 else operations[-1].name if not names else "expression"


def _end(tape: Tape, array: Array) -> int:
    if array.step is not None:
        return array.step
    value = array.value
    # Integers have no derivative.
    return tape.constant(value if value.dtype.kind == "f" else np.zeros(value.shape))


def _key_of() -> Callable[[_Operation], object]:
    """Return what the operations of one expression have in common."""
    number = count()
    return lambda op: op.site if op.site is not None and op.site.calls else next(number)


def _site(equation: Any, within: Site | None) -> Site | None:
    """Return where an equation is written; in what is called, it is the call where none is."""
    stack = equation.source_info.traceback
    own = Site.of(_frames(stack), *_LIBRARIES) if stack is not None else None
    if own is None or not own.calls:
        return within
    return own if within is None else Site((*own.calls, *within.calls))


def _frames(stack: Any) -> Iterator[tuple[Any, int]]:
    codes, instructions = stack.raw_frames()
    return zip(codes, instructions, strict=True)


def _is_of_user(program: Any) -> bool:
    """Whether a program is the user's function, and not one of JAX."""
    return not any(folder in _source(program) for folder in _LIBRARIES)


def _source(program: Any) -> str:
    """Return the name of a program's function, and where it is written."""
    return str(program.jaxpr.debug_info.func_src_info or "")


def _is_plain(equation: Any) -> bool:
    """Whether every entry comes from the entries at the same place, as NumPy broadcasts them."""
    program = called(equation)
    if program is not None:
        return all(map(_is_plain, program.jaxpr.eqns))
    if equation.primitive.name == "broadcast_in_dim":
        ndim, axes = len(equation.params["shape"]), equation.params["broadcast_dimensions"]
        return tuple(axes) == tuple(range(ndim - len(axes), ndim))
    return equation.primitive.name in ELEMENTWISE


def _constant(value: Any) -> Array:
    return Array(as_numpy(value))
