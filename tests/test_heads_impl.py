"""Which implementation works on the logits of a head: what is said, and what then runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_close
from softgrad.kernels.choice import LEAST_SIZE
from specs import probe

D = 3
HEADS = {"linear_cross_entropy": sg.linear_cross_entropy, "selected": sg.selected_log_probs}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the compiled operations that have run."""
    names: set[str] = set()
    sg.softmax(np.zeros((1, LEAST_SIZE), np.float32))  # the first call looks whether Numba works

    def spy(name: str, run: Any, *args: Any, **options: Any) -> Any:
        names.add(name)
        return run(*args, **options)

    for room in ("operations", "tiles"):
        module = import_module(f"softgrad.kernels.numba.{room}")
        for name in module.__all__:
            monkeypatch.setattr(module, name, partial(spy, name, getattr(module, name)))
    return names


def arguments(N: int, K: int) -> tuple[Any, ...]:
    """Return x, W, labels and a bias."""
    x, W, bias = probe((N, D), 1, np.float32), probe((K, D), 2, np.float32), probe((K,), 3)
    return x, W, np.arange(N) % K, bias.astype(np.float32)


def along(x: Any, W: Any) -> dict[str, Any]:
    return {"x_dot": x[::-1], "W_dot": 2 * W}


LOSS, ROWS = sg.linear_cross_entropy, sg.selected_log_probs
SOFTMAXES = {"softmax", "log_softmax"}
VERBS: dict[str, tuple[Callable[..., Any], set[str]]] = {
    "value": (lambda x, W, y, b, **how: LOSS(x, W, y, b, **how), {"cross_entropy"}),
    "value_and_gradient": (
        lambda x, W, y, b, **how: LOSS.value_and_gradient(x, W, y, b, **how),
        {"cross_entropy", "column_sums"},
    ),
    "approximate_value_and_gradient": (
        lambda x, W, y, b, **how: LOSS.approximate_value_and_gradient(
            x, W, y, b, skip_below=1e-9, **how
        ),
        {"cross_entropy", "column_sums"},
    ),
    "jvp": (
        lambda x, W, y, b, **how: LOSS.jvp(x, W, y, b, **along(x, W), **how),
        {"cross_entropy"},
    ),
    "hvp": (
        lambda x, W, y, b, **how: LOSS.hvp(x, W, y, b, **along(x, W), **how),
        {"cross_entropy", "softmax", "diagonal_minus_outer", "column_sums"},
    ),
    "ggn": (
        lambda x, W, y, b, **how: LOSS.ggn(x, W, y, b, **along(x, W), **how),
        {"softmax", "diagonal_minus_outer", "column_sums"},
    ),
    "second_derivative": (
        lambda x, W, y, b, **how: LOSS.second_derivative(
            x, W, y, b, x_dot=x, other={"W_dot": W}, **how
        ),
        {"cross_entropy", "softmax", "diagonal_minus_outer"},
    ),
    "top_k": (lambda x, W, y, b, **how: LOSS.top_k(x, W, 2, b, **how), SOFTMAXES),
    "log_probs": (lambda x, W, y, b, **how: LOSS.log_probs(x, W, y, b, **how), SOFTMAXES),
    "entropy": (lambda x, W, y, b, **how: LOSS.entropy(x, W, b, **how), SOFTMAXES),
    "selected": (lambda x, W, y, b, **how: ROWS(x, W, y, b, **how), SOFTMAXES),
    "selected.vjp": (
        lambda x, W, y, b, **how: ROWS.vjp(x, W, y, b, entropy_bar=1 + x[:, 0] ** 2, **how),
        SOFTMAXES | {"diagonal_minus_outer", "identity_minus_outer_transpose", "column_sums"},
    ),
    "selected.jvp": (
        lambda x, W, y, b, **how: ROWS.jvp(x, W, y, b, **along(x, W), **how),
        SOFTMAXES | {"diagonal_minus_outer", "identity_minus_outer"},
    ),
    "selected.hvp": (
        lambda x, W, y, b, **how: ROWS.hvp(
            x, W, y, b, logsumexp_bar=1 + x[:, 0] ** 2, **along(x, W), **how
        ),
        SOFTMAXES
        | {"diagonal_minus_outer", "diagonal_minus_outer_tangent"}
        | {"identity_minus_outer_transpose", "column_sums"},
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_asked_for_runs(verb: str, ran: set[str]) -> None:
    call, kernels = VERBS[verb]
    small = arguments(4, 10)
    call(*small)
    call(*small, impl="reference")
    assert not ran
    call(*small, impl="numba")
    assert ran == kernels


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("K", [LEAST_SIZE // 64 - 1, LEAST_SIZE // 64])
def test_auto_does_what_explain_impl_says(verb: str, K: int, ran: set[str]) -> None:
    """The number of all logits decides, for every verb alike."""
    given, kernel_runs = arguments(64, K), K * 64 >= LEAST_SIZE
    choice = sg.explain_impl(ROWS if verb.startswith("selected") else LOSS, *given)
    assert (choice.impl == "numba") == kernel_runs
    VERBS[verb][0](*given)
    assert ran == (VERBS[verb][1] if kernel_runs else set())


def test_the_memory_has_no_say(ran: set[str]) -> None:
    """However few logits there are at a time."""
    head, given = replace(LOSS, memory=2**17), arguments(64, LEAST_SIZE // 64)
    assert sg.explain_impl(head, *given).impl == "numba"
    head.value_and_gradient(*given)
    assert ran == {"maxima_and_others", "scaled_exponentials", "column_sums"}


@pytest.mark.parametrize("head", HEADS)
def test_explain_impl_takes_what_the_head_takes(head: str) -> None:
    x, W, labels, bias = arguments(4, 10)
    f = HEADS[head]
    assert str(sg.explain_impl(f, x, W, labels, bias)).startswith("reference: 40 elements")
    asked = sg.explain_impl(f, x, W, labels, bias=bias, impl="numba", W_dot=W)
    assert str(asked) == "numba: asked for"
    with pytest.raises(ValueError, match="`W` must be of shape"):
        sg.explain_impl(f, x, W[:, 1:], labels)
    with pytest.raises(
        ValueError, match="`impl` must be 'auto' or 'reference' or 'numba' or 'triton'"
    ):
        sg.explain_impl(f, x, W, labels, impl="fast")  # type: ignore[arg-type]


def test_argmax_has_no_kernel() -> None:
    x, W, _, bias = arguments(4, 10)
    expected = np.argmax(x @ W.T + bias, axis=-1)
    assert np.array_equal(LOSS.argmax(x, W, bias, impl="reference"), expected)
    with pytest.raises(ValueError, match="got 'numba': there is no kernel for argmax"):
        LOSS.argmax(x, W, bias, impl="numba")


@pytest.mark.parametrize("head", HEADS)
def test_tensors_that_are_differentiated_take_the_kernels_too(head: str, ran: set[str]) -> None:
    torch = pytest.importorskip("torch")
    x, W, labels, bias = map(torch.tensor, arguments(64, LEAST_SIZE // 64))
    x.requires_grad_()
    f = HEADS[head]
    assert sg.explain_impl(f, x, W, labels, bias).impl == "numba"
    found = f(x, W, labels, bias)
    value = found if head == "linear_cross_entropy" else -found.log_probs.mean()
    assert ran >= ({"cross_entropy_of_labels"} if head == "linear_cross_entropy" else SOFTMAXES)
    value.backward()
    by_hand = sg.linear_cross_entropy.value_and_gradient(*arguments(64, LEAST_SIZE // 64))[1]
    assert_close(x.grad, by_hand.x, u=64)
    ran.clear()
    f(x, W, labels, bias, impl="reference")
    assert not ran


# --- arguments by name --------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [None, 3, [["x"]]])
def test_frozen_is_a_collection_of_names(frozen: Any) -> None:
    x, W, y, b = arguments(3, 5)
    with pytest.raises(TypeError, match="`frozen` must be a collection of names"):
        LOSS.value_and_gradient(x, W, y, b, frozen=frozen)


def test_frozen_may_be_read_once() -> None:
    x, W, y, b = arguments(3, 5)
    assert LOSS.value_and_gradient(x, W, y, b, frozen=(name for name in ["x"]))[1].x is None


@pytest.mark.parametrize("other", [None, {"x": 1.0}])
def test_the_other_direction_has_known_names(other: Any) -> None:
    x, W, y, b = arguments(3, 5)
    with pytest.raises(TypeError, match="`other` must be "):
        LOSS.second_derivative(x, W, y, b, x_dot=x, other=other)


def test_little_memory_is_slow_and_no_more_than_that() -> None:
    x, W, y, b = arguments(40, 700)
    expected, bars = LOSS.value_and_gradient(x, W, y, b)
    value, small = replace(LOSS, memory=1).value_and_gradient(x, W, y, b)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(small.W, bars.W, rtol=0, atol=1e-5 * np.abs(bars.W).max())
