"""Losses under optax's names: the numbers of optax, and the digits that optax's own lose."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest

from asserts import as_numpy, assert_close
from specs import probe

jax = pytest.importorskip("jax")
jnp = jax.numpy
optax = pytest.importorskip("optax")
assert_every_derivative = pytest.importorskip("jax_derivatives").assert_every_derivative
losses = pytest.importorskip("softgrad.jax").losses

X = np.array([[10.0, 1.0, -2.0], [1.0, 4.0, 0.2]], np.float32)
ONE_HOT = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
LABELS = np.array([1, 0])
SOFT = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], np.float32)
BINARY = np.array([[0, 1, 1], [1, 0, 0]], np.float32)
WHERE = np.array([[True, True, False], [False, False, False]])

CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "one hot": ("softmax_cross_entropy", (X, ONE_HOT), {}),
    "soft": ("softmax_cross_entropy", (X, SOFT), {}),
    "one row": ("softmax_cross_entropy", (X[0], SOFT), {}),
    "soft over rows": ("softmax_cross_entropy", (X, SOFT), {"axis": 0}),
    "all axes": ("softmax_cross_entropy", (X, SOFT), {"axis": None}),
    "masked": ("softmax_cross_entropy", (X, SOFT), {"where": WHERE}),
    "masked rows": ("softmax_cross_entropy", (X, SOFT), {"where": np.array([True, False])}),
    "safe": ("safe_softmax_cross_entropy", (X, SOFT), {}),
    "labels": ("softmax_cross_entropy_with_integer_labels", (X, LABELS), {}),
    "labels of one row": ("softmax_cross_entropy_with_integer_labels", (X[:1], LABELS), {}),
    "one label": ("softmax_cross_entropy_with_integer_labels", (X, LABELS[:1]), {}),
    "one label, masked": (
        "softmax_cross_entropy_with_integer_labels",
        (X, LABELS[1:]),
        {"where": np.array([[True, True, False], [True, False, True]])},
    ),
    "labels, masked": (
        "softmax_cross_entropy_with_integer_labels",
        (X, LABELS),
        {"where": np.array([[True, True, False], [False] * 3])},
    ),
    "labels over axes": (
        "softmax_cross_entropy_with_integer_labels",
        (probe((2, 3, 4, 5), 1, np.float32), np.arange(8).reshape(2, 4)),
        {"axis": (-1, 1)},
    ),
    "sigmoid": ("sigmoid_binary_cross_entropy", (X, BINARY), {}),
    "sigmoid, broadcast": ("sigmoid_binary_cross_entropy", (X, BINARY[0]), {}),
    "focal": ("sigmoid_focal_loss", (X / 4, BINARY), {"alpha": 0.3, "gamma": 1.5}),
    "focal, soft": ("sigmoid_focal_loss", (X / 4, SOFT), {}),
    "poly": ("poly_loss_cross_entropy", (X, SOFT), {"epsilon": -1.0}),
    "poly, masked": ("poly_loss_cross_entropy", (X, SOFT), {"where": WHERE}),
    "two sides": ("sparsemax_loss", (np.float32([-3, -0.7, 0.4, 2]), np.array([1, 0, 1, 0])), {}),
    "two sides, at the ends of the line": (
        "sparsemax_loss",
        (np.float32([-1, 1, -1, 1]), np.array([1, 0, 0, 1])),
        {},
    ),
    "sparsemax": ("multiclass_sparsemax_loss", (X / 4, LABELS), {}),
}


@pytest.mark.parametrize("name", losses.__all__)
def test_signatures_are_those_of_optax(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(m, name)) for m in (losses, optax.losses))
    shapes = [
        [(p.name, p.kind, p.default) for p in of.parameters.values()] for of in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("case", CALLS)
def test_values_and_gradients_are_those_of_optax(case: str) -> None:
    name, arguments, options = CALLS[case]
    ours, theirs = (partial(getattr(m, name), **options) for m in (losses, optax.losses))
    value = theirs(*arguments)
    assert_close(jax.jit(ours)(*arguments), as_numpy(value), u=32, what="value")
    bar = probe(value.shape, 4, np.float32)

    def weighed(f: Any) -> Any:
        return jax.grad(lambda x: jnp.sum(bar * f(x, *arguments[1:])))(arguments[0])

    assert_close(weighed(ours), as_numpy(weighed(theirs)), u=64, what="gradient")


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_binary_cross_entropy"])
def test_labels_have_a_gradient_too(name: str) -> None:
    ours, theirs = (getattr(m, name) for m in (losses, optax.losses))
    for labels in (SOFT, BINARY):
        given = jax.grad(lambda t: jnp.sum(ours(X, t)))(labels)
        assert_close(given, as_numpy(jax.grad(lambda t: jnp.sum(theirs(X, t)))(labels)), u=32)


@pytest.mark.parametrize(
    "name", ["softmax_cross_entropy", "poly_loss_cross_entropy", "sigmoid_focal_loss"]
)
def test_every_derivative_is_that_of_differences(name: str) -> None:
    with jax.enable_x64(True):
        assert_every_derivative(getattr(losses, name), X.astype(float) / 4, SOFT.astype(float))


def test_every_derivative_of_a_sparsemax_loss_is_that_of_differences() -> None:
    with jax.enable_x64(True):
        g = partial(losses.multiclass_sparsemax_loss, labels=LABELS)
        assert_every_derivative(g, X.astype(float) / 4)


def test_the_conjugate_of_a_number_is_a_loss() -> None:
    """optax's own case: the log-sum-exp brings the cross-entropy with it."""
    import softgrad as sg

    loss = losses.make_fenchel_young_loss(sg.logsumexp)
    assert_close(loss(X, ONE_HOT), as_numpy(optax.softmax_cross_entropy(X, ONE_HOT)), u=32)
    x, t = probe((2, 3, 4), 1, np.float32), sg.softmax(probe((2, 3, 4), 2, np.float32))
    theirs = optax.losses.make_fenchel_young_loss(jax.scipy.special.logsumexp)
    assert_close(loss(x, t), as_numpy(theirs(x, t)), u=32)
    bars = jax.grad(lambda x: jnp.sum(loss(x, t) * 2))(x)
    assert_close(bars, 2 * (sg.softmax(x) - t), u=32)


