"""The report of a training run: its numbers are the run's, its words follow from them."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from report_cases import words
from report_runs import (
    FOREIGN,
    Elements,
    assert_nothing_runs,
    captions,
    sentences,
    trained,
    training,
)
from softgrad.checker import Finding
from softgrad.cli.train import train
from softgrad.nn import Epoch, History
from softgrad.report.page import render
from softgrad.report.scales import pretty
from softgrad.report.training import training_page


def history(losses, validation_losses):
    pairs = enumerate(zip(losses, validation_losses, strict=True), start=1)
    return History(tuple(Epoch(k, a, 0.5, b, 0.5, {"0": 1.0, "2": 0.5}) for k, (a, b) in pairs))


def judged(run, verdict):
    """Give the first layer of a run another verdict."""
    first, *rest = run.checks
    report = replace(first.report, verdict=verdict, findings=(Finding("fail", "found"),))
    return replace(run, checks=(replace(first, report=report), *rest))


def drawn(page, title):
    """Return the texts of the pictures of the section with this heading."""
    (section,) = (section for section in page.sections if section.heading == title)
    return [text for figure in section.figures for text in words(figure.svg)]


def test_the_page_holds_the_numbers_of_the_run():
    run = training("digits")
    page = training_page(run)
    text = Elements(page).text
    right = int(np.trace(run.confusion))
    assert f"{100 * run.validation_accuracy:.1f} %" in page.verdict.text
    assert f"{right} of {run.validation_rows}" in page.verdict.text
    for epoch in run.history.epochs:
        for value in (epoch.loss, epoch.validation_loss, epoch.accuracy, epoch.validation_accuracy):
            assert pretty(value) in text
    for check in run.checks:
        assert check.name in text
        assert pretty(check.report.relative_error) in text
        assert pretty(check.report.error_bar) in text
    accuracy = captions(page)[1]
    assert f"{100 * run.history.last.accuracy:.1f} % of the training rows" in accuracy
    assert f"{100 * run.validation_accuracy:.1f} % of the validation rows" in accuracy
    assert f"{100 * run.confusion.sum(axis=1).max() / run.confusion.sum():.1f} %." in accuracy
    counts = Counter(str(count) for count in run.confusion.ravel() if count)
    labels = Counter(2 * run.classes)
    assert Counter(filter(str.isdigit, drawn(page, "What does it mistake?"))) == counts + labels
    for name, value in run.settings.items():
        assert name.replace("_", " ") in text
        assert str(value).strip("()[],") in text


def test_gradient_sizes_are_named_by_layer():
    run = training()
    page = training_page(run)
    caption = captions(page)[-1]
    sizes = [epoch.gradient_sizes["0"] for epoch in run.history.epochs]
    assert f"{pretty(sizes[0])} to {pretty(sizes[-1])}" in caption
    assert {f"{k}: {run.layers[k]}" for k in (0, 2)} <= set(drawn(page, "Are its gradients right?"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden": [], "head": "sigmoid", "optimizer": "sgd", "batch_size": 7},
        {"hidden": [5, 4], "activation": "tanh", "lr": 0.25, "validation": 0.3, "seed": 3},
    ],
)
def test_the_command_repeats_the_run(settings):
    run = training("iris", **settings)
    name, command, *arguments = shlex.split(training_page(run).command)
    assert (name, command) == ("softgrad", "train")
    parsed = train.make_context("train", arguments).params
    assert parsed["data"] == "iris"
    for key, value in run.settings.items():
        assert parsed[key] == (tuple(value) if key == "hidden" else value)


@pytest.mark.parametrize(
    ("verdict", "tone", "words"),
    [
        ("pass", "good", "All 5 gradient checks pass"),
        ("fail", "bad", "4 of 5 gradient checks pass: 1 failed"),
        ("inconclusive", "plain", "4 of 5 gradient checks pass: 1 inconclusive"),
    ],
)
def test_the_verdict_is_that_of_the_worst_check(verdict, tone, words):
    page = training_page(judged(training(), verdict))
    assert page.verdict.tone == tone
    assert words in page.verdict.text
    assert render(page).index(words) < render(page).index("How did it learn?")


def test_a_loss_that_turned_is_told_from_one_that_did_not():
    turned = history([3.0, 2.0, 1.0, 0.5], [3.0, 1.25, 1.5, 2.0])
    falling = history([3.0, 2.0, 1.0, 0.5], [3.0, 2.5, 2.0, 1.5])
    says = captions(training_page(replace(training(), history=turned)))[0]
    assert "lowest, 1.25, after epoch 2; since then only the training rows gain" in says
    assert "lowest" not in captions(training_page(replace(training(), history=falling)))[0]


def test_one_epoch_has_no_course():
    run = training(epochs=1)
    says = captions(training_page(run))[0]
    assert f"For the training rows it is {pretty(run.history.last.loss)}" in says


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_run_that_diverged_has_a_page(bad):
    run = replace(training(), history=history([1.0, bad], [2.0, bad]))
    assert f"goes from 1 to {bad}" in captions(training_page(run))[0]


@pytest.mark.parametrize(
    ("confusion", "words"),
    [
        ([[5, 0, 0], [0, 6, 0], [0, 0, 7]], "No row is mistaken."),
        ([[5, 0, 0], [0, 6, 4], [1, 0, 7]], "mistake: versicolor taken for virginica, 4 times."),
        ([[5, 1, 0], [0, 6, 0], [0, 0, 7]], "mistake: setosa taken for versicolor, once."),
        ([[5, 1, 0], [1, 6, 0], [0, 0, 7]], "setosa taken for versicolor, and 1 other pair of"),
    ],
)
def test_the_most_frequent_mistake_is_named(confusion, words):
    page = training_page(replace(training(), confusion=np.array(confusion)))
    assert words in sentences(page)
    wrong = np.sum(confusion) - np.trace(confusion)
    assert (f"; {wrong}, in orange, are mistaken" in sentences(page)) == (wrong > 0)


def test_a_layer_without_a_gradient_is_named():
    epoch = Epoch(1, 1.0, 0.5, 1.0, 0.5, {"0": 0.0, "2": 1.0})
    run = replace(training(), history=History((epoch,)))
    assert f"No gradient at all reaches {run.layers[0]}." in captions(training_page(run))[-1]
    assert "No gradient at all" not in captions(training_page(training()))[-1]


def test_foreign_names_are_text():
    run = training()
    classes = (FOREIGN, *run.classes[1:])
    settings = run.settings | {"target": FOREIGN}
    run = replace(run, data=FOREIGN, source=FOREIGN, classes=classes, settings=settings)
    page = training_page(run)
    assert_nothing_runs(page)
    assert FOREIGN in Elements(page).text
    assert shlex.split(page.command)[2] == FOREIGN


def test_the_largest_run_has_a_small_page():
    run, K = training(), 1000
    rng = np.random.default_rng(0)
    names = tuple(f"{'x' * 100} {k}" for k in range(K))
    epochs = history(*rng.uniform(1, 2, (2, 2000)))
    checks = run.checks * 30
    run = replace(run, classes=names, confusion=rng.integers(0, 9, (K, K)), history=epochs)
    page = training_page(replace(run, checks=checks))
    assert len(render(page).encode()) < 300_000
    for section in page.sections[:2]:
        assert len(section.folds[0].blocks[0].rows) <= 51


def test_a_usual_page_is_small_and_runs_nothing():
    page = training_page(training("digits"))
    assert len(render(page).encode()) < 60_000
    assert_nothing_runs(page)


def test_the_same_run_has_the_same_page():
    def rendered(epochs):
        return render(training_page(replace(training(epochs=epochs), seconds=1.0)))

    first = rendered(2)
    trained.cache_clear()
    assert rendered(2) == first
    assert rendered(3) != first
