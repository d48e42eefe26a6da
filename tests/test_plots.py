"""Plots for papers: axes in, the same axes out, the library's numbers on them, nothing changed."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from softgrad.errors import MissingExtraError
from softgrad.learn.minibatch import TrainingEpoch
from softgrad.nn import Epoch, History
from softgrad.plot import (
    plot_heads,
    plot_jacobian,
    plot_path,
    plot_simplex_field,
    plot_training,
)
from softgrad.report.colours import contrast, diverging

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")
SETTINGS = dict(matplotlib.rcParams)

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=5)
X, W = RNG.normal(size=8), RNG.normal(size=(4, 8))
START = [0.0, 1.0, 2.0]
CLIMB = sg.follow(sg.softmax, "output", index=0, start=START)
# TeX and mathematics to matplotlib, and names that it would leave out.
ODD = ["$\\frac{$", "_hidden", "$5 or $6", "a_b^c", "<b>"]


def history(epochs: int = 3, layers: int = 2) -> History:
    sizes = {str(2 * k): 1.0 / (k + 1) for k in range(layers)}
    return History(tuple(Epoch(k, 1 / k, 0.5, 2 / k, 0.25, sizes) for k in range(1, epochs + 1)))


PLOTS: dict[str, Callable[[Any], Any]] = {
    "jacobian": lambda ax: plot_jacobian(LOGITS, ax=ax),
    "jacobian of many": lambda ax: plot_jacobian(RNG.normal(size=100), ax=ax),
    "heads": lambda ax: plot_heads(sg.compare(X, W, 1), ax=ax),
    "heads of many": lambda ax: plot_heads(
        sg.compare(RNG.normal(size=90), RNG.normal(size=(100, 90)), 1), ax=ax
    ),
    "field": lambda ax: plot_simplex_field("log", index=0, ax=ax),
    "path": lambda ax: plot_path(CLIMB, ax=ax),
    "training": lambda ax: plot_training(history(), ax=ax),
    "gradients": lambda ax: plot_training(history(), "gradient", ax=ax),
}


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def words(ax: Any) -> list[str]:
    """Return all that is written on axes."""
    return [text.get_text() for text in ax.findobj(matplotlib.text.Text) if text.get_text()]


def drawn(ax: Any) -> None:
    """Draw the figure; a glyph that is missing or a formula that cannot be read raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax.figure.canvas.draw()


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_axes_that_are_given_are_drawn_on_and_returned(plot: Callable[[Any], Any]) -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert plot(right) is right
    assert right.has_data()
    assert not left.has_data()
    drawn(right)


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_without_axes_a_figure_is_made(plot: Callable[[Any], Any]) -> None:
    before = plt.get_fignums()
    ax = plot(None)
    drawn(ax)
    assert ax.figure.number not in before
    assert plot(None).figure is not ax.figure


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_no_setting_is_changed(plot: Callable[[Any], Any]) -> None:
    printing, errors = np.get_printoptions(), np.geterr()
    drawn(plot(None))
    assert dict(matplotlib.rcParams) == SETTINGS
    assert (np.get_printoptions(), np.geterr()) == (printing, errors)


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_what_is_no_axes_is_refused(plot: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="`ax` must be axes of matplotlib, got Figure"):
        plot(plt.figure())


