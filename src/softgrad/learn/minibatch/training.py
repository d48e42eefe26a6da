"""The loop over epochs and mini-batches, and all that it has to remember."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from softgrad.arrays import Array, quiet
from softgrad.errors import UsageError, mismatch
from softgrad.learn.minibatch.batches import Batch, Batches
from softgrad.learn.minibatch.epoch import TrainingEpoch
from softgrad.learn.minibatch.model import Model, spread
from softgrad.learn.team import ALONE, AbstractTeam
from softgrad.nn import SGD, Adam

__all__ = ["Optimiser", "Plan", "Training"]

Optimiser: TypeAlias = Adam | SGD
"""What has a learning rate."""


@dataclass(frozen=True)
class Plan:
    """How far to go."""

    epochs: int
    ridge: float
    """λ of the penalty ½ λ ‖W‖²."""

    schedule: str = "linear"
    """Of the learning rate: "constant", or "linear", which falls to a last epoch's 1/epochs."""

    patience: int | None = None
    """Epochs in a row without a better validation loss after which it ends; None for no end."""

    impl: Any = "auto"
    """What works on the logits."""

    def share(self, epoch: int) -> float:
        """Return the share of the learning rate that an epoch has, from 0."""
        return 1.0 if self.schedule == "constant" else 1 - epoch / self.epochs


