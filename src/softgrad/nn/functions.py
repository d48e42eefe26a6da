"""A layer as a pair of functions of its input and its parameters, for the gradient checker."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from softgrad.arrays import Array
from softgrad.nn.layer import AbstractLayer

__all__ = ["as_functions"]


def as_functions(
    layer: AbstractLayer,
) -> tuple[Callable[..., Array], Callable[..., tuple[Array, ...]]]:
    """Return ``forward(x, *parameters)`` and ``backward(x, *parameters, y_bar)``.

    Parameters
    ----------
    layer : AbstractLayer
        It is left alone: the functions work on a copy. A network is a layer as well.

    Returns
    -------
    forward, backward : callable
        The parameters are in the order of ``layer.parameters``; backward returns the gradient in
        x and in every parameter.

    Examples
    --------
    >>> import numpy as np
    >>> import softgrad as sg
    >>> from softgrad.checker import check
    >>> from softgrad.nn import Linear, Network
    >>> network = Network([Linear(3, 4, seed=0), sg.softmax, Linear(4, 2, seed=1), sg.softmax])
    >>> x = np.random.default_rng(2).normal(size=(5, 3))
    >>> check(*as_functions(network), x, *network.parameters.values()).verdict
    'pass'
    """
    own = copy.deepcopy(layer)

    def at(values: tuple[Array, ...]) -> AbstractLayer:
        for parameter, value in zip(own.parameters.values(), values, strict=True):
            parameter[...] = value
        return own

    def forward(x: Any, *parameters: Array) -> Array:
        return at(parameters)(x)

    def backward(x: Any, *parameters_and_y_bar: Array) -> tuple[Array, ...]:
        *parameters, y_bar = parameters_and_y_bar
        _, pullback = at(tuple(parameters)).linearize(x)
        x_bar, gradients = pullback(y_bar)
        return x_bar, *(gradients[name] for name in own.parameters)

    return forward, backward
