"""The answers of the tour: plain words around numbers that were just computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softgrad.arrays import Array
from softgrad.explain.arguments import Vector
from softgrad.explain.compare import Comparison, HeadGradient
from softgrad.explain.follow import Followed, Trajectory
from softgrad.explain.heads import HEADS
from softgrad.explain.hidden_softmax import HiddenSoftmax
from softgrad.explain.names import public_name
from softgrad.explain.tables import largest, milestones, part_of
from softgrad.losses import CrossEntropy
from softgrad.maps import softmax
from softgrad.nn import Network
from softgrad.results import Block, Paragraph, Table, counted, number

__all__ = [
    "Answer",
    "Sample",
    "descent_step",
    "how_it_becomes_a_vector",
    "how_it_passes_a_hidden_softmax",
    "what_differs_with_sigmoid",
    "what_follows_the_output",
    "why_a_matrix",
]

_SHOWN = 4
"""As many classes does a table show."""
_NUDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Answer:
    """A question and its answer."""

    question: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """One row of data at the last layer of a network."""

    features: Vector  # [D]
    target: int
    classes: tuple[str, ...]
    logits: Vector  # [K]
    p: Vector  # [K]
    jacobian: Vector  # [K, K]

    @classmethod
    def of(cls, network: Network, x: Array, target: int, classes: tuple[str, ...]) -> Sample:
        """Return what a network with a last softmax layer makes of a row x [D]."""
        logits = network.activations(x)[-2]
        p, J = softmax.linearize(logits)
        return cls(x, target, classes, logits, p, J.as_matrix())

    @property
    def shown(self) -> list[int]:
        """The likeliest classes, the target among them."""
        return largest(self.p, _SHOWN, always=self.target)

    @property
    def part(self) -> str:
        """What a table's title says of the classes that it shows; "" where it shows all."""
        return part_of(self.shown, self.p.size, "classes, the likeliest and the target")

    def name(self, k: int) -> str:
        """Return the name of class k, and whether it is the target."""
        return f"{self.classes[k]} (target)" if k == self.target else self.classes[k]


def why_a_matrix(sample: Sample) -> Answer:
    """Show that one logit moves every output."""
    p, K = sample.p, sample.p.size
    j = int(np.argmax(p))
    moved = (softmax(sample.logits + _NUDGE * (np.arange(K) == j)) - p) / _NUDGE
    name = sample.classes[j]
    rows = tuple(
        (sample.name(k), p[k], moved[k], sample.jacobian[k, j], p[k] * (1 - p[k]) * (k == j))
        for k in sample.shown
    )
    return Answer(
        "Why is the derivative of softmax a matrix?",
        (
            Paragraph(
                f"All {K} outputs share one sum, so each of them depends on all {K} logits: "
                f"{K} × {K} slopes, ∂p[i]/∂z[j] = p[i]·([i = j] − p[j]). Here the logit of class "
                f"{name} alone is raised by {_NUDGE:g}, in the row that the network is least sure "
                f"of, and {int(moved.astype(bool).sum())} of the {K} outputs move:"
            ),
            Table(
                ("class", "p", "measured Δp/Δz", f"column {name} of J", "h(1 − h) alone"),
                rows,
                f"Slopes of the outputs{sample.part}",
            ),
            Paragraph(
                f"h(1 − h) is the diagonal: right for 1 output, and it misses the "
                f"{counted(K - 1, 'other')}, −p[i]·p[j], which weigh as much: the column sums to "
                "zero."
            ),
        ),
    )


def how_it_becomes_a_vector(sample: Sample) -> Answer:
    """Show that Jᵀ·g is p − t."""
    p, K, target = sample.p, sample.p.size, sample.target
    t = (np.arange(K) == target).astype(np.float64)
    g = -t / p
    product = softmax.vjp(sample.logits, g)
    fused = CrossEntropy(reduction="sum").gradient(sample.logits, target)
    rows = tuple((sample.name(k), p[k], g[k] + 0.0, product[k], fused[k]) for k in sample.shown)
    error = float(np.abs(product - fused).max())
    return Answer(
        "How does a matrix become a vector that fits backpropagation?",
        (
            Paragraph(
                f"By a product: backpropagation brings g = ∂L/∂p, {K} numbers, and needs only "
                f"Jᵀ·g = p·(g − Σ g p), {K} numbers again; the {K * K} are never written down. "
                "For L = −log p[target], g is −1/p at the target, and the product is p − t."
            ),
            Table(
                ("class", "p", "g = ∂L/∂p", "Jᵀ·g", "p − t"),
                rows,
                f"What arrives and what goes on{sample.part}",
            ),
            Paragraph(f"Largest difference between the last two columns: {number(error)}."),
        ),
    )