@dataclass(eq=False)
class Training:
    """Where a training stands. What is in `state` goes on bit for bit as if nothing had happened.

    An epoch's order of rows is drawn from the seed and its number, so that no generator is part of
    the state.
    """

    model: Model
    optimiser: Optimiser
    seed: Array
    """Words of uint32."""

    epochs: list[TrainingEpoch] = field(default_factory=list)
    batches: int = 0
    """Mini-batches of the epoch that is not over."""

    sums: Array = field(default_factory=lambda: np.zeros(2))
    """Losses and weights of those."""

    best: dict[str, Array] | None = None
    """The parameters at the least validation loss."""

    team: AbstractTeam = ALONE
    """Who has the other rows of each mini-batch; the parameters are the same everywhere."""

    def run(
        self,
        batches: Batches,
        plan: Plan,
        held_out: Batch | None = None,
        after_batch: Callable[[Training], object] | None = None,
    ) -> Iterator[TrainingEpoch]:
        """Train, and yield a record at the end of every epoch; whoever has enough stops asking.

        Raises
        ------
        UsageError
            The loss became infinite or NaN.
        """
        while len(self.epochs) < plan.epochs and not self._tired(plan):
            rate = self.optimiser.lr * plan.share(len(self.epochs))
            self._one_epoch(batches, replace(self.optimiser, lr=rate), plan, after_batch)
            with quiet():
                held_out_loss = self._held_out_loss(held_out)
            loss = float(self.sums[0] / self.sums[1])
            finite = all(np.isfinite(p).all() for p in self.model.parameters.values())
            self._check(loss + (held_out_loss or 0.0) if finite else math.nan)
            record = TrainingEpoch(len(self.epochs) + 1, loss, held_out_loss, rate)
            self.epochs.append(record)
            self.batches, self.sums = 0, np.zeros(2)
            if held_out is not None and self._waited == 0:
                self.best = {name: p.copy() for name, p in self.model.parameters.items()}
            yield record

    def restore_best(self) -> None:
        """Go back to the parameters of the least validation loss."""
        if self.best is not None:
            self._put(self.best)

    def grown(self, places: Array, K: int) -> Training:
        """Return it with K classes, the known ones at these places; moments of new ones are 0."""
        kept = self.optimiser.state.items()
        state = {
            key: spread(a, places, K) if key.partition(".")[0] in ("W", "b") and a.ndim else a
            for key, a in kept
        }
        return replace(
            self, model=self.model.grown(places, K), optimiser=replace(self.optimiser, state=state)
        )

    def state(self) -> tuple[dict[str, Array], dict[str, int]]:
        """Return all there is to remember: arrays, and whole numbers."""
        records = [(e.loss, e.validation_loss, e.learning_rate) for e in self.epochs]
        arrays = {f"parameter.{name}": p for name, p in self.model.parameters.items()}
        arrays |= {f"optimiser.{name}": a for name, a in self.optimiser.state.items()}
        arrays |= {f"best.{name}": p for name, p in (self.best or {}).items()}
        arrays["epochs"] = np.array(records, dtype=np.float64).reshape(-1, 3)  # None is NaN
        arrays["seed"], arrays["sums"] = self.seed, self.sums
        return arrays, {"batches": self.batches}

    def load(self, arrays: Mapping[str, Array], numbers: Mapping[str, int]) -> None:
        """Go on from a state; it must be that of a model with the same layers.

        Raises
        ------
        ValueError
            It is another's; nothing has changed then.
        """
        parts: dict[str, dict[str, Array]] = {"parameter": {}, "optimiser": {}, "best": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts.get(part, {})[rest] = array
        _check_parameters(parts["parameter"], self.model.parameters)
        self._put(parts["parameter"])
        self.optimiser.state.clear()
        self.optimiser.state.update({key: a.copy() for key, a in parts["optimiser"].items()})
        self.best = {key: a.copy() for key, a in parts["best"].items()} or None
        self.epochs = [
            TrainingEpoch(i + 1, loss, None if math.isnan(held) else held, rate)
            for i, (loss, held, rate) in enumerate(arrays["epochs"].tolist())
        ]
        self.seed, self.sums = arrays["seed"].copy(), arrays["sums"].copy()
        self.batches = int(numbers["batches"])

    def _one_epoch(
        self,
        batches: Batches,
        optimiser: Optimiser,
        plan: Plan,
        after_batch: Callable[[Training], object] | None,
    ) -> None:
        rng = np.random.default_rng([*self.seed.tolist(), len(self.epochs) + 1])
        for i, batch in enumerate(batches.epoch(rng)):
            if i < self.batches:  # done before it was broken off
                continue
            with quiet():  # what overflows shows in the loss
                sums, gradients = self._sums_and_gradients(batch, plan)
                self._check(float(sums[0]))
                optimiser.step(self.model.parameters, gradients)
            self.sums += sums
            self.batches += 1
            if after_batch is not None:
                after_batch(self)

    def _sums_and_gradients(self, batch: Batch, plan: Plan) -> tuple[Array, dict[str, Array]]:
        """Return the loss and the weight of a mini-batch, and its gradients: of all processes."""
        ridge = plan.ridge if self.team.leads else 0.0  # the penalty is there once
        loss, gradients = self.model.loss_and_gradients(batch, ridge, plan.impl)
        told = np.array([loss, batch.weights.sum()])
        sums, *bars = self.team.summed(told, *gradients.values())
        return sums, dict(zip(gradients, bars, strict=True))

    def _held_out_loss(self, rows: Batch | None) -> float | None:
        return None if rows is None else self.model.mean_loss(rows, team=self.team)

    @property
    def _waited(self) -> int:
        """Epochs since the least validation loss, the first of equals."""
        losses = [epoch.validation_loss for epoch in self.epochs]
        return len(losses) - 1 - int(np.argmin(losses))  # type: ignore[arg-type]

    def _tired(self, plan: Plan) -> bool:
        return plan.patience is not None and bool(self.epochs) and self._waited >= plan.patience

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            got = f"{self.optimiser.lr}: the loss became {loss} in epoch {len(self.epochs) + 1}"
            raise UsageError(mismatch("learning_rate", "smaller, or the columns standardised", got))

    def _put(self, values: Mapping[str, Array]) -> None:
        for name, parameter in self.model.parameters.items():
            parameter[...] = values[name]


def _check_parameters(given: Mapping[str, Array], own: Mapping[str, Array]) -> None:
    def shapes(arrays: Mapping[str, Array]) -> dict[str, Any]:
        return {name: (a.dtype.name, *a.shape) for name, a in arrays.items()}

    if shapes(given) != shapes(own):
        expected = f"the state of a model of {shapes(own)}"
        raise ValueError(mismatch("arrays", expected, str(shapes(given))))
