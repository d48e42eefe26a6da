"""From a data set to a trained network: split, standardise, check every gradient, train."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, final

import numpy as np

from softgrad.arrays import Array
from softgrad.cli.command import Output, bad_values_are_bad_usage
from softgrad.cli.settings import Settings
from softgrad.explain.judged import Judged, OnTheWay
from softgrad.explain.layer_checks import LayerCheck, check_layers, layer_name
from softgrad.explain.tables import milestones
from softgrad.explain.training import Training, confusion_counts
from softgrad.learn import Standardizer, load, split
from softgrad.learn.datasets import held_out_rows
from softgrad.learn.model_file import Model, predict
from softgrad.nn import SGD, AbstractOptimiser, Adam, Epoch, History, build_mlp, train

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Fit", "Settings"]

_MOMENTUM = 0.9


@final
class Fit:
    """One training run: `check`, then `train`, then `result` and `judged`."""

    def __init__(self, source: str, settings: Settings) -> None:
        self.source, self.settings = source, settings
        data = load(source, settings.target)
        self.epochs: list[Epoch] = []
        self.interrupted = False
        with bad_values_are_bad_usage():
            self.optimiser = _optimiser(settings)
            self.rows, self.held_out = split(data, settings.validation, settings.seed)
            held_out = held_out_rows(data, settings.validation, settings.seed)
            self.numbers = np.flatnonzero(held_out) + 1
            standardizer = Standardizer.fit(self.rows.X)
            network = build_mlp(
                len(data.features),
                len(data.classes),
                hidden=settings.hidden,
                activation=settings.activation,
                head=settings.head,
                seed=settings.seed,
            )
            self.model = Model(network, data.classes, data.features, standardizer)
        self.checks: tuple[LayerCheck, ...] = ()
        self.seconds = 0.0
        self.followed = OnTheWay.followed(len(self.held_out.y), len(data.classes), settings.seed)
        self.seen: dict[int, Array] = {}

    def check(self) -> tuple[LayerCheck, ...]:
        """Check the gradient of every layer and of the loss on a mini-batch of the data."""
        order = np.random.default_rng(self.settings.seed).permutation(len(self.rows.y))
        few = order[: self.settings.batch_size]  # any classes, though the rows may be sorted
        X, y = self.model.standardizer(self.rows.X[few]), self.rows.y[few]
        self.checks = check_layers(self.model.network, X, y, self.settings.seed)
        return self.checks

    def train(self, output: Output) -> None:
        """Train, with a progress bar on stderr; Ctrl-C leaves the last whole epoch."""
        started = time.perf_counter()
        X, X_held_out = map(self.model.standardizer, (self.rows.X, self.held_out.X))
        looks = milestones(self.settings.epochs)
        self._look(0)
        with _progress(output, self.settings.epochs) as show:

            def on_epoch(epoch: Epoch) -> None:
                self.epochs.append(epoch)
                if epoch.number in looks:
                    self._look(epoch.number)
                show(epoch)

            try:
                train(
                    self.model.network,
                    self.optimiser,
                    X,
                    self.rows.y,
                    epochs=self.settings.epochs,
                    batch_size=self.settings.batch_size,
                    seed=self.settings.seed,
                    validation=(X_held_out, self.held_out.y),
                    on_epoch=on_epoch,
                )
            except KeyboardInterrupt:
                self.interrupted = True
        self.seconds = time.perf_counter() - started

    def _look(self, epoch: int) -> None:
        """Write down what the model says of the rows that are followed."""
        self.seen[epoch] = predict(self.model, self.held_out.X[self.followed])

    def judged(self) -> Judged:
        """Return the validation rows, and what the model says of them."""
        data = self.held_out
        on_the_way = OnTheWay(self.followed, tuple(self.seen), np.stack([*self.seen.values()]))
        return Judged(
            are="validation rows",
            numbers=self.numbers,
            X=data.X,
            y=data.y,
            probabilities=predict(self.model, data.X),
            classes=data.classes,
            features=data.features,
            on_the_way=on_the_way,
        )

    def result(self) -> Training:
        """Say what came out, after one epoch at least."""
        last = self.epochs[-1]
        assert last.validation_loss is not None
        assert last.validation_accuracy is not None
        predicted = predict(self.model, self.held_out.X).argmax(axis=-1)
        return Training(
            data=self.rows.name,
            source=self.source,
            classes=self.model.classes,
            features=len(self.model.features),
            rows=len(self.rows.y),
            validation_rows=len(self.held_out.y),
            layers=tuple(map(layer_name, self.model.network.layers)),
            settings=asdict(self.settings) | {"lr": self.settings.rate},
            checks=self.checks,
            history=History(tuple(self.epochs)),
            validation_accuracy=last.validation_accuracy,
            validation_loss=last.validation_loss,
            confusion=confusion_counts(self.held_out.y, predicted, len(self.model.classes)),
            seconds=self.seconds,
        )


def _optimiser(settings: Settings) -> AbstractOptimiser:
    """Return the optimiser, at its first step."""
    if settings.optimizer == "adam":
        return Adam(lr=settings.rate)
    return SGD(lr=settings.rate, momentum=_MOMENTUM)


@contextmanager
def _progress(output: Output, epochs: int) -> Iterator[Callable[[Epoch], None]]:
    """Show a bar with loss and accuracy; a stderr that is no terminal stays empty."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(compact=True),
    )
    quiet = not output.stderr.is_terminal
    with Progress(*columns, console=output.stderr, disable=quiet) as progress:
        task = progress.add_task("training", total=epochs, numbers="")

        def show(epoch: Epoch) -> None:
            accuracy = epoch.validation_accuracy or 0.0
            numbers = f"loss {epoch.loss:.4f}  accuracy {100 * accuracy:.1f} %"
            progress.update(task, completed=epoch.number, numbers=numbers)

        yield show