@pytest.mark.parametrize("projection", ["polar", "aitoff", "3d"])
@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_axes_that_bend_lines_are_refused(plot: Callable[[Any], Any], projection: str) -> None:
    ax = plt.figure().add_subplot(projection=projection)
    with pytest.raises(
        ValueError, match=f"`ax` must be axes with straight, upright x and y, got {projection}"
    ):
        plot(ax)
    assert not ax.has_data()


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_arrows_stand_out_from_the_page_the_more_the_faster(style: str) -> None:
    with plt.style.context(style):
        ax = PLOTS["field"](None)
        drawn(ax)
        page = ax.figure.get_facecolor()
        (arrows,) = ax.findobj(matplotlib.quiver.Quiver)
        speeds = arrows.get_array()
        order = [int(speeds.argmin()), int(np.argsort(speeds)[len(speeds) // 2])]
        order.append(int(speeds.argmax()))
        ratios = [ratio(colour, page) for colour in arrows.get_facecolor()[order]]
        inks = [text.get_color() for text in ax.figure.findobj(matplotlib.text.Text)]
    assert ratios == sorted(ratios)
    assert ratios[0] > 1.3
    assert ratios[-1] > 4
    assert min(ratio(ink, page) for ink in inks) > 7


def ratio(one: Any, other: Any) -> float:
    """Return the contrast of two colours of matplotlib, as in WCAG 2."""
    seen = (np.rint(255 * np.array(matplotlib.colors.to_rgb(colour))) for colour in (one, other))
    return contrast(*(colour.astype(np.uint8) for colour in seen))


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_nothing_is_cut_off(plot: Callable[[Any], Any]) -> None:
    ax = plot(None)
    drawn(ax)
    whole, seen = ax.figure.bbox, ax.get_tightbbox()
    assert whole.x0 - 1 <= seen.x0 < seen.x1 <= whole.x1 + 1
    assert whole.y0 - 1 <= seen.y0 < seen.y1 <= whole.y1 + 1


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_no_label_stands_on_another(plot: Callable[[Any], Any]) -> None:
    ax = plot(None)
    drawn(ax)
    labels = [label for label in ax.get_xticklabels() if label.get_text()]
    if any(label.get_rotation() for label in labels):
        return
    boxes = [label.get_window_extent() for label in labels]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("plot", [PLOTS["field"], PLOTS["path"], PLOTS["training"]])
def test_lines_that_measure_stay_behind(plot: Callable[[Any], Any], style: str) -> None:
    with plt.style.context(style):
        ax = plot(None)
        drawn(ax)
        page = np.array(matplotlib.colors.to_rgb(ax.figure.get_facecolor()))
        lines = ax.findobj(matplotlib.lines.Line2D)
        grid = [line for line in lines if (line.get_alpha() or 1) < 1]
        assert len(grid) >= 3
        for line in grid:
            ink = np.array(matplotlib.colors.to_rgb(line.get_color()))
            assert 0.05 < line.get_alpha() * abs(ink - page).max() < 0.2


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.axes", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'softgrad\[plot\]'"):
        plot_jacobian(LOGITS)


# --- cells ----------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [sg.softmax, sg.sparsemax, sg.log_softmax, sg.tanh])
def test_cells_are_the_jacobian(f: Any) -> None:
    mesh = plot_jacobian(LOGITS, f).collections[0]
    assert np.array_equal(mesh.get_array(), f.jacobian(LOGITS))


def test_a_jacobian_or_a_matrix_is_drawn_as_it_is() -> None:
    _, J = sg.softmax.linearize(LOGITS)
    matrix = RNG.normal(size=(3, 2))
    assert np.array_equal(plot_jacobian(J).collections[0].get_array(), J.as_matrix())
    assert np.array_equal(plot_jacobian(matrix).collections[0].get_array(), matrix)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_scale_has_zero_in_its_middle_and_the_colours_of_the_report(scale: float) -> None:
    matrix = scale * np.array([[-1.0, 0.0], [0.5, 0.01]])
    mesh = plot_jacobian(matrix).collections[0]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-scale, scale)
    seen = mesh.cmap(mesh.norm(matrix))[..., :3] * 255
    assert np.abs(seen - diverging(matrix, scale)).max() <= 2
    assert np.array_equal(np.rint(seen[0, 1]), diverging(0.0, 1.0))


@pytest.mark.parametrize("logits", [[np.nan, 1.0, 0.0], [np.inf, 0.0]])
def test_logits_without_a_finite_jacobian_are_refused(logits: list[float]) -> None:
    with pytest.raises(ValueError, match="`at` must be logits with a finite Jacobian"):
        plot_jacobian(logits)
    assert plot_jacobian([0.0, -np.inf, 1.0]).collections  # a class that is left out


def test_what_is_not_finite_is_grey() -> None:
    ax = plot_jacobian([[np.nan, 1.0], [np.inf, -1.0]])
    assert "grey: 2 not finite" in ax.get_xlabel()
    mesh = ax.collections[0]
    assert np.array_equal(np.rint(mesh.to_rgba(mesh.get_array())[0, 0, :3] * 255), [166] * 3)


def test_small_matrices_have_their_values_written() -> None:
    J = sg.softmax.jacobian(START)
    written = [word.replace("−", "-") for word in words(plot_jacobian(START))]
    for value in J.ravel():
        assert any(_near(word, value) for word in written)
    assert not any(_near(word, J.max()) for word in words(plot_jacobian(RNG.normal(size=13))))


def _near(word: str, value: float) -> bool:
    try:
        return abs(float(word) - value) < 1e-3 * abs(value)
    except ValueError:
        return False


def test_of_many_classes_the_strongest_are_drawn_and_the_picture_says_so() -> None:
    z = 3 * np.random.default_rng(0).normal(size=300)
    ax = plot_jacobian(z, labels=[f"k{k}" for k in range(300)])
    J, p = ax.collections[0].get_array(), sg.softmax(z)
    assert J.shape == (64, 64)
    assert "63 strongest rows of 300; the last: sum of the other 237" in ax.get_xlabel()
    assert "the rest" in words(ax)
    rest = 1 - np.sort(p)[-63:].sum()
    assert J[-1, -1] == pytest.approx(rest * (1 - rest), rel=1e-12)


def test_heads_are_drawn_side_by_side_on_one_scale() -> None:
    comparison = sg.compare(X, W, 1)
    ax = plot_heads(comparison)
    columns = np.sort(np.argsort(-np.abs(X))[:6])
    for mesh, head in zip(ax.collections, comparison.heads, strict=True):
        assert np.array_equal(mesh.get_array(), head.W_bar[:, columns])
        assert mesh.norm.vmax == max(np.abs(h.W_bar[:, columns]).max() for h in comparison.heads)
    assert {"softmax head", "sigmoid head", "1 (target)"} <= set(words(ax))
    assert "6 of 8 columns" in ax.get_xlabel()


@pytest.mark.parametrize("K", [20, 300])
def test_of_many_classes_the_target_is_kept_and_named(K: int) -> None:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(K, 4))
    W[7] += 20  # sure of the target, whose gradient is then the smallest of all
    comparison = sg.compare([1.0, 1.0, 1.0, 1.0], W, 7, heads=("sigmoid-all",))
    ax = plot_heads(comparison)
    assert ax.get_yticklabels()[0].get_text() == "7 (target)"
    row = np.asarray(ax.collections[0].get_array())[0]
    assert np.array_equal(row, comparison.heads[0].W_bar[7])
    assert np.abs(row).max() < np.abs(comparison.heads[0].W_bar).max(axis=1)[:7].min()


