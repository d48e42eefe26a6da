"""Every loss and every option against its definition: value, gradient and Hessian.

A definition here is a primal, typed plainly and computed by mpmath; gradients and Hessians are
checked against differences of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import oracles
import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits, assert_zero
from softgrad.losses import TopK
from specs import each_sample, probe, sample

N, K = 3, 4
LABELS = np.array([2, 0, 3])
CLASS_WEIGHTS = np.array([0.5, 2.0, 0.25, 1.5])
ROW_WEIGHTS = np.array([1.0, 0.5, 3.0])
WHERE = np.array([[True, False, True, True], [True, True, True, True], [False, True, True, True]])


def logits(scale: float = 1.0) -> np.ndarray:
    return sample("normal", scale, k=K, rows=N)


def soft_targets() -> np.ndarray:
    return sg.softmax(probe((N, K), seed=5))


# --- definitions -----------------------------------------------------------------------------


def reduced(losses: list[Any], weights: list[Any], how: str, divisor: Any = None) -> list[Any]:
    """Reduce weighted losses: "none", "sum", or "mean" by the given divisor."""
    weighted = [a * b for a, b in zip(losses, weights, strict=True)]
    if how == "none":
        return weighted
    total = mpmath.fsum(weighted)
    if how == "sum":
        return [total]
    divisor = mpmath.fsum(weights) if divisor is None else divisor
    return [total / divisor]


def cross_entropy_definition(
    x: list[list[Any]],
    targets: Any,
    loss: sg.CrossEntropy,
    class_weights: np.ndarray | None = None,
    row_weights: np.ndarray | None = None,
    where: np.ndarray | None = None,
) -> list[Any]:
    """−Σ_j c_j((1 − ε)t_j + ε/K) log p_j + ζ·lse² of every row, weighted and reduced."""
    if isinstance(targets, TopK):
        targets = dense_targets(targets, loss.rest)
    if loss.soft_cap is not None:
        x = [[loss.soft_cap * mpmath.tanh(v / loss.soft_cap) for v in row] for row in x]
    x = [[v / mpf(loss.temperature) for v in row] for row in x]
    c = oracles.row(np.ones(K) if class_weights is None else class_weights)
    w = oracles.row(np.ones(N) if row_weights is None else row_weights)
    losses, masses, counted = [], [], 0
    for i, row in enumerate(x):
        classes = [j for j in range(K) if where is None or where[i, j]]
        if targets.ndim == 1:
            if targets[i] == loss.ignore_index:
                w[i] = mpf(0)
            t = [mpf(int(j == targets[i])) for j in range(K)]
        else:
            t = oracles.row(targets[i])
        counted += w[i] != 0
        mass = mpmath.fsum(a * b for a, b in zip(c, t, strict=True))
        masses.append(w[i] if class_weights is None else w[i] * mass)
        eps = mpf(loss.label_smoothing)
        smooth = [(1 - eps) * t[j] + eps / len(classes) for j in classes]
        kept = [row[j] for j in classes]
        value = oracles.cross_entropy(
            kept, [c[j] * s for j, s in zip(classes, smooth, strict=True)]
        )
        losses.append(value + mpf(loss.z_loss) * oracles.logsumexp(kept)[0] ** 2)
    divisors = {"weight": mpmath.fsum(masses), "count": mpf(int(counted))}
    divisor = divisors.get(loss.normalizer) if isinstance(loss.normalizer, str) else loss.normalizer
    return reduced(losses, w, loss.reduction, divisor)


def dense_targets(targets: Any, rest: str) -> np.ndarray:
    """Write some classes a row as a number for each: what is listed twice adds up."""
    t = np.zeros((N, K))
    for i, (ids, probabilities) in enumerate(zip(*targets, strict=True)):
        for j, p in zip(ids, probabilities, strict=True):
            t[i, j] += p
        others = [j for j in range(K) if j not in ids]
        if rest == "spread" and others:
            t[i, others] += max(0.0, 1 - math.fsum(probabilities)) / len(others)
    return t


def assert_agrees(
    loss: Any,
    definition: Callable[[list[list[Any]]], list[Any]],
    x: np.ndarray,
    targets: Any,
    **options: Any,
) -> None:
    """Compare value, gradient and a product with the Hessian with the definition's differences."""
    rows = [oracles.row(row) for row in x]
    value, gradient = loss.value_and_gradient(x, targets, **options)
    expected = oracles.to_floats(definition(rows))
    assert_close(np.ravel(value), expected, u=32, what="value")
    assert_same_bits(value, loss(x, targets, **options))
    assert_same_bits(value, loss.value(x, targets, **options))
    assert_same_bits(gradient, loss.gradient(x, targets, **options))
    value_bar = np.asarray(probe(np.shape(value), seed=9))
    spread = value_bar[..., None] if value_bar.ndim == x.ndim - 1 > 0 else value_bar
    handed_on = loss.vjp(x, targets, value_bar, **options)
    assert_close(handed_on, spread * gradient, u=8, what="vjp")

    def total(flat: list[Any]) -> list[Any]:
        """Sum the definition, as a function of all logits: "none" has each row's own gradient."""
        again = iter(flat)
        return [mpmath.fsum(definition([[next(again) for _ in row] for row in rows]))]

    flat, v = [z for row in rows for z in row], probe(x.shape, seed=8)
    slopes = oracles.to_floats(oracles.vjp(total, flat, [mpf(1)]))
    assert_close(np.ravel(gradient), slopes, u=64, what="gradient")
    bends = oracles.to_floats(oracles.hvp(total, flat, [mpf(1)], oracles.row(v.ravel())))
    hessian = loss.hessian(x, targets, **options)
    product = hessian.mv(v)
    if any(abs(bend) > 1e-30 for bend in bends):
        assert_close(np.ravel(product), bends, u=256, what="hessian")
    else:
        assert_zero(product, u=64, scale=np.max(np.abs(v)))
    matrix = hessian.as_matrix()  # [N, K, K]
    assert_close(np.einsum("nij,nj->ni", matrix, v), product, u=64) if np.any(product) else None
    assert_close(hessian.rmv(v), product, u=16) if np.any(product) else None


