"""Cross-entropy at logits, log-probabilities or probabilities, seen from its value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = [
    "LABELS_ALONE",
    "LOSS_DIAGONAL",
    "LOSS_FACTOR",
    "LOSS_FUSED",
    "LOSS_OTHER",
    "LOSS_PROJECTION",
    "LOSS_VARIABLE",
    "softmax",
    "targets",
]


@dataclass(frozen=True)
class _Loss:
    """A cross-entropy at logits, log-probabilities or probabilities `x` [N, K]."""

    domain: str
    p: Vector
    t: Vector
    """Targets, one-hot or soft, times the weights of the rows."""
    weight: Vector
    """dloss/dloss_n for every output m: [M, N, 1]."""

    @property
    def right(self) -> Vector:
        """The gradient of a row's own loss."""
        if self.domain == "logits":
            return np.asarray(self.p * self.t.sum(axis=-1, keepdims=True) - self.t)
        return -self.t / (self.p if self.domain == "probabilities" else 1.0)

    def matrix(self, inner: Vector) -> Matrix:
        """Return the Jacobian whose gradient of row n is `inner[n]`: [M, n]."""
        return np.asarray((self.weight * inner).reshape(self.weight.shape[0], -1))


def softmax(x: Vector, axis: int | tuple[int, ...] = -1) -> Vector:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _recognised(view: View) -> Iterator[_Loss]:
    """Yield the cross-entropy that the forward is, if it is one, for classes on the last axis."""
    y, x = view.y, view.x
    if y is None or x.ndim < 1 or x.shape[-1] < 2:
        return
    for t in targets(view):
        rows = x.reshape(-1, x.shape[-1])
        for domain, log_p in _domains(rows):
            per_row = -(t * log_p).sum(axis=-1)
            entropy = -(t * np.log(np.where(t > 0, t, 1.0))).sum(axis=-1)
            for each in (per_row, per_row - entropy):  # the divergence has the same gradient
                weight = _weights(y, each, float(t.sum()))
                loss = None if weight is None else _Loss(domain, np.exp(log_p), t, weight)
                # Of numbers that sum to 1 the value does not tell logits from their logarithms.
                if loss is not None and _is_near(loss.matrix(loss.right), view.J):
                    yield loss
                    return


def _is_near(one: Matrix, other: Matrix) -> bool:
    return one.shape == other.shape and rms(one - other) <= 1e-5 * rms(other)


def targets(view: View) -> Iterator[Vector]:
    """Yield [N, K]: one-hot rows of integer inputs, or floating-point inputs of x's shape."""
    x = view.x
    K = x.shape[-1]
    for array in view.others.values():
        if array.dtype.kind in "iu" and array.shape == x.shape[:-1]:
            labels = array.reshape(-1)
            known = (labels >= 0) & (labels < K)
            yield np.eye(K)[np.where(known, labels, 0)] * known[:, None]
            yield from _weighted(view, np.where(known, labels, 0), known)
        elif array.shape == x.shape:
            t = array.astype(np.float64).reshape(-1, K)
            yield t
            total = t.sum(axis=-1, keepdims=True)
            if t.min() > 0 and not np.allclose(total, 1):
                yield t / total


def _weighted(view: View, labels: Vector, known: Vector) -> Iterator[Vector]:
    """Yield one-hot rows times the weights of classes or rows that another input may hold."""
    K = view.x.shape[-1]
    one_hot = np.eye(K)[labels] * known[:, None]
    for weights in view.others.values():
        if weights.dtype.kind == "f" and weights.shape == (K,):
            yield one_hot * weights
        if weights.dtype.kind == "f" and weights.shape == labels.shape:
            yield one_hot * weights[:, None]


def _domains(rows: Vector) -> Iterator[tuple[str, Vector]]:
    yield "logits", np.log(softmax(rows))
    yield "log-probabilities", rows
    if rows.min() > 0:
        yield "probabilities", np.log(rows)


def _weights(y: Vector, per_row: Vector, total: float) -> Vector | None:
    """Return how the outputs follow from the losses of the rows: sum, mean, or each its own."""
    N = per_row.size
    if y.size == 1:
        value = float(y.reshape(-1)[0])
        count = int(np.count_nonzero(per_row)) or 1
        for c in (1 / N, 1.0, 1 / count, 1 / (total or 1.0)):
            if np.isclose(value, c * per_row.sum(), rtol=1e-7, atol=0):
                return np.full((1, N, 1), c)
        return None
    if y.size == N and np.allclose(y.ravel(), per_row, rtol=1e-7, atol=1e-12):
        return np.eye(N)[:, :, None]
    return None


