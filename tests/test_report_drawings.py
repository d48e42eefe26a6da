"""Drawings: what is on them, where it is, and that nothing is cut off."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from report_cases import SVG, drawings, jacobian, placed, roots, softmax, words
from softgrad.foreign import clean
from softgrad.report.colours import INK, PALETTE, diverging, hexadecimal
from softgrad.report.confusion import confusion_matrix
from softgrad.report.grid import Axis
from softgrad.report.heat_map import heat_map, heat_maps
from softgrad.report.lines import Line, line_chart
from softgrad.report.panels import Panel, reduce_panels
from softgrad.report.paths import spread, thin
from softgrad.report.scales import pretty
from softgrad.report.simplex import Path, simplex
from softgrad.report.strongest import merge_rows, strongest
from softgrad.report.svg import standalone
from softgrad.report.words import LONGEST, shorten, width_of

NAMES = ["a", "petal length (cm)", "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", "漢字" * 20, "", "é" * 70]
KINDS = list(drawings("a"))


def svgs(name: str) -> list[ET.Element]:
    return [root for svg in drawings(name).values() for root in roots(svg)]


def fills(svg: str) -> list[str]:
    return [e.get("fill", "") for root in roots(svg) for e in root.iter(f"{SVG}rect")]


@pytest.mark.parametrize("name", NAMES)
def test_every_drawing_is_an_image_with_a_title_and_a_description(name):
    for root in svgs(name):
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
        assert len(root[1].text or "") > 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_cut_off(kind, name):
    for root in roots(drawings(name)[kind]):
        _, _, width, height = map(float, root.get("viewBox", "").split())
        for element, x0, y0 in placed(root):
            if element.tag != f"{SVG}text":
                continue
            content = (element.text or "") + "".join(child.tail or "" for child in element)
            x, y = x0 + float(element.get("x", 0)), y0 + float(element.get("y", 0))
            length = width_of(content)
            before = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")]
            turn = re.match(r"rotate\((\S+)", element.get("transform", ""))
            angle = math.radians(float(turn[1])) if turn else 0.0
            for along in (-before * length, (1 - before) * length):
                end = (x + along * math.cos(angle), y + along * math.sin(angle))
                assert -1 <= end[0] <= width + 1, content
                assert -1 <= end[1] <= height + 1, content


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_use_no_style_no_reference_and_no_identifier(kind):
    for root in roots(drawings("a")[kind]):
        for element in root.iter():
            assert not {"style", "id", "{http://www.w3.org/1999/xlink}href"} & set(element.attrib)
            assert element.get("href", "data:image/png;").startswith("data:image/png;")


def test_a_drawing_is_the_same_every_time():
    assert drawings("a") == drawings("a")


def test_a_standalone_file_keeps_the_drawing():
    svg = drawings("a <b>")["simplex"]
    (alone,) = roots(standalone(svg))
    (inline,) = roots(svg)
    alone.remove(alone.find(f"{SVG}style"))
    alone.tail = None
    assert ET.tostring(alone) == ET.tostring(inline)


# --- heat maps


def test_cells_have_the_colour_and_the_value_of_the_matrix():
    matrix = np.random.default_rng(0).normal(size=(4, 5))
    matrix[1, 2] = 0
    svg = heat_map(matrix, "m")
    limit = np.abs(matrix).max()
    assert fills(svg) == [hexadecimal(colour) for colour in diverging(matrix, limit).reshape(-1, 3)]
    written = words(svg)
    assert all(pretty(value) in written for value in matrix.ravel().tolist())


def test_the_numbers_of_all_cells_have_one_ink():
    matrix = np.linspace(-1, 1, 12).reshape(3, 4)
    (root,) = roots(heat_map(matrix, "m"))
    inks = [e.get("fill") for e in root.iter(f"{SVG}text") if e.get("fill")]
    assert inks == [INK] * matrix.size


def test_panels_share_one_scale():
    small, large = np.array([[0.1, -0.05]]), np.array([[2.0, -1.0]])
    svg = heat_maps([Panel(small, "small"), Panel(large, "large")])
    expected = np.concatenate([diverging(small, 2.0)[0], diverging(large, 2.0)[0]])
    assert fills(svg) == [hexadecimal(colour) for colour in expected]


def test_numbers_are_written_up_to_twelve():
    assert len(fills(heat_map(jacobian(12), "m"))) == 144
    assert fills(heat_map(jacobian(13), "m")) == []


def test_what_is_not_finite_is_grey_and_said():
    svg = heat_map([[np.nan, 1.0], [np.inf, -2.0]], "m")
    grey = hexadecimal(diverging(np.nan, 1.0))
    assert [fill == grey for fill in fills(svg)] == [True, False, True, False]
    assert "grey: 2 not finite" in words(svg)


def test_a_matrix_of_zeros_says_so():
    svg = heat_map(np.zeros((2, 3)), "m")
    assert "every value is exactly 0" in words(svg)
    assert set(fills(svg)) == {hexadecimal(diverging(0.0, 1.0))}


def test_large_matrices_keep_the_strongest_and_say_so():
    assert not any("strongest" in word for word in words(heat_map(jacobian(64), "m")))
    written = words(heat_map(jacobian(65), "m"))
    assert "63 strongest rows of 65; the last: sum of the other 2" in written
    assert "63 strongest columns of 65; the last: sum of the other 2" in written


def test_a_merged_jacobian_is_the_jacobian_of_merged_classes():
    p = softmax(3 * np.random.default_rng(2).normal(size=100))
    matrix, axis = np.diag(p) - np.outer(p, p), Axis(tuple(map(str, range(100))))
    kept = strongest(np.abs(matrix).max(axis=1))
    rows, labels = merge_rows(matrix, axis, kept)
    merged = merge_rows(rows.T, axis, kept)[0].T
    q = np.append(p[kept], 1 - p[kept].sum())
    np.testing.assert_allclose(merged, np.diag(q) - np.outer(q, q), atol=1e-15, rtol=1e-12)
    assert labels.labels[-1] == "the rest"
    assert set(kept) >= set(np.argsort(p * (1 - p))[-63:])


@pytest.mark.parametrize("side", ["rows", "columns"])
def test_labels_that_do_not_fit_the_matrix_are_refused(side):
    with pytest.raises(ValueError, match=rf"`{side}` must be 2 labels, got 1"):
        heat_map(np.eye(2), "m", **{side: ["a"]})


@pytest.mark.parametrize("matrix", [[], [1.0, 2.0], np.zeros((0, 3)), np.zeros((2, 2, 2))])
def test_what_is_no_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="`matrix` must be of shape"):
        heat_map(matrix, "m")
    with pytest.raises(ValueError, match="`counts` must be of shape"):
        confusion_matrix(matrix)


def test_panels_of_one_shape_have_one_size():
    narrow, wide = np.full((3, 4), 0.5), np.full((3, 4), -0.00012345)
    first, second, _ = roots(heat_maps([Panel(narrow, "a"), Panel(wide, "b")]))
    assert first.get("width") == second.get("width")
    assert first.get("height") == second.get("height")


def test_panels_of_one_size_keep_the_same_rows_and_columns():
    rng = np.random.default_rng(4)
    wide, zero = rng.normal(size=(300, 90)), np.zeros((300, 90))
    zero[5, 6] = 9.0
    one, other, third = reduce_panels([Panel(wide), Panel(zero), Panel(wide[:70])])
    assert one.rows == other.rows
    assert one.columns == other.columns
    assert "5" in one.rows.labels
    assert "6" in one.columns.labels
    assert one.rows != third.rows
    alone, _ = reduce_panels([Panel(zero), Panel(np.eye(2))])
    assert one.rows != alone.rows


@pytest.mark.parametrize("n", [12, 13, 64, 65, 300])
def test_a_key_row_is_drawn_and_of_many_rows_the_first(n):
    matrix = np.arange(1.0, n + 1)[:, None]  # the key row is the weakest
    (small,) = reduce_panels([Panel(matrix, key_row=1)])
    at = small.rows.labels.index("1")
    assert at == (1 if n == 12 else 0)
    assert small.matrix[at] == 2
    assert small.matrix.sum() == matrix.sum()
    assert len(small.rows.labels) == min(n, 64)
    assert list(small.rows.labels[-2:]) == [str(n - 2), str(n - 1)] or n > 64
    assert "1" in words(heat_maps([Panel(matrix, key_row=1)]))


def test_the_columns_of_a_tall_picture_keep_their_names():
    written = words(heat_map(np.ones((64, 4)), "m", columns=["x[0]", "x[1]", "x[2]", "x[3]"]))
    assert [word for word in written if word.startswith("x[")] == ["x[0]", "x[1]", "x[2]", "x[3]"]


# --- confusion matrices


def test_a_confusion_matrix_writes_every_count_but_zero():
    counts = np.array([[31, 0, 2], [1, 40, 0], [0, 0, 7]])
    written = words(confusion_matrix(counts, ["x", "y", "z"]))
    assert sorted(w for w in written if w.isdigit()) == sorted(["31", "2", "1", "40", "7"])


def test_right_is_blue_and_wrong_is_orange_even_once_in_a_thousand():
    cells = fills(confusion_matrix([[999, 1], [100, 900]]))[:4]
    channels = np.array([list(bytes.fromhex(cell[1:])) for cell in cells]).astype(int)
    assert ((channels[:, 2] - channels[:, 0] > 20) == [True, False, False, True]).all()
    assert ((channels[:, 0] - channels[:, 2] > 20) == [False, True, True, False]).all()


def test_the_description_counts_what_is_right():
    (root,) = roots(confusion_matrix([[3, 1], [0, 4]]))
    assert root[1].text == "7 of 8 are right (87.5 %)."


def test_a_class_without_samples_is_empty():
    cells = fills(confusion_matrix([[3, 0], [0, 0]]))
    assert cells[3] == hexadecimal(diverging(0.0, 1.0))


def test_the_legend_of_a_confusion_matrix_names_the_counts_of_each_colour():
    written = words(confusion_matrix([[31, 0, 2], [1, 40, 0], [0, 0, 7]]))
    assert "right: 7 to 40 of a class" in written
    assert "wrong: 2 at most in a cell" in written
    assert not any("wrong" in word for word in words(confusion_matrix(np.diag([3, 4]))))


def test_many_classes_keep_those_with_errors():
    counts = np.diag(np.full(100, 5))
    counts[90, 7] = 3
    svg = confusion_matrix(counts, [f"k{i}" for i in range(100)])
    assert any("63 classes with the most errors" in word for word in words(svg))
    assert roots(svg)[0].findall(f".//{SVG}image")
    assert "500 of 503 are right" in (roots(svg)[0][1].text or "")


@pytest.mark.parametrize("counts", [[[1, -1], [0, 1]], [[0.5, 0], [0, 1]], [[np.nan, 0], [0, 1]]])
def test_what_is_no_count_is_refused(counts):
    with pytest.raises(ValueError, match="`counts` must be whole numbers"):
        confusion_matrix(counts)


# --- line charts


def corners(path: str) -> list[np.ndarray]:
    """Follow the steps of each run of a path of lines."""
    runs = []
    for run in re.findall(r"M(\S+ [^lmz]+)(?:l([^Mmz]*))?", path):
        steps = [run[0].split(), *zip(*[iter(run[1].split())] * 2, strict=True)]
        runs.append(np.cumsum(np.array(steps, dtype=float), axis=0))
    return runs


def test_paths_go_through_their_points_to_a_tenth_of_a_pixel():
    points = np.random.default_rng(0).uniform(0, 300, (200, 2))
    (path,) = corners(thin(points[:, 0], points[:, 1]))
    np.testing.assert_allclose(path, points, atol=0.0501)


def test_gaps_break_a_path():
    y = np.array([1.0, 2.0, np.nan, np.nan, 4.0, np.nan, 5.0, 6.0])
    assert [len(run) for run in corners(thin(np.arange(8.0), y))] == [2, 1, 2]
    assert thin(np.arange(2.0), np.full(2, np.nan)) == ""


def test_a_long_line_keeps_its_peaks_its_ends_and_its_gaps():
    y = np.sin(np.arange(20000) / 3000)
    y[[1234, 17777]] = 9.0, -9.0
    y[9000:9003] = np.nan
    runs = corners(thin(np.arange(20000.0), y))
    points = np.concatenate(runs)
    assert len(runs) == 2
    assert len(points) < 600
    assert [points[:, 1].max(), points[:, 1].min()] == [9.0, -9.0]
    assert points[0, 0] == 0
    assert points[-1, 0] == 19999


def test_spread_labels_keep_their_distance_their_order_and_the_frame():
    rng = np.random.default_rng(0)
    for n in range(1, 13):
        wanted = rng.uniform(30, 226, n)
        places = np.array(spread(wanted.tolist(), 16, 30, 226))
        order = np.argsort(wanted)
        assert (np.diff(places[order]) >= 16 - 1e-9).all()
        assert places.max() <= max(226, 30 + 16 * (n - 1)) + 1e-9
        assert places.min() >= 30 - 1e-9


def test_each_line_has_its_colour_and_its_name():
    names = [f"line {i}" for i in range(7)]
    svg = line_chart([Line(n, np.arange(5.0) * i) for i, n in enumerate(names)], "t")
    drawn = list(roots(svg)[0].iter(f"{SVG}path"))
    looks = [(e.get("stroke"), e.get("stroke-dasharray")) for e in drawn]
    assert [colour for colour, _ in looks[:6]] == list(PALETTE)
    assert len(set(looks)) == 7
    assert set(names) <= set(words(svg))


def test_more_than_twelve_lines_keep_those_that_move_most():
    lines = [Line(f"line {i}", [0.0, float(i)]) for i in range(20)]
    written = words(line_chart(lines, "t"))
    assert "12 of 20 lines: those with the widest range" in written
    assert {f"line {i}" for i in range(20)} & set(written) == {f"line {i}" for i in range(8, 20)}


def test_a_log_axis_says_what_it_cannot_show():
    written = words(line_chart([Line("g", [1e-3, 0.0, 1e-9, -1.0])], "t", log_y=True))
    assert "2 values of 0 or below have no place on this axis" in written
    assert "10⁻⁶" in written


def test_a_gradient_of_exact_zeros_has_a_linear_axis():
    svg = line_chart([Line("g", np.zeros(5))], "t", log_y=True)
    assert len(corners(roots(svg)[0].find(f".//{SVG}path").get("d"))[0]) == 5


@pytest.mark.parametrize("y", [[], [np.nan, np.nan], [np.inf, 1.0], [1e308, -1e308, 0.0], [5e-324]])
@pytest.mark.parametrize("log_y", [False, True])
def test_odd_values_have_a_chart(y, log_y):
    assert "nan" not in line_chart([Line("y", y)], "t", log_y=log_y)


def test_lines_that_are_none_are_refused():
    with pytest.raises(ValueError, match="`lines` must be at least one"):
        line_chart([], "t")
    with pytest.raises(ValueError, match=r"`y` must be .* shapes \(2,\) and \(3,\)"):
        line_chart([Line("a", [1, 2], [1, 2, 3])], "t")


# --- the simplex


def ends(svg: str) -> list[np.ndarray]:
    """Return the centres of rings and dots of the paths, start and end in turn."""
    circles = list(roots(svg)[0].iter(f"{SVG}circle"))[:-2]  # the legend's are last
    return [np.array([float(e.get("cx")), float(e.get("cy"))]) for e in circles]


def test_certain_answers_lie_in_their_corners_and_mixtures_between():
    one = np.eye(3)
    a, b = ends(simplex([Path("p", one[[0, 1]])], "abc", "t"))
    c, middle = ends(simplex([Path("p", [one[2], np.full(3, 1 / 3)])], "abc", "t"))
    sides = [np.linalg.norm(u - v) for u, v in ((a, b), (b, c), (c, a))]
    np.testing.assert_allclose(sides, sides[0], rtol=1e-4)
    np.testing.assert_allclose(middle, (a + b + c) / 3, atol=0.02)
    assert a[0] < c[0] < b[0]
    assert c[1] < a[1]


def test_arrows_point_along_the_path():
    line = np.linspace(0, 1, 50)[:, None]
    path = (1 - line) * np.array([0.9, 0.05, 0.05]) + line * np.array([0.05, 0.9, 0.05])
    svg = simplex([Path("p", path)], "abc", "t")
    (tip, left, right) = corners(
        next(e.get("d") for e in roots(svg)[0].iter(f"{SVG}path") if e.get("fill") == PALETTE[0])
    )[0][:3]
    start, end = ends(svg)
    assert (tip - (left + right) / 2) @ (end - start) > 0.99 * 9 * np.linalg.norm(end - start)


def test_a_path_that_stays_has_a_ring_and_a_dot_and_no_arrow():
    svg = simplex([Path("still", np.full((9, 3), 1 / 3))], "abc", "t")
    start, end = ends(svg)
    assert (start == end).all()
    assert not [e for e in roots(svg)[0].iter(f"{SVG}path") if PALETTE[0] in e.attrib.values()]


@pytest.mark.parametrize(
    "points", [[[0.5, 0.5]], [0.2, 0.3, 0.5], np.zeros((0, 3)), [[0.5, 0.6, 0.5]], [[np.nan] * 3]]
)
def test_what_are_no_probabilities_is_refused(points):
    with pytest.raises(ValueError, match="`points` must be"):
        simplex([Path("p", points)], "abc", "t")


# --- words


def test_short_enough_is_short_enough():
    rng = np.random.default_rng(0)
    letters = list("abcXYZ 0189.,-漢字é́ wm🙂")
    for _ in range(300):
        content = "".join(rng.choice(letters, rng.integers(0, 60)))
        limit = float(rng.uniform(20, 200))
        short = shorten(content, limit)
        assert width_of(short) <= limit + 1e-9
        assert (short == clean(content)) == (width_of(content) <= limit)


def test_marks_without_width_do_not_pile_up():
    assert len(shorten("e" + "\u0301" * 5000, 100)) <= 2 * LONGEST + 1


def test_a_cut_name_keeps_its_head_and_its_tail_and_a_tooltip_of_bounded_length():
    names = [f"a long feature name {i}" for i in range(3)]
    svg = heat_map(np.eye(3), "m", names, names)
    assert sum(bool(re.fullmatch(r"a lon.*….* \d", word)) for word in words(svg)) == 6
    tooltips = [e.text for e in roots(svg)[0].iterfind(f".//{SVG}text/{SVG}title")]
    assert sorted(tooltips) == sorted(2 * names)
    assert len(heat_map([[1.0]], "m", ["x" * 100_000])) < 3000


@pytest.mark.parametrize("c", ["\u202e", "\u202a", "\u2066", "\u2069", "\0", "\ud800", "\ufffe"])
def test_what_would_break_a_page_is_replaced(c):
    assert clean(f"a{c}b") == "a\ufffdb"


@pytest.mark.parametrize("content", ["naïve 漢字", "👩\u200d👩", "שלום", "e\u0301", "a\u00a0b"])
def test_ordinary_letters_of_all_scripts_stay(content):
    assert clean(content) == content
