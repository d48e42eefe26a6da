"""The usual network for a table of features: linear layers with an activation between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from softgrad.errors import mismatch
from softgrad.losses import AbstractLoss, binary_cross_entropy, cross_entropy
from softgrad.maps import (
    AbstractMap,
    ReLU,
    entmax15,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    sparsemax,
    tanh,
)
from softgrad.nn.activation import Activation
from softgrad.nn.arguments import check_kind, positive_integer, random_generator
from softgrad.nn.initialisers import glorot_uniform, he_normal
from softgrad.nn.layer import AbstractLayer
from softgrad.nn.linear import Linear
from softgrad.nn.network import Network

__all__ = [
    "ACTIVATIONS",
    "HEADS",
    "AnyActivation",
    "build_mlp",
    "hidden_layers",
    "one_a_layer",
    "widths",
]

ACTIVATIONS: Mapping[str, AbstractMap] = MappingProxyType(
    {
        "relu": relu,
        "tanh": tanh,
        "sigmoid": sigmoid,
        "softmax": softmax,
        "log_softmax": log_softmax,
        "sparsemax": sparsemax,
        "entmax15": entmax15,
    }
)
"""The maps that `build_mlp` knows by name."""

AnyActivation: TypeAlias = str | AbstractMap | Sequence[str | AbstractMap]
"""One for all hidden layers, or one for each."""

_KNOWN = " or ".join(map(repr, ACTIVATIONS))

HEADS: Mapping[str, tuple[AbstractMap, AbstractLoss]] = MappingProxyType(
    {
        "softmax": (softmax, cross_entropy),
        "sigmoid": (sigmoid, binary_cross_entropy),
    }
)
"""The last layers that `build_mlp` knows, with their losses."""


def build_mlp(
    features: int,
    classes: int,
    *,
    hidden: Sequence[int] = (64, 32),
    activation: AnyActivation = "relu",
    head: str = "softmax",
    seed: int | np.random.Generator,
    dtype: DTypeLike = np.float64,
) -> Network:
    """Return a network that classifies rows of features.

    Parameters
    ----------
    features, classes : int
        D and K.
    hidden : sequence of int
        The width of each hidden layer; empty for softmax regression.
    activation : str, map, or sequence of them
        One of `ACTIVATIONS`, or a map such as ``softgrad.Entmax(alpha=1.3)``, after each hidden
        layer; a sequence has one for each. Layers before a ReLU start after He, the others after
        Glorot.
    head : {"softmax", "sigmoid"}
        softmax with cross-entropy: one class a row. sigmoid with binary cross-entropy: each class
        decides by itself, and the probabilities of a row need not sum to one.
    seed : int or numpy.random.Generator
        Where the weights come from.
    dtype : dtype
        float64 or float32.

    Raises
    ------
    ValueError
        A size is not a positive integer, a name is not known, or `seed` is negative.
    TypeError
        `dtype` is neither float64 nor float32, or `hidden` or `seed` is of the wrong kind.

    Examples
    --------
    >>> network = build_mlp(4, 3, hidden=(8,), activation="tanh", seed=0)
    >>> for layer in network.layers:
    ...     print(layer)
    Linear(4, 8)
    Tanh()
    Linear(8, 3)
    Softmax(temperature=1.0, empty_row='nan')
    """
    if not isinstance(head, str) or head not in HEADS:
        raise ValueError(mismatch("head", " or ".join(map(repr, HEADS)), repr(head)))
    sizes = widths(hidden)
    activations = one_a_layer(activation, len(sizes))
    features, classes = positive_integer("features", features), positive_integer("classes", classes)
    rng = random_generator(seed)
    layers = hidden_layers(features, sizes, activations, rng, dtype)
    last_map, loss = HEADS[head]
    last = Linear((features, *sizes)[-1], classes, seed=rng, dtype=dtype)
    return Network([*layers, last, last_map], loss)


def widths(hidden: Any) -> tuple[int, ...]:
    """Return the widths of hidden layers, or raise."""
    check_kind("hidden", hidden, Iterable, "a sequence of positive integers")
    return tuple(positive_integer(f"hidden[{i}]", size) for i, size in enumerate(hidden))


def one_a_layer(activation: Any, layers: int) -> tuple[AbstractMap, ...]:
    """Return the map behind each of some hidden layers, or raise."""
    if isinstance(activation, (str, AbstractMap)):
        return (_named("activation", activation),) * max(1, layers)
    if not isinstance(activation, (tuple, list)) or len(activation) != layers:
        expected = f"one of {_KNOWN}, a map, or a tuple of {layers}, one a hidden layer"
        raise ValueError(mismatch("activation", expected, repr(activation)))
    return tuple(_named(f"activation[{i}]", given) for i, given in enumerate(activation))


def hidden_layers(
    features: int,
    sizes: Sequence[int],
    activations: Sequence[AbstractMap],
    rng: np.random.Generator,
    dtype: DTypeLike,
) -> list[AbstractLayer]:
    """Return linear layers of these sizes with random weights, each with its map behind it."""
    layers: list[AbstractLayer] = []
    for (inputs, outputs), map_ in zip(pairwise([features, *sizes]), activations, strict=False):
        initialiser = he_normal if isinstance(map_, ReLU) else glorot_uniform
        linear = Linear(inputs, outputs, seed=rng, initialiser=initialiser, dtype=dtype)
        layers += [linear, Activation(map_)]
    return layers


def _named(argument: str, activation: Any) -> AbstractMap:
    if isinstance(activation, AbstractMap):
        return activation
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(mismatch(argument, f"{_KNOWN} or a map", repr(activation)))
    return ACTIVATIONS[activation]
