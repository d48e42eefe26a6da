"""The usual network for a table of features: linear layers with an activation between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import DTypeLike

from softgrad import maps
from softgrad.errors import mismatch
from softgrad.losses import AbstractLoss, binary_cross_entropy, cross_entropy
from softgrad.maps import AbstractMap
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
        A size is not a positive integer, or a name is not known.
    TypeError
        `dtype` is neither float64 nor float32.

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
        if value not in known:
            raise ValueError(mismatch(name, " or ".join(map(repr, known)), repr(value)))
    rng = np.random.default_rng(seed)
    initialiser = he_normal if activation == "relu" else glorot_uniform
    layers: list[AbstractLayer | AbstractMap] = []
    width = features
    for size in hidden:
        layers += [
            Linear(width, size, seed=rng, initialiser=initialiser, dtype=dtype),
            ACTIVATIONS[activation],
        ]
        width = size
    last_map, loss = HEADS[head]
    return Network([*layers, Linear(width, classes, seed=rng, dtype=dtype), last_map], loss)
