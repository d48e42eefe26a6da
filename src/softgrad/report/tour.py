"""The report of `softgrad demo`: a network on real data, five questions, and a check that fails."""

from __future__ import annotations

import numpy as np

from softgrad.explain.layer_checks import LayerCheck
from softgrad.explain.tour import Tour
from softgrad.explain.tour_answers import Answer, descent_step
from softgrad.report.checks import checks_table, errors_chart, verdicts
from softgrad.report.learning import confusion_figure, loss_figure, mistake
from softgrad.report.page import Figure, Fold, Page, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import course, named, percent
from softgrad.report.tour_pictures import (
    DIAGONAL,
    followed_figures,
    heads_figure,
    hidden_figure,
    jacobian_figure,
    misses,
    product_figure,
)
from softgrad.report.training import checks_fold, history_fold
from softgrad.results import Paragraph, Table, Tone, counted

__all__ = ["tour_page"]


def tour_page(tour: Tour) -> Page:
    """Return the report of the tour.

    Parameters
    ----------
    tour : Tour

    Returns
    -------
    Page
        For `softgrad.report.page.write`.
    """
    matrix, vector, heads, output, hidden = tour.answers
    sections = (
        _training(tour),
        _section(matrix, _why_a_matrix(tour), jacobian_figure(tour)),
        _section(vector, _how_a_vector(tour), product_figure(tour)),
        _section(heads, _which_head(tour), heads_figure(tour), more=_about_heads(tour)),
        _section(output, _which_way(tour), *followed_figures(tour), more=_about_steps(tour)),
        _section(hidden, _which_passage(tour), hidden_figure(tour)),
        _checks(tour),
    )
    command = f"softgrad demo --seed {tour.training.settings['seed']}"
    return Page("The softmax layer and its gradient", _verdict(tour), sections, command)


def _verdict(tour: Tour) -> Paragraph:
    """Say what the two checks found, and what the network reached."""
    right, wrong = tour.right.verdict, tour.wrong.verdict
    tone: Tone = "good" if (right, wrong) == ("pass", "fail") else "bad"
    return Paragraph(
        f"The full gradient of softmax {_judged(right)}, and {DIAGONAL} alone {_judged(wrong)}. "
        f"The network is right on {percent(tour.training.validation_accuracy)} of "
        f"{counted(tour.training.validation_rows, 'row')} that it has not seen.",
        tone,
    )


def _judged(verdict: str) -> str:
    return {"pass": "passes the check", "fail": "fails it"}.get(verdict, "stays undecided")


def _section(answer: Answer, text: str, *figures: Figure, more: tuple[Fold, ...] = ()) -> Section:
    """Put text and pictures under a question; the tables of its answer are folded."""
    tables = tuple(block for block in answer.blocks if isinstance(block, Table))
    return Section(
        answer.question, (Paragraph(text),), figures, (Fold("In numbers", tables), *more)
    )


def _training(tour: Tour) -> Section:
    training = tour.training
    mistaken = mistake(training.confusion, training.classes)
    text = (
        f"A network was trained on {counted(training.rows, 'row')} of {named(training.data)}, in "
        f"{counted(len(training.history.epochs), 'epoch')} and {training.seconds:.1f} s: "
        f"{' → '.join(training.layers)}. Before the first step every gradient in it was checked: "
        f"{_lower(verdicts([check.report for check in training.checks]))}. {mistaken}"
    )
    checked = Fold("The check of every layer", (checks_table(training.checks),))
    return Section(
        "A network on real data",
        (Paragraph(text), Paragraph(_sample(tour))),
        (loss_figure(training), confusion_figure(training.confusion, training.classes)),
        (history_fold(training), checked, checks_fold(training)),
    )


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _sample(tour: Tour) -> str:
    """Introduce the row that the first three answers are about."""
    sample = tour.sample
    likeliest = np.argsort(-sample.p, kind="stable")[:3].tolist()
    says = ", ".join(f"p({named(sample.classes[k])}) = {pretty(sample.p[k])}" for k in likeliest)
    return (
        "The answers look into its last layer at one row, the one that it is least sure of. Its "
        f"class is {named(sample.classes[sample.target])}; the network says {says}."
    )


def _why_a_matrix(tour: Tour) -> str:
    sample = tour.sample
    K, J = sample.p.size, sample.jacobian
    j = int(sample.p.argmax())
    i = int(np.argsort(np.abs(J[:, j]), kind="stable")[-2])
    top, other = named(sample.classes[j]), named(sample.classes[i])
    beside = np.abs(J).sum() - np.abs(np.diag(J)).sum()
    return (
        f"Softmax divides by a sum over all {K} classes, so each of the {K} outputs depends on "
        f"each of the {K} logits: {K} × {K} slopes. "
        f"Raise the logit of class {top} alone: p({top}) changes at the rate {pretty(J[j, j])}, "
        f"and p({other}) changes too, at {pretty(J[i, j])}. "
        f"The formula {DIAGONAL} is the diagonal alone; {percent(beside / np.abs(J).sum())} of the "
        "weight of the matrix lies beside it."
    )


