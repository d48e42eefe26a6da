"""The report of the tour: five questions, each with a picture, and numbers that are the tour's."""

from __future__ import annotations

import re
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
    tour,
    trained,
)
from softgrad.explain import compare
from softgrad.report.page import render
from softgrad.report.scales import pretty
from softgrad.report.tour import tour_page
from softgrad.results import Table


def of(page, question):
    """Return the section with this heading."""
    (section,) = (section for section in page.sections if section.heading == question)
    return section


def drawn(section):
    return [text for figure in section.figures for text in words(figure.svg)]


def test_each_question_is_a_heading_with_sentences_and_a_picture():
    seen = tour()
    page = tour_page(seen)
    headings = [section.heading for section in page.sections]
    assert headings[1:6] == [answer.question for answer in seen.answers]
    for section in page.sections:
        assert section.blocks
        assert section.figures
        assert all(len(figure.caption) > 80 for figure in section.figures)


def test_the_pictures_hold_the_numbers_of_the_tour():
    seen = tour()
    page = tour_page(seen)
    matrix, vector, heads, _, hidden = (of(page, a.question) for a in seen.answers)
    assert {pretty(value, 2) for value in seen.sample.jacobian.ravel()} <= set(drawn(matrix))
    t = np.arange(10) == seen.sample.target
    assert {pretty(value, 3) for value in seen.sample.p - t} <= set(drawn(vector))
    assert {pretty(value, 2) for value in seen.sample.jacobian.ravel()} <= set(drawn(vector))
    assert {pretty(-1 / seen.sample.p[seen.sample.target]), "g"} <= set(drawn(vector))
    columns = np.sort(np.argsort(-np.abs(seen.comparison.x), kind="stable")[:4])
    for head in seen.comparison.heads:
        numbers = head.W_bar[:, columns].ravel()
        assert {pretty(value) for value in numbers} <= set(drawn(heads))
    for values in (seen.hidden.z_bar, seen.hidden.diagonal_only, seen.hidden.measured):
        assert {pretty(value) for value in values} <= set(drawn(hidden))


def test_a_colour_means_one_thing_where_a_gradient_is_followed():
    seen = tour()
    triangle, curves, sums = (f.svg for f in of(tour_page(seen), seen.answers[3].question).figures)
    named = re.compile(r'<line [^>]*stroke="(#\w+)"[^>]*/><text [^>]*>([^<]+)')
    run, still = named.findall(triangle)
    *classes, size = named.findall(curves)
    softmax, sigmoid = named.findall(sums)
    assert "gradient size" in size[1]
    assert run[0] == size[0]
    assert still[0] == softmax[0]
    colours = [run[0], still[0], sigmoid[0], *(colour for colour, _ in classes)]
    assert len(set(colours)) == len(colours) == 6


def test_the_likeliest_classes_come_first():
    seen = tour()
    matrix = of(tour_page(seen), seen.answers[0].question)
    order = [seen.sample.classes[k] for k in np.argsort(-seen.sample.p, kind="stable")]
    columns = [text for text in drawn(matrix) if text in seen.sample.classes][:10]
    assert columns == order
    top = int(seen.sample.p.argmax())
    first = [pretty(seen.sample.jacobian[top, int(k)], 2) for k in order]
    start = drawn(matrix).index(first[0])
    assert drawn(matrix)[start : start + 10] == first


def test_the_words_hold_the_numbers_of_the_tour():
    seen = tour()
    text = sentences(tour_page(seen))
    sample, run = seen.sample, seen.training
    assert f"{100 * run.validation_accuracy:.1f} % of {run.validation_rows} rows" in text
    assert f"the largest sum is {pretty(np.abs(sample.jacobian.sum(axis=1)).max(), 2)})" in text
    assert "50.0 % of the weight of the matrix lies beside it" in text  # as each row sums to 0
    assert f"{pretty(sample.p[sample.target] - 1)} at the target" in text
    sizes, outputs = seen.followed.trajectory.gradient_size, seen.followed.trajectory.outputs
    assert f"rises from {pretty(outputs[0, 1])} to {pretty(outputs[-1, 1])}" in text
    assert f"largest at step {sizes.argmax()}, {pretty(sizes.max())}" in text
    assert "with softmax it stays 1, with sigmoid it rises from" in text
    for report in (seen.right, seen.wrong):
        assert pretty(report.relative_error, 2) in text


def test_what_is_zero_is_counted():
    seen = tour()
    heads = of(tour_page(seen), seen.answers[2].question)
    zeros = "0 of 10 with softmax, 9 of 10 with sigmoid, 0 of 10 with sigmoid-all."
    assert zeros in heads.figures[0].caption
    assert "p − t with softmax, L = −log" in heads.figures[0].caption
    assert "p − t with sigmoid-all, L = Σ" in heads.figures[0].caption
    assert (
        f"raises the logit of class {seen.sample.target} and lowers 9 others"
        in heads.blocks[0].text
    )
    assert "and leaves 9 others alone" in heads.blocks[0].text


