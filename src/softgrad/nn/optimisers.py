"""Optimisers: how parameters move, given their gradients."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, final

import numpy as np

from softgrad.arrays import Array, describe
from softgrad.errors import mismatch
from softgrad.kernels import choose
from softgrad.nn.arguments import check_kind
from softgrad.nn.layer import numpy_array

__all__ = ["SGD", "AbstractOptimiser", "Adam"]


class AbstractOptimiser(ABC):
    """A rule that turns the gradient of a parameter into its change.

    The settings are fields. What a rule remembers is in `state`, arrays by names that begin with
    the parameter's, so that it can be saved; given to the constructor, it goes on from there. A
    step may change these arrays in place: copy what is to stay.
    """

    state: dict[str, Array]

    @abstractmethod
    def change(self, name: str, gradient: Array) -> Array:
        """Return what is added to the parameter `name`, and remember what the next step needs."""

    def step(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        """Move every parameter in place.

        Raises
        ------
        TypeError, ValueError
            The names or the shapes of parameters and gradients differ, or they are no mappings of
            arrays of real numbers; nothing has moved then.
        """
        for argument, value in (("parameters", parameters), ("gradients", gradients)):
            check_kind(argument, value, Mapping, "a mapping of names to arrays")
        if parameters.keys() != gradients.keys():
            expected = f"of {', '.join(parameters)}"
            raise ValueError(mismatch("gradients", expected, f"those of {', '.join(gradients)}"))
        pairs = {
            name: (parameter, _gradient(name, parameter, gradients[name]))
            for name, parameter in parameters.items()
        }
        for name, (parameter, gradient) in pairs.items():
            parameter += self.change(name, gradient)


@final
@dataclass(frozen=True, eq=False)
class SGD(AbstractOptimiser):
    """Stochastic gradient descent with heavy-ball momentum: v ← μv + g, θ ← θ − ηv.

    Parameters
    ----------
    lr : float
        η > 0.
    momentum : float
        μ in [0, 1).

    References
    ----------
    Polyak, 1964.

    Examples
    --------
    >>> W, optimiser = np.array([1.0]), SGD(lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimiser.step({"W": W}, {"W": np.array([1.0])})
    >>> W  # 1 − 0.1·1 − 0.1·1.9
    array([0.71])
    """

    lr: float = 0.1
    momentum: float = 0.0
    state: dict[str, Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _check_positive("lr", self.lr)
        _check_fraction("momentum", self.momentum)

    def change(self, name: str, gradient: Array) -> Array:
        if self.momentum == 0:
            return -self.lr * gradient
        v = gradient + self.momentum * self.state.get(f"{name}.v", 0.0)
        self.state[f"{name}.v"] = v
        return -self.lr * v


@final
@dataclass(frozen=True, eq=False)
class Adam(AbstractOptimiser):
    """Adam: steps of about η, whatever the gradient's scale.

    m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  θ ← θ − η·m̂/(√v̂ + ε), where m̂ = m/(1 − β₁ᵗ) and
    v̂ = v/(1 − β₂ᵗ) take off that both began at 0.

    Parameters
    ----------
    lr : float
        η > 0.
    betas : (float, float)
        β₁ and β₂ in [0, 1).
    eps : float
        ε > 0.

    References
    ----------
    Kingma & Ba, 2015, algorithm 1.

    Examples
    --------
    >>> W = np.array([1.0, 1.0])
    >>> Adam(lr=0.1).step({"W": W}, {"W": np.array([1e-3, -1e3])})
    >>> W.round(4)
    array([0.9, 1.1])
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    state: dict[str, Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _check_positive("lr", self.lr)
        _check_positive("eps", self.eps)
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise TypeError(mismatch("betas", "a pair of numbers", repr(self.betas)))
        for i, beta in enumerate(self.betas):
            _check_fraction(f"betas[{i}]", beta)

    def change(self, name: str, gradient: Array) -> Array:
        t = int(self.state.get(f"{name}.t", 0)) + 1
        before = [self.state.get(f"{name}.{what}") for what in "mv"]
        m, v = (np.zeros_like(gradient) if array is None else array for array in before)
        change, m, v = self._moved(gradient, m, v, t)
        self.state.update({f"{name}.t": np.asarray(t), f"{name}.m": m, f"{name}.v": v})
        return change

    def _moved(self, g: Array, m: Array, v: Array, t: int) -> tuple[Array, Array, Array]:
        """Return the change, m and v in step t; the kernel leaves m and v where they are."""
        beta1, beta2 = self.betas
        m_share, v_share = 1 - beta1**t, 1 - beta2**t
        if _compiled(g, m, v):
            settings = (beta1, 1 - beta1, beta2, 1 - beta2, m_share, v_share, -self.lr, self.eps)
            return _kernels().adam_change(g, m, v, settings), m, v
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        return -self.lr * (m / m_share) / (np.sqrt(v / v_share) + self.eps), m, v


def _compiled(g: Array, m: Array, v: Array) -> bool:
    """Tell whether the kernel is worth loading and fits: its bits are those of the formula."""
    if g.dtype not in (np.float32, np.float64) or choose("auto", g).impl == "reference":
        return False
    arrays = (g, m, v)
    alike = all(a.dtype == g.dtype and a.shape == g.shape and a.flags.carray for a in arrays)
    return alike and not np.may_share_memory(m, v)


def _kernels() -> ModuleType:
    return import_module("softgrad.kernels.numba.adam")


def _gradient(name: str, parameter: Array, gradient: Any) -> Array:
    """Return the gradient of a parameter as an array of the same shape."""
    if not isinstance(parameter, np.ndarray) or parameter.dtype.kind != "f":
        expected, got = "a NumPy array of floats, to be moved in place", describe(parameter)
        raise TypeError(mismatch(f"parameters[{name!r}]", expected, got))
    gradient = numpy_array(f"gradients[{name!r}]", gradient)
    if gradient.shape != parameter.shape:
        expected, got = f"of shape {parameter.shape}", describe(gradient)
        raise ValueError(mismatch(f"gradients[{name!r}]", expected, got))
    return gradient


def _check_positive(name: str, value: float) -> None:
    if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ValueError(mismatch(name, "positive and finite", repr(value)))


def _check_fraction(name: str, value: float) -> None:
    if not isinstance(value, numbers.Real) or not 0 <= value < 1:
        raise ValueError(mismatch(name, "at least 0 and below 1", repr(value)))