# --- the triangle ---------------------------------------------------------------------------

OBJECTIVES: dict[str, dict[str, Any]] = {
    "log": {"index": 1},
    "output": {"index": 2},
    "weighted": {"weights": [1.0, -2.0, 0.5]},
    "entropy": {},
}


@pytest.mark.parametrize("ascend", [True, False])
@pytest.mark.parametrize(("objective", "options"), OBJECTIVES.items(), ids=OBJECTIVES)
def test_arrows_point_where_a_small_step_goes(
    objective: str, options: dict[str, Any], ascend: bool
) -> None:
    ax = plot_simplex_field(objective, **options, ascend=ascend)
    (arrows,) = (c for c in ax.collections if hasattr(c, "U"))
    middle = arrows.get_offsets() + 0.5 * np.column_stack([arrows.U, arrows.V])
    corners = np.array([[0, 0, 1], [1, 0, 1], [0.5, np.sqrt(0.75), 1]])
    for at in (0, 20, 37, len(middle) - 1):
        p = np.linalg.solve(corners.T, [*middle[at], 1])
        z, lr = np.log(p), 1e-6
        step = sg.follow(sg.softmax, objective, 1, lr, start=z, ascend=ascend, **options)
        moved = np.diff(step.trajectory.outputs, axis=0)[0] / lr
        assert arrows.get_array()[at] == pytest.approx(np.linalg.norm(moved), rel=1e-4)
        along = moved @ corners[:, :2]
        seen = np.array([arrows.U[at], arrows.V[at]])
        assert seen @ along == pytest.approx(np.linalg.norm(seen) * np.linalg.norm(along), rel=1e-6)


def test_where_nothing_moves_there_is_no_arrow() -> None:
    ax = plot_simplex_field("sum")
    assert not any(hasattr(c, "U") for c in ax.collections)
    assert "nothing moves" in ax.get_title()
    assert max(len(line.get_xdata()) for line in ax.lines) == 91


def test_a_path_goes_over_the_points_of_the_trajectory() -> None:
    ax = plot_path(CLIMB)
    p = CLIMB.trajectory.outputs
    expected = np.column_stack([p[:, 1] + p[:, 2] / 2, np.sqrt(0.75) * p[:, 2]])
    assert any(
        line.get_xydata().shape == expected.shape and np.allclose(line.get_xydata(), expected)
        for line in ax.lines
    )


def test_a_path_on_a_field_has_another_colour_and_no_second_triangle() -> None:
    ax = plot_simplex_field("log", index=0)
    patches = len(ax.patches)
    plot_path(CLIMB, ax=ax)
    assert len(ax.patches) == patches
    plot_path(CLIMB, ax=ax)
    colours = [line.get_color() for line in ax.lines if len(line.get_xdata()) == 51]
    assert len(set(colours)) == 2


