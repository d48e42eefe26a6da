"""`plot_training`: losses and what else is recorded of a training, over its epochs or steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from softgrad.errors import mismatch
from softgrad.explain.training import Training
from softgrad.nn import History
from softgrad.report.colours import stroke
from softgrad.report.plots.canvas import FAINT, SMALL, add_legend, axes_or_new, with_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_training"]

_MOST_LINES = 12
_LABELS = {
    "loss": "mean loss of a row",
    "accuracy": "share of right answers",
    "gradient": "size of the gradient",
    "gap": "above the minimum, about",
}
_LOGARITHMIC = ("gradient", "gap")


def plot_training(training: Any, what: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw what a training recorded, over its epochs or over a solver's steps.

    Parameters
    ----------
    training : History, Training, SoftmaxClassifier, or sequence of records
        What `softgrad.nn.train` returned, a fitted classifier, or its ``history_``.
    what : {"loss", "accuracy", "gradient", "gap"}, optional
        The loss and the accuracy of training and of held-out rows; the size of each layer's
        gradient; or how far a convex solver seemed to be above the minimum. By default the loss,
        and the gap of a convex solver. Gradients and gaps have a logarithmic axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    TypeError
        `training` or `ax` is something else.
    ValueError
        There is no record, `what` is not recorded, or `ax` is polar or of another projection.

    Examples
    --------
    >>> import softgrad as sg
    >>> from softgrad.plot import plot_training
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> ax = plot_training(sg.SoftmaxClassifier().fit(X, y))
    """
    records = _records(training)
    series = _series(records)
    what = next(iter(series)) if what is None else what
    if what not in series:
        raise ValueError(mismatch("what", " or ".join(map(repr, series)), repr(what)))
    lines, notes = series[what], []
    if len(lines) > _MOST_LINES:
        kept = np.linspace(0, len(lines) - 1, _MOST_LINES).round().astype(int)
        notes = [f"{_MOST_LINES} of {len(lines)} layers, from the first to the last"]
        lines = dict([*lines.items()][k] for k in kept)
    numbers = [record.number for record in records]
    ax = axes_or_new(ax, 5.2, 3.4)
    marker = "o" if len(numbers) == 1 else None
    drawn = [
        ax.plot(numbers, values, marker=marker, **_style(k))[0]
        for k, values in enumerate(lines.values())
    ]
    if what in _LOGARITHMIC and any(value > 0 for line in lines.values() for value in line):
        ax.set_yscale("log", nonpositive="mask")
    ax.set_ylabel(_LABELS[what])
    ax.set_xlabel(with_notes("step" if what == "gap" else "epoch", notes))
    ax.locator_params(axis="x", integer=True)
    ax.grid(axis="y", **FAINT)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(which="both", labelsize=SMALL["fontsize"])
    if len(lines) > 1:
        add_legend(ax, drawn, [*lines])
    return ax


def _records(training: Any) -> Sequence[Any]:
    if isinstance(training, Training):
        training = training.history
    if isinstance(training, History):
        training = training.epochs
    records = getattr(training, "history_", training)
    if not isinstance(records, Sequence) or not all(hasattr(each, "number") for each in records):
        expected = "a training, its history, or a fitted SoftmaxClassifier"
        raise TypeError(mismatch("training", expected, type(training).__name__))
    if not records:
        raise ValueError(mismatch("training", "one with a record", "none"))
    return records


def _series(records: Sequence[Any]) -> dict[str, dict[str, list[float]]]:
    """Return the lines of all that is recorded, by what they measure."""
    found: dict[str, dict[str, list[float]]] = {}
    for what in ("loss", "accuracy", "gap"):
        named = (("training", what), ("held out", f"validation_{what}"))
        values = {name: [getattr(r, field, None) for r in records] for name, field in named}
        known = {name: line for name, line in values.items() if line[0] is not None}
        if known:
            found[what] = {
                name: [np.nan if v is None else v for v in known[name]] for name in known
            }
    if hasattr(records[0], "gradient_sizes"):
        places = records[0].gradient_sizes
        found["gradient"] = {
            f"layer {place}": [r.gradient_sizes[place] for r in records] for place in places
        }
    return found


def _style(index: int) -> dict[str, Any]:
    """Return how a line is drawn: the colours of the report's charts, solid and then broken."""
    wanted = stroke(index)
    broken = "--" if wanted["stroke_dasharray"] else "-"
    return {"color": wanted["stroke"], "linestyle": broken, "linewidth": 1.8}