def _how_a_vector(tour: Tour) -> str:
    sample = tour.sample
    K, target = sample.p.size, sample.target
    return (
        f"By a product. Backpropagation brings g = ∂L/∂p, {K} numbers, and takes on "
        f"Jᵀ·g = p·(g − ⟨p, g⟩), {K} numbers again; the {K * K} of the matrix are never written "
        f"down. For the loss −log p({named(sample.classes[target])}) the product is p − t: "
        f"{pretty(sample.p[target] - 1)} at the target, and p at the others."
    )


def _which_head(tour: Tour) -> str:
    place = tour.sample.target
    target = named(tour.sample.classes[place])
    steps = [
        f"With {head.name}, {head.loss_formula}, a step {descent_step(head, place, target)}."
        for head in tour.comparison.heads
    ]
    return (
        f"Which rows of the last layer's weights learn anything. {' '.join(steps)} All cells of "
        "softmax share one sum; each cell of sigmoid depends on its own logit, and learns where "
        "the loss reads it."
    )


def _which_way(tour: Tour) -> str:
    seen, name = tour.followed.trajectory, named(tour.followed_classes[1])
    return (
        f"Take the three likeliest classes and climb on p({name}), with no loss and no target: it "
        f"{course(seen.objective.tolist())} in {len(seen.objective) - 1} steps, while the size of "
        f"its gradient {course(seen.gradient_size.tolist())}. "
        f"Now climb on the plain sum of the outputs. {tour.followed_sum.words[0]} "
        f"{tour.followed_sum.words[-1]}"
    )


def _which_passage(tour: Tour) -> str:
    right, wrong = misses(tour.hidden)
    turned = int((tour.hidden.diagonal_only * tour.hidden.measured < 0).sum())
    signs = f", with the wrong sign at {turned} of {tour.hidden.p.size} units" if turned else ""
    return (
        "By the full product. No target stands behind a softmax in the middle of a network, so "
        "there is no p − t: a gradient δ arrives from the layers above, and Jᵀ·δ goes on to those "
        "below. To see it, the same row goes through a network of its own, new and untrained: "
        f"{' → '.join(tour.hidden.layers)}. "
        f"Against measured slopes of the loss Jᵀ·δ is off by {pretty(right, 2)} of their "
        f"size, and {DIAGONAL}·δ by {pretty(wrong, 2)}{signs}."
    )


def _about_heads(tour: Tour) -> tuple[Fold, ...]:
    classes = Paragraph(f"Row k is class {_numbered(tour.sample.classes)}.", "quiet")
    return (Fold("What the numbers say", (classes, *map(Paragraph, tour.comparison.words))),)


def _about_steps(tour: Tour) -> tuple[Fold, ...]:
    classes = Paragraph(f"Output k is class {_numbered(tour.followed_classes)}.", "quiet")
    return (Fold("What the numbers say", (classes, *map(Paragraph, tour.followed.words))),)


def _numbered(classes: tuple[str, ...]) -> str:
    """Say which class each place is, of the first few."""
    pairs = [f"{named(name)} for k = {k}" for k, name in enumerate(classes[:12])]
    return ", ".join(pairs) + (", …" if len(classes) > 12 else "")


def _checks(tour: Tour) -> Section:
    checks = (LayerCheck("full gradient", tour.right), LayerCheck(f"{DIAGONAL} alone", tour.wrong))
    text = (
        "A check needs the forward only: it moves the inputs a little and measures how the outputs "
        "change. Both backwards were given the same rows of logits of the trained network."
    )
    caption = (
        "How far each gradient is from the measured slopes, as a part of their size. Grey is what "
        f"rounding explains. The full gradient is off by {_error(checks[0])}, {DIAGONAL} alone by "
        f"{_error(checks[1])}."
    )
    figure = Figure(errors_chart(checks, "Error of two gradients of softmax"), caption)
    rows = tuple(
        (check.name, finding.message) for check in checks for finding in check.report.findings
    )
    found = Fold("What the checker found", (Table(("gradient", "finding"), rows),))
    heading = "Is the gradient right? A check decides"
    return Section(heading, (Paragraph(text), checks_table(checks)), (figure,), (found,))


def _error(check: LayerCheck) -> str:
    error = check.report.relative_error
    return "an unknown part" if error is None else pretty(error, 2)
