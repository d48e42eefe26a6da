"""One step of a forward: an operation on arrays, its operands, and where it is written."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import takewhile
from types import CodeType, FrameType

import numpy as np

from softgrad.checker.subject import AnyArray, Vector

__all__ = ["Site", "Step"]

_START = "traced"
"""The function that calls the forward."""
_HERE = os.path.dirname(__file__)
_CHECKER = os.path.dirname(os.path.dirname(_HERE))
_SKIPPED = (_HERE, os.path.join(_CHECKER, "subjects"), os.path.dirname(np.__file__))
_MODULES = ("np", "numpy", "torch", "F", "nn", "jnp", "jax", "lax")
"""What calls of functions begin with; other names before a dot are arrays."""
_CACHE = 0
"""The opcode of what follows an instruction for the interpreter's own use."""
_LOOPS = ("scan", "map", "fori_loop", "while_loop")
"""Calls whose first argument is a function, and whose steps are rows."""


@dataclass(frozen=True)
class Site:
    """Where a step is written: the same in every turn of a loop."""

    calls: tuple[tuple[CodeType, int], ...]
    """The functions that were running, and the instruction in each, the innermost first."""

    @classmethod
    def of_caller(cls, *libraries: str) -> Site:
        """Return the place in the user's code that is being run, outside these folders."""
        return cls.of(_frames(sys._getframe(1)), *libraries)

    @classmethod
    def of(cls, frames: Iterable[tuple[CodeType, int]], *libraries: str) -> Site:
        """Return the user's part of a stack, whose innermost frame comes first."""
        skipped = (*_SKIPPED, *libraries)
        own = takewhile(lambda frame: frame[0].co_name != _START, frames)
        return cls(tuple(frame for frame in own if not frame[0].co_filename.startswith(skipped)))

    @cached_property
    def text(self) -> str:
        """The expression, in one line; empty where its source cannot be read."""
        if not self.calls:  # the forward is a function of NumPy itself
            return ""
        code, instruction = self.calls[0]
        first, last, start, stop = list(code.co_positions())[instruction // 2]
        if first is None or last is None or start is None or stop is None:
            return ""
        lines = [linecache.getline(code.co_filename, n) for n in range(first, last + 1)]
        if not all(lines):
            return ""
        # The columns count bytes.
        raw = [line.encode() for line in lines]
        raw[-1] = raw[-1][:stop]
        raw[0] = raw[0][start:]
        return " ".join(b" ".join(raw).decode(errors="replace").split())

    def operands(self) -> list[str]:
        """The operands' expressions, where the step is an operator or a call."""
        tree, parts = self._tree, list[ast.expr]()
        if isinstance(tree, ast.BinOp):
            parts = [tree.left, tree.right]
        elif isinstance(tree, ast.UnaryOp):
            parts = [tree.operand]
        elif isinstance(tree, ast.Subscript):
            parts = [tree.value]
        elif isinstance(tree, ast.Call):
            own = tree.func.value if isinstance(tree.func, ast.Attribute) else None
            is_array = own is not None and ast.unparse(own).partition(".")[0] not in _MODULES
            parts = ([own] if own is not None and is_array else []) + tree.args
            if ast.unparse(tree.func).rpartition(".")[2] in _LOOPS:
                parts = []
        return [ast.unparse(part) for part in parts]

    @property
    def is_call(self) -> bool:
        """Whether the expression is a call of a function or a method."""
        return isinstance(self._tree, ast.Call)

    @cached_property
    def _tree(self) -> ast.expr | None:
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError:
            return None


def _frames(frame: FrameType | None) -> Iterator[tuple[CodeType, int]]:
    while frame is not None:
        yield frame.f_code, _start(frame.f_code, frame.f_lasti)
        frame = frame.f_back


@lru_cache(maxsize=4096)
def _start(code: CodeType, instruction: int) -> int:
    """Return where an instruction begins: what was run often is found within its caches."""
    raw = code.co_code
    while instruction > 0 and raw[instruction] == _CACHE:
        instruction -= 2
    return instruction


@dataclass(frozen=True)
class Step:
    """An operation, as a function of its operands' values alone."""

    name: str
    function: Callable[[Sequence[AnyArray]], AnyArray] | None
    """None for inputs and constants."""
    operands: tuple[int, ...]
    """The places of the steps whose values it takes."""
    value: Vector
    site: Site | None
    elementwise: bool = False
    """Whether every entry comes from the operands' entries at the same place."""
    title: str = ""
    """What an input is called."""

    @property
    def text(self) -> str:
        """The expression that it is written as."""
        return self.site.text if self.site is not None else ""

    @property
    def label(self) -> str:
        """What to call its value in a sentence."""
        if self.title:
            return self.title
        return f"`{self.text}`" if self.text else f"the value of a step ({self.name})"
