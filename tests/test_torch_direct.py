"""Ordinary tensors go a short way, to the same numbers; all others are sent the long one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from specs import probe

torch = pytest.importorskip("torch")

import softgrad.torch as st  # noqa: E402
from softgrad.frameworks.torch import direct, entries, head, rules  # noqa: E402

N, K, D = 7, 65, 5
REDUCTIONS = ("mean", "sum")
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_map = pytest.mark.parametrize("f", [sg.softmax, sg.log_softmax], ids=["softmax", "log"])
each_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
each_bar = pytest.mark.parametrize("bar", [1.0, 0.3, -0.25, 7.0])


def tensor(x: Any, dtype: str = "float32", *, grad: bool = False) -> Any:
    return torch.tensor(np.asarray(x).astype(dtype)).requires_grad_(grad)


def logits(dtype: str = "float32", *, grad: bool = False, shape: Any = (N, K)) -> Any:
    return tensor(8 * probe(shape, 1), dtype, grad=grad)


def labels(shape: Any = (N,)) -> Any:
    return torch.arange(np.prod(shape)).reshape(shape) * 9 % K


def layer(dtype: str = "float32") -> tuple[Any, Any, Any]:
    shapes = ((N, D), (K, D), (K,))
    return tuple(tensor(probe(s, i), dtype, grad=True) for i, s in enumerate(shapes))


@pytest.fixture
def long_ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the long ways that were gone."""
    gone: list[str] = []

    def watch(module: Any, name: str) -> None:
        run = getattr(module, name)

        def spy(*args: Any) -> Any:
            gone.append(name)
            return run(*args)

        monkeypatch.setattr(module, name, spy)

    watch(rules, "map_value")
    watch(rules, "loss_value")
    watch(head, "head_value")
    return gone


# --- who goes where --------------------------------------------------------------------------

SHORT: dict[str, Callable[[], Any]] = {
    "softmax": lambda: st.softmax(logits(grad=True), dim=-1),
    "log_softmax": lambda: st.log_softmax(logits(grad=True), dim=1),
    "Softmax": lambda: st.Softmax(-1)(logits(grad=True)),
    "sg.softmax": lambda: sg.softmax(logits(grad=True)),
    "three axes": lambda: st.softmax(logits(grad=True, shape=(2, 3, K)), dim=2),
    "cross_entropy": lambda: st.cross_entropy(logits(grad=True), labels()),
    "CrossEntropyLoss": lambda: st.CrossEntropyLoss(reduction="sum")(logits(grad=True), labels()),
    "sg.cross_entropy": lambda: sg.cross_entropy(logits(grad=True), labels()),
    "linear_cross_entropy": lambda: sg.linear_cross_entropy(*layer()[:2], labels()),
    "with a bias": lambda: st.linear_cross_entropy(*layer()[:2], labels(), linear_bias=layer()[2]),
    "SoftmaxHead": lambda: st.SoftmaxHead(D, K)(layer()[0], labels()),
}


@pytest.mark.parametrize("call", SHORT)
def test_the_usual_calls_go_the_short_way(call: str, long_ways: list[str]) -> None:
    assert SHORT[call]().requires_grad
    assert not long_ways


def smoothed(x: Any) -> Any:
    return st.cross_entropy(x, labels(), label_smoothing=0.1)


def recorded(x: Any) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any, kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    with Mode():
        return sg.softmax(x)


class Tagged(torch.Tensor):
    pass


