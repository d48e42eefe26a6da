"""One step of a forward: an operation on arrays, its operands, and where it is written."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType

import numpy as np

from softgrad.checker.subject import AnyArray, Vector

__all__ = ["Site", "Step"]

_START = "traced"
"""The function that calls the forward."""
_SKIPPED = (os.path.dirname(__file__), os.path.dirname(np.__file__))


@dataclass(frozen=True)
class Site:
    """Where a step is written: the same in every turn of a loop."""

    calls: tuple[tuple[CodeType, int], ...]
    """The functions that were running, and the instruction in each, the innermost first."""

    @classmethod
    def of_caller(cls) -> Site:
        """Return the place in the user's code that is being run."""
        frame: FrameType | None = sys._getframe(1)
        calls = []
        while frame is not None and frame.f_code.co_name != _START:
            if not frame.f_code.co_filename.startswith(_SKIPPED):
                calls.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        return cls(tuple(calls))

    @property
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
        text = self.text
        try:
            tree = ast.parse(text, mode="eval").body
        except SyntaxError:
            return []
        parts: list[ast.expr] = []
        if isinstance(tree, ast.BinOp):
            parts = [tree.left, tree.right]
        elif isinstance(tree, ast.UnaryOp):
            parts = [tree.operand]
        elif isinstance(tree, ast.Subscript):
            parts = [tree.value]
        elif isinstance(tree, ast.Call):
            own = tree.func.value if isinstance(tree.func, ast.Attribute) else None
            module = isinstance(own, ast.Name) and own.id in ("np", "numpy")
            parts = ([own] if own is not None and not module else []) + tree.args
        return [ast.unparse(part) for part in parts]


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

    @property
    def text(self) -> str:
        """The expression that it is written as."""
        return self.site.text if self.site is not None else ""

    @property
    def label(self) -> str:
        """What to call its value in a sentence."""
        return f"`{self.text}`" if self.text else f"an array of shape {self.value.shape}"
