"""`softgrad.follow`: gradient steps on an objective of a layer's outputs, with no loss."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softgrad.arrays import quiet
from softgrad.errors import mismatch
from softgrad.explain.arguments import Vector
from softgrad.explain.follow_words import outcome, words_for
from softgrad.explain.layer import Layer, choose_layer, parts_of
from softgrad.explain.names import public_name
from softgrad.explain.objectives import Objective, choose_objective, has_logarithm
from softgrad.explain.tables import as_row, largest, milestones, part_of
from softgrad.maps import AbstractElementwiseMap, AbstractMap, AbstractSimplexMap, Sigmoid, sigmoid
from softgrad.maps.rows import check_real
from softgrad.nn import Network
from softgrad.results import Block, Paragraph, Result, Table, counted, number

__all__ = ["Followed", "Trajectory", "follow"]

_OUTPUTS, _PARAMETERS, _WIDTH = 4, 24, 80
"""As many outputs, as large a W, and as wide a table, as a terminal holds."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What was seen at each of S + 1 points: before each of S steps, and after the last."""

    outputs_map: str
    pre_activations: Vector  # [S + 1, K]
    outputs: Vector  # [S + 1, K]
    objective: Vector  # [S + 1]
    gradient_size: Vector  # [S + 1]; the Euclidean norm over all that is moved
    W: Vector | None  # [S + 1, K, D]
    b: Vector | None  # [S + 1, K]


@dataclass(frozen=True, eq=False)
class Followed(Result):
    """The result of `softgrad.follow`."""

    schema: ClassVar[str] = "softgrad.follow/1"

    objective: str
    ascend: bool
    lr: float
    x: Vector | None  # [D]
    trajectory: Trajectory
    sigmoid: Trajectory | None
    """The same with sigmoid outputs; None where `trajectory` has them already."""
    words: tuple[str, ...]

    def blocks(self) -> Iterable[Block]:
        """Yield what is followed, some of the points, and what happened."""
        way = "ascent" if self.ascend else "descent"
        moved = "the pre-activations z"
        if self.trajectory.W is not None:
            moved = "W" if self.trajectory.b is None else "W and b"
        yield Paragraph(
            f"Gradient {way} on {self.objective}, with p = {self.trajectory.outputs_map}(z): "
            f"{counted(len(self.trajectory.objective) - 1, 'step')} at rate {self.lr:g}, "
            f"moving {moved}",
            "title",
        )
        yield _table(self.objective, self.trajectory)
        yield from _parameters(self.trajectory)
        for sentence in self.words:
            yield Paragraph(f"• {sentence}")
        if self.sigmoid is not None:
            yield _table(self.objective, self.sigmoid)


def follow(
    subject: AbstractMap | Network,
    objective: str,
    steps: int = 50,
    lr: float = 1.0,
    *,
    index: int | None = None,
    weights: Any = None,
    start: Any = None,
    x: Any = None,
    W: Any = None,
    b: Any = None,
    ascend: bool = True,
) -> Followed:
    """Follow the gradient of an objective of a layer's outputs, with no loss and no target.

    Parameters
    ----------
    subject : map or Network
        What makes outputs p from pre-activations z: `softmax`, `sigmoid`, `sparsemax`, `tanh`, ….
        A network of one linear layer and one map brings its own W and b; it is left as it is.
    objective : {"output", "weighted", "sum", "log", "entropy"}
        p[index], Σ c[k]·p[k] with the weights c, Σ p[k], log p[index], or −Σ p[k]·log p[k]; the
        last two for softmax and sigmoid.
    steps : int
    lr : float
        The length of a step in units of the gradient.
    index : int
        The output, for ``"output"`` and ``"log"``.
    weights : array [K]
        c, for ``"weighted"``.
    start : array [K]
        The pre-activations to begin with: they are moved themselves. Or give `x` and `W`.
    x : array [D]
        The input of a layer z = W x + b, of which W and b are moved.
    W : array [K, D]
    b : array [K], optional
    ascend : bool
        False descends.

    Returns
    -------
    Followed
        Pre-activations, outputs, objective and gradient size before each step and at the end,
        with W and b where they are moved; the same with sigmoid outputs beside it; and what
        happened, in words made from the numbers.

    Raises
    ------
    TypeError
        An argument is of the wrong kind, missing, or not of use beside the others.
    ValueError
        A shape does not fit, a number is not finite, or the steps leave the range of floats.
    IndexError
        There is no output `index`.

    Examples
    --------
    >>> import softgrad as sg
    >>> from softgrad.explain import follow
    >>> result = follow(sg.softmax, "output", index=0, start=[0.0, 1.0, 2.0])
    >>> result.trajectory.outputs[[0, -1]].round(3)
    array([[0.09 , 0.245, 0.665],
           [0.982, 0.008, 0.01 ]])
    >>> plain_sum = follow(sg.softmax, "sum", start=[0.0, 1.0, 2.0])
    >>> float(plain_sum.trajectory.gradient_size.max())
    0.0
    """
    if isinstance(subject, Network):
        if not (start is W is b is None):
            raise TypeError(
                mismatch("subject", "a map where `start`, W or b is given", "a network")
            )
        subject, W, b = parts_of(subject)
    if not isinstance(subject, (AbstractSimplexMap, AbstractElementwiseMap)):
        expected = "a map to the simplex, such as softmax, or an elementwise one, such as sigmoid"
        raise TypeError(mismatch("subject", expected, repr(subject)))
    layer = choose_layer(start, x, W, b)
    goal = choose_objective(objective, index, weights, layer.pre_activations.size)
    if goal.kind in ("log", "entropy") and not has_logarithm(subject):
        expected = f"softmax or sigmoid for the objective {objective!r}"
        raise TypeError(mismatch("subject", expected, repr(subject)))
    steps = _count(steps)
    check_real("lr", lr, above=0)
    if not isinstance(ascend, (bool, np.bool_)):
        raise TypeError(mismatch("ascend", "True or False", repr(ascend)))
    rate = float(lr) if ascend else -float(lr)
    trajectory = _trajectory(subject, goal, layer, steps, rate)
    beside = None
    if not isinstance(subject, Sigmoid):
        beside = _trajectory(sigmoid, goal, layer, steps, rate)
    words = words_for(subject, goal, trajectory, bool(ascend))
    if beside is not None:
        words += [f"With sigmoid outputs: {outcome(goal, beside)}"]
    return Followed(
        goal.formula, bool(ascend), float(lr), layer.x, trajectory, beside, tuple(words)
    )


