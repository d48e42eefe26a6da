"""What a training run leaves behind: one record an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from softgrad.results import Block, Result, Table

__all__ = ["Epoch", "History"]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows; losses and accuracies are those at its end.

    Parameters
    ----------
    number : int
        From 1.
    loss, accuracy : float
        Of all training rows. The accuracy is the share of rows whose largest score stands at the
        class, or at the target's largest value; NaN where there is one score a row.
    validation_loss, validation_accuracy : float or None
        Of the validation rows; None if there are none.
    gradient_sizes : mapping
        For each layer with parameters, by its place such as "0", the Euclidean norm of its
        parameters' gradients: the mean over the mini-batches.
    """

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    gradient_sizes: Mapping[str, float]


@dataclass(frozen=True)
class History(Result):
    """The epochs of a training run, in their order."""

    schema: ClassVar[str] = "softgrad.history/1"

    epochs: tuple[Epoch, ...]

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        return self.epochs[-1]

    def blocks(self) -> Iterable[Block]:
        columns = ["epoch", "loss", "accuracy"]
        validated = self.last.validation_loss is not None
        if validated:
            columns += ["validation loss", "validation accuracy"]
        rows = []
        for epoch in self.epochs:
            row: list[str | float] = [epoch.number, epoch.loss, epoch.accuracy]
            if epoch.validation_loss is not None and epoch.validation_accuracy is not None:
                row += [epoch.validation_loss, epoch.validation_accuracy]
            rows.append(tuple(row))
        yield Table(tuple(columns), tuple(rows))
