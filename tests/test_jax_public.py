"""Every public name of softgrad on JAX's arrays: it works, traced too, or says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close
from specs import probe

jax = pytest.importorskip("jax")
jnp = jax.numpy

N, D, K = 5, 3, 6
Z, Z_DOT, X = probe((N, K), 1), probe((N, K), 2), probe((N, D), 3)
W, BIAS = probe((K, D), 4), probe((K,), 5)
LABELS = np.array([3, 0, 5, 3, 1])
ALIKE = sg.softmax(probe((N, K), 6))


def verbs_of_map(f: Any) -> Callable[..., Any]:
    """Return one function of all that a map can say of itself at z."""

    def verbs(z: Any, z_dot: Any, *_: Any) -> list[Any]:
        y, J = f.linearize(z)
        y_bar = y * y + 1
        return [
            f(z),
            f.jvp(z, z_dot),
            f.vjp(z, y_bar),
            f.hvp(z, y_bar, z_dot),
            f.second_derivative(z, z_dot, z),
            f.jacobian(z),
            y,
            J.mv(z_dot),
            J.as_matrix(),
        ]

    return verbs


def verbs_of_loss(loss: Any, targets: str) -> Callable[..., Any]:
    """Return one function of all that a loss can say of itself at z."""

    def verbs(z: Any, z_dot: Any, labels: Any, alike: Any, *_: Any) -> list[Any]:
        t = labels if targets == "labels" else alike
        return [
            loss(z, t),
            *loss.value_and_gradient(z, t),
            loss.vjp(z, t, loss(z, t)),
            loss.hessian(z, t).mv(z_dot),
        ]

    return verbs


def verbs_of_cross_entropy_head(
    z: Any, z_dot: Any, labels: Any, alike: Any, x: Any, W: Any, b: Any
) -> list[Any]:
    head = sg.linear_cross_entropy
    return [
        head(x, W, labels, b),
        head.argmax(x, W, b),
        *head.top_k(x, W, 3, b),
        head.log_probs(x, W, labels, b),
        head.entropy(x, W, b),
    ]


def verbs_of_selected(z: Any, z_dot: Any, labels: Any, alike: Any, x: Any, W: Any, b: Any) -> Any:
    return list(sg.selected_log_probs(x, W, labels, b))


MAPS = ("entmax15", "log_sigmoid", "log_softmax", "logsumexp", "relu", "sigmoid")
MAPS += ("softmax", "sparsemax", "tanh")
WORKS: dict[str, Callable[..., Any]] = {
    **{name: verbs_of_map(getattr(sg, name)) for name in MAPS},
    "cross_entropy": verbs_of_loss(sg.cross_entropy, "labels"),
    "TopK": lambda z, z_dot, labels, alike, *_: [
        sg.cross_entropy(z, sg.TopK(labels[:, None], alike[:, :1]))
    ],
    "binary_cross_entropy": verbs_of_loss(sg.binary_cross_entropy, "alike"),
    "squared_error": verbs_of_loss(sg.squared_error, "alike"),
    "FenchelYoung": verbs_of_loss(sg.FenchelYoung(map=sg.sparsemax), "labels"),
    "linear_cross_entropy": verbs_of_cross_entropy_head,
    "selected_log_probs": verbs_of_selected,
}
"""All that a name can do with arrays, as one function."""

SETTINGS = {
    "BinaryCrossEntropy": "binary_cross_entropy",
    "CrossEntropy": "cross_entropy",
    "Entmax": "entmax15",
    "LinearCrossEntropy": "linear_cross_entropy",
    "LogSigmoid": "log_sigmoid",
    "LogSoftmax": "log_softmax",
    "LogSumExp": "logsumexp",
    "ReLU": "relu",
    "SelectedLogProbs": "selected_log_probs",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Sparsemax": "sparsemax",
    "SquaredError": "squared_error",
    "Tanh": "tanh",
}
"""Classes of settings, by an instance that is among what works."""

READ: dict[str, Callable[[Any], Any]] = {
    "SoftmaxClassifier": lambda z: sg.SoftmaxClassifier().fit(z, [0, 1, 0, 1, 2]).coef_,
    "compare": lambda z: sg.compare(z[0], z[1:], 1).heads[0].outputs,
    "expected_calibration_error": lambda z: sg.expected_calibration_error(sg.softmax(z), [0] * N),
    "follow": lambda z: (
        sg.follow(sg.softmax, "output", index=0, start=z[0], steps=2).trajectory.outputs
    ),
    "shapes": lambda z: sg.shapes(sg.softmax, z).matrices,
}
"""What looks at the numbers of an array to write, draw or fit: it works, and no tracer does."""

REFUSED: dict[str, Callable[[Any], Any]] = {
    "nn": lambda z: sg.nn.Linear(K, 2, seed=0)(z),
    "linear_cross_entropy.value_and_gradient": lambda z: sg.linear_cross_entropy.value_and_gradient(
        z, z, jnp.zeros(N, int)
    ),
    "linear_cross_entropy.hvp": lambda z: sg.linear_cross_entropy.hvp(
        z, z, jnp.zeros(N, int), x_dot=z
    ),
    "selected_log_probs.jvp": lambda z: sg.selected_log_probs.jvp(z, z, jnp.zeros(N, int), x_dot=z),
}

TESTED_ELSEWHERE = {
    "check",  # with functions of JAX's arrays: test_checker_jax.py
    "conformance",  # test_conformance.py
    "explain_impl",  # below
    "testing",  # which calls check
}
NOT_FOR_JAX = {"explore", "get_num_threads", "learn", "plot", "set_num_threads", "torch"}
"""What takes no arrays, draws results, or has another library's names."""