def what_differs_with_sigmoid(sample: Sample, comparison: Comparison) -> Answer:
    """Put the gradients of several heads side by side."""
    target = sample.classes[sample.target]
    columns: dict[str, Vector] = {}
    for head in comparison.heads:
        outputs = public_name(HEADS[head.name].outputs)
        columns[f"{outputs} p"] = head.outputs  # once, where two heads share them
        columns[f"{head.name} ∂L/∂z"] = head.logits_bar
    rows = tuple(
        (sample.name(k), *(values[k] for values in columns.values())) for k in sample.shown
    )
    losses = "; ".join(f"{head.name}, {head.loss_formula}" for head in comparison.heads)
    return Answer(
        "What differs when the last layer is sigmoid?",
        (
            Paragraph(
                "Each cell of sigmoid depends on its own logit alone. Here are the same logits and "
                f"the same target under several heads and losses: {losses}."
            ),
            Table(("class", *columns), rows, f"Outputs p and the gradient in z{sample.part}"),
            Paragraph(
                " ".join(
                    f"With {head.name} a descent step {descent_step(head, sample.target, target)}; "
                    f"{int((~head.W_bar.any(axis=1)).sum())} of the {sample.p.size} rows of the "
                    "gradient in W are exactly zero."
                    for head in comparison.heads
                )
            ),
        ),
    )


def descent_step(head: HeadGradient, target: int, name: str) -> str:
    """Say what a step does to the logit of the target, `name`, and to those of the others."""
    signs = -np.sign(head.logits_bar)  # [K]
    parts = []
    for sign, does in ((1, "raises {}"), (-1, "lowers {}"), (0, "leaves {} alone")):
        who = []
        if signs[target] == sign:
            who.append(f"the logit of class {name}")
        others = int((np.delete(signs, target) == sign).sum())
        if others:
            who.append("another" if others == 1 else f"{others} others")
        if who:
            parts.append(does.format(" and ".join(who)))
    return " and ".join(parts)


def what_follows_the_output(
    classes: tuple[str, ...], followed: Followed, followed_sum: Followed
) -> Answer:
    """Show steps along an output's gradient, and along that of the sum."""
    seen = followed.trajectory
    steps = milestones(len(seen.objective) - 1)
    rows = tuple((s, *seen.outputs[s].tolist(), float(seen.gradient_size[s])) for s in steps)
    names = ", ".join(classes[:-1])
    columns = ("step", *(f"p({name})" for name in classes), "gradient")
    return Answer(
        "What happens when one follows the gradient of the output itself?",
        (
            Paragraph(
                f"Take the three likeliest classes, {names} and {classes[-1]}, and climb on "
                f"p({classes[1]}), with no loss:"
            ),
            Table(columns, rows),
            Paragraph(
                f"p({classes[1]}) goes from {number(seen.objective[0])} to "
                f"{number(seen.objective[-1])}, and its slope p(1 − p) goes {_slope(seen)}. "
                f"{followed_sum.words[0]} {followed_sum.words[-1]}"
            ),
        ),
    )


def _slope(seen: Trajectory) -> str:
    """Say how the slope of what is climbed on, in its own logit, changed."""
    slopes = seen.objective * (1 - seen.objective)
    peak = int(slopes.argmax())
    text = f"from {number(slopes[0])} to {number(slopes[-1])}"
    if 0 < peak < len(slopes) - 1:
        return f"{text}, by way of {number(slopes[peak])} at step {peak}"
    return text


def how_it_passes_a_hidden_softmax(hidden: HiddenSoftmax) -> Answer:
    """Show δ behind a hidden softmax, in front of it, and what differences say."""
    columns = (hidden.p, hidden.p_bar, hidden.z_bar, hidden.measured, hidden.diagonal_only)
    shown = largest(np.abs(hidden.z_bar), _SHOWN)
    rows = tuple((unit, *(float(values[unit]) for values in columns)) for unit in shown)
    part = part_of(shown, hidden.p.size, "units, those with the largest Jᵀ·δ")
    size = float(np.linalg.norm(hidden.z_bar))
    right, wrong = (
        float(np.linalg.norm(values - hidden.measured)) / size
        for values in (hidden.z_bar, hidden.diagonal_only)
    )
    return Answer(
        "How does the gradient pass a softmax that is not the last layer?",
        (
            Paragraph(
                "There is no p − t there, and no short cut: the incoming δ is multiplied by Jᵀ, "
                "as at any layer. The same row of data goes through a network of its own, new and "
                f"untrained: {' → '.join(hidden.layers)}. At its first softmax:"
            ),
            Table(
                ("unit", "p", "δ behind", "Jᵀ·δ", "measured", "h(1 − h)·δ"),
                rows,
                f"The gradient before and behind it{part}",
            ),
            Paragraph(
                f"Against differences of the loss, Jᵀ·δ is off by {right:.1g} of its size, and "
                f"h(1 − h)·δ by {100 * wrong:.0f} %."
            ),
        ),
    )
