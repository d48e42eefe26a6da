"""`softgrad train --solver`: a `SoftmaxClassifier`, trained on data of any size."""

from __future__ import annotations

import os
import shlex
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from softgrad.cli.command import Output, bad_values_are_bad_usage
from softgrad.cli.exit_codes import OK
from softgrad.cli.parameters import writing
from softgrad.cli.report_file import write_report
from softgrad.cli.settings import BatchSettings
from softgrad.errors import UsageError, mismatch
from softgrad.explain.judged import Judged
from softgrad.explain.regression import Regression
from softgrad.learn.classifier import SoftmaxClassifier
from softgrad.learn.minibatch import TrainingEpoch
from softgrad.learn.model_file import Model, predict, save_model
from softgrad.learn.options import BY_BATCHES
from softgrad.learn.solvers import Step
from softgrad.learn.sources import BUILT_IN, load, open_labelled
from softgrad.learn.team import share_of, team_of

__all__ = ["train_regression"]

_LARGEST_FILE = 64 * 2**20
"""Bytes of a file whose rows are judged one by one for a report."""
_MOST_PROBABILITIES = 20_000_000

_PARAMETER = {
    "epochs": "max_iter",
    "lr": "learning_rate",
    "seed": "random_state",
    "validation": "validation_fraction",
}
"""What the classifier calls a setting that it has another name for."""


def train_regression(
    output: Output,
    data: str,
    target: str | None,
    settings: dict[str, Any],
    model_file: Path,
    report: Path | None,
    group: Any = None,
) -> int:
    """Train, show what came out, and write the model; files are read in blocks.

    Of a group of processes each has a share of the rows, and the first one shows and writes.
    """
    started, team = time.perf_counter(), team_of(group)
    shown = output.stderr.is_terminal
    classifier = SoftmaxClassifier(**_parameters(settings), verbose=shown, group=group)
    with bad_values_are_bad_usage(), warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        if data in BUILT_IN:
            rows = load(data, target)
            own = share_of(len(rows.y), team)
            classifier.fit(rows.X[own], rows.y[own])
            classes, features = rows.classes, rows.features
        else:
            with team.together():
                labels = open_labelled(data).names[-1] if target is None else target
            classifier.fit(data, labels)
            classes = tuple(map(str, classifier.classes_.tolist()))
            features = tuple(classifier.feature_names_in_.tolist())
    for doubt in doubts:
        output.notice(f"softgrad: {doubt.message}")
    epochs = [record for record in classifier.history_ if isinstance(record, TrainingEpoch)]
    regression = Regression(
        source=data,
        classes=classes,
        features=len(features),
        settings={
            name: str(value) if name == "checkpoint" else value for name, value in settings.items()
        },
        solver=classifier.solver_,
        steps=classifier.n_iter_,
        objective=classifier.objective_,
        optimality=classifier.optimality_,
        gaps=tuple(step.gap for step in classifier.history_ if isinstance(step, Step)),
        seconds=time.perf_counter() - started,
        hidden=tuple(classifier.hidden),
        losses=tuple(epoch.loss for epoch in epochs),
        held_out=tuple(e.validation_loss for e in epochs if e.validation_loss is not None),
    )
    if not team.leads:
        return OK
    model = Model.of(classifier, classes, features)
    files = {"model": str(model_file), "report": None if report is None else str(report)}
    try:
        output.print(regression)
        output.document(regression.to_dict() | files)
    finally:  # what cannot be shown is saved, and what cannot be saved was shown
        with writing(model_file):
            save_model(model_file, model)
    output.print(f"model   {model_file}")
    if report is not None:
        from softgrad.report.regression import regression_page
        from softgrad.report.training import options_of

        are = "rows" if regression.held_out else "rows that it was trained on"
        judged = _judged(model, data, target, are)
        options = options_of({"target": target} | settings)
        command = shlex.join(["softgrad", "train", data, *options])
        write_report(regression_page(regression, judged, command), report)
        output.print(f"report  {report}")
    return OK


def _parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the classifier's parameters for the settings of the command line."""
    if settings["solver"] in BY_BATCHES:
        settings = {"standardize": True, "seed": BatchSettings.seed} | settings
    given = {_PARAMETER.get(name, name): value for name, value in settings.items()}
    share = given.get("validation_fraction")
    if share is not None:
        if not 0 < share < 1:
            raise UsageError(mismatch("validation", "between 0 and 1, both excluded", share))
        given["early_stopping"] = True
    return given


def _judged(model: Model, data: str, target: str | None, are: str) -> Judged | None:
    """Return the rows with what the model says of them; None where they are many."""
    if data not in BUILT_IN and os.path.getsize(data) > _LARGEST_FILE:
        return None
    rows = load(data, target)
    if len(rows.y) * len(model.classes) > _MOST_PROBABILITIES:
        return None
    places = np.array([model.classes.index(name) for name in rows.classes])
    return Judged(
        are=are,
        numbers=np.arange(1, len(rows.y) + 1),
        X=rows.X,
        y=places[rows.y],
        probabilities=predict(model, rows.X),
        classes=model.classes,
        features=rows.features,
    )