def _count(steps: Any) -> int:
    """Return the number of steps, one at least."""
    try:
        count = operator.index(steps)
    except TypeError:
        count = None
    if count is None or isinstance(steps, bool):
        raise TypeError(mismatch("steps", "a positive integer", repr(steps)))
    if count < 1:
        raise ValueError(mismatch("steps", "a positive integer", count))
    return count


def _trajectory(
    f: AbstractMap, goal: Objective, layer: Layer, steps: int, rate: float
) -> Trajectory:
    """Take the steps and write down what is seen at each point."""
    layers, pre_activations, outputs, values, sizes = [], [], [], [], []
    with quiet():
        for step in range(steps + 1):
            z = layer.pre_activations
            value, p, z_bar = goal.at(f, z)
            gradients = layer.gradients(z_bar)
            size = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients if g is not None))
            if not (np.isfinite(z).all() and math.isfinite(value) and math.isfinite(size)):
                expected = "small enough that all stays finite"
                raise ValueError(mismatch("lr", expected, f"{abs(rate):g} (overflow, step {step})"))
            layers.append(layer)
            pre_activations.append(z)
            outputs.append(p)
            values.append(value)
            sizes.append(size)
            layer = layer.moved(rate, gradients)
    return Trajectory(
        public_name(f),
        np.array(pre_activations),
        np.array(outputs),
        np.array(values),
        np.array(sizes),
        None if layer.x is None else np.array([at.W for at in layers]),
        None if layer.x is None or layer.b is None else np.array([at.b for at in layers]),
    )


def _table(objective: str, seen: Trajectory) -> Table:
    """Show the outputs at some of the points, and the pre-activations where they fit."""
    outputs = largest(np.abs(seen.outputs[[0, -1]]).max(axis=0), _OUTPUTS)
    last = len(seen.objective) - 1
    steps = milestones(last) if seen.gradient_size.any() else [0, last]
    ends = {f"p[{k}]": seen.outputs[steps, k] for k in outputs}
    begin = {objective: seen.objective[steps], "gradient": seen.gradient_size[steps]}
    middle = {f"z[{k}]": seen.pre_activations[steps, k] for k in outputs}
    columns = begin | middle | ends
    if len(outputs) < seen.outputs.shape[1] or _width(columns) > _WIDTH:
        columns = begin | ends
    rows = tuple(zip(steps, *columns.values(), strict=True))
    title = f"{seen.outputs_map} outputs"
    title += part_of(outputs, seen.outputs.shape[1], "of them, the largest")
    return Table(("step", *columns), rows, title)


def _width(columns: dict[str, Vector]) -> int:
    """Return how wide a table of these columns is, with the steps before them."""
    cells = (max(len(name), *map(len, map(number, values))) for name, values in columns.items())
    return sum((width + 3 for width in cells), start=len("│ step │"))


def _parameters(seen: Trajectory) -> Iterable[Block]:
    """Show W and b before and after, where they are small."""
    if seen.W is None or seen.W[0].size > _PARAMETERS:
        return
    rows = []
    for k in range(len(seen.W[0])):
        rows.append((f"W[{k}]", as_row(seen.W[0, k]), as_row(seen.W[-1, k])))
    if seen.b is not None:
        rows.append(("b", as_row(seen.b[0]), as_row(seen.b[-1])))
    yield Table(("parameter", "at first", "at the end"), tuple(rows))