def test_of_many_classes_two_move_and_the_others_are_one() -> None:
    followed = sg.follow(sg.softmax, "output", index=4, start=np.linspace(0, 2, 80))
    ax = plot_path(followed, labels=[f"k{k}" for k in range(80)])
    p = followed.trajectory.outputs
    assert {"k4", "k79", "the other 78"} <= set(words(ax))
    rest = np.delete(p, [4, 79], axis=1).sum(axis=1)
    (height,) = (line.get_ydata() for line in ax.lines if len(line.get_xdata()) == len(p))
    assert np.abs(height - np.sqrt(0.75) * rest).max() < 1e-12
    assert any("2 of 80 classes" in word for word in words(ax))


@pytest.mark.parametrize(
    ("paths", "error", "message"),
    [
        ({}, ValueError, "at least one"),
        ([[0.5, 0.5]], ValueError, "K of 3 or more"),
        ([[0.5, 0.1, 0.1]], ValueError, "adding up to 1"),
        ("p", TypeError, "what softgrad.follow returned"),
        (sg.follow(sg.sigmoid, "output", index=0, start=START), ValueError, "adding up to 1"),
        ({"a": np.eye(3), "b": np.eye(4)}, ValueError, "of the same classes"),
    ],
)
def test_what_has_no_place_on_the_triangle_is_refused(
    paths: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"`paths` must be .*{message}"):
        plot_path(paths)


# --- trainings ------------------------------------------------------------------------------


def curves(ax: Any) -> list[list[float]]:
    return [line.get_ydata().tolist() for line in ax.lines]


def test_training_draws_what_was_recorded() -> None:
    records = history()
    assert curves(plot_training(records)) == [[1, 1 / 2, 1 / 3], [2, 1, 2 / 3]]
    assert curves(plot_training(records, "accuracy")) == [[0.5] * 3, [0.25] * 3]
    ax = plot_training(records, "gradient")
    assert curves(ax) == [[1.0] * 3, [0.5] * 3]
    assert ax.get_yscale() == "log"


def test_a_classifier_and_its_history_are_drawn_alike() -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    model = sg.SoftmaxClassifier(solver="lbfgs").fit(X, X[:, 0] > 0)
    ax = plot_training(model)
    assert curves(ax) == curves(plot_training(model.history_))
    assert curves(ax) == [[step.gap for step in model.history_]]
    epochs = [TrainingEpoch(1, 0.5, None, 0.1), TrainingEpoch(2, 0.25, None, 0.1)]
    assert curves(plot_training(epochs)) == [[0.5, 0.25]]


def test_of_many_layers_some_are_drawn_and_the_picture_says_so() -> None:
    ax = plot_training(history(layers=40), "gradient")
    assert len(ax.lines) == 12
    assert "12 of 40 layers" in ax.get_xlabel()


@pytest.mark.parametrize(
    ("training", "what", "error", "message"),
    [
        ([], None, ValueError, "`training` must be one with a record"),
        ("history", None, TypeError, "`training` must be a training"),
        (history(), "gap", ValueError, "`what` must be 'loss' or 'accuracy' or 'gradient'"),
    ],
)
def test_what_was_not_recorded_is_refused(
    training: Any, what: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot_training(training, what)


# --- foreign names --------------------------------------------------------------------------


def test_foreign_names_are_written_as_they_are() -> None:
    axes = [
        plot_jacobian(LOGITS, labels=ODD),
        plot_heads(sg.compare(X, W, 3), labels=ODD[:4]),
        plot_simplex_field("sum", labels=ODD[:3]),
        plot_path(dict.fromkeys(ODD, CLIMB), labels=ODD[2:]),
    ]
    for ax in axes:
        drawn(ax)
        assert "$5 or $6" in words(ax)
    assert set(ODD) <= set(words(axes[0])) & set(words(axes[-1]))


@pytest.mark.parametrize(
    ("plot", "count"),
    [
        (lambda labels: plot_jacobian(LOGITS, labels=labels), 5),
        (lambda labels: plot_heads(sg.compare(X, W, 1), labels=labels), 4),
        (lambda labels: plot_simplex_field("sum", labels=labels), 3),
        (lambda labels: plot_path(CLIMB, labels=labels), 3),
    ],
)
def test_labels_are_as_many_as_classes(plot: Callable[[Any], Any], count: int) -> None:
    with pytest.raises(ValueError, match=f"`labels` must be {count} labels, got 2"):
        plot(["a", "b"])


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_what_is_written_can_be_taken_away(plot: Callable[[Any], Any]) -> None:
    ax = plot(None)
    ax.set(title="", xlabel="", ylabel="")
    assert not {"Jacobian of softmax", "Ascent on log p[0]", "epoch", "output"} & set(words(ax))
