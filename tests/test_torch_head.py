"""PyTorch differentiates the head in every mode, against dense logits in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from asserts import as_numpy, assert_close, assert_same_bits
from softgrad.heads import LinearCrossEntropy
from softgrad.heads.selected_log_probs import SelectedLogProbs
from softgrad.losses import TopK
from specs import probe

torch = pytest.importorskip("torch")
forward_ad = pytest.importorskip("torch.autograd.forward_ad")
func = pytest.importorskip("torch.func")
F = pytest.importorskip("torch.nn.functional")

# PyTorch compiles its own decompositions on the way.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

N, D, K = 5, 3, 4
LABELS = [0, 3, 1, -100, 2]
REDUCTIONS = ("mean", "sum", "none")
each_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def tensor(x: Any, dtype: str = "float64") -> Any:
    return torch.tensor(np.asarray(x)).to(getattr(torch, dtype))


def arguments(dtype: str = "float64") -> tuple[Any, Any, Any]:
    """Return x [N, D], W [K, D] and a bias [K] of the size of one."""
    parts = (probe((N, D), 1), probe((K, D), 2), probe((K,), 3))
    return tuple(tensor(part, dtype) for part in parts)  # type: ignore[return-value]


def labels() -> Any:
    return torch.tensor(LABELS)


def head(reduction: str = "mean", **settings: Any) -> LinearCrossEntropy:
    return LinearCrossEntropy(reduction=reduction, ignore_index=-100, **settings)  # type: ignore[arg-type]


def loss_of(reduction: str = "mean") -> Callable[..., Any]:
    return lambda x, W, b: head(reduction)(x, W, labels(), b)


def dense(reduction: str = "mean") -> Callable[..., Any]:
    return lambda x, W, b: F.cross_entropy(x @ W.T + b, labels(), reduction=reduction)


def upstream(y: Any) -> Any:
    return tensor(1 + 0.3 * probe(tuple(y.shape), 7)).to(y.dtype)


def gradients(f: Callable[..., Any], parts: Any, wanted: Any = (0, 1, 2)) -> list[np.ndarray]:
    """Return what `backward` leaves behind, under an upstream gradient that is not uniform."""
    parts = [p.clone().requires_grad_(i in wanted) for i, p in enumerate(parts)]
    y = f(*parts)
    y.backward(upstream(y))
    return [None if p.grad is None else as_numpy(p.grad) for p in parts]  # type: ignore[misc]


@each_reduction
@pytest.mark.parametrize("wanted", [(0, 1, 2), (0,), (1,), (2,), (0, 2), (1, 2)])
def test_backward_reaches_what_requires_a_gradient(reduction: str, wanted: Any) -> None:
    here = gradients(loss_of(reduction), arguments(), wanted)
    there = gradients(dense(reduction), arguments(), wanted)
    for i, (a, b) in enumerate(zip(here, there, strict=True)):
        assert (a is None) == (i not in wanted)
        if a is not None:
            assert_close(a, b, u=32)


@each_reduction
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_narrow_dtypes_are_near_float64(reduction: str, dtype: str) -> None:
    narrow = arguments(dtype)
    y = loss_of(reduction)(*narrow)
    assert y.dtype == torch.float32
    exact = dense(reduction)(*(p.double() for p in narrow))
    assert_close(y, as_numpy(exact), u=32)
    u = 64 if dtype == "float32" else 2.0**17 if dtype == "bfloat16" else 2.0**14
    here = gradients(loss_of(reduction), narrow)
    for a, b in zip(here, gradients(dense(reduction), [p.double() for p in narrow]), strict=True):
        assert_close(a, b, u=u)


def test_scaled_losses_of_float16_keep_small_gradients() -> None:
    """The gradient is rounded after the upstream factor, as a loss scaler expects."""
    x, W = tensor([[1.0]], "float16").requires_grad_(), tensor([[19.0], [0.0]], "float16")
    (LinearCrossEntropy()(x, W, torch.tensor([0])) * 2.0**16).backward()
    assert_close(x.grad, [[-19 * 5.6e-9 * 2.0**16]], u=2.0**19)


@each_reduction
def test_backward_twice_adds_up(reduction: str) -> None:
    x, W, b = (p.requires_grad_() for p in arguments())
    y = loss_of(reduction)(x, W, b)
    y_bar = upstream(y)
    y.backward(0.5 * y_bar, retain_graph=True)
    y.backward(-3.0 * y_bar)
    once = gradients(dense(reduction), (x.detach(), W.detach(), b.detach()))
    for part, g in zip((x, W, b), once, strict=True):
        assert_close(part.grad, -2.5 * g, u=32)


def test_gradients_that_are_changed_in_place_do_not_come_back_changed() -> None:
    x, W, b = (p.requires_grad_() for p in arguments())
    y = loss_of()(x, W, b)
    (first,) = torch.autograd.grad(y, W, retain_graph=True)
    first.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(y, W)


@each_reduction
def test_derivatives_by_differences(reduction: str) -> None:
    parts = tuple(p.requires_grad_() for p in arguments())
    f = loss_of(reduction)
    assert torch.autograd.gradcheck(f, parts, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(f, parts, check_fwd_over_rev=True)


@each_reduction
def test_gradient_penalty(reduction: str) -> None:
    def penalty(f: Callable[..., Any]) -> list[np.ndarray]:
        parts = [p.clone().requires_grad_() for p in arguments()]
        y = f(*parts)
        bars = torch.autograd.grad(y, parts, upstream(y), create_graph=True)
        sum((bar**2).sum() for bar in bars).backward()
        return [as_numpy(p.grad) for p in parts]

    for a, b in zip(penalty(loss_of(reduction)), penalty(dense(reduction)), strict=True):
        assert_close(a, b, u=64)


@each_reduction
@pytest.mark.parametrize("outer", ["jacrev", "jacfwd"])
@pytest.mark.parametrize("inner", ["jacrev", "jacfwd"])
def test_hessians_by_any_two_modes(reduction: str, outer: str, inner: str) -> None:
    x, W, b = arguments()

    def hessian(f: Callable[..., Any]) -> Any:
        return getattr(func, outer)(getattr(func, inner)(f, argnums=(0, 1)), argnums=(0, 1))(
            x, W, b
        )

    here, there = hessian(loss_of(reduction)), hessian(dense(reduction))
    for i in range(2):
        for j in range(2):
            assert_close(here[i][j], as_numpy(there[i][j]), u=64)


@each_reduction
def test_first_order_transforms(reduction: str) -> None:
    x, W, b = arguments()
    dots = tuple(tensor(probe(tuple(p.shape), 9)) for p in (x, W, b))
    for part in ((0, 1, 2), (1,), (2, 0)):
        moving = tuple(dots[i] if i in part else torch.zeros_like(dots[i]) for i in range(3))
        here = func.jvp(loss_of(reduction), (x, W, b), moving)[1]
        assert_close(here, as_numpy(func.jvp(dense(reduction), (x, W, b), moving)[1]), u=32)
    with forward_ad.dual_level():
        y = loss_of(reduction)(x, forward_ad.make_dual(W, dots[1]), b)
        tangent = forward_ad.unpack_dual(y).tangent
    alone = func.jvp(lambda W: dense(reduction)(x, W, b), (W,), (dots[1],))[1]
    assert_close(tangent, as_numpy(alone), u=32)
    y, pull = func.vjp(loss_of(reduction), x, W, b)
    native, native_pull = func.vjp(dense(reduction), x, W, b)
    assert_close(y, as_numpy(native), u=32)
    y_bar = upstream(y)
    for p, q in zip(pull(y_bar), native_pull(y_bar), strict=True):
        assert_close(p, as_numpy(q), u=32)


def test_gradients_of_every_example() -> None:
    x, W, b = arguments()
    t = torch.tensor([0, 3, 1, 2, 2])

    def f(x: Any, t: Any, W: Any) -> Any:
        return LinearCrossEntropy()(x, W, t, b)

    here = func.vmap(func.grad(f, argnums=2), in_dims=(0, 0, None))(x, t, W)

    def native(x: Any, t: Any, W: Any) -> Any:
        return F.cross_entropy(W @ x + b, t)

    assert_close(
        here, as_numpy(func.vmap(func.grad(native, argnums=2), (0, 0, None))(x, t, W)), u=32
    )


def test_top_k_targets() -> None:
    x, W, b = arguments()
    ids = torch.tensor([[0, 1], [2, 3], [1, 0], [3, 2], [0, 2]])
    share = tensor([[0.7, 0.3], [0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    t = torch.zeros(N, K, dtype=torch.float64).scatter(1, ids, share)
    here = gradients(lambda *p: LinearCrossEntropy()(*p[:2], TopK(ids, share), p[2]), (x, W, b))
    there = gradients(lambda x, W, b: F.cross_entropy(x @ W.T + b, t), (x, W, b))
    for a, g in zip(here, there, strict=True):
        assert_close(a, g, u=32)
    with pytest.raises(TypeError, match=r"`targets.probabilities` must be without requires_grad"):
        LinearCrossEntropy()(x, W, TopK(ids, share.requires_grad_()))


def test_batches_of_sequences_and_strides() -> None:
    x, W, b = arguments("float32")
    x = torch.stack([x, 2 * x])  # [B, T, D]
    t = torch.tensor([LABELS, LABELS[::-1]])
    together = [p.clone().requires_grad_() for p in (x.transpose(1, 2).contiguous(), W, b)]
    flat = [p.clone().requires_grad_() for p in (x.reshape(-1, D), W, b)]
    head()(together[0].transpose(1, 2), together[1], t, together[2]).backward()
    head()(flat[0], flat[1], t.reshape(-1), flat[2]).backward()
    assert_same_bits(together[0].grad.transpose(1, 2).reshape(-1, D), flat[0].grad)
    for a, c in zip(together[1:], flat[1:], strict=True):
        assert_same_bits(a.grad, c.grad)
    expanded = x[:1, :1].expand(2, N, D).detach().requires_grad_()
    head()(expanded, W, t, b).backward()
    plain = x[:1, :1].expand(2, N, D).contiguous().requires_grad_()
    head()(plain, W, t, b).backward()
    assert_same_bits(expanded.grad, plain.grad)


def test_only_features_weights_and_bias_are_differentiated() -> None:
    x, W, _ = arguments()
    t = torch.softmax(x @ W.T, -1).requires_grad_()
    with pytest.raises(TypeError, match="`targets` must be without requires_grad"):
        LinearCrossEntropy()(x, W, t)
    with pytest.raises(NotImplementedError, match="first and second derivatives"):
        func.jacrev(func.hessian(lambda W: LinearCrossEntropy()(x, W, t.detach())))(W)


def selected(x: Any, W: Any, b: Any) -> Any:
    return SelectedLogProbs()(x, W, torch.tensor([[0, 3], [1, 1], [2, 0], [3, 2], [1, 2]]), b)


def test_selected_log_probs_are_differentiated_by_differences() -> None:
    parts = tuple(p.requires_grad_() for p in arguments())
    assert torch.autograd.gradcheck(selected, parts, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(selected, parts, check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.parametrize("outer", ["jacrev", "jacfwd"])
@pytest.mark.parametrize("inner", ["jacrev", "jacfwd"])
def test_hessians_of_selected_log_probs_by_any_two_modes(outer: str, inner: str) -> None:
    bars = [torch.tensor(probe(shape, 5)) for shape in ((5, 2), (5,), (5,))]

    def of_outputs(W: Any) -> Any:
        x, _, b = arguments()
        return sum((bar * y).sum() for bar, y in zip(bars, selected(x, W, b), strict=True))

    W = arguments()[1]
    found = getattr(func, outer)(getattr(func, inner)(of_outputs))(W)
    columns = [
        func.jvp(func.grad(of_outputs), (W,), (e.view_as(W),))[1]
        for e in torch.eye(W.numel(), dtype=W.dtype)
    ]
    assert_close(found.reshape(W.numel(), -1), as_numpy(torch.stack(columns).flatten(1)), u=64)


def test_outputs_that_nobody_uses_have_no_say() -> None:
    x, W, b = (p.requires_grad_() for p in arguments())
    selected(x, W, b).entropy[0].backward()
    log_p = torch.log_softmax(x.detach() @ W.detach().T + b.detach(), -1)
    by_hand = -(log_p.exp() * (log_p - (log_p.exp() * log_p).sum(-1, keepdim=True)))[0]
    assert_close(b.grad, as_numpy(by_hand), u=32)
    assert float(x.grad[1:].abs().max()) == 0 < float(x.grad[0].abs().max())
