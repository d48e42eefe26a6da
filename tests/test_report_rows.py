"""What reports say of single rows: how sure, how wrong, how they moved; and of regressions."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import softgrad as sg
from report_cases import SVG, roots, softmax, words
from report_runs import assert_nothing_runs, captions, sentences, trained
from softgrad.explain.judged import Judged, OnTheWay
from softgrad.explain.regression import Regression
from softgrad.report.calibration import calibration_chart, calibration_figure
from softgrad.report.classifier import classifier_page
from softgrad.report.judged import judged_sections
from softgrad.report.mistakes import mistakes_figures, mistakes_fold
from softgrad.report.motion import motion_figure
from softgrad.report.page import render
from softgrad.report.regression import regression_page
from softgrad.report.scales import pretty

CLASSES = ("ant", "bee", "cow", "dog")


def judged(rows: int = 40, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Judged:
    rng = np.random.default_rng(seed)
    K = len(classes)
    y = rng.integers(0, K, rows)
    z = np.cumsum(rng.normal(size=(4, rows, K)) + np.eye(K)[y], axis=0)
    p = softmax(z)  # [E, N, K]
    return Judged(
        are="validation rows",
        numbers=np.arange(100, 100 + rows),
        X=rng.normal(size=(rows, 2)),
        y=y,
        probabilities=p[-1],
        classes=classes,
        features=("u", "v"),
        on_the_way=OnTheWay(np.arange(rows), (0, 1, 2, 5), p),
    )


# --- calibration ----------------------------------------------------------------------------


def dots(svg: object) -> list[tuple[float, float, str]]:
    """Return what each dot says and what came true of it, and its colour; the legend's are left."""
    (root,) = roots(svg)
    found = []
    for dot in root.iter(f"{SVG}circle"):
        if dot.get("fill-opacity"):
            x, y = float(dot.get("cx", "")), float(dot.get("cy", ""))
            found.append(((x - 40) / 260, (284 - y) / 260, dot.get("fill", "")))
    return found


def test_dots_stand_where_the_bins_are() -> None:
    seen = judged(200)
    bins = sg.learn.reliability(seen.probabilities, seen.y, bins=10)
    filled = bins.weight > 0
    drawn = dots(calibration_figure(seen).svg)
    expected = np.column_stack([bins.confidence[filled], bins.frequency[filled]])
    assert np.abs(np.array([dot[:2] for dot in drawn]) - expected).max() < 1e-3
    assert pretty(bins.error, 2) in calibration_figure(seen).caption


@pytest.mark.parametrize(("rows", "beyond"), [(10, 0), (10_000, 1)])
def test_few_rows_may_be_off_by_chance_and_many_not(rows: int, beyond: int) -> None:
    p, y = np.tile([0.7, 0.3], (rows, 1)), (np.arange(rows) % 10 >= 6).astype(int)
    chart = calibration_chart(sg.learn.reliability(p, y), rows, "t")
    ((said, true, colour),) = dots(chart)
    assert (said, true) == pytest.approx((0.7, 0.6), abs=1e-3)
    assert (colour == "#d2570d") == bool(beyond)


def test_sigmoid_heads_have_no_calibration() -> None:
    seen = judged()
    seen = replace(seen, probabilities=seen.probabilities * 0.5)
    text = " ".join(b.text for section in judged_sections(seen) for b in section.blocks)
    assert "decided by itself" in text
    assert motion_figure(seen) is None
    ((*_, gradients),) = (mistakes_figures(seen),)
    assert "through sigmoid and binary cross-entropy" in gradients.caption
    assert "sums to 0" not in gradients.caption
    assert "every row sums to 0" in mistakes_figures(judged())[-1].caption


# --- mistakes -------------------------------------------------------------------------------


def test_the_most_certain_mistakes_come_first_with_their_gradient() -> None:
    seen = judged(60)
    p = seen.probabilities
    wrong = np.flatnonzero(p.argmax(axis=1) != seen.y)
    order = wrong[np.argsort(-p[wrong].max(axis=1))]
    (figure,) = mistakes_figures(seen)
    labels = [word for word in words(figure.svg) if word.startswith("row ")]
    assert labels == [f"row {100 + row}" for row in order[:6]]
    gradient = sg.cross_entropy.value_and_gradient(np.log(p[order[0]]), int(seen.y[order[0]]))[1]
    for value in gradient:
        assert pretty(float(value)) in words(figure.svg)
    (fold,) = mistakes_fold(seen)
    (table,) = fold.blocks
    assert [row[0] for row in table.rows] == [str(100 + row) for row in order]


def test_where_nothing_is_wrong_there_is_nothing_to_show() -> None:
    seen = judged()
    seen = replace(seen, y=seen.predicted)
    assert mistakes_figures(seen) == mistakes_fold(seen) == ()


@pytest.mark.parametrize(
    ("features", "pictures"),
    [
        (("pixel_0_0", "pixel_0_1", "pixel_1_0", "pixel_1_1"), 1),
        (("pixel_0_0", "pixel_1_0", "pixel_0_1", "pixel_1_1"), 0),
        (("pixel_0_0", "pixel_0_1", "pixel_1_0", "age"), 0),
    ],
)
def test_rows_of_pixels_are_shown_as_pictures(features: tuple[str, ...], pictures: int) -> None:
    seen = replace(judged(60), features=features, X=np.random.default_rng(0).uniform(size=(60, 4)))
    assert len(mistakes_figures(seen)) == 1 + pictures
    if pictures:
        (root,) = roots(mistakes_figures(seen)[0].svg)
        assert len(list(root.iter(f"{SVG}image"))) == 6


def test_pixels_that_are_all_alike_are_drawn() -> None:
    features = ("pixel_0_0", "pixel_0_1")
    mistakes_figures(replace(judged(60), features=features, X=np.full((60, 2), 3.0)))


