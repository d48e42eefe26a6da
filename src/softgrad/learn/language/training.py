"""Training: mini-batches of places in the text, Adam, and a learning rate that falls to the end."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import quiet
from softgrad.errors import UsageError, mismatch
from softgrad.learn.checkpoint import Checkpoint, State, digest, locked
from softgrad.learn.language.model import LanguageModel
from softgrad.learn.language.vocabulary import END, Ids
from softgrad.nn import Adam
from softgrad.nn.arguments import (
    check_callable,
    check_kind,
    positive_integer,
    random_generator,
)

__all__ = ["Losses", "Step", "evaluate", "train"]

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


class Losses(NamedTuple):
    """How a training went, the part before a checkpoint included."""

    steps: list[float]
    """Of every mini-batch, before its step."""

    epochs: list[float]
    """What `on_epoch` said after every epoch."""


def train(
    model: LanguageModel,
    ids: Ids,
    *,
    epochs: int = 1,
    batch_size: int = 1024,
    lr: float = 7e-3,
    seed: int | np.random.Generator = 0,
    on_step: Callable[[Step], object] | None = None,
    on_epoch: Callable[[], float] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 60.0,
) -> Losses:
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
    on_epoch : callable, optional
        Called after every epoch; it returns a loss, such as that of a text held out.
    checkpoint : path, optional
        A file that is written as it goes, begun with if it is there, and removed at the end. A
        training that was killed goes on from it, to the same bits. It wants an integer as seed.
    checkpoint_every : float
        Seconds between two checkpoints; 0 writes one after every mini-batch.

    Returns
    -------
    Losses

    Raises
    ------
    TypeError, ValueError
        An argument does not fit, or the checkpoint is of another training; nothing was trained.
    UsageError
        The loss became infinite or NaN; or a checkpoint is damaged, or cannot be written.

    Examples
    --------
    >>> from softgrad.learn.language import Vocabulary
    >>> vocabulary = Vocabulary(("<unknown>", "<end>", "tick", "tock"), np.array([0, 0, 50, 50]))
    >>> model = LanguageModel.start(vocabulary, context=1, dim=4, hidden=8)
    >>> ids = np.tile(np.array([2, 3], np.int32), 50)
    >>> losses = train(model, ids, epochs=20, batch_size=10, lr=0.05)
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
    if on_epoch is not None:
        check_callable("on_epoch", on_epoch, "a function that returns a loss")
    an_epoch = math.ceil(len(ids) / size)
    steps, losses = epochs * an_epoch, Losses([], [])
    with locked(checkpoint):
        kept = None
        if checkpoint is not None:
            same = {"epochs": epochs, "batch_size": size, "lr": float(lr), "seed": _whole(seed)}
            kept = Checkpoint(checkpoint, checkpoint_every, same | _digests(model, ids))
            _recall(kept.read(), model, optimiser, losses)
        for epoch in range(1, epochs + 1):
            order = rng.permutation(len(ids))  # an epoch that is over draws its own as well
            done = min(len(losses.steps) - (epoch - 1) * an_epoch, an_epoch)
            for contexts, targets in _batches(model.context, ids, order, size, done):
                share = _share(len(losses.steps), steps)
                loss = _step(model, optimiser, share, contexts, targets)
                losses.steps.append(loss)
                number = len(losses.steps)
                if on_step is not None:
                    on_step(Step(number, steps, epoch, len(targets), loss))
                if on_epoch is not None and number == epoch * an_epoch:
                    losses.epochs.append(float(on_epoch()))
                if kept is not None and kept.due():
                    kept.write(*_state(model, optimiser, losses))
        if kept is not None:
            kept.remove()
    return losses


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


def _step(
    model: LanguageModel, optimiser: Adam, share: float, contexts: Ids, targets: Ids
) -> float:
    """Learn from a mini-batch at a share of the learning rate; return the loss before that."""
    with quiet():  # what overflows shows in the loss
        loss, gradients = model.loss_and_gradients(contexts, targets)
        if not math.isfinite(loss):
            message = f"the loss became {loss}: try a learning rate smaller than {optimiser.lr:g}"
            raise UsageError(message)
        replace(optimiser, lr=share * optimiser.lr).step(model.parameters, gradients)
    return loss


def _digests(model: LanguageModel, ids: Ids) -> dict[str, str]:
    """Return what tells models and texts apart."""
    start = " ".join(map(digest, model.parameters.values()))
    return {"tokens": digest(ids), "start": start}


def _state(model: LanguageModel, optimiser: Adam, losses: Losses) -> State:
    """Return all that decides how a training goes on: the order of the tokens is the seed's."""
    arrays = {f"parameter.{name}": p for name, p in model.parameters.items()}
    arrays |= {f"optimiser.{name}": a for name, a in optimiser.state.items()}
    return arrays | {f"losses.{name}": np.array(of) for name, of in losses._asdict().items()}, {}


def _recall(state: State | None, model: LanguageModel, optimiser: Adam, losses: Losses) -> None:
    """Go on from what `_state` wrote down, if it did."""
    for name, array in ({} if state is None else state[0]).items():
        part, _, rest = name.partition(".")
        if part == "parameter":
            model.parameters[rest][...] = array
        elif part == "optimiser":
            optimiser.state[rest] = array.copy()
        else:
            getattr(losses, rest).extend(array.tolist())


def _whole(seed: Any) -> int:
    """Return a seed that can be written down."""
    if isinstance(seed, np.random.Generator):
        raise TypeError(mismatch("seed", "an integer where there is a checkpoint", "a Generator"))
    return int(seed)


def _batches(T: int, ids: Ids, order: Any, size: int, done: int = 0) -> Iterator[tuple[Ids, Ids]]:
    """Yield contexts [n, T] and the tokens [n] that follow; before the text there are ends.

    Some mini-batches at the begin are done.
    """
    padded = np.concatenate([np.full(T, END, np.int32), ids])
    windows = np.lib.stride_tricks.sliding_window_view(padded, T)
    for start in range(done * size, len(order), size):
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
