"""One small example of every mistake: a forward, a wrong backward, and inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXAMPLES", "Example"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """A wrong backward that `softgrad.check` names by `code`."""

    code: str
    title: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...] = ((4, 5),)
    labels: int = 0
    """How many labels follow the inputs, of the classes on the first one's last axis."""
    offset: float = 0.0
    """Added to all inputs."""

    def inputs(self, seed: int = 0) -> tuple[Vector | NDArray[np.int64], ...]:
        """Draw the inputs: normal numbers, then labels."""
        rng = np.random.default_rng(seed)
        drawn = [self.offset + rng.standard_normal(shape) for shape in self.shapes]
        if not self.labels:
            return tuple(drawn)
        return (*drawn, rng.integers(0, self.shapes[0][-1], self.labels))


def softmax(z: Vector) -> Vector:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def cross_entropy(z: Vector, labels: Vector) -> Vector:
    return np.asarray(-np.log(softmax(z))[np.arange(len(z)), labels].mean())


def linear(x: Vector, W: Vector, b: Vector) -> Vector:
    return np.asarray(x @ W.T + b)


def centred(x: Vector) -> tuple[Vector, Vector]:
    d = x - x.mean(axis=-1, keepdims=True)
    return d, np.sqrt((d * d).mean(axis=-1, keepdims=True) + 1e-5)


def layer_norm(x: Vector) -> Vector:
    d, sigma = centred(x)
    return d / sigma


def diagonal_only(z: Vector, g: Vector) -> Vector:
    s = softmax(z)
    return g * s * (1 - s)


def zero(z: Vector, g: Vector) -> Vector:
    return np.zeros_like(z)


def identity(z: Vector, g: Vector) -> Vector:
    return g.copy()


def severed(x: Vector, W: Vector, b: Vector, g: Vector) -> tuple[Vector, Vector, None]:
    return g @ W, g.T @ x, None


def projection_term(z: Vector, g: Vector) -> Vector:
    s = softmax(z)
    return np.asarray(s * (g + (g * s).sum(axis=-1, keepdims=True)))


def scale(z: Vector, labels: Vector, g: Vector) -> Vector:
    d = softmax(z)
    d[np.arange(len(z)), labels] -= 1
    return g * d


def sign(z: Vector, labels: Vector, g: Vector) -> Vector:
    d = -softmax(z)
    d[np.arange(len(z)), labels] += 1
    return g * d / len(z)


def cotangent(z: Vector, labels: Vector, g: Vector) -> Vector:
    d = softmax(z)
    d[np.arange(len(z)), labels] -= 1
    return d / len(z)


def axis(z: Vector, g: Vector) -> Vector:
    s = softmax(z)
    return np.asarray(s * (g - (g * s).sum(axis=0, keepdims=True)))


def unreduced_broadcast(
    x: Vector, W: Vector, b: Vector, g: Vector
) -> tuple[Vector, Vector, Vector]:
    return g @ W, g.T @ x, g


def wrong_variable(z: Vector, g: Vector) -> Vector:
    s = softmax(softmax(z))
    return np.asarray(s * (g - (g * s).sum(axis=-1, keepdims=True)))


def subset(z: Vector, labels: Vector, g: Vector) -> Vector:
    return g * softmax(z) / len(z)


def arithmetic(z: Vector, g: Vector) -> Vector:
    e = np.exp(z)  # overflows where the forward, which subtracts the maximum, does not
    s = e / e.sum(axis=-1, keepdims=True)
    return np.asarray(s * (g - (g * s).sum(axis=-1, keepdims=True)))


def aliasing(z: Vector, g: Vector) -> Vector:
    s = softmax(z)
    g -= (g * s).sum(axis=-1, keepdims=True)
    return s * g


def chain_term(x: Vector, g: Vector) -> Vector:
    _, sigma = centred(x)
    return np.asarray((g - g.mean(axis=-1, keepdims=True)) / sigma)


def unnamed(z: Vector, g: Vector) -> Vector:
    s = softmax(z) ** 1.7
    return np.asarray(g * np.cos(s) * s)


_LINEAR = ((4, 5), (3, 5), (3,))

EXAMPLES = {
    example.code: example
    for example in (
        Example("diagonal-only", "softmax with the sigmoid's s(1 − s)", softmax, diagonal_only),
        Example("zero", "softmax that returns zeros", softmax, zero),
        Example("identity", "softmax that passes g on", softmax, identity),
        Example("severed", "a bias whose gradient is None", linear, severed, _LINEAR),
        Example("projection-term", "softmax with ⟨g, s⟩ added", softmax, projection_term),
        Example("scale", "a mean loss, not divided by N", cross_entropy, scale, labels=4),
        Example("sign", "cross-entropy with t − s", cross_entropy, sign, labels=4),
        Example("cotangent", "a loss that ignores g", cross_entropy, cotangent, labels=4),
        Example("axis", "softmax with its sum over axis 0", softmax, axis),
        Example(
            "unreduced-broadcast",
            "a bias not summed over rows",
            linear,
            unreduced_broadcast,
            _LINEAR,
        ),
        Example("wrong-variable", "softmax applied twice", softmax, wrong_variable),
        Example("subset", "cross-entropy without its target", cross_entropy, subset, labels=4),
        Example("arithmetic", "exp without the maximum", softmax, arithmetic, offset=800.0),
        Example("aliasing", "softmax that overwrites g", softmax, aliasing),
        Example("chain-term", "layer norm without its variance", layer_norm, chain_term),
        Example("unnamed", "a mistake that has no name", softmax, unnamed),
    )
}
"""By code, in the order of the table of names."""
