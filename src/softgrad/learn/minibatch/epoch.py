"""What is known of an epoch at its end."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TrainingEpoch"]


@dataclass(frozen=True)
class TrainingEpoch:
    """One pass over the training rows.

    Parameters
    ----------
    number : int
        From 1.
    loss : float
        The mean cross-entropy of the training rows, each as its mini-batch met it: while the
        coefficients moved, and without the penalty.
    validation_loss : float or None
        The mean cross-entropy of the held-out rows at the end; None if there are none.
    learning_rate : float
        Of its steps.
    """

    number: int
    loss: float
    validation_loss: float | None
    learning_rate: float

    def __str__(self) -> str:
        held_out = self.validation_loss
        return f"loss {self.loss:.4g}" + ("" if held_out is None else f", held out {held_out:.4g}")