LONG: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "strides": (lambda x: st.softmax(x.T.contiguous().T, -1), lambda x: torch.softmax(x, -1)),
    "another axis": (lambda x: st.softmax(x, 0), lambda x: torch.softmax(x, 0)),
    "half precision": (lambda x: st.softmax(x.half(), -1), lambda x: torch.softmax(x.half(), -1)),
    "a subclass": (
        lambda x: st.softmax(x.as_subclass(Tagged), -1),
        lambda x: torch.softmax(x, -1),
    ),
    "negated": (lambda x: st.softmax(torch._neg_view(x), -1), lambda x: torch.softmax(-x, -1)),
    "vmap": (
        lambda x: torch.func.vmap(lambda x: st.softmax(x, -1))(x[None])[0],
        lambda x: torch.softmax(x, -1),
    ),
    "a dispatch mode": (recorded, lambda x: torch.softmax(x, -1)),
    "smoothing": (
        smoothed,
        lambda x: torch.nn.functional.cross_entropy(x, labels(), label_smoothing=0.1),
    ),
    "an ignored label": (
        lambda x: st.cross_entropy(x, labels() - (labels() == 9).long() * 109),
        lambda x: torch.nn.functional.cross_entropy(x, labels() - (labels() == 9).long() * 109),
    ),
    "a label to ignore": (
        lambda x: st.cross_entropy(x, labels(), ignore_index=9),
        lambda x: torch.nn.functional.cross_entropy(x, labels(), ignore_index=9),
    ),
    "probabilities": (
        lambda x: st.cross_entropy(x, torch.softmax(x.detach() / 2, -1)),
        lambda x: torch.nn.functional.cross_entropy(x, torch.softmax(x.detach() / 2, -1)),
    ),
}


@pytest.mark.parametrize("call", LONG)
def test_all_others_go_the_long_way_and_arrive(call: str, long_ways: list[str]) -> None:
    ours, theirs = LONG[call]
    x = logits(grad=True)
    y = ours(x)
    assert len(long_ways) == 1
    assert y.requires_grad
    expected = theirs(logits("float64"))
    u = 4 if y.dtype == expected.dtype else 8
    scale = float(expected.abs().max())
    assert_close(
        y.to(torch.float32),
        as_numpy(expected),
        u=u * (2**13 if y.dtype == torch.half else 4),
        scale=scale,
    )


def test_a_wrong_label_is_still_named_before_any_work() -> None:
    for wrong in (-1, K, -(2**63)):
        t = labels()
        t[3] = wrong
        with pytest.raises(IndexError, match=f"got {wrong} at position 3"):
            st.cross_entropy(logits(grad=True), t)
        with pytest.raises(IndexError, match=f"got {wrong} at position 3"):
            st.linear_cross_entropy(*layer()[:2], t)


# --- the same numbers ------------------------------------------------------------------------


@each_map
@each_dtype
def test_a_map_is_the_same_on_both_ways(f: Any, dtype: str) -> None:
    x, y_bar = logits(dtype), tensor(probe((N, K), 2), dtype)
    x[0, 3] = x[2, :] = -torch.inf
    x[3, 0], x[4, 1] = torch.nan, torch.inf
    short, long = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = direct.map_of_rows(f, short, -1)
    y.backward(y_bar)
    y_long = rules.map_value(f, long, -1, None, "auto")
    y_long.backward(y_bar)
    assert_same_bits(y, y_long)
    assert_same_bits(short.grad, long.grad)
    assert_same_bits(y, direct.map_of_rows(f, x, -1))


@each_reduction
@each_dtype
@each_bar
def test_a_loss_is_the_same_on_both_ways(reduction: Any, dtype: str, bar: float) -> None:
    loss = sg.CrossEntropy(reduction=reduction)
    short, long = logits(dtype, grad=True), logits(dtype, grad=True)
    y = entries.loss_value(loss, short, labels(), {})
    y_long = rules.loss_value(loss, long, labels(), {})
    (bar * y).backward()
    (bar * y_long).backward()
    assert_same_bits(y, y_long)
    assert_same_bits(short.grad, long.grad)
    assert_same_bits(y, st.cross_entropy(logits(dtype), labels(), reduction=reduction))
    assert_close(short.grad, bar * as_numpy(loss.gradient(logits(dtype), labels())), u=4)


@each_reduction
@each_dtype
@each_bar
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_head_is_the_same_on_both_ways(
    reduction: Any, dtype: str, bar: float, with_bias: bool
) -> None:
    loss = sg.LinearCrossEntropy(reduction=reduction)
    short, long = layer(dtype), layer(dtype)
    for (x, W, b), run in ((short, entries.head_value), (long, head.head_value)):
        (bar * run(loss, x, W, labels(), b if with_bias else None, {})).backward()
    for ours, theirs in zip(short[:2], long[:2], strict=True):
        assert_same_bits(ours.grad, theirs.grad)
    if with_bias:  # whose gradient is a sum in float64, in another order
        assert_close(short[2].grad, as_numpy(long[2].grad), u=2)


