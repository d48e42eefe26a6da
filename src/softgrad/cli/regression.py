"""`softgrad train --solver`: softmax regression to its optimum, on data of any size."""

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
from softgrad.explain.judged import Judged
from softgrad.explain.regression import Regression
from softgrad.learn.classifier import SoftmaxClassifier
from softgrad.learn.model_file import Model, predict, save_model
from softgrad.learn.sources import BUILT_IN, load, open_labelled
from softgrad.learn.standardizer import Standardizer
from softgrad.learn.team import share_of, team_of
from softgrad.losses import cross_entropy
from softgrad.maps import softmax
from softgrad.nn import Linear, Network

__all__ = ["train_regression"]

_LARGEST_FILE = 64 * 2**20
"""Bytes of a file whose rows are judged one by one for a report."""
_MOST_PROBABILITIES = 20_000_000


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
    classifier = SoftmaxClassifier(**settings, verbose=shown, group=group)
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
        gaps=tuple(step.gap for step in classifier.history_),
        seconds=time.perf_counter() - started,
    )
    if not team.leads:
        return OK
    model = _model(classifier, classes, features)
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

        judged = _judged(model, data, target)
        page = regression_page(regression, judged, _command(data, target, settings))
        write_report(page, report)
        output.print(f"report  {report}")
    return OK


def _command(data: str, target: str | None, settings: dict[str, Any]) -> str:
    """Return what repeats the fit."""
    given = {} if target is None else {"target": target}
    words = [word for name, value in (given | settings).items() for word in (f"--{name}", value)]
    return shlex.join(["softgrad", "train", data, *map(str, words)])


def _judged(model: Model, data: str, target: str | None) -> Judged | None:
    """Return the rows with what the model says of them; None where they are many."""
    if data not in BUILT_IN and os.path.getsize(data) > _LARGEST_FILE:
        return None
    rows = load(data, target)
    if len(rows.y) * len(model.classes) > _MOST_PROBABILITIES:
        return None
    places = np.array([model.classes.index(name) for name in rows.classes])
    return Judged(
        are="rows that it was trained on",
        numbers=np.arange(1, len(rows.y) + 1),
        X=rows.X,
        y=places[rows.y],
        probabilities=predict(model, rows.X),
        classes=model.classes,
        features=rows.features,
    )


def _model(
    classifier: SoftmaxClassifier, classes: tuple[str, ...], features: tuple[str, ...]
) -> Model:
    """Return the classifier as a network of one layer, which sees the columns as they are."""
    W, b = classifier.coef_.astype(np.float64), classifier.intercept_.astype(np.float64)
    if len(classes) == 2:
        W, b = np.concatenate([np.zeros_like(W), W]), np.append(0.0, b)
    network = Network([Linear.of(W, b), softmax], cross_entropy)
    D = len(features)
    return Model(network, classes, features, Standardizer(np.zeros(D), np.ones(D)))
