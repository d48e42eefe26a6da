"""The pictures of the tour, each with a caption that says what is to be seen in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from softgrad.explain import Comparison
from softgrad.explain.arguments import Vector
from softgrad.explain.hidden_softmax import HiddenSoftmax
from softgrad.explain.tables import largest
from softgrad.explain.tour import Tour
from softgrad.maps import softmax
from softgrad.report.colours import FOLLOWED, SIGMOID, SUM
from softgrad.report.heat_map import heat_map, heat_maps
from softgrad.report.lines import Line, line_chart
from softgrad.report.page import Figure
from softgrad.report.panels import Panel
from softgrad.report.scales import pretty
from softgrad.report.sentences import course, named
from softgrad.report.simplex import Path, simplex
from softgrad.report.svg import join

__all__ = [
    "DIAGONAL",
    "draw_heads",
    "followed_figures",
    "heads_figure",
    "hidden_figure",
    "jacobian_figure",
    "misses",
    "product_figure",
]

DIAGONAL = "h(1\u00a0−\u00a0h)"
"""Kept on one line."""
_COLUMNS = 6
"""As many columns of a gradient in W are drawn, and fewer where more than two stand abreast."""


def jacobian_figure(tour: Tour) -> Figure:
    """Draw the Jacobian of softmax at the sample."""
    sample = tour.sample
    K, J = sample.p.size, sample.jacobian
    order = _likeliest_first(sample.p)
    names = [sample.classes[k] for k in order]
    svg = heat_map(
        J[np.ix_(order, order)],
        "Jacobian of softmax at one row",
        names,
        names,
        row_title="output p of class",
        column_title="when the logit of this class is raised",
    )
    zeros = int((J == 0).sum())
    return Figure(
        svg,
        f"Softmax divides by a sum over all classes, so each output depends on each logit: {K} × "
        f"{K} slopes, a matrix. A cell says how fast one output changes when one logit is raised: "
        f"orange grows, blue shrinks. {K * K - zeros} of them are not zero; the likeliest "
        f"classes come first. Every row sums to 0 ({_to_rounding(J.sum(axis=1))}): raising all "
        f"logits alike changes no output. {DIAGONAL} is the diagonal, {K} numbers of {K * K}.",
    )


def _likeliest_first(p: Vector) -> list[int]:
    return [int(k) for k in np.argsort(-p, kind="stable")]


def _to_rounding(sums: Vector) -> str:
    largest_sum = float(np.abs(sums).max())
    return "exactly" if largest_sum == 0 else f"the largest sum is {pretty(largest_sum, 2)}"


def product_figure(tour: Tour) -> Figure:
    """Draw p, t, their difference, and the product that is equal to it."""
    sample = tour.sample
    t = (np.arange(sample.p.size) == sample.target).astype(np.float64)  # [K]
    g = -t / sample.p
    product = softmax.vjp(sample.logits, g)
    columns = np.stack([product, sample.p - t, sample.p, t], axis=1) + 0.0  # [K, 4], no −0
    order = _likeliest_first(sample.p)
    names = [sample.classes[k] for k in order]
    # Each on a scale of its own: g is large where p is small.
    svg = join(
        heat_map(sample.jacobian[np.ix_(order, order)], "The matrix Jᵀ", names, names),
        heat_map(g[order, None] + 0.0, "times g", names, ["g"], scale=False),
        heat_map(columns[order], "is Jᵀ·g", names, ["Jᵀ·g", "p − t", "p", "t"], figures=3),
    )
    gap = float(np.abs(columns[:, 0] - columns[:, 1]).max())
    same = "exactly the same" if gap == 0 else f"the same, up to {pretty(gap, 2)}"
    return Figure(
        svg,
        "The matrix is not handed on: it is multiplied by the gradient g that arrives, one number "
        "a class, and Jᵀ·g leaves, one number a class. Here g is that of −log "
        f"p({named(sample.classes[sample.target])}): {pretty(g.min(), 2)} at this class and 0 "
        f"elsewhere, so the product is {pretty(g.min(), 2)} times the column of this class. p: "
        f"what the network says. t: what is right. The columns Jᵀ·g and p − t are {same}: softmax "
        "and cross-entropy together send back p − t.",
    )


def heads_figure(tour: Tour) -> Figure:
    """Draw the gradients in W of all heads on one colour scale."""
    comparison, sample = tour.comparison, tour.sample
    K, D = comparison.W.shape
    C = len(_columns(comparison))
    zeros = [
        f"{int((~head.W_bar.any(axis=1)).sum())} of {K} with {head.name}"
        for head in comparison.heads
    ]
    formulas = [
        f"{head.gradient_formula} with {head.name}, L = {head.loss_formula}"
        for head in comparison.heads
    ]
    part = f" Drawn are {C} of {D} columns, those with the largest inputs."
    return Figure(
        draw_heads(comparison, [sample.name(k) for k in range(K)]),
        f"The gradient in the last layer's weights that {len(comparison.heads)} heads send for the "
        f"same row, whose class is {named(sample.classes[sample.target])}, in the same colours: a "
        "step moves orange weights down and blue ones up. Row k is ∂L/∂z[k] times the input, and "
        f"∂L/∂z is {'; '.join(formulas)}. Rows that are zero exactly, in every "
        f"column: {', '.join(zeros)}.{part * (C < D)}",
    )


def draw_heads(comparison: Comparison, names: Sequence[str]) -> Markup:
    """Draw the gradients in W of all heads, in the columns with the largest inputs."""
    columns = _columns(comparison)
    labels = [f"x[{j}]" for j in columns]
    panels = [
        Panel(
            head.W_bar[:, columns],
            f"{head.name} head",
            names,
            labels,
            "row of W",
            key_row=comparison.target,
        )
        for head in comparison.heads
    ]
    return heat_maps(panels)


def _columns(comparison: Comparison) -> list[int]:
    abreast = max(2, len(comparison.heads))
    return largest(np.abs(comparison.x), 2 * _COLUMNS // abreast)


def followed_figures(tour: Tour) -> tuple[Figure, ...]:
    """Draw the steps in the triangle and as curves, and the sum that does not move."""
    return (_triangle(tour), _curves(tour), _sums(tour))


def _triangle(tour: Tour) -> Figure:
    seen, still = tour.followed.trajectory.outputs, tour.followed_sum.trajectory.outputs
    names = tour.followed_classes
    target = named(names[1])
    paths = [
        Path(f"climbing on p({target})", seen, FOLLOWED),
        Path("climbing on the sum", still, SUM),
    ]
    ends = ", ".join(pretty(value, 2) for value in seen[-1].tolist())
    moved = float(np.abs(still[-1] - still[0]).max())
    rest = "does not move at all" if moved == 0 else f"moves by {pretty(moved, 2)}"
    return Figure(
        simplex(paths, [f"all on {named(name)}" for name in names], "Outputs on the triangle"),
        "The gradient of outputs themselves is followed, with no loss and no target. Each point of "
        "the triangle is three outputs that sum to 1; in a corner one class has all. "
        f"Climbing on p({target}) ends at ({ends}) for ({', '.join(map(named, names))}). "
        f"Climbing on the sum of the three {rest}.",
    )


def _curves(tour: Tour) -> Figure:
    seen = tour.followed.trajectory
    lines = [
        Line(f"p({named(name)})", seen.outputs[:, k], colour=k)
        for k, name in enumerate(tour.followed_classes)
    ]
    lines.append(Line("gradient size", seen.gradient_size, colour=FOLLOWED))
    peak = int(seen.gradient_size.argmax())
    return Figure(
        line_chart(lines, "Outputs and gradient by step", x_label="step", y_label="p, or size"),
        f"The same climb, step by step. p({named(tour.followed_classes[1])}) "
        f"{course(seen.objective.tolist())}. Its gradient is largest at step {peak}, "
        f"{pretty(seen.gradient_size[peak])}, and is {pretty(seen.gradient_size[-1])} at the end: "
        "an output's slope in its own logit is p(1 − p), and dies as p comes near 1.",
    )


def _sums(tour: Tour) -> Figure:
    runs = [(tour.followed_sum.trajectory, SUM), (tour.followed_sum.sigmoid, SIGMOID)]
    seen = [(run, colour) for run, colour in runs if run is not None]
    ends = [f"with {run.outputs_map} it {course(run.objective.tolist())}" for run, _ in seen]
    return Figure(
        line_chart(
            [Line(run.outputs_map, run.objective, colour=colour) for run, colour in seen],
            "The plain sum by step",
            x_label="step",
            y_label="sum of three outputs",
        ),
        f"Climbing on the plain sum of the outputs: {', '.join(ends)}. The outputs of softmax sum "
        "to 1 whatever the logits are, so there is no way up.",
    )


def hidden_figure(tour: Tour) -> Figure:
    """Draw the gradient in front of a hidden softmax: measured, right and wrong."""
    hidden = tour.hidden
    right, wrong = misses(hidden)
    svg = heat_map(
        np.stack([hidden.measured, hidden.z_bar, hidden.diagonal_only], axis=1),  # [H, 3]
        "The gradient in front of a hidden softmax",
        columns=("measured", "Jᵀ·δ", f"{DIAGONAL}·δ"),
        row_title="hidden unit",
    )
    return Figure(
        svg,
        "No target stands behind a softmax in the middle of a network, so there is no p − t: a "
        "gradient δ arrives from the layers above, and Jᵀ·δ = p·(δ − ⟨p, δ⟩) goes on. Here, in a "
        "new, untrained network. Left: how the loss changes when each input of the softmax is "
        f"moved. Middle: this product, which is off by {pretty(right, 2)} of the size of the left. "
        f"Right: {DIAGONAL}·δ, which is off by {pretty(wrong, 2)}.",
    )


def misses(hidden: HiddenSoftmax) -> tuple[float, float]:
    """Return how far Jᵀ·δ and h(1 − h)·δ are from what was measured, relative to its size."""
    size = float(np.linalg.norm(hidden.measured)) or 1.0
    right, wrong = (
        float(np.linalg.norm(values - hidden.measured)) / size
        for values in (hidden.z_bar, hidden.diagonal_only)
    )
    return right, wrong
