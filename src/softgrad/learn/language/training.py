"""Training: mini-batches of places in the text, Adam, and a learning rate that falls to the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from softgrad.arrays import quiet
from softgrad.errors import UsageError, mismatch
from softgrad.learn.language.model import LanguageModel
from softgrad.learn.language.vocabulary import END, Ids
from softgrad.nn import Adam
from softgrad.nn.arguments import (
    check_callable,
    check_kind,
    positive_integer,
    random_generator,
)

__all__ = ["Step", "evaluate", "train"]

_BETAS = (0.9, 0.99)
"""Adam's; a rare token's gradient is not to be remembered for a thousand steps."""

_WARM_UP = 50
"""Steps in which the learning rate rises, a tenth of all at most."""

_LEAST_RATE = 0.05
"""The share of the learning rate that is left at the end."""

_BLOCK = 4096
"""Tokens of which the held-out loss is computed at a time."""


@dataclass(frozen=True)
class Step:
    """One mini-batch that was learned from."""

    number: int
    """From 1, over all epochs."""
    steps: int
    """Those of the whole training."""
    epoch: int
    """From 1."""
    tokens: int
    loss: float
    """Before the step, of this mini-batch."""


def train(
    model: LanguageModel,
    ids: Ids,
    *,
    epochs: int = 1,
    batch_size: int = 1024,
    lr: float = 7e-3,
    seed: int | np.random.Generator = 0,
    on_step: Callable[[Step], object] | None = None,
) -> None:
    """Train a model in place.

    Every token is predicted once an epoch, in an order of its own. Whatever stops the training
    early, such as Ctrl-C, leaves the parameters as they are then.

    Parameters
    ----------
    model : LanguageModel
    ids : int32 [M]
        The tokens of a corpus, in their order.
    epochs, batch_size : int
        At least 1.
    lr : float
        Adam's learning rate, after the first steps; it falls linearly to a twentieth.
    seed : int or numpy.random.Generator
        Of the order of the tokens.
    on_step : callable, optional
        Called with a `Step` after every mini-batch.

    Raises
    ------
    TypeError, ValueError
        An argument does not fit; nothing was trained.
    UsageError
        The loss became infinite or NaN.

    Examples
    --------
    >>> from softgrad.learn.language import Vocabulary
    >>> vocabulary = Vocabulary(("<unknown>", "<end>", "tick", "tock"), np.array([0, 0, 50, 50]))
    >>> model = LanguageModel.start(vocabulary, context=1, dim=4, hidden=8)
    >>> ids = np.tile(np.array([2, 3], np.int32), 50)
    >>> train(model, ids, epochs=20, batch_size=10, lr=0.05)
    >>> evaluate(model, ids) < 0.1
    True
    """
    check_kind("model", model, LanguageModel, "a LanguageModel")
    ids = _checked(model, ids)
    epochs = positive_integer("epochs", epochs)
    size = min(positive_integer("batch_size", batch_size), len(ids))
    optimiser, rng = Adam(lr=lr, betas=_BETAS), random_generator(seed)
    if on_step is not None:
        check_callable("on_step", on_step, "a function of a Step")
    steps = epochs * math.ceil(len(ids) / size)
    number = 0
    for epoch in range(1, epochs + 1):
        for contexts, targets in _batches(model.context, ids, rng.permutation(len(ids)), size):
            with quiet():  # what overflows shows in the loss
                loss, gradients = model.loss_and_gradients(contexts, targets)
                if not math.isfinite(loss):
                    message = f"the loss became {loss}: try a learning rate smaller than {lr}"
                    raise UsageError(message)
                rate = lr * _share(number, steps)
                replace(optimiser, lr=rate).step(model.parameters, gradients)
            number += 1
            if on_step is not None:
                on_step(Step(number, steps, epoch, len(targets), loss))


def evaluate(model: LanguageModel, ids: Ids) -> float:
    """Return the mean of −log p of the tokens [M] of a text, each from those before it.

    Raises
    ------
    TypeError, ValueError
        `ids` are none of the model's vocabulary, or empty.
    """
    check_kind("model", model, LanguageModel, "a LanguageModel")
    ids = _checked(model, ids)
    with quiet():
        sums = [
            len(targets) * model.loss(contexts, targets)
            for contexts, targets in _batches(model.context, ids, np.arange(len(ids)), _BLOCK)
        ]
    return math.fsum(sums) / len(ids)


def _batches(T: int, ids: Ids, order: Any, size: int) -> Iterator[tuple[Ids, Ids]]:
    """Yield contexts [n, T] and the tokens [n] that follow; before the text there are ends."""
    padded = np.concatenate([np.full(T, END, np.int32), ids])
    windows = np.lib.stride_tricks.sliding_window_view(padded, T)
    for start in range(0, len(order), size):
        places = order[start : start + size]
        yield windows[places], ids[places]


def _share(done: int, steps: int) -> float:
    """Return the share of the learning rate for the step after so many."""
    warm = min(1.0, (done + 1) / max(1, min(_WARM_UP, steps // 10)))
    return warm * (1 - (1 - _LEAST_RATE) * done / steps)


def _checked(model: LanguageModel, ids: Any) -> Ids:
    found = np.asarray(ids)
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu":
        raise ValueError(mismatch("ids", "integers [M] with a token", repr(found.shape)))
    V = len(model.vocabulary)
    if not 0 <= found.min() <= found.max() < V:
        expected = f"from 0 to {V - 1}"
        raise ValueError(mismatch("ids", expected, f"{found.min()} to {found.max()}"))
    return found.astype(np.int32, copy=False)
