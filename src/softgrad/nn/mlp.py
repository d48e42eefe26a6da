"""The usual network for a table of features: linear layers with an activation between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import DTypeLike

from softgrad import maps
from softgrad.errors import mismatch
from softgrad.losses import AbstractLoss, binary_cross_entropy, cross_entropy
from softgrad.maps import AbstractMap
from softgrad.nn.arguments import check_kind, positive_integer, random_generator
from softgrad.nn.initialisers import glorot_uniform, he_normal
from softgrad.nn.layer import AbstractLayer
from softgrad.nn.linear import Linear
from softgrad.nn.network import Network

__all__ = ["ACTIVATIONS", "HEADS", "build_mlp"]

ACTIVATIONS: Mapping[str, AbstractMap] = MappingProxyType(
    {
        "relu": maps.relu,
        "tanh": maps.tanh,
        "sigmoid": maps.sigmoid,
        "softmax": maps.softmax,
        "log_softmax": maps.log_softmax,
        "sparsemax": maps.sparsemax,
        "entmax15": maps.entmax15,
    }
)
"""The maps that `build_mlp` knows by name."""

HEADS: Mapping[str, tuple[AbstractMap, AbstractLoss]] = MappingProxyType(
    {
        "softmax": (maps.softmax, cross_entropy),
        "sigmoid": (maps.sigmoid, binary_cross_entropy),
    }
)
"""The last layers that `build_mlp` knows, with their losses."""


def build_mlp(
    features: int,
    classes: int,
    *,
    hidden: Sequence[int] = (64, 32),
    activation: str = "relu",
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
    activation : str
        One of `ACTIVATIONS`, after each hidden layer. Layers before a ReLU start after He, the
        others after Glorot.
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
    for name, value, known in (("activation", activation, ACTIVATIONS), ("head", head, HEADS)):
        if not isinstance(value, str) or value not in known:
            raise ValueError(mismatch(name, " or ".join(map(repr, known)), repr(value)))
    features, classes = positive_integer("features", features), positive_integer("classes", classes)
    check_kind("hidden", hidden, Iterable, "a sequence of positive integers")
    widths = [positive_integer(f"hidden[{i}]", size) for i, size in enumerate(hidden)]
    rng = random_generator(seed)
    initialiser = he_normal if activation == "relu" else glorot_uniform
    layers: list[AbstractLayer | AbstractMap] = []
    *hidden_shapes, last_shape = pairwise([features, *widths, classes])
    for inputs, outputs in hidden_shapes:
        linear = Linear(inputs, outputs, seed=rng, initialiser=initialiser, dtype=dtype)
        layers += [linear, ACTIVATIONS[activation]]
    last_map, loss = HEADS[head]
    return Network([*layers, Linear(*last_shape, seed=rng, dtype=dtype), last_map], loss)