# --- motion ---------------------------------------------------------------------------------


def test_rows_stand_where_their_probabilities_say() -> None:
    seen = judged(30, classes=CLASSES[:3])
    figure = motion_figure(seen)
    assert figure is not None
    *pictures, _legend = roots(figure.svg)
    assert len(pictures) == 4
    corners = np.array([(40, 24 + 190 * np.sqrt(0.75)), (230, 24 + 190 * np.sqrt(0.75)), (135, 24)])
    assert seen.on_the_way is not None
    for picture, p in zip(pictures, seen.on_the_way.probabilities, strict=True):
        drawn = [
            (float(dot.get("cx", "")), float(dot.get("cy", "")))
            for dot in picture.iter(f"{SVG}circle")
        ]
        assert np.abs(np.sort(drawn, axis=0) - np.sort(p @ corners, axis=0)).max() < 0.01
    assert "all others" not in figure.caption
    home = (seen.predicted == seen.y).sum()
    assert f"and {home} at the end" in figure.caption


def test_the_classes_between_which_rows_move_are_the_corners() -> None:
    seen = judged(30)
    assert seen.on_the_way is not None
    still = np.full((4, 30, 4), 0.01)
    still[..., 0] = 0.97
    still[:, :5, 0] = 0.01
    for moment, k in enumerate((2, 3, 2, 3)):
        still[moment, :5, k] = 0.97
    way = replace(seen.on_the_way, probabilities=still)
    figure = motion_figure(replace(seen, on_the_way=way))
    assert figure is not None
    assert "5 rows of the validation rows, those that moved most between ant, cow, dog" in (
        figure.caption
    )


@pytest.mark.parametrize("classes", [2, 3, 200])
def test_a_real_training_is_followed(classes: int) -> None:
    seen = judged(300, classes=tuple(f"c{k}" for k in range(classes)))
    assert (motion_figure(seen) is None) == (classes < 3)


def test_only_so_many_rows_are_followed() -> None:
    assert OnTheWay.followed(10, 3, 0).tolist() == list(range(10))
    many = OnTheWay.followed(10_000, 3, 0)
    assert len(np.unique(many)) == len(many) == 500
    assert len(OnTheWay.followed(10_000, 100_000, 0)) == 10


def test_a_fit_looks_before_the_first_step_and_at_the_end() -> None:
    seen = trained("iris", '{"hidden": [8], "epochs": 4}').judged()
    way = seen.on_the_way
    assert way is not None
    assert way.epochs == (0, 1, 2, 4)
    assert np.array_equal(way.probabilities[-1], seen.probabilities[way.rows])
    assert np.abs(np.diff(way.probabilities, axis=0)).max(axis=(1, 2)).min() > 1e-3


def test_rows_have_the_numbers_of_the_data() -> None:
    from softgrad.learn import load

    seen, data = trained("iris", '{"hidden": [8], "epochs": 4}').judged(), load("iris")
    assert np.array_equal(data.X[seen.numbers - 1], seen.X)
    assert np.array_equal(data.y[seen.numbers - 1], seen.y)


# --- regressions ----------------------------------------------------------------------------


def regression(**changes: object) -> Regression:
    fields = {
        "source": "x.csv", "classes": CLASSES, "features": 2, "settings": {"solver": "newton"},
        "solver": "newton", "steps": 3, "objective": 0.5, "optimality": 1e-9,
        "gaps": (0.5, 1e-3, 1e-9), "seconds": 1.0,
    }  # fmt: skip
    return Regression(**fields | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("optimality", "tone"), [(1e-9, "good"), (1e-2, "plain")])
def test_the_verdict_is_the_bound(optimality: float, tone: str) -> None:
    page = regression_page(regression(optimality=optimality), None, "softgrad train")
    assert page.verdict.tone == tone
    assert f"at most {pretty(optimality, 2)} above its minimum" in page.verdict.text
    assert "0.5 at first, and 1e−9 before the last" in captions(page)[0]


def test_without_rows_the_page_says_so_and_with_them_it_warns() -> None:
    assert "no row was looked at" in sentences(regression_page(regression(), None, "c"))
    page = regression_page(regression(), judged(), "c")
    assert "is not what new rows would show" in sentences(page)
    assert re.search(r"\d+\.\d % of its rows are right", page.verdict.text)
    assert_nothing_runs(page)


def test_pages_of_many_classes_are_small() -> None:
    seen = judged(500, classes=tuple(f"{'x' * 60} {k}" for k in range(500)))
    page = regression_page(regression(classes=seen.classes), seen, "c")
    assert len(render(page).encode()) < 300_000


# --- classifiers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "newton"},
        {"solver": "adam", "hidden": (6,), "max_iter": 5, "random_state": 0},
        {"solver": "adam", "hidden": (6,), "max_iter": 5, "early_stopping": True},
    ],
)
def test_the_page_of_a_classifier_judges_the_rows_that_are_given(
    options: dict[str, object],
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4))
    y = np.array(["no", "maybe", "yes"])[np.argmax(X[:, :3] + rng.normal(size=(150, 3)), axis=1)]
    model = sg.SoftmaxClassifier(**options).fit(X[:100], y[:100])  # type: ignore[arg-type]
    page = classifier_page(model, X[100:], y[100:])
    right = int((model.predict(X[100:]) == y[100:]).sum())
    assert page.verdict.text == f"{100 * right / 50:.1f} % of the rows are right, {right} of 50."
    assert f"{right} of 50 rows stand on the diagonal" in sentences(page)
    course = captions(page)[0]
    assert ("above its minimum" in course) == ("hidden" not in options)
    assert ("held out" in course) == ("early_stopping" in options)
    assert_nothing_runs(page)
