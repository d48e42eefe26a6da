"""The report of `softgrad train`: how good it is, what it mistakes, whether its gradients hold."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from softgrad.explain.judged import Judged
from softgrad.explain.training import Training
from softgrad.nn import History
from softgrad.report.checks import checks_table, errors_chart, tone_of, verdicts
from softgrad.report.judged import judged_sections
from softgrad.report.learning import (
    accuracy_figure,
    confusion_section,
    gradients_figure,
    loss_figure,
)
from softgrad.report.page import Figure, Fold, Page, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import named, percent
from softgrad.results import Paragraph, Table, counted

__all__ = [
    "checks_fold",
    "history_fold",
    "options_of",
    "settings_fold",
    "train_command",
    "training_page",
]

_ROWS = 50
"""As many rows has a table, about."""


def training_page(training: Training, judged: Judged | None = None) -> Page:
    """Return the report of a training run.

    Parameters
    ----------
    training : Training
    judged : Judged, optional
        The validation rows, and what the network says of them.

    Returns
    -------
    Page
        For `softgrad.report.page.write`.
    """
    reports = [check.report for check in training.checks]
    right, total = int(np.trace(training.confusion)), training.validation_rows
    verdict = (
        f"{percent(training.validation_accuracy)} of the validation rows are right, {right} of "
        f"{total}. {verdicts(reports)}."
    )
    sections = (
        Section(
            "How did it learn?",
            (),
            (loss_figure(training), accuracy_figure(training)),
            (history_fold(training),),
        ),
        confusion_section(training.confusion, training.classes),
        *(judged_sections(judged) if judged is not None else ()),
        Section(
            "Are its gradients right?",
            (_checking(training), checks_table(training.checks)),
            (_errors_figure(training), gradients_figure(training)),
            (checks_fold(training),),
        ),
        Section(
            "What was trained?", (_subject(training),), folds=(settings_fold(training.settings),)
        ),
    )
    tone = tone_of(reports)
    title = f"Training on {named(training.data)}"
    return Page(title, Paragraph(verdict, tone), sections, train_command(training))


def train_command(training: Training) -> str:
    """Return the command that repeats the run, with every setting."""
    return shlex.join(["softgrad", "train", training.source, *options_of(training.settings)])


def options_of(settings: Mapping[str, Any]) -> list[str]:
    """Write settings as on the command line.

    >>> options_of({"hidden": (64, 32), "batch_size": 8, "target": None, "standardize": False})
    ['--hidden', '64,32', '--batch-size', '8', '--no-standardize']
    """
    words = []
    for name, value in settings.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            words += [f"--{option}", _written(value)]
    return words


def _written(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value)) or "none"
    return str(value)


def history_fold(training: Training) -> Fold:
    """Return the numbers behind the curves; of many epochs, every so many, and the last."""
    epochs = training.history.epochs
    every = math.ceil(len(epochs) / _ROWS)
    kept = tuple(e for e in epochs if (e.number - 1) % every == 0 or e is epochs[-1])
    tables = tuple(History(kept).blocks())
    return Fold("Every epoch" if every == 1 else f"One epoch of {every}", tables)


def checks_fold(training: Training) -> Fold:
    """Return what the checker found in each layer, in its own words."""
    rows = tuple(
        (check.name, finding.level, finding.message)
        for check in training.checks
        for finding in check.report.findings
    )
    return Fold("What the checker found", (Table(("gradient of", "weight", "finding"), rows),))


def _checking(training: Training) -> Paragraph:
    return Paragraph(
        "Before the first step the gradient of every layer, and of the loss, was compared with "
        "differences of its forward pass, on a mini-batch of the real data."
    )


def _errors_figure(training: Training) -> Figure:
    checks = training.checks
    svg = errors_chart(checks, "Error of each gradient")
    errors = [c.report.relative_error for c in checks if c.report.relative_error is not None]
    worst = f" The largest error is {pretty(max(errors), 2)}." if errors else ""
    words = (
        "How far each gradient is from the differences of its forward, as a part of their size. "
        "Grey is what rounding explains: a dot in it is right, one beyond it is wrong."
    )
    return Figure(svg, words + worst)


def _subject(training: Training) -> Paragraph:
    return Paragraph(
        f"{' → '.join(training.layers)}, on {counted(training.rows, 'row')} of "
        f"{named(training.data)} with {counted(training.features, 'feature')} and "
        f"{len(training.classes)} classes; held out: {counted(training.validation_rows, 'row')}. "
        f"{counted(len(training.history.epochs), 'epoch')} took {training.seconds:.1f} s."
    )


def settings_fold(settings: Mapping[str, Any]) -> Fold:
    """Return the settings of a training as a table."""
    rows = tuple((name.replace("_", " "), _written(value)) for name, value in settings.items())
    return Fold("Settings", (Table(("setting", "value"), rows),))