def assert_cross_entropy_agrees(loss: Any, x: Any, targets: Any, **options: Any) -> None:
    def definition(rows: list[list[Any]]) -> list[Any]:
        given = targets if isinstance(targets, TopK) else np.asarray(targets)
        return cross_entropy_definition(rows, given, loss, **options)

    assert_agrees(loss, definition, x, targets, **options)


# --- cross-entropy ---------------------------------------------------------------------------

WEIGHTS = {
    "plain": {},
    "class": {"class_weights": CLASS_WEIGHTS},
    "row": {"row_weights": ROW_WEIGHTS},
    "both": {"class_weights": CLASS_WEIGHTS, "row_weights": ROW_WEIGHTS},
}


@pytest.mark.parametrize("targets", ["labels", "soft"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("smoothing", "z_loss"), [(0.0, 0.0), (0.1, 0.0), (0.2, 0.01)])
@pytest.mark.parametrize(
    ("reduction", "normalizer"),
    [("mean", "weight"), ("mean", "count"), ("mean", 7.5), ("sum", "weight"), ("none", "weight")],
)
def test_cross_entropy_is_its_definition(
    targets: str, weights: str, smoothing: float, z_loss: float, reduction: str, normalizer: Any
) -> None:
    loss = sg.CrossEntropy(
        reduction=reduction, normalizer=normalizer, label_smoothing=smoothing, z_loss=z_loss
    )
    t = LABELS if targets == "labels" else soft_targets()
    assert_cross_entropy_agrees(loss, logits(), t, **WEIGHTS[weights])


@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("targets", ["labels", "soft"])
def test_cross_entropy_is_its_definition_at_any_scale(targets: str, scale: float) -> None:
    t = LABELS if targets == "labels" else soft_targets()
    assert_cross_entropy_agrees(sg.cross_entropy, logits(scale), t)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("targets", ["labels", "soft"])
def test_cross_entropy_with_a_mask(targets: str, weights: str, smoothing: float) -> None:
    soft = np.where(WHERE, soft_targets(), 0)
    loss = sg.CrossEntropy(label_smoothing=smoothing)
    t = LABELS if targets == "labels" else soft
    assert_cross_entropy_agrees(loss, logits(), t, where=WHERE, **WEIGHTS[weights])


@pytest.mark.parametrize("normalizer", ["weight", "count", 2.0])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("ignored", [0, -100])
def test_cross_entropy_with_ignored_labels(ignored: int, weights: str, normalizer: Any) -> None:
    labels = np.array([2, ignored, 3])
    loss = sg.CrossEntropy(ignore_index=ignored, label_smoothing=0.1, normalizer=normalizer)
    assert_cross_entropy_agrees(loss, logits(), labels, **WEIGHTS[weights])


@pytest.mark.parametrize("targets", ["labels", "soft"])
def test_cross_entropy_with_all_options_at_once(targets: str) -> None:
    loss = sg.CrossEntropy(label_smoothing=0.3, z_loss=0.1, ignore_index=0, normalizer="count")
    t = LABELS if targets == "labels" else np.where(WHERE, soft_targets(), 0)
    options = {"class_weights": CLASS_WEIGHTS, "row_weights": ROW_WEIGHTS, "where": WHERE}
    assert_cross_entropy_agrees(loss, logits(), t, **options)


TOP_K = TopK(
    np.array([[2, 0], [1, 1], [3, 2]]), np.array([[0.5, 0.25], [0.3, 0.4], [0.75, 0.3125]])
)


@pytest.mark.parametrize("targets", ["labels", "soft", "top_k"])
@pytest.mark.parametrize(
    ("temperature", "soft_cap"), [(0.7, None), (3.0, None), (1.0, 2.0), (1.0, 30.0), (0.5, 3.0)]
)
@pytest.mark.parametrize(("z_loss", "weights"), [(0.0, "plain"), (0.05, "both")])
def test_cross_entropy_at_a_temperature_and_under_a_cap(
    targets: str, temperature: float, soft_cap: float | None, z_loss: float, weights: str
) -> None:
    t = {"labels": LABELS, "soft": soft_targets(), "top_k": TOP_K}[targets]
    loss = sg.CrossEntropy(temperature=temperature, soft_cap=soft_cap, z_loss=z_loss)
    assert_cross_entropy_agrees(loss, logits(2.0), t, **WEIGHTS[weights])


@pytest.mark.parametrize("rest", ["ignore", "spread"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("normalizer", ["weight", "count"])
def test_cross_entropy_of_some_classes_a_row(
    rest: str, weights: str, smoothing: float, normalizer: str
) -> None:
    loss = sg.CrossEntropy(rest=rest, label_smoothing=smoothing, normalizer=normalizer)
    assert_cross_entropy_agrees(loss, logits(), TOP_K, **WEIGHTS[weights])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_what_no_listed_class_has_is_spread_over_all(weights: str) -> None:
    nothing = TopK(np.zeros((N, 0), dtype=np.int64), np.zeros((N, 0)))
    loss = sg.CrossEntropy(rest="spread", validate=True)
    assert_cross_entropy_agrees(loss, logits(), nothing, **WEIGHTS[weights])


@pytest.mark.parametrize(("rest", "listed"), [("ignore", 2), ("spread", 2), ("spread", 0)])
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_some_classes_a_row_are_dense_targets_in_every_library(
    rest: str, listed: int, library: str
) -> None:
    xp = pytest.importorskip("torch" if library == "torch" else "jax.numpy")
    x, c = xp.asarray(np.float32(logits())), xp.asarray(np.float32(CLASS_WEIGHTS))
    some = TopK(*(part[:, :listed] for part in TOP_K))
    top_k = TopK(xp.asarray(some.ids), xp.asarray(np.float32(some.probabilities)))
    dense = xp.asarray(np.float32(dense_targets(some, rest)))
    loss = sg.CrossEntropy(rest=rest)
    sparse = loss.value_and_gradient(x, top_k, class_weights=c)
    given = loss.value_and_gradient(x, dense, class_weights=c)
    assert_close(sparse[0], as_numpy(given[0]), u=8)
    assert_close(sparse[1], as_numpy(given[1]), u=8)


def test_a_bad_id_has_its_position_and_shapes_must_match() -> None:
    bad = TopK(np.array([[0, 1], [1, 4], [2, -1]]), TOP_K.probabilities)
    with pytest.raises(IndexError, match=r"`targets.ids` must be class indices from 0 to 3, got 4"):
        sg.cross_entropy(logits(), bad)
    with pytest.raises(IndexError, match=r"at position \(1, 1\)"):
        sg.cross_entropy(logits(), bad)
    with pytest.raises(ValueError, match=r"integers of shape \(3, k\), got int64 \(2, 2\)"):
        sg.cross_entropy(logits(), TopK(TOP_K.ids[:2], TOP_K.probabilities[:2]))
    with pytest.raises(ValueError, match=r"of shape \(3, 2\) to match `targets.ids`"):
        sg.cross_entropy(logits(), TopK(TOP_K.ids, TOP_K.probabilities[:, :1]))
    with pytest.raises(ValueError, match="probabilities that sum to one"):
        sg.CrossEntropy(validate=True)(logits(), TOP_K)


# --- out -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    "loss", [sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error, sg.FenchelYoung()]
)
def test_gradient_is_written_where_it_is_asked_for(
    loss: Any, library: str, dtype: Any, axis: int
) -> None:
    xp = np if library == "numpy" else pytest.importorskip("torch")
    x, t = xp.asarray(logits().astype(dtype)), xp.asarray(soft_targets().astype(dtype))
    if axis == 0:
        x, t = x.T, t.T
    value, gradient = loss.value_and_gradient(x, t, axis=axis)
    out = xp.zeros_like(x) + xp.nan
    there = loss.value_and_gradient(x, t, axis=axis, out=out)
    assert there[1] is out
    assert_same_bits(there[0], value)
    assert_same_bits(out, gradient)
    over = loss.value_and_gradient(x, t, axis=axis, out=x)
    assert over[1] is x
    assert_same_bits(over[0], value)
    assert_same_bits(x, gradient)


def test_out_is_an_array_like_x_that_can_be_written_to() -> None:
    x, t = logits(), soft_targets()
    read_only = x.copy()
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="`out` must be writable, got a read-only array"):
        sg.cross_entropy.value_and_gradient(x, t, out=read_only)
    for bad in (np.zeros((N, K + 1)), np.zeros((N, K), np.float32)):
        with pytest.raises(ValueError, match=r"`out` must be float64 \(3, 4\)"):
            sg.cross_entropy.value_and_gradient(x, t, out=bad)
    with pytest.raises(TypeError, match="`out` must be an array, got list"):
        sg.cross_entropy.value_and_gradient(x, t, out=x.tolist())


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("targets", ["labels", "soft"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_cross_entropy_over_any_axis(axis: int, targets: str, reduction: str) -> None:
    loss = sg.CrossEntropy(reduction=reduction, label_smoothing=0.1)
    rows = probe((2, 3, 4), seed=1)  # classes last
    labels = np.arange(6).reshape(2, 3) % 4
    soft = sg.softmax(probe((2, 3, 4), seed=2))
    x = np.moveaxis(rows, -1, axis)
    there = loss.value_and_gradient(
        x, labels if targets == "labels" else np.moveaxis(soft, -1, axis), axis=axis
    )
    here = loss.value_and_gradient(rows, labels if targets == "labels" else soft)
    assert_same_bits(there[0], here[0])
    assert_same_bits(there[1], np.moveaxis(here[1], -1, axis))


def test_gradient_is_p_minus_t() -> None:
    x = logits()
    gradient = sg.CrossEntropy(reduction="sum").gradient(x, LABELS)
    assert_close(gradient, sg.softmax(x) - np.eye(K)[LABELS], u=8)
    mean = sg.cross_entropy.gradient(x, LABELS)
    assert_close(mean, (sg.softmax(x) - np.eye(K)[LABELS]) / N, u=8)


@each_sample
@pytest.mark.parametrize("splits", [[1, 7], [2, 2, 4], [1] * 8])
def test_micro_batches_with_one_normalizer_give_one_gradient(
    kind: str, scale: float, splits: list[int]
) -> None:
    """R-4: within 4 u Σ|g|, whatever the split."""
    x = np.concatenate([sample(kind, scale), sample("normal", scale), sample("ramp", 1.0)])[:8]
    labels, w = np.arange(8) % 5, np.linspace(0.5, 2, 8)
    for targets in (labels, sg.softmax(probe((8, 5), seed=3))):
        whole = sg.CrossEntropy(label_smoothing=0.1)
        part = sg.CrossEntropy(label_smoothing=0.1, normalizer=float(w.sum()))
        if targets.ndim == 2:
            part = sg.CrossEntropy(label_smoothing=0.1, normalizer=float(w @ targets.sum(-1)))
            whole = sg.CrossEntropy(label_smoothing=0.1, normalizer=part.normalizer)
        value, gradient = whole.value_and_gradient(x, targets, row_weights=w)
        pieces, values, start = [], [], 0
        for size in splits:
            cut = slice(start, start := start + size)
            piece = part.value_and_gradient(x[cut], targets[cut], row_weights=w[cut])
            values.append(piece[0])
            pieces.append(piece[1])
        together = np.concatenate(pieces)
        assert_close(together, gradient, u=4, scale=np.sum(np.abs(gradient)))
        assert_close(np.sum(values), value, u=16)


# --- binary cross-entropy, squared error, Fenchel–Young --------------------------------------

REDUCTIONS = pytest.mark.parametrize(
    ("reduction", "normalizer"),
    [("mean", "weight"), ("mean", "count"), ("mean", 5.0), ("sum", "weight"), ("none", "weight")],
)


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("pos_weight", [1.0, 2.5])
@pytest.mark.parametrize("weights", WEIGHTS)
@REDUCTIONS
def test_binary_cross_entropy_is_its_definition(
    hard: bool, pos_weight: float, weights: str, reduction: str, normalizer: Any
) -> None:
    loss = sg.BinaryCrossEntropy(pos_weight=pos_weight, reduction=reduction, normalizer=normalizer)
    t = (WHERE * 1.0) if hard else sg.sigmoid(probe((N, K), seed=5))
    options = WEIGHTS[weights]
    c = options.get("class_weights", np.ones(K))
    element = options.get("row_weights", np.ones(N))[:, None] * c

    def definition(rows: list[list[Any]]) -> list[Any]:
        losses = []
        for row, target in zip(rows, t, strict=True):
            log_p, log_q = oracles.log_sigmoid(row), oracles.log_sigmoid([-z for z in row])
            for a, b, y in zip(log_p, log_q, oracles.row(target), strict=True):
                losses.append(-mpf(pos_weight) * y * a - (1 - y) * b)
        w = oracles.row(element.ravel())
        divisors = {"weight": mpmath.fsum(w), "count": mpf(N * K)}
        return reduced(losses, w, reduction, divisors.get(normalizer, normalizer))

    assert_agrees(loss, definition, logits(), t, **options)


@pytest.mark.parametrize("weights", WEIGHTS)
@REDUCTIONS
def test_squared_error_is_its_definition(weights: str, reduction: str, normalizer: Any) -> None:
    loss = sg.SquaredError(reduction=reduction, normalizer=normalizer)
    t, options = probe((N, K), seed=5), WEIGHTS[weights]
    c = oracles.row(options.get("class_weights", np.ones(K)))
    w = oracles.row(options.get("row_weights", np.ones(N)))

    def definition(rows: list[list[Any]]) -> list[Any]:
        losses = [
            mpmath.fsum(
                a * (z - y) ** 2 for a, z, y in zip(c, row, oracles.row(target), strict=True)
            )
            / 2
            for row, target in zip(rows, t, strict=True)
        ]
        divisors = {"weight": mpmath.fsum(w), "count": mpf(N)}
        return reduced(losses, w, reduction, divisors.get(normalizer, normalizer))

    assert_agrees(loss, definition, logits(), t, **options)


FAMILY = {
    1: sg.softmax,
    1.3: sg.Entmax(alpha=1.3),
    1.5: sg.entmax15,
    2: sg.sparsemax,
    3: sg.Entmax(alpha=3.0),
}


@pytest.mark.parametrize("alpha", FAMILY)
@pytest.mark.parametrize("targets", ["labels", "soft"])
@pytest.mark.parametrize("weights", ["plain", "row"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_fenchel_young_is_its_definition(
    alpha: float, targets: str, weights: str, reduction: str
) -> None:
    loss = sg.FenchelYoung(map=FAMILY[alpha], reduction=reduction)
    t = LABELS if targets == "labels" else soft_targets()
    rows_of_t = [oracles.row(row) for row in (np.eye(K)[LABELS] if targets == "labels" else t)]
    w = oracles.row(WEIGHTS[weights].get("row_weights", np.ones(N)))

    def definition(rows: list[list[Any]]) -> list[Any]:
        losses = [oracles.fenchel_young(x, y, alpha) for x, y in zip(rows, rows_of_t, strict=True)]
        return reduced(losses, w, reduction)

    assert_agrees(loss, definition, 0.7 * logits(), t, **WEIGHTS[weights])


@pytest.mark.parametrize("alpha", FAMILY)
def test_fenchel_young_is_zero_only_at_the_target(alpha: float) -> None:
    loss = sg.FenchelYoung(map=FAMILY[alpha], reduction="none")
    x = logits()
    p = FAMILY[alpha](x)
    assert_zero(loss(x, p), u=64, scale=np.max(np.abs(x)))
    assert_zero(loss.gradient(x, p), u=2, scale=1.0)  # Σp is 1 to 1 u
    assert np.all(loss(x, np.roll(p, 1, axis=0)) > 1e-3)


def test_fenchel_young_of_a_warm_softmax() -> None:
    """T·KL(t ‖ softmax(x/T)), with the gradient p − t for every T."""
    x, t = logits(), soft_targets()
    loss = sg.FenchelYoung(map=sg.Softmax(temperature=2.0), reduction="sum")
    p = sg.softmax(x / 2)
    assert_close(loss(x, t), 2 * np.sum(t * np.log(t / p)), u=64)
    assert_close(loss.gradient(x, t), p - t, u=8)


# --- against PyTorch -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reduction", "smoothing", "weighted", "targets"),
    list(
        itertools.product(
            ["mean", "sum", "none"], [0.0, 0.1], [False, True], ["labels", "soft", "ignored"]
        )
    ),
)
def test_cross_entropy_is_that_of_torch(
    reduction: str, smoothing: float, weighted: bool, targets: str
) -> None:
    """All settings but the mean over weighted soft targets, which PyTorch divides by N instead."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(logits(), requires_grad=True)
    t = {
        "labels": torch.tensor(LABELS),
        "soft": torch.tensor(soft_targets()),
        "ignored": torch.tensor([2, -100, 3]),
    }[targets]
    c = torch.tensor(CLASS_WEIGHTS) if weighted else None
    reference = torch.nn.functional.cross_entropy(
        x, t, weight=c, reduction=reduction, label_smoothing=smoothing
    )
    torch.sum(reference).backward()
    normalizer = "count" if targets == "soft" else "weight"
    loss = sg.CrossEntropy(
        reduction=reduction, label_smoothing=smoothing, ignore_index=-100, normalizer=normalizer
    )
    value, gradient = loss.value_and_gradient(x.detach(), t, class_weights=c)
    assert_close(value, reference.detach().numpy(), u=64)
    assert_close(gradient, x.grad.numpy(), u=64)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("pos_weight", [1.0, 3.0])
def test_binary_cross_entropy_is_that_of_torch(reduction: str, pos_weight: float) -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(logits(), requires_grad=True)
    t = torch.tensor(sg.sigmoid(probe((N, K), seed=4)))
    reference = torch.nn.functional.binary_cross_entropy_with_logits(
        x, t, reduction=reduction, pos_weight=torch.tensor(pos_weight)
    )
    torch.sum(reference).backward()
    loss = sg.BinaryCrossEntropy(reduction=reduction, pos_weight=pos_weight)
    value, gradient = loss.value_and_gradient(x.detach(), t)
    assert_close(value, reference.detach().numpy(), u=64)
    assert_close(gradient, x.grad.numpy(), u=64)


# --- masks and weights of zero ---------------------------------------------------------------


@pytest.mark.parametrize("loss", [sg.binary_cross_entropy, sg.squared_error])
def test_masked_elements_count_nothing(loss: Any) -> None:
    x, t = logits(), sg.sigmoid(probe((N, K), seed=4))
    x[~WHERE], junk = np.nan, t.copy()
    junk[~WHERE] = np.inf
    value, gradient = loss.value_and_gradient(x, junk, where=WHERE)
    sum_of = type(loss)(reduction="sum")
    total = sum(float(sum_of(x[i, WHERE[i]], t[i, WHERE[i]])) for i in range(N))
    divisor = WHERE.sum() if loss is sg.binary_cross_entropy else N
    assert_close(value, total / divisor, u=16)
    assert not np.any(gradient[~WHERE])
    assert np.all(gradient[WHERE])


@pytest.mark.parametrize(
    "loss", [sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error, sg.FenchelYoung()]
)
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
def test_row_of_weight_zero_is_left_out(loss: Any, junk: float) -> None:
    x, t, w = logits(), soft_targets(), np.array([1.0, 0.0, 2.0])
    x[1] = t[1] = junk
    value, gradient = loss.value_and_gradient(x, t, row_weights=w)
    kept = loss.value_and_gradient(x[[0, 2]], t[[0, 2]], row_weights=w[[0, 2]])
    assert_same_bits(value, kept[0])
    assert_same_bits(gradient[[0, 2]], kept[1])
    assert not np.any(gradient[1])
    v = probe((N, K), seed=2)
    assert not np.any(loss.hessian(x, t, row_weights=w).mv(v)[1])