def _end(loss: _Loss) -> str:
    """Return what a gradient ends in: what its rows are divided by, or multiplied."""
    weight = loss.weight
    if weight.shape[0] > 1:
        return ""  # every row is an output of its own
    N, c = weight.shape[1], float(weight[0, 0, 0])
    if not np.allclose(weight, c):
        return " * weight"
    return "" if c == 1 else " / N" if abs(N * c - 1) < 1e-12 else f" * {c:.6g}"


def _variable(view: View) -> Iterator[Guess]:
    for loss in _recognised(view):
        rows, t = view.x.reshape(-1, view.x.shape[-1]), loss.t
        total = t.sum(axis=-1, keepdims=True)
        s = softmax(rows)
        end = _end(loss)
        right = {
            "logits": f"g * (softmax(z) - t){end}",
            "log-probabilities": f"-g * t{end}",
            "probabilities": f"-g * t / p{end}",
        }
        expected = right[loss.domain]
        variants: dict[str, tuple[Vector, str, str]] = {}
        if loss.domain == "logits":
            twice = "Softmax is applied twice: the gradient is taken at the probabilities"
            error = s * total - t
            variants = {
                "fused, and softmax": (
                    s * (error - (error * s).sum(axis=-1, keepdims=True)),
                    "s − t is the gradient at the logits, and it is passed through softmax again",
                    "J_softmax @ (s - t)",
                ),
                "softmax twice": (softmax(s) * total - t, twice, "softmax(softmax(z)) - t"),
                "logits for s": (
                    rows * total - t,
                    "The logits stand where their softmax must",
                    "z - t",
                ),
                "log s for s": (
                    np.log(s) * total - t,
                    "log_softmax stands where softmax must",
                    "logsoftmax(z) - t",
                ),
                "sigmoid for s": (
                    1 / (1 + np.exp(-rows)) * total - t,
                    "The sigmoid stands where softmax must",
                    "sigmoid(z) - t",
                ),
                "exp for s": (
                    np.exp(rows) * total - t,
                    "exp without its sum stands where softmax must",
                    "exp(z) - t",
                ),
                "at p": (
                    -t / s,
                    "This is the gradient at the probabilities, and the input is the logits",
                    "-t / softmax(z)",
                ),
            }
            for k, other in enumerate(targets(view)):
                if not np.allclose(other.sum(axis=-1, keepdims=True), total):
                    continue
                variants[f"other labels {k}"] = (
                    s * total - other,
                    "Another argument stands for the labels",
                    "softmax(z) - other",
                )
        else:
            fused = f"This is the gradient at the logits, and the input is the {loss.domain}"
            for name, p in (("exp", np.exp(rows)), ("softmax", s), ("p", loss.p)):
                formula = {"exp": "exp(x) - t", "softmax": "softmax(x) - t", "p": "p - t"}[name]
                variants[f"fused, {name}"] = (p * total - t, fused, formula)
            if loss.domain == "log-probabilities":
                text = "This is the gradient at the probabilities, and the input is their logarithm"
                variants["at p"] = (-t / np.exp(rows), text, "-t / exp(x)")
                text = "This is the gradient at the targets, and the input is the log-probabilities"
                with np.errstate(divide="ignore"):
                    variants["at t"] = (np.log(t) - rows + 1, text, "log(t) - x + 1")
            else:
                text = "The probabilities that must divide the targets are missing: this is the "
                variants["at log p"] = (-t, text + "gradient at their logarithm", "-t")
        for name, (inner, text, wrong) in variants.items():
            line = Formula(f"g * ({wrong}){end}", expected)
            yield Guess(name, loss.matrix(inner), f"{text}.", line)


def _expectation(view: View) -> Iterator[Guess]:
    for loss in _recognised(view):
        if loss.domain == "logits":
            text = (
                "The term softmax(z), which the sum over all classes brings, is missing: this is "
                "the gradient at the log-probabilities, and the input is the logits."
            )
            formula = Formula(f"-g * t{_end(loss)}", f"g * (softmax(z) - t){_end(loss)}")
            yield Guess("expectation missing", loss.matrix(-loss.t), text, formula)


def _fused(view: View) -> Iterator[Guess]:
    """A loss of probabilities that is none of the known: p − t is never its gradient."""
    y, p = view.y, view.x
    if y is None or y.size != 1 or p.ndim < 1 or not (p.min() > 0 and p.max() < 1):
        return
    text = (
        "This is p − t, the gradient of cross-entropy at the logits, and the input is the "
        "probabilities: the Jacobian of softmax, or of the sigmoid, is in it."
    )
    for k, t in enumerate(targets(view)):
        guess = (p - t.reshape(p.shape)).reshape(1, -1)
        yield Guess(f"p − t {k}", guess, text, Formula("g * (p - t)", "g * dloss/dp"))


