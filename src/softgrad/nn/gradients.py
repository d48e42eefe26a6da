"""What backpropagation returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softgrad.arrays import Array
from softgrad.results import Block, Paragraph, Result, Table, number

__all__ = ["Gradients", "norm"]


@dataclass(frozen=True, eq=False)
class Gradients(Result):
    """The gradients of the loss: at every layer's output (δ), at the input, in every parameter.

    Parameters
    ----------
    loss : float
        The loss itself.
    layers : tuple of str, length L
        The layers, as they print.
    input : array [..., D]
        The gradient in the network's input.
    outputs : tuple of arrays, length L
        δ, the gradient at the output of each layer. The last one is None where the loss and the
        last layer are one: their gradient p − t stands at the output of the layer before.
    parameters : mapping
        The gradient of each parameter by its name, such as "0.W".
    """

    schema: ClassVar[str] = "softgrad.gradients/1"

    loss: float
    layers: tuple[str, ...]
    input: Array
    outputs: tuple[Array | None, ...]
    parameters: Mapping[str, Array]

    def layer_sizes(self) -> dict[str, float]:
        """Return the norm of all of a layer's parameter gradients, by the layer's place."""
        of_layer: dict[str, list[Array]] = {}
        for name, gradient in self.parameters.items():
            of_layer.setdefault(name.split(".")[0], []).append(gradient)
        return {layer: norm(*gradients) for layer, gradients in sorted(of_layer.items())}

    def blocks(self) -> Iterable[Block]:
        yield Paragraph(f"loss {number(self.loss)}")
        rows: list[tuple[str | float, ...]] = [_row("input", "δ", self.input)]
        for i, (layer, delta) in enumerate(zip(self.layers, self.outputs, strict=True)):
            name = f"{i}  {layer}"
            if delta is None:
                rows.append((name, "δ", "one with the loss", ""))
            else:
                rows.append(_row(name, "δ", delta))
            for parameter, gradient in self.parameters.items():
                if parameter.split(".")[0] == str(i):
                    rows.append(_row("", parameter, gradient))
        yield Table(("layer", "gradient", "shape", "size"), tuple(rows))


def norm(*arrays: Array) -> float:
    """Return the Euclidean norm of all the entries together.

    >>> norm(np.array([3.0, 0.0]), np.array([[4.0]]))
    5.0
    """
    return float(np.sqrt(sum(float(np.vdot(a, a)) for a in arrays)))


def _row(layer: str, what: str, gradient: Array) -> tuple[str, ...]:
    return layer, what, " × ".join(map(str, gradient.shape)), number(norm(gradient))
