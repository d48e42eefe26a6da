"""How weights start: random, with a spread that keeps signals the same size from layer to layer.

An initialiser takes a random generator and the shape [K, D], and returns W in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from softgrad.arrays import Array

__all__ = [
    "Initialiser",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "zeros",
]

WeightShape: TypeAlias = tuple[int, int]
Initialiser: TypeAlias = Callable[[np.random.Generator, WeightShape], Array]


def glorot_variance(shape: WeightShape) -> float:
    """2/(K + D): a compromise between the sizes of signals and of gradients (Glorot, 2010)."""
    return 2 / sum(shape)


def he_variance(shape: WeightShape) -> float:
    """2/D: twice the variance that keeps signals, as ReLU drops half of them (He, 2015)."""
    return 2 / shape[1]


def glorot_uniform(rng: np.random.Generator, shape: WeightShape) -> Array:
    """Uniform on ±√(6/(K + D)); for tanh, sigmoid and softmax."""
    return _uniform(rng, shape, glorot_variance(shape))


def glorot_normal(rng: np.random.Generator, shape: WeightShape) -> Array:
    """Normal with variance 2/(K + D)."""
    return math.sqrt(glorot_variance(shape)) * rng.standard_normal(shape)


def he_uniform(rng: np.random.Generator, shape: WeightShape) -> Array:
    """Uniform on ±√(6/D)."""
    return _uniform(rng, shape, he_variance(shape))


def he_normal(rng: np.random.Generator, shape: WeightShape) -> Array:
    """Normal with variance 2/D; for ReLU."""
    return math.sqrt(he_variance(shape)) * rng.standard_normal(shape)


def zeros(rng: np.random.Generator, shape: WeightShape) -> Array:
    """Return zeros, for a last layer or an only one: hidden units that start equal stay equal."""
    return np.zeros(shape)


def _uniform(rng: np.random.Generator, shape: WeightShape, variance: float) -> Array:
    limit = math.sqrt(3 * variance)  # a uniform on ±c has variance c²/3
    return rng.uniform(-limit, limit, shape)