@pytest.mark.parametrize("gap", [20.0, 40.0, 80.0])
def test_confident_rows_keep_their_digits(gap: float) -> None:
    x, t = jnp.asarray([[gap, 0.0]], jnp.float32), jnp.asarray([[1.0, 0.0]])
    tail = float(1 / (1 + mpmath.exp(gap)))
    for loss in (
        lambda x: losses.softmax_cross_entropy(x, t)[0],
        lambda x: losses.softmax_cross_entropy_with_integer_labels(x, jnp.asarray([0]))[0],
    ):
        value, gradient = jax.jit(jax.value_and_grad(loss))(x)
        assert_close(value, float(mpmath.log1p(mpmath.exp(-gap))), u=8)
        assert_close(gradient[0], np.array([-tail, tail]), u=8, scale=tail)
    poly = losses.poly_loss_cross_entropy(x, t, epsilon=1.0)
    assert_close(poly[0], float(mpmath.log1p(mpmath.exp(-gap))) + tail, u=8)
    # optax's own loses one of the two entries, or both
    lost = jax.grad(lambda x: optax.softmax_cross_entropy(x, t)[0])(x)
    assert float(lost[0, 0]) == 0.0


def test_infinite_logits_are_right() -> None:
    x = jnp.asarray([[-jnp.inf, 0.0, 0.0], [-jnp.inf, 0.0, -jnp.inf]])
    t = jnp.asarray([[0.0, 0.5, 0.5], [0.0, 1.0, 0.0]])
    value = losses.softmax_cross_entropy(x, t)
    assert_close(value, np.array([np.log(2), 0.0]), u=4)
    gradient = jax.grad(lambda x: losses.softmax_cross_entropy(x[0], t[0]))(x + 0)
    assert not np.any(np.isnan(gradient))
    assert np.isposinf(losses.safe_softmax_cross_entropy(x[0], jnp.asarray([0.4, 0.3, 0.3])))
    ends = losses.sigmoid_binary_cross_entropy(np.float32([-np.inf, np.inf]), np.array([0, 1]))
    assert as_numpy(ends).tolist() == [0.0, 0.0]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="`logits` must be floating-point, got int"):
        losses.softmax_cross_entropy(np.array([1, 2]), np.array([0.5, 0.5]))
    with pytest.raises(TypeError, match="`labels` must be integers, got float32"):
        losses.softmax_cross_entropy_with_integer_labels(X, ONE_HOT[:, 0])
    with pytest.raises(ValueError, match="`axis` must be within 2 axes, got 2"):
        losses.softmax_cross_entropy(X, SOFT, axis=2)
    with pytest.raises(IndexError, match="from 0 to 2, got 3 at position 0"):
        losses.softmax_cross_entropy_with_integer_labels(X, np.array([3, 0]))

    with pytest.raises(ValueError, match=r"`axis` must be without an axis that stands twice"):
        losses.softmax_cross_entropy(X, SOFT, axis=(1, -1))
    with pytest.raises(TypeError, match="`axis` must be an integer"):
        losses.softmax_cross_entropy(X, SOFT, axis=[1])


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "poly_loss_cross_entropy"])
def test_no_rows_have_no_losses(name: str) -> None:
    value, pull = jax.vjp(getattr(losses, name), X[:0], SOFT[:0])
    assert value.shape == (0,)
    assert [bar.shape for bar in pull(value)] == [(0, 3), (0, 3)]
    by_labels = losses.softmax_cross_entropy_with_integer_labels(X[:0], LABELS[:0])
    assert by_labels.shape == (0,)


def test_half_precision_comes_back_as_it_came() -> None:
    x = jnp.asarray(X, jnp.bfloat16)
    for loss in (
        losses.softmax_cross_entropy(x, SOFT),
        losses.softmax_cross_entropy_with_integer_labels(x, LABELS),
        losses.sigmoid_binary_cross_entropy(x, BINARY),
    ):
        assert loss.dtype == jnp.bfloat16
