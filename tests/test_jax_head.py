"""The head on JAX's arrays: NumPy's numbers in every mode, and never all logits at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from softgrad.heads import LinearCrossEntropy, SelectedLogProbs
from softgrad.losses import TopK
from specs import probe

jax = pytest.importorskip("jax")
jnp = jax.numpy
assert_every_derivative = pytest.importorskip("jax_derivatives").assert_every_derivative

N, D, K = 7, 3, 11
X, W, BIAS = probe((N, D), 1), probe((K, D), 2), probe((K,), 3)
LABELS = np.array([3, 0, 10, 3, 7, 1, 5])
SOFT = sg.softmax(probe((N, K), 4))
TOP_K = TopK(np.stack([LABELS, (LABELS + 2) % K], axis=-1), sg.softmax(probe((N, 2), 5)))
ROWS = np.array([1.0, 0.5, 0.0, 2.0, 1.0, 1.5, 0.3])
CLASSES = np.linspace(0.5, 2, K)
SMALL = 1500  # bytes: chunks of a few rows, of which the last is not full

SETTINGS: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "labels": ({}, LABELS, {}),
    "all": (
        {"label_smoothing": 0.1, "z_loss": 0.02, "soft_cap": 3.0, "temperature": 0.7},
        LABELS,
        {"class_weights": CLASSES, "row_weights": ROWS},
    ),
    "ignored": ({"ignore_index": 3, "normalizer": "count"}, LABELS, {}),
    "soft": ({"reduction": "sum"}, SOFT, {"row_weights": ROWS}),
    "top k": ({"rest": "spread", "normalizer": 5.0}, TOP_K, {"class_weights": CLASSES}),
}
each_setting = pytest.mark.parametrize("name", SETTINGS)


@pytest.fixture
def wide() -> Iterator[None]:
    """Let JAX have float64."""
    with jax.enable_x64(True):
        yield


def there(arrays: Any) -> Any:
    return jax.tree.map(jnp.asarray, arrays)


def directions() -> tuple[Any, ...]:
    return probe((N, D), 6), probe((K, D), 7), probe((K,), 8)


def named(dots: tuple[Any, ...]) -> dict[str, Any]:
    return {f"{name}_dot": dot for name, dot in zip(("x", "W", "bias"), dots, strict=True)}


@pytest.mark.usefixtures("wide")
@each_setting
def test_values_gradients_and_second_derivatives_are_those_of_numpy(name: str) -> None:
    settings, targets, options = SETTINGS[name]
    head = LinearCrossEntropy(memory=SMALL, **settings)

    def loss(x: Any, W: Any, bias: Any) -> Any:
        return head(x, W, there(targets), bias, **there(options))

    point, dots = there((X, W, BIAS)), directions()
    value, bars = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*point)
    expected = head.value_and_gradient(X, W, targets, BIAS, **options)
    assert_close(value, expected[0], u=64)
    for bar, here in zip(bars, expected[1], strict=True):
        assert_close(bar, here, u=256)
    along = jax.jvp(loss, point, there(dots))[1]
    assert_close(along, head.jvp(X, W, targets, BIAS, **named(dots), **options), u=512)
    products = jax.jit(lambda *at: jax.jvp(jax.grad(loss, (0, 1, 2)), at, there(dots))[1])(*point)
    for product, here in zip(
        products, head.hvp(X, W, targets, BIAS, **named(dots), **options), strict=True
    ):
        assert_close(product, here, u=512)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_every_derivative_of_the_head_is_that_of_differences(reduction: Any) -> None:
    head, labels = LinearCrossEntropy(memory=SMALL, reduction=reduction), jnp.asarray(LABELS)
    assert_every_derivative(lambda x, W, bias: head(x, W, labels, bias), X, W, BIAS)


@pytest.mark.usefixtures("wide")
def test_every_derivative_of_selected_log_probs_is_that_of_differences() -> None:
    head, ids = SelectedLogProbs(memory=SMALL, temperature=0.7), jnp.asarray(TOP_K.ids)

    def outputs(x: Any, W: Any) -> Any:
        return head(x, W, ids)

    for given, here in zip(outputs(*there((X, W))), head(X, W, TOP_K.ids), strict=True):
        assert_close(given, here, u=64)
    assert_every_derivative(outputs, X, W)


def test_vmap_gives_every_example_its_own_mean() -> None:
    x, W32 = there((X.reshape(7, 1, D).astype(np.float32), W.astype(np.float32)))
    each = jax.vmap(jax.grad(sg.linear_cross_entropy, 1), (0, None, 0))(
        x, W32, jnp.asarray(LABELS)[:, None]
    )
    for i in range(N):
        here = sg.linear_cross_entropy.value_and_gradient(X[[i]], W, LABELS[[i]])[1].W
        assert_close(each[i], here, u=256)


def test_rows_that_count_nothing_may_be_anything() -> None:
    x = X.astype(np.float32)
    x[2] = np.nan
    point, w = there((x, W.astype(np.float32))), jnp.asarray(ROWS, jnp.float32)

    def loss(x: Any, W: Any) -> Any:
        return sg.linear_cross_entropy(x, W, there(LABELS), row_weights=w)

    x_bar, W_bar = map(as_numpy, jax.grad(loss, (0, 1))(*point))
    assert not np.any(x_bar[2])
    here = sg.linear_cross_entropy.value_and_gradient(X, W, LABELS, row_weights=ROWS)[1]
    assert_close(x_bar, here.x, u=256)
    assert_close(W_bar, here.W, u=256)


def test_half_precision_is_computed_in_float32() -> None:
    x, W16, b = (jnp.asarray(v, jnp.bfloat16) for v in (X, W, BIAS))
    value, bars = jax.value_and_grad(sg.linear_cross_entropy, (0, 1, 3))(x, W16, there(LABELS), b)
    assert value.dtype == jnp.float32
    rounded = [np.asarray(v, np.float64) for v in (x, W16, b)]
    here = sg.linear_cross_entropy.value_and_gradient(*rounded[:2], LABELS, rounded[2])
    assert_close(value, here[0], u=64)
    for bar, expected in zip(bars, here[1], strict=True):
        assert bar.dtype == jnp.bfloat16
        assert_close(bar, expected, u=2**16 * 1.01)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_no_array_of_all_logits_is_ever_there(reduction: Any) -> None:
    rows, classes, memory = 3000, 1009, 2**20  # 12 MiB of logits
    head = LinearCrossEntropy(memory=memory, reduction=reduction)
    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((rows, 8), (classes, 8))]
    labels = jax.ShapeDtypeStruct((rows,), jnp.int32)

    def loss(x: Any, W: Any, y: Any) -> Any:
        return jnp.sum(head(x, W, y))

    def hvp(x: Any, W: Any, y: Any) -> Any:
        return jax.jvp(jax.grad(lambda x: loss(x, W, y)), (x,), (x,))[1]

    for f in (loss, jax.value_and_grad(loss, (0, 1)), hvp):
        program = jax.jit(f).lower(*shapes, labels).compile()
        assert program.memory_analysis().temp_size_in_bytes < 2 * memory
    plain = jax.jit(jax.grad(lambda x, W, y: sg.cross_entropy(x @ W.T, y), (0, 1)))
    stored = plain.lower(*shapes, labels).compile().memory_analysis().temp_size_in_bytes
    assert stored > 4 * rows * classes  # what the head is spared


def test_bad_arguments_are_named() -> None:
    x, W32, y = there((X, W, LABELS))
    with pytest.raises(IndexError, match="from 0 to 10, got 11 at position 6"):
        sg.linear_cross_entropy(x, W32, y.at[6].set(11))
    with pytest.raises(IndexError, match=r"`ids` must be class indices from 0 to 10"):
        sg.selected_log_probs(x, W32, y.at[0].set(-1))
    with pytest.raises(TypeError, match="`W` must be of the same kind"):
        sg.linear_cross_entropy(x, W, y)
    with pytest.raises(ValueError, match=r"`W` must be of shape \(K, 3\)"):
        sg.linear_cross_entropy(x, W32.T, y)
    with pytest.raises(TypeError, match="`options` must be one of"):
        sg.linear_cross_entropy(x, W32, y, axis=0)
    with pytest.raises(TypeError, match="`targets` must be without derivative"):
        jax.grad(sg.linear_cross_entropy, 2)(x, W32, jnp.asarray(SOFT))


def test_compiled_a_bad_label_is_a_row_of_nan() -> None:
    head = LinearCrossEntropy(reduction="none")
    x, W32, y = there((X, W, LABELS))
    found = as_numpy(jax.jit(head)(x, W32, y.at[2].set(11)))
    assert np.isnan(found[2])
    fine = np.arange(N) != 2
    assert_same_bits(found[fine], as_numpy(jax.jit(head)(x, W32, y))[fine])


def test_two_hundred_steps_are_those_of_numpy() -> None:
    """Gradient descent on the digits, in float32, by the same head in both libraries."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    x, y = (digits.data / 16).astype(np.float32), digits.target
    head, rate = sg.linear_cross_entropy, np.float32(0.5)

    @jax.jit
    def step(W: Any, x: Any, y: Any) -> Any:
        loss, W_bar = jax.value_and_grad(head.value, 1)(x, W, y)
        return loss, W - rate * W_bar

    here, W_here, W_there = [], np.zeros((10, 64), np.float32), jnp.zeros((10, 64), jnp.float32)
    found, x_there, y_there = [], jnp.asarray(x), jnp.asarray(y)
    for _ in range(200):
        loss, bars = head.value_and_gradient(x, W_here, y, frozen=("x",))
        here.append(float(loss))
        W_here = W_here - rate * bars.W
        loss, W_there = step(W_there, x_there, y_there)
        found.append(float(loss))
    assert here[0] == pytest.approx(np.log(10), rel=1e-6)
    assert here[-1] < 0.3
    assert np.max(np.abs(np.array(here) - np.array(found))) < 1e-5


@pytest.mark.parametrize(
    ("way", "x64"),
    [
        ("jit", "0"),
        ("classes", "0"),
        ("classes", "1"),
        ("rows", "0"),
        ("both", "0"),
        ("weights", "0"),
    ],
)
def test_classes_and_rows_on_four_devices(way: str, x64: str) -> None:
    script = [sys.executable, str(Path(__file__).parent / "jax_devices.py"), way]
    env = os.environ | {"JAX_ENABLE_X64": x64}
    run = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False, env=env)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.strip() == "right"
