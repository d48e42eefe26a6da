"""The report of `softgrad train --corpus`: how well a language model guesses, and where it errs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import numpy as np

from softgrad.checker import Report
from softgrad.explain.judged_tokens import JudgedTokens
from softgrad.explain.language_training import LanguageTraining
from softgrad.learn.statistics import reliability
from softgrad.report.calibration import calibration_chart
from softgrad.report.checks import tone_of
from softgrad.report.expected import expected_chart, visible
from softgrad.report.lines import Line, line_chart
from softgrad.report.page import Figure, Fold, Page, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import course, named, percent
from softgrad.report.training import options_of, settings_fold
from softgrad.results import Paragraph, Table

__all__ = ["language_page"]

_DRAWN, _LISTED = 5, 40
_PARTS = 200
"""The curve has a point for each of so many parts of the training."""


def language_page(
    training: LanguageTraining,
    losses: Sequence[float],
    check: Report,
    judged: JudgedTokens,
    example: tuple[str, str],
) -> Page:
    """Return the report of a language model's training.

    Parameters
    ----------
    training : LanguageTraining
    losses : sequence of float
        Of every mini-batch, before its step.
    check : Report
        Of the gradients.
    judged : JudgedTokens
        Some tokens of the files held out.
    example : tuple of str
        The begin of a text, and how the model goes on.

    Returns
    -------
    Page
        For `softgrad.report.page.write`.
    """
    title, *rest = training.blocks()
    assert isinstance(title, Paragraph)
    verdict = f"{title.text}. {percent(float(judged.right.mean()))} of its first guesses are right."
    sections = (
        Section(
            "How well does it guess?",
            (),
            (_curve(training, losses),),
            (Fold("Beside guesses without context", tuple(rest)),),
        ),
        *_mistakes(judged),
        Section("Do its probabilities come true?", (), (_calibration(judged),)),
        Section("How does it go on?", (_continuation(*example),)),
        Section("Are its gradients right?", (_checking(check),)),
        Section(
            "What was trained?", (_subject(training),), folds=(settings_fold(training.settings),)
        ),
    )
    page_title = f"A language model of {named(training.corpus)}"
    return Page(page_title, Paragraph(verdict, tone_of([check])), sections, _command(training))


def _command(training: LanguageTraining) -> str:
    words = ["softgrad", "train", "--corpus", training.corpus, *options_of(training.settings)]
    return shlex.join(words)


def _curve(training: LanguageTraining, losses: Sequence[float]) -> Figure:
    """Draw the loss over the mini-batches, beside what no training is needed for."""
    steps, epochs = len(losses), len(training.epoch_losses)
    parts = np.array_split(np.asarray(losses), min(_PARTS, steps))
    ends = np.cumsum([len(part) for part in parts])
    means = [float(part.mean()) for part in parts]
    whole = [1, steps]
    held_out = (
        Line("held out", [training.held_out_loss] * 2, whole)
        if epochs == 1
        else Line("held out", training.epoch_losses, steps * np.arange(1, epochs + 1) / epochs)
    )
    lines = [
        Line("training", means, ends),
        held_out,
        Line("frequencies", [training.unigram_loss] * 2, whole),
        Line("knows nothing", [training.uniform_loss] * 2, whole),
    ]
    svg = line_chart(lines, "Loss by mini-batch", x_label="mini-batch", y_label="loss of a token")
    words = (
        f"Mean −log p of a token. Of the text that is trained on it {course(means)}; of files held "
        f"out it is {pretty(training.held_out_loss)} at the end. Who only knows how frequent each "
        f"token is has {pretty(training.unigram_loss)} there, who knows nothing "
        f"{pretty(training.uniform_loss)}, the logarithm of {training.types:,} types."
    )
    return Figure(svg, words)


def _mistakes(judged: JudgedTokens) -> tuple[Section, ...]:
    """Return the places where the model is wrong and most certain, if there are any."""
    wrong = np.flatnonzero(~judged.right)
    wrong = wrong[np.argsort(-judged.certainty[wrong], kind="stable")]
    if not len(wrong):
        return ()
    first = int(wrong[0])
    words = (
        "p − t at places of the files held out: what each sends back through softmax and "
        "cross-entropy. Blue raises a logit, that of the token which stands there; orange lowers "
        "those that the model expects instead, and all entries of a place, most of them not drawn, "
        f"sum to 0. In the first, “{visible(judged.tokens[first])}” has probability "
        f"{pretty(float(judged.probabilities[first]), 2)}, and "
        f"“{visible(judged.likeliest[first][0])}” {pretty(float(judged.certainty[first]), 2)}."
    )
    figure = Figure(expected_chart(judged, wrong[:_DRAWN].tolist()), words)
    columns = ("token", "its probability", "said", "with probability")
    rows = tuple(
        (
            visible(judged.tokens[i]),
            float(judged.probabilities[i]),
            visible(judged.likeliest[i][0]),
            float(judged.certainty[i]),
        )
        for i in wrong[:_LISTED].tolist()
    )
    table = Table(columns, rows, f"{len(rows)} of {len(wrong)}, the most certain")
    fold = Fold("More places like these", (table,))
    return (Section("Where is it wrong and sure of it?", (), (figure,), (fold,)),)


def _calibration(judged: JudgedTokens) -> Figure:
    """Draw how often the likeliest token is right, by how sure the model is."""
    said, right = judged.certainty, judged.right
    bins = reliability(np.stack([1 - said, said], axis=1), right.astype(int), bins=10, label=1)
    words = (
        f"How often the likeliest token is right, by the probability it is given, at {len(said):,} "
        f"places of the files held out. On average the model says {percent(float(said.mean()))}, "
        f"and {percent(float(right.mean()))} come true. On the line both are one; grey is what so "
        "few places may do by chance, and a dot's area is the share of the places. Expected "
        f"calibration error: {pretty(bins.error, 2)}."
    )
    return Figure(calibration_chart(bins, len(said), "Said and came true"), words)


def _continuation(prompt: str, text: str) -> Paragraph:
    """Show a text as it goes on; its indentation stays."""
    whole = f"{prompt}▸{text}".replace("  ", "\u00a0\u00a0")
    words = "Before ▸ the begin of a file held out, behind it what the model draws:"
    return Paragraph(f"{words}\n\n{whole}")


def _checking(check: Report) -> Paragraph:
    error, bar = check.relative_error, check.error_bar
    size = (
        ""
        if error is None
        else f": relative error {pretty(error, 2)}, error bar {pretty(bar or 0.0, 2)}"
    )
    return Paragraph(
        "Before the first step the gradients in all parameters were compared with differences of "
        f"the loss, on a small model with the same layers. Verdict: {check.verdict}{size}."
    )


def _subject(training: LanguageTraining) -> Paragraph:
    context, dim = training.settings["context"], training.settings["dim"]
    return Paragraph(
        f"{training.parameters:,} parameters: {dim} numbers stand for a token, a prediction sees "
        f"{context} of them, and softmax is over {training.types:,} types. {training.tokens:,} "
        f"tokens of {training.files:,} files were trained on, {training.held_out_tokens:,} of "
        f"{training.held_out_files:,} held out; it took {training.seconds:,.1f} s."
    )
