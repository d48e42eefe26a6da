"""The two ways to train: steps of a convex solver over all rows, or mini-batches."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.kernels import choose
from softgrad.learn.checkpoint import Checkpoint, data_fingerprint, digest
from softgrad.learn.columns import Columns, extremes, near, standardised
from softgrad.learn.minibatch import (
    Batch,
    Model,
    Plan,
    Training,
    TrainingEpoch,
    hold_out,
    shuffled,
)
from softgrad.learn.objective import Objective
from softgrad.learn.options import BY_BATCHES, Options
from softgrad.learn.progress import Watch, watching
from softgrad.learn.randomness import seed_words
from softgrad.learn.solvers import Point, Settings, certified_gap, solve
from softgrad.learn.training_set import TrainingSet
from softgrad.nn.mlp import hidden_layers

__all__ = ["Fit", "fit", "new_model", "objective_of"]

_DECIDING = (
    "hidden", "activations", "max_iter", "batch_size", "learning_rate", "momentum", "schedule",
    "early_stopping", "validation_fraction", "n_iter_no_change", "polish",
)  # fmt: skip
"""Options that decide the steps of mini-batches."""

_ASTRAY = 10.0
"""Times the loss of coefficients of 0 from which on a fit has diverged."""

_LEAST = 1e-150
"""A number whose square is one."""


class Fit(NamedTuple):
    """What was trained, and how far it came."""

    model: Model
    solver: str
    iterations: int
    value: float
    """Of the objective, at rows that were trained on."""

    bound: float
    """What it is above the minimum at most; infinite where nobody knows."""

    history: tuple[Any, ...]
    objective: Objective | None = None
    """What was minimised, if it is convex."""

    complaint: str = ""
    """That the optimum was not reached, and what to do."""

    checkpoint: Checkpoint | None = None
    """What is to be removed when the fit has come to its end."""

    moments: Mapping[str, Array] = MappingProxyType({})
    """What the optimiser remembers of the steps that led to the model."""


def fit(rows: TrainingSet, options: Options, start: Model | None) -> Fit:
    """Train on rows, from a model if there is one."""
    entries = sum(rows.team.numbers(rows.X.size))  # what is not 0, of CSR
    solver = options.solver_for(entries, len(rows.classes), rows.X.shape[1])
    checkpoint = _checkpoint(solver, rows, options, start)
    if solver in BY_BATCHES:
        found = _by_batches(solver, rows, options, start, checkpoint)
    else:
        f = objective_of(rows, options.C, options.standardize)
        theta = f.start if start is None else f.inside(_theta(start))
        limit = options.settings.max_iter
        with watching(options.callbacks, limit, solver, options.verbose, f.team) as watch:
            found = _by_steps(solver, f, theta, options.settings, watch, checkpoint)
    return found._replace(checkpoint=checkpoint)


def new_model(options: Options, D: int, K: int, dtype: Any, seed: Array) -> Model:
    """Return a model whose hidden layers are random and whose last one is 0."""
    rng = np.random.default_rng([*seed.tolist(), 0])
    layers = hidden_layers(D, options.hidden, options.activations, rng, dtype)
    return Model.at_zero(tuple(layers), (K, (D, *options.hidden)[-1]), dtype)


def objective_of(rows: TrainingSet, C: float, standardize: bool) -> Objective:
    """Return what is minimised without hidden layers: LogisticRegression's objective over C·n.

    Two classes have one row of coefficients there, and the penalty counts it once. As softmax rows
    −w/2 and w/2 it would be half of that, which twice the penalty makes up for.
    """
    columns = _columns(rows, standardize)
    return _objective(rows._replace(X=columns.of(rows.X)), C, columns)


def _columns(rows: TrainingSet, standardize: bool) -> Columns:
    """Return how the columns of rows are seen."""
    return standardised(rows.X, rows.weights, rows.team) if standardize else near(rows.X, rows.team)


def _objective(seen: TrainingSet, C: float, columns: Columns) -> Objective:
    """Return it for rows whose columns are seen so."""
    n, K = seen.total, len(seen.classes)
    if np.isfinite(C) and not np.finfo(float).tiny <= C * n < np.inf:
        expected = f"such that C times the sum of the weights, {n:g}, can be computed with"
        raise ValueError(mismatch("C", expected, C))
    if np.inf == C:
        _check_columns(seen)
    ridge = (2 if K == 2 else 1) / (C * n)
    spread: dict[str, Any] = {"team": seen.team, "share": seen.team.share(len(seen.y))}
    return Objective(seen.X, seen.y, seen.weights / n, K, ridge, columns=columns, **spread)


def _check_columns(rows: TrainingSet) -> None:
    """Raise for a column that is not 0, and whose squares are, so that no solver would see it."""
    least, most = extremes(rows.X, rows.team)
    largest = np.maximum(-least, most)
    tiny = np.flatnonzero((largest > 0) & (largest < _LEAST))
    if tiny.size:
        expected = f"0, or at least {_LEAST:g} in some row, in every column where `C` is infinite"
        got = f"{largest[tiny[0]]:.3g} at most in column {tiny[0]}"
        raise ValueError(mismatch("X", expected, got))


def _checkpoint(
    solver: str, rows: TrainingSet, options: Options, start: Model | None
) -> Checkpoint | None:
    """Return the file that the fit begins with, and what tells this fit from others."""
    if options.checkpoint is None:
        return None
    before = {} if start is None else start.parameters
    start_digest = " ".join(map(digest, before.values())) or "none"
    same = {"solver": solver, "C": options.C, "start": start_digest}
    same["standardize"] = options.standardize
    if solver in BY_BATCHES:
        same |= {name: str(getattr(options, name)) for name in _DECIDING}
        if isinstance(options.random_state, (numbers.Integral, type(None))):
            same["random_state"] = str(options.random_state)
    same |= data_fingerprint(rows)
    return Checkpoint(options.checkpoint, options.checkpoint_every, same, rows.team)


def _by_steps(
    solver: str,
    f: Objective,
    start: Array,
    settings: Settings,
    watch: Watch,
    checkpoint: Checkpoint | None,
) -> Fit:
    found = solve(solver, f, start, settings, watch, checkpoint)
    complaint = (
        f"{solver} stopped after {found.iterations} steps, where the objective {found.value:.6g} "
        f"seemed to be {found.gap:.1e} above its minimum: raise `max_iter` or `tol`, take another "
        "`solver`, or scale the columns"
    )
    theta = f.outside(found.theta)
    model = Model((), theta[:, :-1], theta[:, -1])
    complaint = "" if found.converged or watch.stopped else complaint
    return Fit(model, solver, found.iterations, found.value, found.bound, found.steps, f, complaint)


def _by_batches(
    solver: str,
    rows: TrainingSet,
    options: Options,
    start: Model | None,
    checkpoint: Checkpoint | None,
) -> Fit:
    kept, team = None if checkpoint is None else checkpoint.read(), rows.team
    seed = kept[0]["seed"] if kept else team.from_first(seed_words(options.random_state))
    K, (_, D), columns = len(rows.classes), rows.X.shape, _columns(rows, options.standardize)
    rows = rows._replace(X=columns.of(rows.X))
    if start is None:
        model = new_model(options, D, K, rows.X.dtype, seed)
    else:
        model = start.inside(columns)
    patience, held_out = None, None
    if options.early_stopping:
        patience, (rows, held_out) = options.n_iter_no_change, _held_out(rows, options, seed)
    N, n = team.share(len(rows.y)).N, rows.total
    epochs = options.epochs_for(N)
    impl = choose("auto", np.broadcast_to(np.empty((1, 1)), (N * epochs, K))).impl
    plan = Plan(epochs, 1 / (options.C * n), options.schedule, patience, impl)
    batch = Batch(rows.X, rows.y, rows.weights * (N / n))
    batches = shuffled(batch, options.batch_size_for(N), team)
    training = Training(model, options.optimiser(), seed, team=team)
    if kept is not None:
        training.load(*kept)
    keep = None if checkpoint is None else _keeping(checkpoint)
    with watching(options.callbacks, epochs, solver, options.verbose, team) as watch:
        for epoch in training.run(batches, plan, held_out, keep):
            if watch(epoch):
                break
    training.restore_best()
    history, model = tuple(training.epochs), training.model.centred()
    kept_epoch = history[-1] if held_out is None else min(history, key=_held_out_loss)
    lost = diverged([kept_epoch], K, _ASTRAY) and diverged(history, K, _ASTRAY)
    outside = model.outside(columns)
    found = Fit(outside, solver, len(history), np.nan, np.inf, history, complaint=lost)
    if training.best is None and columns.scale is None:  # moments are those of columns as they are
        found = found._replace(moments=training.optimiser.state)
    if not model.hidden:
        later = None if checkpoint is None else checkpoint.then(*training.state())
        f, polish = _objective(rows, options.C, columns), options.polish and not watch.stopped
        return _convex(found, f, _theta(model), options, later, polish=polish)
    loss = model.mean_loss(batch, impl, team)
    return found._replace(value=loss + model.penalty(plan.ridge))


def diverged(epochs: Sequence[TrainingEpoch], K: int, times: float) -> str:
    """Return what is to be said where an epoch's loss is so many times that of coefficients of 0.

    That one is log K, whatever the rows and their weights.
    """
    blank = float(np.log(K))
    worse = (epoch for epoch in epochs if epoch.loss > times * blank)
    first = next(worse, None)
    if first is None:
        return ""
    return (
        f"mini-batches diverged: in epoch {first.number} the loss is {first.loss:.3g}, where "
        f"coefficients of 0 have {blank:.3g}: take a `learning_rate` below "
        f"{first.learning_rate:.3g}, or scale the columns, as `standardize` does"
    )


def _convex(
    rough: Fit,
    f: Objective,
    theta: Array,
    options: Options,
    checkpoint: Checkpoint | None,
    polish: bool,
) -> Fit:
    """Return what mini-batches found with its distance from the optimum, or polished."""
    if polish:
        settings = options.polish_settings
        limit, bar = settings.max_iter, options.verbose
        with watching(options.callbacks, limit, "lbfgs", bar, f.team) as watch:
            fine = _by_steps("lbfgs", f, theta, settings, watch, checkpoint)
        iterations, history = rough.iterations + fine.iterations, rough.history + fine.history
        return fine._replace(solver=rough.solver, iterations=iterations, history=history)
    point = Point.of(f, theta)
    bound = max(certified_gap(f, point), 0.0)
    complaint = rough.complaint
    if not complaint and options.solver == "auto" and bound > options.tol * point.value:
        complaint = (
            f"{rough.solver} ended after {rough.iterations} epochs, where the objective "
            f"{point.value:.6g} is at most {bound:.1e} above its minimum: ask for `polish`, "
            "or name the `solver`"
        )
    return rough._replace(value=point.value, bound=bound, objective=f, complaint=complaint)


def _held_out_loss(epoch: TrainingEpoch) -> float:
    assert epoch.validation_loss is not None
    return epoch.validation_loss


def _keeping(checkpoint: Checkpoint) -> Callable[[Training], None]:
    """Return what writes a checkpoint after a mini-batch, when it is time."""

    def keep(training: Training) -> None:
        if checkpoint.due():
            checkpoint.write(*training.state())

    return keep


def _held_out(rows: TrainingSet, options: Options, seed: Array) -> tuple[TrainingSet, Batch]:
    """Divide the rows into those that are trained on, and those that tell when to stop."""
    rng = np.random.default_rng([*seed.tolist(), 0, 1])
    first, n = rows.team.share(len(rows.y)).first, len(rows.y)
    y = np.concatenate(rows.team.gathered(rows.y))
    places = (ids - first for ids in hold_out(y, options.validation_fraction, rng))
    train, held = (ids[(ids >= 0) & (ids < n)] for ids in places)
    return rows.of(train), Batch(*rows.of(held)[:3])


def _theta(model: Model) -> Array:
    """Return the last layer as the objective has it."""  # [K, D+1]
    return np.column_stack([model.W, model.b]).astype(np.float64)
