"""The model's own backward against differences, on a twin that is small enough for float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.checker import Report, check
from softgrad.learn.language.model import LanguageModel
from softgrad.learn.language.vocabulary import SPECIAL, Ids, Vocabulary
from softgrad.nn import Linear, Network

__all__ = ["as_functions", "check_gradients"]

_V, _T, _D, _H, _N = 11, 3, 5, 7, 4
"""Types, context, dimensions, hidden units and rows of the twin."""


def check_gradients(seed: int = 0) -> Report:
    """Check the gradients in all parameters of a language model.

    Look-up, context layer and head are those that are trained; types, rows and dimensions are few.

    >>> check_gradients().verdict
    'pass'
    """
    rng = np.random.default_rng(seed)
    types = (*SPECIAL, *map(str, range(_V - len(SPECIAL))))
    vocabulary = Vocabulary(types, rng.integers(1, 99, _V))
    sizes = {"context": _T, "dim": _D, "hidden": _H}
    model = LanguageModel.start(vocabulary, **sizes, seed=rng, dtype=np.float64)
    contexts = rng.integers(_V, size=(_N, _T), dtype=np.int32)
    targets = rng.integers(_V, size=_N, dtype=np.int32)
    # An id that stands twice has two gradients to be added, in W's row that the head has as well.
    contexts[0, :2] = contexts[1, 0] = targets[0]
    parameters = model.parameters.values()
    return check(*as_functions(model, contexts, targets), *parameters, seed=seed)


def as_functions(
    model: LanguageModel, contexts: Ids, targets: Ids
) -> tuple[Callable[..., float], Callable[..., Any]]:
    """Return the loss as a function of all parameters, and its backward, as `sg.check` has them."""
    names = list(model.parameters)

    def forward(*parameters: Array) -> float:
        return _with(model, parameters).loss(contexts, targets)

    def backward(*parameters_and_bar: Array) -> tuple[Array, ...]:
        *parameters, loss_bar = parameters_and_bar
        _, gradients = _with(model, parameters).loss_and_gradients(contexts, targets)
        return tuple(loss_bar * gradients[name] for name in names)

    return forward, backward


def _with(model: LanguageModel, parameters: Any) -> LanguageModel:
    """Return the model with other parameters, in the order of its own."""
    *of_network, W, bias = parameters
    rest, layers = list(of_network), list(model.network.layers)
    for i, layer in enumerate(layers):
        if layer.parameters:
            layers[i] = Linear.of(rest.pop(0), rest.pop(0))
    return LanguageModel(model.vocabulary, model.context, Network(layers), W, bias)
