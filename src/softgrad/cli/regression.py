"""`softgrad train --solver`: softmax regression to its optimum, on data of any size."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from softgrad.cli.command import Output, bad_values_are_bad_usage
from softgrad.cli.exit_codes import OK
from softgrad.cli.parameters import writing
from softgrad.explain.regression import Regression
from softgrad.learn.classifier import SoftmaxClassifier
from softgrad.learn.model_file import Model, save_model
from softgrad.learn.sources import BUILT_IN, load, open_labelled
from softgrad.learn.standardizer import Standardizer
from softgrad.losses import cross_entropy
from softgrad.maps import softmax
from softgrad.nn import Linear, Network

__all__ = ["train_regression"]


def train_regression(
    output: Output, data: str, target: str | None, settings: dict[str, Any], model_file: Path
) -> int:
    """Train, show what came out, and write the model; files are read in blocks."""
    started = time.perf_counter()
    classifier = SoftmaxClassifier(**settings, verbose=output.stderr.is_terminal)
    with bad_values_are_bad_usage(), warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        if data in BUILT_IN:
            rows = load(data, target)
            classifier.fit(rows.X, rows.y)
            classes, features = rows.classes, rows.features
        else:
            classifier.fit(data, open_labelled(data).names[-1] if target is None else target)
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
        seconds=time.perf_counter() - started,
    )
    try:
        output.print(regression)
        output.document(regression.to_dict() | {"model": str(model_file)})
    finally:  # what cannot be shown is saved, and what cannot be saved was shown
        with writing(model_file):
            save_model(model_file, _model(classifier, classes, features))
    output.print(f"model   {model_file}")
    return OK


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
