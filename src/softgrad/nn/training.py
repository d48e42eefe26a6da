"""Training: mini-batches, an optimiser's steps, and a record of every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from softgrad.arrays import Array, describe, quiet
from softgrad.errors import UsageError, mismatch
from softgrad.nn.arguments import (
    check_callable,
    check_kind,
    positive_integer,
    random_generator,
)
from softgrad.nn.blocks import by_blocks
from softgrad.nn.history import Epoch, History
from softgrad.nn.layer import numpy_array
from softgrad.nn.network import Network
from softgrad.nn.optimisers import AbstractOptimiser

__all__ = ["evaluate", "train"]


def train(
    network: Network,
    optimiser: AbstractOptimiser,
    X: Any,
    y: Any,
    *,
    epochs: int = 30,
    batch_size: int = 32,
    seed: int | np.random.Generator = 0,
    validation: tuple[Any, Any] | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
) -> History:
    """Train a network in place.

    Whatever stops the training early, Ctrl-C or a loss that is not finite, leaves the parameters
    of the last whole epoch.

    Parameters
    ----------
    network : Network
    optimiser : AbstractOptimiser
        Such as ``Adam(lr=1e-3)``.
    X : array [N, D]
        Finite.
    y : array
        Class indices [N], or values [N, K] such as probabilities.
    epochs, batch_size : int
        At least 1; the last mini-batch of an epoch is smaller where N is no multiple.
    seed : int or numpy.random.Generator
        Of the order of the rows, which is new in every epoch.
    validation : (X, y), optional
        Rows that are evaluated after every epoch.
    on_epoch : callable, optional
        Called with the record of every epoch at its end.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError, IndexError
        An argument does not fit; nothing was trained.
    UsageError
        The loss became infinite or NaN.

    Examples
    --------
    >>> from softgrad.nn import Adam, build_mlp
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
    >>> network = build_mlp(2, 2, hidden=(16,), activation="tanh", seed=0)
    >>> history = train(network, Adam(lr=0.03), X, y, epochs=30)
    >>> history.last.accuracy > 0.95
    True
    """
    check_kind("optimiser", optimiser, AbstractOptimiser, "an optimiser, such as Adam()")
    epochs = positive_integer("epochs", epochs)
    batch_size = positive_integer("batch_size", batch_size)
    rng = random_generator(seed)
    if on_epoch is not None:
        check_callable("on_epoch", on_epoch, "a function of an Epoch")
    X, y = _examples("X", X, "y", y)
    evaluate(network, X, y)  # raises for what does not fit, before any step
    if validation is not None:
        validation = _pair_of_examples("validation", validation)
        evaluate(network, *validation)
    records: list[Epoch] = []
    whole = _copied(network)
    try:
        for number in range(1, epochs + 1):
            batches = _batches(X, y, rng.permutation(len(X)), batch_size)
            sizes = _one_epoch(network, optimiser, batches)
            loss, accuracy = evaluate(network, X, y)
            _check_finite(loss, optimiser)
            held_out: tuple[float | None, float | None] = (None, None)
            if validation is not None:
                held_out = evaluate(network, *validation)
            whole = _copied(network)
            records.append(Epoch(number, loss, accuracy, *held_out, sizes))
            if on_epoch is not None:
                on_epoch(records[-1])
    except BaseException:
        for name, parameter in network.parameters.items():
            parameter[...] = whole[name]
        raise
    return History(tuple(records))


def evaluate(network: Network, X: Any, y: Any) -> tuple[float, float]:
    """Return the loss and the accuracy, as `Epoch` has them.

    Raises
    ------
    TypeError, ValueError, IndexError
        `X` or `y` does not fit the network.

    Examples
    --------
    >>> from softgrad.nn import Linear, Network
    >>> evaluate(Network([Linear.of(np.eye(2))]), [[3.0, 0.0], [0.0, 0.0]], [0, 1])
    (0.370..., 0.5)
    """
    check_kind("network", network, Network, "a Network")
    with quiet():
        scores = by_blocks(network.scores, X)
        loss = network.loss_of_scores(scores, y)
    if scores.shape[-1] == 1:
        return loss, math.nan
    targets = np.asarray(y)
    if targets.shape == scores.shape:
        targets = targets.argmax(axis=-1)
    return loss, float(np.mean(scores.argmax(axis=-1) == targets))


def _one_epoch(
    network: Network, optimiser: AbstractOptimiser, batches: Iterable[tuple[Array, Array]]
) -> dict[str, float]:
    """Take one step a mini-batch; return the mean size of each layer's gradient."""
    sizes = []
    for X, y in batches:
        with quiet():  # what overflows shows in the loss
            gradients = network.gradients(X, y)
            _check_finite(gradients.loss, optimiser)
            optimiser.step(network.parameters, gradients.parameters)
            sizes.append(gradients.layer_sizes())
    return {layer: math.fsum(s[layer] for s in sizes) / len(sizes) for layer in sizes[0]}


def _batches(X: Array, y: Array, order: Array, size: int) -> Iterator[tuple[Array, Array]]:
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield X[rows], y[rows]


def _check_finite(loss: float, optimiser: AbstractOptimiser) -> None:
    if not math.isfinite(loss):
        message = f"the loss became {loss}: try a smaller learning rate"
        raise UsageError(f"{message} than that of {optimiser}")


def _copied(network: Network) -> dict[str, Array]:
    return {name: parameter.copy() for name, parameter in network.parameters.items()}


def _pair_of_examples(name: str, pair: Any) -> tuple[Array, Array]:
    check_kind(name, pair, (tuple, list), "a pair (X, y)")
    if len(pair) != 2:
        raise ValueError(mismatch(name, "a pair (X, y)", f"{len(pair)} values"))
    return _examples(f"{name}[0]", pair[0], f"{name}[1]", pair[1])


def _examples(x_name: str, X: Any, y_name: str, y: Any) -> tuple[Array, Array]:
    """Return rows and their targets as arrays of the same length."""
    X, y = numpy_array(x_name, X), np.asarray(y)
    if X.ndim != 2 or len(X) == 0:
        raise ValueError(mismatch(x_name, "of shape [N, D] with a row", describe(X)))
    if not np.isfinite(X).all():
        raise ValueError(mismatch(x_name, "finite", "NaN or infinity"))
    if y.shape[:1] != X.shape[:1]:
        raise ValueError(mismatch(y_name, f"of length {len(X)}", describe(y)))
    return X, y
