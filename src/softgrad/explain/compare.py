"""`softgrad.compare`: heads on one linear layer, and the gradient that each sends into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softgrad.arrays import quiet
from softgrad.errors import mismatch
from softgrad.explain.arguments import Vector, class_index, linear_layer
from softgrad.explain.compare_words import words_for
from softgrad.explain.heads import HEADS
from softgrad.explain.tables import largest, part_of
from softgrad.linear import Outer
from softgrad.results import Block, Paragraph, Result, Table, counted, number

__all__ = ["Comparison", "HeadGradient", "compare"]

_ROWS, _COLUMNS = 6, 5
"""As much of a matrix as fits a terminal."""


@dataclass(frozen=True, eq=False)
class HeadGradient:
    """One head: its outputs, its loss for the target class, and the loss's gradients."""

    name: str
    loss_formula: str
    gradient_formula: str
    outputs: Vector  # [K]
    loss: float
    logits_bar: Vector  # [K]; it is the gradient in the bias too
    W_bar: Vector  # [K, D]


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """The result of `softgrad.compare`."""

    schema: ClassVar[str] = "softgrad.compare/1"

    x: Vector  # [D]
    W: Vector  # [K, D]
    b: Vector | None  # [K]
    target: int
    logits: Vector  # [K]
    heads: tuple[HeadGradient, ...]
    words: tuple[str, ...]
    """What is zero, which signs differ, and why."""

    def blocks(self) -> Iterable[Block]:
        """Yield the heads, their gradients in z and in W, and what is to be seen in them."""
        K, D = self.W.shape
        layer = "z = W x" if self.b is None else "z = W x + b"
        heads = ", ".join(head.name for head in self.heads)
        sizes = f"{counted(K, 'class')}, {counted(D, 'feature')}"
        sizes += f", target class {self.target}; heads: {heads}"
        yield Paragraph(f"The last layer, {layer}: {sizes}", "title")
        formulas = ((h.name, h.loss_formula, h.loss, h.gradient_formula) for h in self.heads)
        yield Table(("head", "loss L", "value", "∂L/∂z"), tuple(formulas))
        magnitudes = np.sum([np.abs(h.logits_bar) for h in self.heads], axis=0)
        classes = largest(magnitudes, _ROWS, always=self.target)
        yield self._logits_table(classes)
        yield self._weights_table(classes)
        for sentence in self.words:
            yield Paragraph(f"• {sentence}")

    def _logits_table(self, classes: list[int]) -> Table:
        rows = [
            (label, z, head.name, head.outputs[k], head.logits_bar[k])
            for k, label, z, head in self._lines(classes)
        ]
        title = "Outputs p and the gradient in z"
        title += part_of(classes, self.logits.size, "classes, those with the largest gradients")
        return Table(("class", "z", "head", "p", "∂L/∂z"), tuple(rows), title)

    def _weights_table(self, classes: list[int]) -> Table:
        features = largest(np.abs(self.x), _COLUMNS)
        rows = [
            (label, head.name, *(head.W_bar[k, j] for j in features))
            for k, label, _, head in self._lines(classes)
        ]
        title = "Gradient in W: row k is ∂L/∂z of class k, times x"
        title += part_of(features, self.x.size, "columns, those with the largest x")
        return Table(("row", "head", *(f"j = {j}" for j in features)), tuple(rows), title)

    def _lines(self, classes: list[int]) -> Iterator[tuple[int, str, str, HeadGradient]]:
        """Yield one line a class and head; a class is named on the first of its lines."""
        for k in classes:
            label, z = self._label(k), number(self.logits[k])
            for head in self.heads:
                yield k, label, z, head
                label = z = ""

    def _label(self, k: int) -> str:
        return f"{k} (target)" if k == self.target else str(k)


def compare(
    x: Any, W: Any, target: Any, b: Any = None, heads: Iterable[str] = ("softmax", "sigmoid")
) -> Comparison:
    """Compare the gradients that different heads send into the last layer's weights.

    Parameters
    ----------
    x : array [D]
        The layer's input, one sample.
    W : array [K, D]
        The layer's weights; the logits are z = W x + b.
    target : int
        The class that is right, from 0.
    b : array [K], optional
    heads : names
        ``"softmax"`` and ``"sigmoid"`` have the loss −log of the target's cell.
        ``"sigmoid-all"`` adds −log(1 − p) of every other cell, the binary cross-entropy.
        ``"softmax-squared"`` has the loss ½‖p − t‖².

    Returns
    -------
    Comparison
        Outputs, loss, gradient in z and in W of each head, in float64, and what is zero, which
        signs differ, and why, in words made from the numbers.

    Raises
    ------
    TypeError
        An argument is not of real numbers, `target` is not an integer, or `heads` are no names.
    ValueError
        Shapes do not fit, a number is not finite, or a head is unknown.
    IndexError
        `target` is not a class.

    Examples
    --------
    >>> from softgrad.explain import compare
    >>> result = compare([1.0, 2.0], [[0.1, 0.2], [0.3, 0.1], [0.0, 0.4]], target=1)
    >>> softmax, sigmoid = result.heads
    >>> softmax.W_bar.round(4)
    array([[ 0.2985,  0.597 ],
           [-0.7015, -1.403 ],
           [ 0.403 ,  0.8059]])
    >>> sigmoid.W_bar.round(4)
    array([[ 0.    ,  0.    ],
           [-0.3775, -0.7551],
           [ 0.    ,  0.    ]])
    """
    x, W, b = linear_layer(x, W, b)
    target = class_index("target", target, len(W))
    names = _head_names(heads)
    with quiet():
        z = W @ x if b is None else W @ x + b  # [K]
    if not np.isfinite(z).all():
        raise ValueError(mismatch("W", "small enough that the logits are finite", "an overflow"))
    gradients = tuple(_head_gradient(name, z, x, target) for name in names)
    words = tuple(words_for(x, target, gradients))
    return Comparison(x, W, b, target, z, gradients, words)


def _head_names(heads: Any) -> tuple[str, ...]:
    """Return the names of one head or more, each of them known and named once."""
    expected = "different names among " + ", ".join(map(repr, HEADS))
    names = (heads,) if isinstance(heads, str) else heads
    names = tuple(names) if isinstance(names, Iterable) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise TypeError(mismatch("heads", expected, repr(heads)))
    if not names or len(set(names)) < len(names) or not set(names) <= set(HEADS):
        raise ValueError(mismatch("heads", expected, repr(names)))
    return names


def _head_gradient(name: str, z: Vector, x: Vector, target: int) -> HeadGradient:
    head = HEADS[name]
    loss, z_bar = head.value_and_gradient(z, target)
    W_bar = Outer(z_bar, x).as_matrix()  # [K, D]
    return HeadGradient(
        name,
        head.loss.format(t=target),
        head.gradient.format(t=target),
        head.outputs(z),
        loss + 0.0,
        z_bar + 0.0,  # a zero that came from −1 · 0 loses its sign
        W_bar + 0.0,
    )
