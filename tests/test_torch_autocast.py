"""Under autocast losses are float32, layers have its dtype, and formulas compute in their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from specs import probe

torch = pytest.importorskip("torch")
F = pytest.importorskip("torch.nn.functional")

import softgrad.torch as drop_ins  # noqa: E402

N, K, D = 6, 5, 3
LABELS = torch.tensor([1, 0, 4, -100, 2, 3])


def tensor(shape: tuple[int, ...], seed: int, dtype: Any = torch.float32) -> Any:
    return torch.tensor(probe(shape, seed)).to(dtype)


def autocast() -> Any:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def grad_of(f: Callable[[Any], Any], x: Any) -> Any:
    x = x.clone().requires_grad_()
    y = f(x)
    y.backward((1 + 0.3 * tensor(tuple(y.shape), 7)).to(y.dtype))
    return x.grad


FORMULAS: dict[str, Callable[[Any], Any]] = {
    "softmax": sg.softmax,
    "logsumexp": lambda x: sg.logsumexp(x, axis=0),
    "cross_entropy": lambda x: sg.CrossEntropy(ignore_index=-100, reduction="none")(x, LABELS),
    "head": lambda x: sg.LinearCrossEntropy(ignore_index=-100)(x, tensor((4, K), 2), LABELS % 4),
    "selected": lambda x: sg.selected_log_probs(x, tensor((4, K), 2), LABELS % 4).entropy,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_are_deaf_to_it(name: str) -> None:
    f, x = FORMULAS[name], tensor((N, K), 1)
    with autocast():
        y, x_bar = f(x), grad_of(f, x)
    assert_same_bits(y, f(x))
    assert_same_bits(x_bar, grad_of(f, x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("of_targets", [False, True])
def test_cross_entropy_has_the_dtype_of_pytorchs(dtype: Any, of_targets: bool) -> None:
    x = tensor((N, K), 1, dtype)
    t = sg.softmax(tensor((N, K), 4, dtype)).requires_grad_() if of_targets else LABELS
    with autocast():
        here, there = drop_ins.cross_entropy(x, t), F.cross_entropy(x, t)
    assert here.dtype == there.dtype == (dtype if dtype == torch.float64 else torch.float32)
    wide = F.cross_entropy(x.double(), t.double() if of_targets else t)
    assert_close(here, as_numpy(wide), u=16)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_fused_layer_is_cast_as_a_layer_is(dtype: Any) -> None:
    """Parameters are float32, features what the layers below return; the sums are float32."""
    x, W, b = tensor((N, D), 1, dtype), tensor((K, D), 2), tensor((K,), 3)
    with autocast():
        here = drop_ins.linear_cross_entropy(x, W, LABELS, linear_bias=b)
        there = F.linear_cross_entropy(x, W, LABELS, linear_bias=b)
        W_bar = grad_of(lambda W: drop_ins.linear_cross_entropy(x, W, LABELS, linear_bias=b), W)
    assert here.dtype == there.dtype == W_bar.dtype == torch.float32

    def rounded(W: Any) -> Any:
        x_, W, b_ = (v.bfloat16().double() for v in (x, W, b))
        return F.cross_entropy(x_ @ W.T + b_, LABELS)

    assert_close(here, float(rounded(W)), u=16)
    # The gradient comes back through bfloat16, rounded once.
    assert_close(W_bar, as_numpy(grad_of(rounded, W)), u=2.0**16)


def test_a_module_trains_under_it() -> None:
    layer, loss = torch.nn.Linear(D, K), drop_ins.CrossEntropyLoss(label_smoothing=0.1)
    with autocast():
        value = loss(layer(tensor((N, D), 1)), LABELS)
    value.backward()
    assert value.dtype == layer.weight.grad.dtype == torch.float32
    assert float(layer.weight.grad.abs().min()) > 0


def test_a_graph_may_be_made_under_it() -> None:
    x, W = tensor((N, D), 1), tensor((K, D), 2)

    def f(W: Any) -> Any:
        with autocast():
            return drop_ins.linear_cross_entropy(x, W, LABELS)

    torch._dynamo.reset()
    assert_same_bits(torch.compile(f, fullgraph=True, backend="aot_eager")(W), f(W))
