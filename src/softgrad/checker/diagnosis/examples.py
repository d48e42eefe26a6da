"""One small example of every mistake: a forward, the wrong backward, the right one, and inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["EXAMPLES", "Example"]

Array = Any
"""An array of NumPy; the examples are written as one writes them, and are shown as they are."""


@dataclass(frozen=True)
class Example:
    """A wrong backward that `softgrad.check` names by `code`."""

    code: str
    title: str
    forward: Callable[..., Any]
    wrong: Callable[..., Any]
    right: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...] = ((4, 5),)
    labels: int = 0
    """How many labels follow the inputs, of the classes on the first one's last axis."""
    offset: float = 0.0
    """Added to all inputs."""
    first: Callable[..., Any] | None = None
    """The backward, where what is wrong is its derivative."""

    def arguments(self, seed: int = 0, mended: bool = False) -> tuple[list[Any], dict[str, Any]]:
        """Return what `softgrad.check` is called with, for the mistake or for its mended twin."""
        rule = self.right if mended else self.wrong
        if self.first is None:
            return [self.forward, rule, *self.inputs(seed)], {}
        return [self.forward, self.first, *self.inputs(seed)], {"order": 2, "second": rule}

    def inputs(self, seed: int = 0) -> tuple[Array, ...]:
        """Draw the inputs: normal numbers, then labels."""
        rng = np.random.default_rng(seed)
        drawn = [self.offset + rng.standard_normal(shape) for shape in self.shapes]
        if not self.labels:
            return tuple(drawn)
        return (*drawn, rng.integers(0, self.shapes[0][-1], self.labels))


# --- forwards, and their right backwards -----------------------------------------------


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(z: Array, g: Array) -> Array:
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


def cross_entropy(z: Array, labels: Array) -> Array:
    return -np.log(softmax(z))[np.arange(len(z)), labels].mean()


def cross_entropy_backward(z: Array, labels: Array, g: Array) -> Array:
    d = softmax(z)
    d[np.arange(len(z)), labels] -= 1
    return g * d / len(z)


def linear(x: Array, W: Array, b: Array) -> Array:
    return x @ W.T + b


def linear_backward(x: Array, W: Array, b: Array, g: Array) -> tuple[Array, Array, Array]:
    return g @ W, g.T @ x, g.sum(axis=0)


def centred(x: Array) -> tuple[Array, Array]:
    d = x - x.mean(axis=-1, keepdims=True)
    return d, np.sqrt((d * d).mean(axis=-1, keepdims=True) + 1e-5)


def layer_norm(x: Array) -> Array:
    d, sigma = centred(x)
    return d / sigma


def layer_norm_backward(x: Array, g: Array) -> Array:
    d, sigma = centred(x)
    y = d / sigma
    mean, slope = g.mean(axis=-1, keepdims=True), (g * y).mean(axis=-1, keepdims=True)
    return (g - mean - y * slope) / sigma


def softmax_second(z: Array, g: Array, v: Array) -> tuple[Array, Array]:
    s, r = softmax(z), softmax_backward(z, g)
    vr, vs = (v * r).sum(axis=-1, keepdims=True), (v * s).sum(axis=-1, keepdims=True)
    return v * r - s * vr - r * vs, softmax_backward(z, v)


# --- wrong backwards, by the name of the mistake -----------------------------------------------


def diagonal_only(z: Array, g: Array) -> Array:
    s = softmax(z)
    return g * s * (1 - s)


def zero(z: Array, g: Array) -> Array:
    return np.zeros_like(z)


def identity(z: Array, g: Array) -> Array:
    return g.copy()


def severed(x: Array, W: Array, b: Array, g: Array) -> tuple[Array, Array, None]:
    return g @ W, g.T @ x, None


def projection_term(z: Array, g: Array) -> Array:
    s = softmax(z)
    return s * (g + (g * s).sum(axis=-1, keepdims=True))


def scale(z: Array, labels: Array, g: Array) -> Array:
    d = softmax(z)
    d[np.arange(len(z)), labels] -= 1
    return g * d


def sign(z: Array, labels: Array, g: Array) -> Array:
    d = -softmax(z)
    d[np.arange(len(z)), labels] += 1
    return g * d / len(z)


def cotangent(z: Array, labels: Array, g: Array) -> Array:
    d = softmax(z)
    d[np.arange(len(z)), labels] -= 1
    return d / len(z)


def axis(z: Array, g: Array) -> Array:
    s = softmax(z)
    return s * (g - (g * s).sum(axis=0, keepdims=True))


def unreduced_broadcast(x: Array, W: Array, b: Array, g: Array) -> tuple[Array, Array, Array]:
    return g @ W, g.T @ x, g


def wrong_variable(z: Array, g: Array) -> Array:
    s = softmax(softmax(z))
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


def subset(z: Array, labels: Array, g: Array) -> Array:
    return g * softmax(z) / len(z)


def arithmetic(z: Array, g: Array) -> Array:
    e = np.exp(z)  # overflows where the forward, which subtracts the maximum, does not
    s = e / e.sum(axis=-1, keepdims=True)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


def aliasing(z: Array, g: Array) -> Array:
    s = softmax(z)
    g -= (g * s).sum(axis=-1, keepdims=True)
    return s * g


def chain_term(x: Array, g: Array) -> Array:
    _, sigma = centred(x)
    return (g - g.mean(axis=-1, keepdims=True)) / sigma


def second_order(z: Array, g: Array, v: Array) -> tuple[Array, Array]:
    return np.zeros_like(z), softmax_backward(z, v)


def unnamed(z: Array, g: Array) -> Array:
    s = softmax(z) ** 1.7
    return g * np.cos(s) * s


def _softmax(code: str, title: str, wrong: Callable[..., Any], offset: float = 0.0) -> Example:
    return Example(code, title, softmax, wrong, softmax_backward, offset=offset)


def _loss(code: str, title: str, wrong: Callable[..., Any]) -> Example:
    return Example(code, title, cross_entropy, wrong, cross_entropy_backward, labels=4)


def _linear(code: str, title: str, wrong: Callable[..., Any]) -> Example:
    return Example(code, title, linear, wrong, linear_backward, ((4, 5), (3, 5), (3,)))


EXAMPLES = {
    example.code: example
    for example in (
        _softmax("diagonal-only", "softmax with the sigmoid's s(1 − s)", diagonal_only),
        _softmax("zero", "softmax that returns zeros", zero),
        _softmax("identity", "softmax that passes g on", identity),
        _linear("severed", "a bias whose gradient is None", severed),
        _softmax("projection-term", "softmax with ⟨g, s⟩ added", projection_term),
        _loss("scale", "a mean loss, not divided by N", scale),
        _loss("sign", "cross-entropy with t − s", sign),
        _loss("cotangent", "a loss that ignores g", cotangent),
        _softmax("axis", "softmax with its sum over axis 0", axis),
        _linear("unreduced-broadcast", "a bias not summed over rows", unreduced_broadcast),
        _softmax("wrong-variable", "softmax applied twice", wrong_variable),
        _loss("subset", "cross-entropy without its target", subset),
        _softmax("arithmetic", "exp without the maximum", arithmetic, offset=800.0),
        _softmax("aliasing", "softmax that overwrites g", aliasing),
        Example(
            "chain-term",
            "layer norm without its variance",
            layer_norm,
            chain_term,
            layer_norm_backward,
        ),
        Example(
            "second-order",
            "a backward with s detached",
            softmax,
            second_order,
            softmax_second,
            first=softmax_backward,
        ),
        _softmax("unnamed", "a mistake that has no name", unnamed),
    )
}
"""By code, in the order of the table of names."""
