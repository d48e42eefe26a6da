"""Training on rows that come in parts, of classes that may be new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.fits import new_model
from softgrad.learn.labels import check_same_kind
from softgrad.learn.minibatch import Batch, Model, Plan, Training, TrainingEpoch, shuffled
from softgrad.learn.options import Options
from softgrad.learn.randomness import seed_words
from softgrad.learn.training_set import TrainingSet

__all__ = ["Stream", "classes_after", "train_on_part"]


@dataclass(frozen=True)
class Stream:
    """What is remembered of the parts so far, beside the coefficients."""

    seed: Array | None = None
    rows: int = 0
    weight: float = 0.0
    closed: bool = False
    """Whether the classes were named, so that no other may come."""

    parts: int = 0
    solver: str = ""
    moments: Mapping[str, Array] = field(default_factory=dict)
    """What that solver's optimiser keeps."""


def classes_after(known: Array | None, named: Any, found: Array, closed: bool) -> Array:
    """Return the classes, sorted, once a part with those that were found has come.

    Raises
    ------
    ValueError
        A label is none of the classes that were named, or fits the others in kind as little as
        text fits numbers; or there is one class.
    """
    if named is not None:
        classes, what = np.unique(np.asarray(named)), "classes"
        if known is not None:
            _check_among("classes", known, classes, f"with all known classes {known.tolist()}")
    elif known is None:
        classes, what = found, "y"
    else:
        check_same_kind("y", found, known)
        classes, what = known if closed else np.union1d(known, found), "y"
    if closed:
        _check_among("y", found, classes, f"of the classes {classes.tolist()}")
    if len(classes) < 2:
        expected = "of at least two classes; `classes` of the first call names all that may come"
        raise ValueError(mismatch(what, expected, f"one class: {classes.tolist()[0]!r}"))
    return classes


def train_on_part(
    rows: TrainingSet, options: Options, known: Array | None, model: Model | None, stream: Stream
) -> tuple[Model, Stream, TrainingEpoch]:
    """Go once through rows; the model so far, if there is one, is moved, and knows some classes."""
    team, D, K = rows.team, rows.X.shape[1], len(rows.classes)
    N, seed = team.share(len(rows.y)).N, stream.seed
    if seed is None:
        seed = team.from_first(seed_words(options.random_state))
    stream = replace(
        stream,
        seed=seed,
        rows=stream.rows + N,
        weight=stream.weight + rows.total,
        parts=stream.parts + 1,
    )
    if model is None:
        model = new_model(options, D, K, rows.X.dtype, seed)
    moments = stream.moments if stream.solver == options.by_batches else {}
    optimiser = replace(options.optimiser(), state={key: a.copy() for key, a in moments.items()})
    seeds = np.append(seed, np.uint32(stream.parts))
    training = Training(model, optimiser, seeds, team=team)
    if known is not None and len(known) < K:
        training = training.grown(np.searchsorted(rows.classes, known), K)
    X = rows.X.astype(model.W.dtype, copy=False)
    batch = Batch(X, rows.y, rows.weights * (stream.rows / stream.weight))
    plan = Plan(1, 1 / (options.C * stream.weight), schedule="constant")
    size = options.batch_size_for(N)
    (epoch,) = training.run(shuffled(batch, size, team), plan)
    stream = replace(stream, solver=options.by_batches, moments=training.optimiser.state)
    return training.model.centred(), stream, replace(epoch, number=stream.parts)


def _check_among(name: str, wanted: Array, classes: Array, expected: str) -> None:
    check_same_kind(name, wanted, classes)
    missing = wanted[~np.isin(wanted, classes)]
    if len(missing):
        got = repr(missing.tolist()[0]) if name == "y" else f"{classes.tolist()}"
        raise ValueError(mismatch(name, expected, got))