def test_what_is_frozen_gets_no_gradient() -> None:
    x, W, b = layer()
    (x_bar,) = torch.autograd.grad(sg.linear_cross_entropy(x, W.detach(), labels(), b), [x])
    (expected,) = torch.autograd.grad(sg.linear_cross_entropy(x, W, labels(), b), [x])
    assert_same_bits(x_bar, expected)
    assert not sg.linear_cross_entropy(x.detach(), W.detach(), labels()).requires_grad


# --- what a backward may do ------------------------------------------------------------------


def test_what_is_kept_serves_twice_and_belongs_to_nobody() -> None:
    x = logits(grad=True)
    loss = st.cross_entropy(x, labels())
    loss.backward(retain_graph=True)
    first = x.grad.clone()
    x.grad.mul_(3)  # in place
    loss.backward()
    assert_close(x.grad, 4 * as_numpy(first), u=2)


def test_what_is_scaled_up_keeps_its_digits() -> None:
    x = torch.zeros(50, K)
    x[:, 0] = 86.5  # e^-86.5 is a normal number in float32, and a fiftieth of it is none
    x.requires_grad_()
    (st.cross_entropy(x, torch.zeros(50, dtype=torch.int64)) * 2.0**40).backward()
    exact = 2.0**40 * np.exp(-86.5) / 50
    assert_close(x.grad[:, 1:], np.full((50, K - 1), exact), u=8)


def second(f: Callable[[Any], Any], x: Any, v: Any) -> Any:
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.autograd.grad(g, x, v)[0]


@each_dtype
def test_second_derivatives_behind_the_short_way(dtype: str) -> None:
    x, v = logits(dtype, grad=True), tensor(probe((N, K), 3), dtype)
    hessian = sg.cross_entropy.hessian(x.detach(), labels())
    found = second(lambda x: st.cross_entropy(x, labels()), x, v)
    assert_close(found, as_numpy(hessian.mv(v)), u=8)
    w = tensor(probe((N, K), 4), dtype)
    for name in ("softmax", "log_softmax"):
        product = getattr(sg, name).hvp(x.detach(), w, v)
        found = second(lambda x, name=name: (w * getattr(st, name)(x, -1)).sum(), x, v)
        assert_close(found, as_numpy(product), u=8)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_batches_of_cotangents(name: str) -> None:
    x, bars = logits(grad=True), tensor(probe((3, N, K), 5))
    y = getattr(st, name)(x, -1)
    expected = [getattr(sg, name).vjp(x.detach(), bar) for bar in bars]
    (batched,) = torch.autograd.grad(y, x, bars, is_grads_batched=True, retain_graph=True)
    assert_same_bits(batched, torch.stack(expected))
    by_vmap = torch.func.vmap(lambda bar: torch.autograd.grad(y, x, bar, retain_graph=True)[0])
    assert_same_bits(by_vmap(bars), torch.stack(expected))
    (expanded,) = torch.autograd.grad(y.sum() * 2, x, retain_graph=True)
    assert_same_bits(expanded, getattr(sg, name).vjp(x.detach(), torch.full((N, K), 2.0)))


# --- who writes operators down ---------------------------------------------------------------


def test_a_graph_of_real_tensors_holds_an_operator_and_no_numbers() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    def gradient(x: Any) -> Any:
        return torch.autograd.grad(st.cross_entropy(x, labels()), x)[0]

    graph = make_fx(gradient)(logits(grad=True))
    assert any("softgrad" in str(node.target) for node in graph.graph.nodes)
    other = (logits() + tensor(probe((N, K), 6))).requires_grad_()
    assert_close(graph(other), as_numpy(gradient(other)), u=4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_holds_no_numbers_either() -> None:
    trace = torch.jit.trace(lambda x: sg.softmax(x), (logits(),), check_trace=False)
    other = tensor(probe((N, K), 6))
    assert_close(trace(other), as_numpy(sg.softmax(other)), u=8)