def test_every_public_name_has_its_answer() -> None:
    answers = [WORKS, SETTINGS, READ, TESTED_ELSEWHERE, NOT_FOR_JAX]
    named = [name for names in answers for name in names]
    refused = {name for name in REFUSED if "." not in name}
    assert sorted([*named, *refused]) == sorted(sg.__all__)
    assert all(type(getattr(sg, of)) is getattr(sg, name) for name, of in SETTINGS.items())


@pytest.mark.parametrize("name", WORKS)
def test_it_works_on_tracers_and_is_what_numpy_has(name: str) -> None:
    given = Z, Z_DOT, LABELS, ALIKE, X, W, BIAS
    there = [jnp.asarray(v, jnp.float32 if v.dtype.kind == "f" else None) for v in given]
    here = WORKS[name](*(np.asarray(v, np.float64 if v.dtype.kind == "f" else None) for v in there))
    for found, expected in zip(jax.jit(WORKS[name])(*there), here, strict=True):
        if np.any(expected) and expected.dtype.kind == "f":
            assert_close(found, as_numpy(expected), u=256)
        else:  # ids, and second derivatives of what is straight
            np.testing.assert_array_equal(as_numpy(found), expected)


@pytest.mark.parametrize("name", READ)
def test_what_reads_numbers_reads_those_of_jax(name: str) -> None:
    z = jnp.asarray(Z, jnp.float32)
    assert_close(READ[name](z), as_numpy(READ[name](np.asarray(z))), u=64)
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(READ[name])(z)


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_work_says_what_does(name: str) -> None:
    with pytest.raises(TypeError, match=r"`x` must be an? (NumPy array|array that is not JAX's)"):
        REFUSED[name](jnp.asarray(Z, jnp.float32))


def test_the_choice_is_explained() -> None:
    x, W32, y = (jnp.asarray(v) for v in (X, W, LABELS))
    for f, arguments in ((sg.softmax, (x,)), (sg.linear_cross_entropy, (x, W32, y))):
        assert "arrays of jaxlib" in sg.explain_impl(f, *arguments).reason


@pytest.mark.parametrize("shape", [(0, D), (2, 0, D)])
def test_a_head_without_rows_has_nothing_to_say(shape: tuple[int, ...]) -> None:
    x, W32 = jnp.zeros(shape), jnp.asarray(W, jnp.float32)
    y = jnp.zeros(shape[:-1], int)
    assert float(sg.linear_cross_entropy(x, W32, y)) == 0
    assert not np.any(as_numpy(jax.grad(sg.linear_cross_entropy, 1)(x, W32, y)))
    assert sg.selected_log_probs(x, W32, y).log_probs.shape == shape[:-1]
    assert sg.linear_cross_entropy.top_k(x, W32, 2).ids.shape == (*shape[:-1], 2)


def test_the_best_classes_are_those_of_numpy_with_ties_and_nan() -> None:
    x, W32 = np.eye(3, dtype=np.float32), np.array([[1, 2, 0], [1, 0, 0], [0, 2, 0]], np.float32)
    W32[1, 2] = np.nan  # a row of logits with NaN: the largest
    for given in (x, x[None]):
        here = sg.linear_cross_entropy.top_k(given, W32, 2)
        there = sg.linear_cross_entropy.top_k(jnp.asarray(given), jnp.asarray(W32), 2)
        np.testing.assert_array_equal(as_numpy(there.ids), here.ids)
        best = sg.linear_cross_entropy.argmax(jnp.asarray(given), jnp.asarray(W32))
        np.testing.assert_array_equal(as_numpy(best), here.ids[..., 0])
    with pytest.raises(ValueError, match="`k` must be from 1 to the 3 classes, got 4"):
        sg.linear_cross_entropy.top_k(jnp.asarray(x), jnp.asarray(W32), 4)
    slope = jax.grad(lambda x: sg.linear_cross_entropy.top_k(x, jnp.eye(3), 1).log_probs[0, 0])
    first = slope(jnp.asarray([[2.0, 0.0, 1.0]]))
    assert_close(first[0], np.eye(3)[0] - sg.softmax([2.0, 0.0, 1.0]), u=64)
