"""The page of a fitted `SoftmaxClassifier`, and of rows to judge it by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from softgrad.explain.judged import Judged
from softgrad.explain.training import confusion_counts
from softgrad.learn.minibatch import TrainingEpoch
from softgrad.learn.solvers import Step
from softgrad.learn.training_set import class_indices
from softgrad.report.course import course_figures
from softgrad.report.judged import judged_sections
from softgrad.report.learning import confusion_section
from softgrad.report.page import Page, Section
from softgrad.report.sentences import percent
from softgrad.report.words import shorten
from softgrad.results import Paragraph, counted

if TYPE_CHECKING:
    from softgrad.learn.classifier import SoftmaxClassifier

__all__ = ["classifier_page"]

_LONGEST = 1000.0
"""Of the model's settings, in pixels."""


def classifier_page(model: SoftmaxClassifier, X: Any, y: Any) -> Page:
    """Return the page of a classifier.

    Parameters
    ----------
    model : SoftmaxClassifier
        Fitted.
    X : array [N, D]
        Rows that it has not seen, if the page is to say what new rows would show.
    y : array [N]
        Their labels.

    Returns
    -------
    Page
        For `softgrad.report.page.write`.

    Raises
    ------
    NotFittedError
        The model is not fitted.
    TypeError, ValueError
        `X` or `y` does not fit the model.
    """
    judged = _judged(model, X, y)
    right, total = int((judged.predicted == judged.y).sum()), len(judged.y)
    confusion = confusion_counts(judged.y, judged.predicted, len(judged.classes))
    verdict = Paragraph(f"{percent(right / total)} of the rows are right, {right} of {total}.")
    sections = (
        *_course(model.history_),
        confusion_section(confusion, judged.classes, judged.are),
        *judged_sections(judged),
        Section("What was trained?", (_subject(model, judged),)),
    )
    command = "classifier_page(model, X, y)  # of softgrad.report.classifier"
    return Page("A softmax classifier", verdict, sections, command)


def _judged(model: SoftmaxClassifier, X: Any, y: Any) -> Judged:
    p = np.asarray(model.predict_proba(X), dtype=np.float64)
    rows = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    names = getattr(model, "feature_names_in_", [f"x{j}" for j in range(rows.shape[1])])
    return Judged(
        are="rows",
        numbers=np.arange(1, len(p) + 1),
        X=rows,
        y=class_indices(model.classes_, np.asarray(y)),
        probabilities=p,
        classes=tuple(map(str, model.classes_)),
        features=tuple(map(str, names)),
    )


def _course(history: list[Any]) -> tuple[Section, ...]:
    """Return the loss by epoch, and by step what the objective seemed above its minimum."""
    epochs = [record for record in history if isinstance(record, TrainingEpoch)]
    figures = course_figures(
        gaps=[record.gap for record in history if isinstance(record, Step)],
        losses=[epoch.loss for epoch in epochs],
        held_out=[e.validation_loss for e in epochs if e.validation_loss is not None],
    )
    return (Section("How did it learn?", (), figures),) if figures else ()


def _subject(model: SoftmaxClassifier, judged: Judged) -> Paragraph:
    text = f"{counted(len(judged.features), 'feature')}, {counted(len(judged.classes), 'class')}: "
    return Paragraph(text + shorten(" ".join(repr(model).split()), _LONGEST))
