"""Pictures of a training run, each with a caption that says what is to be seen in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from softgrad.explain.training import Training
from softgrad.report.confusion import confusion_matrix
from softgrad.report.lines import Line, line_chart
from softgrad.report.page import Figure, Fold, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import course, named, percent
from softgrad.results import Paragraph, Table

__all__ = [
    "accuracy_figure",
    "confusion_figure",
    "confusion_section",
    "gradients_figure",
    "loss_figure",
    "mistake",
]

_ROWS = 50
"""As many rows has a table, about."""
_TURNED = 1.05
"""A validation loss this many times its lowest has turned."""


def loss_figure(training: Training) -> Figure:
    """Draw the loss of the training and of the validation rows over the epochs."""
    epochs = training.history.epochs
    loss, held_out = [e.loss for e in epochs], _known(e.validation_loss for e in epochs)
    words = [f"Mean loss of a row after each epoch. For the training rows it {course(loss)}"]
    if held_out:
        words[0] += f", for the validation rows, which no step has seen, it {course(held_out)}"
        words += _turn(loss, held_out)
    return _over_epochs(training, (loss, held_out), "Loss", "loss", ". ".join(words))


def accuracy_figure(training: Training) -> Figure:
    """Draw the share of right answers over the epochs."""
    epochs = training.history.epochs
    accuracy = [100 * e.accuracy for e in epochs]
    held_out = [100 * a for a in _known(e.validation_accuracy for e in epochs)]
    ends = [f"{accuracy[-1]:.1f} % of the training rows"]
    if held_out:
        ends.append(f"{held_out[-1]:.1f} % of the validation rows")
    counts = training.confusion.sum(axis=1)  # [K]
    words = (
        f"Right answers after each epoch: at the end {' and '.join(ends)}. "
        f"Always naming the most frequent class would be right for "
        f"{percent(counts.max() / max(counts.sum(), 1))}"
    )
    return _over_epochs(training, (accuracy, held_out), "Accuracy", "right answers, %", words)


def confusion_section(
    confusion: NDArray[np.int64], classes: Sequence[str], are: str = "validation rows"
) -> Section:
    """Return what is taken for what."""
    return Section(
        "What does it mistake?",
        (Paragraph(mistake(confusion, classes)),),
        (confusion_figure(confusion, classes, are),),
        (_classes_fold(confusion, classes),),
    )


def _classes_fold(confusion: NDArray[np.int64], classes: Sequence[str]) -> Fold:
    """Return the classes with the smallest shares of right answers first."""
    counts, right = confusion.sum(axis=1), np.diag(confusion)
    shares = right / np.maximum(counts, 1)  # [K]
    rows = tuple(
        (named(classes[k]), int(right[k]), int(counts[k]), percent(shares[k]))
        for k in np.argsort(shares, kind="stable")[:_ROWS].tolist()
    )
    title = "" if len(rows) == len(counts) else f"{len(rows)} of {len(counts)} classes, the worst"
    table = Table(("class", "right", "of", "share"), rows, title)
    return Fold("Every class, the worst first", (table,))


def confusion_figure(
    confusion: NDArray[np.int64], classes: Sequence[str], are: str = "validation rows"
) -> Figure:
    """Draw how often each class was taken for each."""
    right, total = int(np.trace(confusion)), int(confusion.sum())
    words = (
        f"Rows: the true class; columns: what the model says. {right} of {total} {are} stand on "
        "the diagonal, in blue, and are right"
    )
    if right < total:
        words += f"; {total - right}, in orange, are mistaken"
    return Figure(confusion_matrix(confusion, classes), f"{words}.")


def mistake(confusion: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Name the most frequent mistake."""
    wrong = confusion * ~np.eye(len(classes), dtype=bool)  # [K, K]
    true, said = divmod(int(wrong.argmax()), len(classes))
    count = int(wrong[true, said])
    if not count:
        return "No row is mistaken."
    names = f"{named(classes[true])} taken for {named(classes[said])}"
    times = "once" if count == 1 else f"{count} times"
    others = int((wrong == count).sum()) - 1
    if others:
        pairs = "pair" if others == 1 else "pairs"
        names = f"{names}, and {others} other {pairs} of classes"
        return f"No mistake is made more than {times}: {names}."
    return f"The most frequent mistake: {names}, {times}."


def gradients_figure(training: Training) -> Figure:
    """Draw the size of each layer's gradient over the epochs."""
    epochs = training.history.epochs
    places = list(epochs[0].gradient_sizes)
    sizes = {place: [e.gradient_sizes[place] for e in epochs] for place in places}
    lines = [
        Line(f"{place}: {training.layers[int(place)]}", sizes[place], _numbers(training))
        for place in places
    ]
    svg = line_chart(
        lines, "Size of the gradient by layer", x_label="epoch", y_label="gradient size", log_y=True
    )
    first, last = training.layers[int(places[0])], training.layers[int(places[-1])]
    words = "Size of the loss's gradient in each layer's parameters, the mean over an epoch's "
    words += f"mini-batches. In {first}, the first layer, it {course(sizes[places[0]])}"
    if len(places) > 1:
        words += f"; in {last}, the last, it {course(sizes[places[-1]])}"
        words += _spread([sizes[place][-1] for place in places])
    still = [training.layers[int(place)] for place in places if not any(sizes[place])]
    if still:
        words += f". No gradient at all reaches {', '.join(still)}"
    return Figure(svg, f"{words}.")


def _spread(ends: Sequence[float]) -> str:
    """Compare the layers in the last epoch."""
    if not (min(ends) > 0 and math.isfinite(max(ends))):
        return ""
    return (
        f". In the last epoch the largest is {pretty(max(ends) / min(ends), 2)} times the smallest"
    )


def _over_epochs(
    training: Training, series: tuple[list[float], list[float]], what: str, unit: str, words: str
) -> Figure:
    lines = [
        Line(name, values, _numbers(training))
        for name, values in zip(("training", "validation"), series, strict=True)
        if values
    ]
    return Figure(line_chart(lines, f"{what} by epoch", x_label="epoch", y_label=unit), f"{words}.")


def _turn(loss: Sequence[float], held_out: Sequence[float]) -> list[str]:
    """Say where the validation loss was lowest, if it rose again."""
    best = int(np.argmin([value if math.isfinite(value) else math.inf for value in held_out]))
    if not held_out[-1] > _TURNED * held_out[best]:
        return []
    text = f"It was lowest, {pretty(held_out[best])}, after epoch {best + 1}"
    if loss[-1] < loss[best]:
        text += "; since then only the training rows gain"
    return [text]


def _numbers(training: Training) -> list[int]:
    return [epoch.number for epoch in training.history.epochs]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