def test_the_last_question_says_that_its_network_is_untrained():
    seen = tour()
    section = of(tour_page(seen), seen.answers[4].question)
    assert "new and untrained" in section.blocks[0].text
    assert "untrained" in section.figures[0].caption


def test_other_heads_have_other_words():
    seen = tour()
    c = seen.comparison
    other = compare(c.x, c.W, c.target, c.b, heads=("softmax", "sigmoid-all"))
    heads = of(tour_page(replace(seen, comparison=other)), seen.answers[2].question)
    assert "0 of 10 with softmax, 0 of 10 with sigmoid-all." in heads.figures[0].caption
    assert "alone" not in heads.blocks[0].text


@pytest.mark.parametrize(
    ("right", "wrong", "tone", "words"),
    [
        ("pass", "fail", "good", "softmax passes the check, and h(1 − h) alone fails it."),
        ("fail", "fail", "bad", "softmax fails it, and h(1 − h) alone fails it."),
        ("pass", "pass", "bad", "softmax passes the check, and h(1 − h) alone passes the check."),
        ("pass", "inconclusive", "bad", "and h(1 − h) alone stays undecided."),
    ],
)
def test_the_verdict_is_that_of_the_checks(right, wrong, tone, words):
    seen = tour()
    seen = replace(
        seen, right=replace(seen.right, verdict=right), wrong=replace(seen.wrong, verdict=wrong)
    )
    page = tour_page(seen)
    assert page.verdict.tone == tone
    assert words in page.verdict.text.replace("\u00a0", " ")


def test_a_sum_that_moves_is_said_to_move():
    seen = tour()
    moved = replace(seen, followed_sum=seen.followed)
    assert "Climbing on the sum of the three does not move at all." in sentences(tour_page(seen))
    assert "does not move at all" not in sentences(tour_page(moved))


def test_the_tables_of_the_answers_are_folded():
    seen = tour()
    for answer in seen.answers:
        section = of(tour_page(seen), answer.question)
        tables = [block for block in answer.blocks if isinstance(block, Table)]
        assert list(section.folds[0].blocks) == tables
        assert not any(isinstance(block, Table) for block in section.blocks)


def test_a_table_of_some_says_of_how_many():
    tables = [next(b for b in a.blocks if isinstance(b, Table)) for a in tour().answers]
    for table in tables[:3]:
        assert f"({len(table.rows)} of 10 classes, the likeliest and the target)" in table.title
    assert f"({len(tables[4].rows)} of {tour().hidden.p.size} units" in tables[4].title
    whole = [next(b for b in a.blocks if isinstance(b, Table)) for a in tour("iris").answers]
    assert not any("of 3 classes" in table.title for table in whole)


def test_what_is_compared_stands_side_by_side_on_a_wide_page():
    seen = tour()
    for answer in seen.answers[1:3]:
        (figure,) = of(tour_page(seen), answer.question).figures
        widths = [int(width) for width in re.findall(r'<svg [^>]*? width="(\d+)"', figure.svg)]
        assert len(widths) >= 3
        # 76rem less the margins of the page; 1.5rem between pictures.
        assert sum(widths[:3]) + 2 * 24 <= 1152
        if answer is seen.answers[1]:
            assert widths[1] < 120  # one column, and no scale of colours wider than it


def test_three_named_classes_have_a_page_as_well():
    seen = tour("iris")
    page = tour_page(seen)
    assert set(seen.sample.classes) <= set(drawn(page.sections[1]))
    assert f"p({seen.followed_classes[1]})" in captions(page)[-4]


def test_foreign_names_are_text():
    seen = tour()
    names = tuple(f"{FOREIGN}{k}" for k in range(10))
    seen = replace(
        seen,
        training=replace(seen.training, classes=names, data=FOREIGN),
        sample=replace(seen.sample, classes=names),
        followed_classes=names[:3],
    )
    page = tour_page(seen)
    assert_nothing_runs(page)
    assert "<img src=x" in Elements(page).text


def test_the_page_is_small_and_runs_nothing():
    page = tour_page(tour())
    assert len(render(page).encode()) < 150_000
    assert_nothing_runs(page)
    assert page.command == "softgrad demo --seed 0"


def test_the_same_run_has_the_same_page():
    def rendered():
        seen = tour()
        return render(tour_page(replace(seen, training=replace(seen.training, seconds=1.0))))

    first = rendered()
    trained.cache_clear()
    assert rendered() == first