def _diagonal(view: View) -> Iterator[Guess]:
    text = (
        "Softmax is passed with the diagonal of its Jacobian alone, s·(1 − s): the cross "
        "derivatives are missing."
    )
    for loss in _recognised(view):
        if loss.domain == "logits":
            inner, end = -loss.t * (1 - loss.p), _end(loss)
            right = f"g * (softmax(z) - t){end}"
            yield Guess(
                "loss, diagonal", loss.matrix(inner), text,
                Formula(f"g * t * (s - 1){end}", right),
            )  # fmt: skip
            extra = (loss.p * loss.t.sum(axis=-1, keepdims=True) - loss.t) * loss.p * (1 - loss.p)
            more = (
                "The derivative s·(1 − s) is multiplied in, and s − t has passed softmax already."
            )
            yield Guess(
                "loss, extra", loss.matrix(extra), more,
                Formula(f"g * (s - t) * s * (1 - s){end}", right),
            )  # fmt: skip


def _labels_alone(view: View) -> Iterator[Guess]:
    for loss in _recognised(view):
        if loss.domain != "logits":
            continue
        total = loss.t.sum(axis=-1, keepdims=True)
        text = "The gradient is wrong at the targets alone: {}."
        for name, inner, what, wrong in (
            ("target missing", loss.p * total, "t is not subtracted from softmax", "softmax(z)"),
            (
                "target added",
                loss.p * total + loss.t,
                "t is added and not subtracted",
                "softmax(z) + t",
            ),
            (
                "target doubled",
                loss.p * total - 2 * loss.t,
                "t is subtracted twice",
                "softmax(z) - 2 * t",
            ),
            (
                "one too low",
                loss.p * total - np.roll(loss.t, -1, axis=-1),
                "the class before the label is taken for it",
                "softmax(z) - one_hot(label - 1)",
            ),
            (
                "one too high",
                loss.p * total - np.roll(loss.t, 1, axis=-1),
                "the class after the label is taken for it",
                "softmax(z) - one_hot(label + 1)",
            ),
        ):
            end = _end(loss)
            formula = Formula(f"g * ({wrong}){end}", f"g * (softmax(z) - t){end}")
            yield Guess(name, loss.matrix(inner), text.format(what), formula)


def _factor(view: View) -> Iterator[Guess]:
    """The right gradient over another number of rows, or another sum of weights."""
    for loss in _recognised(view):
        N, total = loss.t.shape[0], float(loss.t.sum())
        if view.J.shape[0] == 1 and abs(total - N) > 1e-6 * N:
            c = float(loss.weight[0, 0, 0])
            for name, value in (("the number of rows", N), ("the sum of the weights", total)):
                text = f"The gradient is divided by {name}, and the loss is not."
                yield Guess(f"over {name}", view.J / (c * value), text)
            yield Guess("over nothing", view.J / c, "The gradient is not divided as the loss is.")


def _other(view: View) -> Iterator[Guess]:
    """The gradient of plain cross-entropy, where the loss is more than that."""
    y, x = view.y, view.x
    if y is None or x.ndim < 1 or x.shape[-1] < 2:
        return
    rows = x.reshape(-1, x.shape[-1])
    N = len(rows)
    if y.size not in (1, N):
        return
    text = (
        "This is the gradient of plain cross-entropy: what else the loss contains, such as "
        "weights, smoothing or a penalty, is left out."
    )
    found = list(targets(view))
    divisors = [float(N), *(float(t.sum()) or 1.0 for t in found)]
    for (k, t), (j, divisor) in product(enumerate(found), enumerate(divisors)):
        weight = np.full((1, N, 1), 1 / divisor) if y.size == 1 else np.eye(N)[:, :, None]
        matrix = _Loss("logits", softmax(rows), t, weight)
        yield Guess(f"plain {k} {j}", matrix.matrix(matrix.p - t), text)


LOSS_VARIABLE = Hypothesis(
    "wrong-variable", "A = s(s(x)) − t, s(x) − t or −t/s", "the loss's own value", _variable
)
LOSS_FUSED = Hypothesis("wrong-variable", "A = c·(p − t)", "another h(p)", _fused)
LOSS_PROJECTION = Hypothesis(
    "projection-term", "A = −t for softmax(x) − t", "entries off the target", _expectation
)
LOSS_DIAGONAL = Hypothesis(
    "diagonal-only", "A = dloss/ds · diag(J_softmax)", "entries off the target", _diagonal
)
LABELS_ALONE = Hypothesis("subset", "A − J = c·t", "an error off the targets", _labels_alone)
LOSS_FACTOR = Hypothesis("scale", "A = J·N/Σw", "another divisor", _factor, factor=False)
LOSS_OTHER = Hypothesis("chain-term", "A = softmax(x) − t", "J itself", _other)
