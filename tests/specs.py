"""One record for every map: its oracle, its samples, what holds for its Jacobian, its settings.

To test a new map, add its record to `SPECS`; every file of properties runs over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest

import oracles
import softgrad as sg

__all__ = [
    "COMPILED",
    "SAMPLES",
    "SPECS",
    "Compiled",
    "Spec",
    "each",
    "each_way",
    "probe",
    "sample",
    "where_holds",
]

SCALES = (0.02, 1.0, 30.0, 1e4)
KINDS = ("normal", "ties", "spike", "ramp")
SAMPLES = [(kind, scale) for kind in KINDS for scale in SCALES]


def sample(kind: str, scale: float, k: int = 5, rows: int = 3, dtype: Any = np.float64) -> Any:
    """Return logits [rows, K] of one kind and size; none of them at a kink."""
    rng = np.random.default_rng([KINDS.index(kind), int(100 * scale), k])
    noise = rng.normal(size=(rows, k))
    if kind == "normal":
        x = noise
    elif kind == "ties":  # a few levels, each of them several times
        x = rng.permuted(np.resize([0.9, 0.9, 0.35, -0.8, -0.8], (rows, k)), axis=-1)
    elif kind == "spike":  # one entry far above the rest
        x = 0.01 * noise
        x[np.arange(rows), rng.integers(k, size=rows)] = 1.0
    else:
        x = np.linspace(-0.93, 0.97, k) * np.array([1.0, -1.0, 0.77, -0.51])[:rows, None]
    return (scale * x).astype(dtype)


def probe(shape: tuple[int, ...], seed: int = 0, dtype: Any = np.float64) -> Any:
    """Return a direction that is far from every null space of the family: no two entries alike."""
    rng = np.random.default_rng([seed, *shape])
    v = rng.normal(size=shape) + np.linspace(-1, 1, shape[-1] if shape else 1).reshape(-1)[..., :]
    return (v if shape else v[0]).astype(dtype)


@dataclass(frozen=True)
class Spec:
    """What the tests know of a map."""

    name: str
    map: Any
    oracle: Callable[[list[Any]], list[Any]]
    """The primal of one row in mpmath."""

    u: float
    """How many unit roundoffs a value may be off."""

    size: Callable[[list[Any]], list[Any]] = lambda y: [abs(v) for v in y]
    """What they are relative to, for a given value: every component itself, unless it says else."""

    to_number: bool = False
    elementwise: bool = False
    simplex: bool = False
    constants_to_zero: bool = False
    """J·1 = 0."""

    slope_u: float = 16.0
    """How many unit roundoffs of |J|·|v| a product may be off."""

    kink: Callable[[list[Any]], Any] | None = None
    """The distance of a row from the nearest kink."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that the constructor must refuse, by name."""

    @property
    def symmetric(self) -> bool:
        return self.elementwise or self.simplex

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[:-1] if self.to_number else shape


def entmax_spec(name: str, operator: Any, alpha: float, u: float, **options: Any) -> Spec:
    """Return the record of a member of the entmax family."""

    def kink(x: list[Any]) -> Any:
        tau = oracles.entmax_threshold(x, alpha)
        return min(abs((mpmath.mpf(alpha) - 1) * v - tau) for v in x)

    def size(p: list[Any]) -> list[Any]:
        """An error of u in the threshold moves p by u·p^(2−α)/(α−1)."""
        return [max(1, *(v ** (2 - alpha) / (alpha - 1) for v in p if v))] * len(p)

    return Spec(
        name,
        operator,
        partial(oracles.entmax, alpha=alpha),
        u,
        size=size,
        simplex=True,
        constants_to_zero=True,
        kink=kink,
        **options,
    )


def softmax_spec(name: str, operator: Any, temperature: float = 1.0) -> Spec:
    return Spec(
        name,
        operator,
        partial(oracles.softmax, temperature=temperature),
        5.0,
        simplex=True,
        constants_to_zero=True,
        settings={"temperature": [0.0, -1.0, float("nan"), float("inf"), "warm", True]},
    )


SPECS = [
    softmax_spec("softmax", sg.softmax),
    softmax_spec("softmax at T=0.7", sg.Softmax(temperature=0.7), 0.7),
    softmax_spec("softmax at T=3", sg.Softmax(temperature=3.0), 3.0),
    Spec(
        "log_softmax",
        sg.log_softmax,
        oracles.log_softmax,
        5.0,
        constants_to_zero=True,
        settings={"temperature": [0.0, float("nan"), None]},
    ),
    Spec(
        "log_softmax at T=0.7",
        sg.LogSoftmax(temperature=0.7),
        partial(oracles.log_softmax, temperature=0.7),
        5.0,
        constants_to_zero=True,
    ),
    Spec("logsumexp", sg.logsumexp, oracles.logsumexp, 3.0, to_number=True),
    Spec("sigmoid", sg.sigmoid, oracles.sigmoid, 4.0, elementwise=True),
    Spec("log_sigmoid", sg.log_sigmoid, oracles.log_sigmoid, 4.0, elementwise=True),
    Spec(
        "relu",
        sg.relu,
        oracles.relu,
        0.5,
        elementwise=True,
        kink=lambda x: min(abs(v) for v in x),
    ),
    Spec("tanh", sg.tanh, oracles.tanh, 4.0, elementwise=True),
    entmax_spec("sparsemax", sg.sparsemax, 2.0, 8.0),
    entmax_spec("entmax15", sg.entmax15, 1.5, 16.0),
    entmax_spec(
        "entmax at 1.3",
        sg.Entmax(alpha=1.3),
        1.3,
        32.0,
        settings={"alpha": [1.0, 0.5, float("nan"), float("inf"), "big", True]},
    ),
    entmax_spec("entmax at 3", sg.Entmax(alpha=3.0), 3.0, 32.0),
]


@dataclass(frozen=True)
class Compiled:
    """A map or a loss whose every verb goes through the compiled kernels."""

    inner: Any

    def __getattr__(self, verb: str) -> Any:
        return partial(getattr(self.inner, verb), impl="numba")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.inner(*arguments, impl="numba", **options)


WITH_KERNELS = {
    "softmax",
    "softmax at T=0.7",
    "log_softmax",
    "logsumexp",
    "sparsemax",
    "entmax15",
}
COMPILED = [
    replace(spec, name=f"{spec.name} compiled", map=Compiled(spec.map))
    for spec in SPECS
    if spec.name in WITH_KERNELS
]
"""The same records for the kernels: a kernel obeys what its reference obeys."""


def where_holds(condition: Callable[[Spec], bool], compiled: bool = False) -> Any:
    """Parametrise a test by the records for which a condition holds, as `spec`."""
    specs = [spec for spec in SPECS + COMPILED * compiled if condition(spec)]
    return pytest.mark.parametrize("spec", specs, ids=[s.name.replace(" ", "_") for s in specs])


each = where_holds(lambda spec: True)
each_way = where_holds(lambda spec: True, compiled=True)
each_sample = pytest.mark.parametrize(("kind", "scale"), SAMPLES)
