"""The head on a GPU: its numbers, its memory, one operator of a graph."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton_rows")

import torch

import softgrad as sg
import softgrad.torch as st
from asserts import as_numpy, assert_close, assert_same_bits
from softgrad.arrays import namespace
from softgrad.heads import products
from softgrad.heads.plan import Plan, Size
from specs import probe
from triton_rows import DEVICE, INTERPRETED, OnGPU, on_gpu, tensor

N, D, K = 9, 8, 130
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ALLOWED = {torch.float32: 2.0**-19, torch.bfloat16: 2.0**-6, torch.float16: 2.0**-9}
"""Of the largest entry: the rounding of the products, of operands and of results."""

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "bfloat16", "float16"])
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "all": {"label_smoothing": 0.1, "soft_cap": 10.0, "z_loss": 1e-3, "temperature": 1.3},
}


def arguments(dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Return x, W, labels and a bias."""
    x, W, bias = (tensor(probe(s, i)).to(dtype) for i, s in enumerate(((N, D), (K, D), (K,))))
    return x, W, tensor(np.arange(N) * 11 % K), bias


def targets(kind: str, labels: torch.Tensor) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return targets, settings and options."""
    if kind == "ignored":
        return torch.where(labels % 3 == 0, -1, labels), {"ignore_index": -1}, {}
    if kind == "dense":
        return tensor(probe((N, K), 7, np.float32) ** 2), {}, {}
    if kind == "top-k":
        ids = torch.stack([labels, (labels + 5) % K, labels], -1)
        return sg.TopK(ids, tensor(np.resize([0.5, 0.25, 0.125], (N, 3)), torch.float32)), {}, {}
    if kind == "weighted":
        weights = {"class_weights": tensor(probe((K,), 8, np.float32) ** 2)}
        return labels, {}, weights | {"row_weights": tensor(probe((N,), 9, np.float32) ** 2)}
    return labels, {}, {}


def flat(answer: Any) -> list[Any]:
    """Return a loss and its gradients in one list."""
    loss, gradients = answer
    return [loss, *(part for part in gradients if part is not None)]


CASES = [
    *itertools.product(["labels"], SETTINGS),
    *itertools.product(["ignored", "weighted", "top-k"], ["plain", "all"]),
]
CASES += [("dense", "plain"), ("dense", "all")]


@dtypes
@pytest.mark.parametrize(("kind", "setting"), CASES)
def test_the_head_s_numbers(kind: str, setting: str, dtype: torch.dtype) -> None:
    memory = 2**12 if setting == "plain" else None  # a few rows at a time, or all
    x, W, labels, bias = arguments(dtype)
    y, more, options = targets(kind, labels)
    head = sg.LinearCrossEntropy(**SETTINGS[setting], **more, memory=memory)
    found = flat(OnGPU(head).value_and_gradient(x, W, y, bias, **options))
    wide = x.double(), W.double(), y, bias.double()
    expected = flat(head.value_and_gradient(*wide, **options, impl="reference"))
    assert_close(found[0], as_numpy(expected[0]), u=40)
    for part, exact in zip(found[1:], expected[1:], strict=True):
        assert part.dtype == dtype
        torch.testing.assert_close(
            part.double(), exact, rtol=0, atol=ALLOWED[dtype] * float(exact.abs().max())
        )


@dtypes
@pytest.mark.parametrize("verb", ["jvp", "hvp", "ggn"])
def test_products_of_the_head(verb: str, dtype: torch.dtype) -> None:
    x, W, labels, bias = arguments(dtype)
    dots = {"x_dot": x.flip(0), "W_dot": 0.5 * W}
    head = sg.LinearCrossEntropy(memory=2**15)
    found = getattr(OnGPU(head), verb)(x, W, labels, bias, **dots)
    wide = {name: dot.double() for name, dot in dots.items()}
    expected = getattr(head, verb)(
        x.double(), W.double(), labels, bias.double(), **wide, impl="reference"
    )
    pairs = [(found, expected)] if verb == "jvp" else zip(found, expected, strict=True)
    for part, exact in pairs:
        allowed = 4 * ALLOWED[dtype] * float(exact.abs().max())
        torch.testing.assert_close(part.double(), exact, rtol=0, atol=allowed)


def test_bfloat16_logits_are_float32_and_their_gradient_is_in_their_memory() -> None:
    """A confident row keeps its digits: its logits are no bfloat16 numbers."""
    x = tensor([[1.0, 1.0]], torch.bfloat16)
    W = tensor([[12.0, 0.0625], [0.03125, 0.0]], torch.bfloat16)  # logits 12.0625 and 0.03125
    labels = tensor([0])
    loss, bars = OnGPU(sg.linear_cross_entropy).value_and_gradient(x, W, labels)
    expected = np.log1p(np.exp(0.03125 - 12.0625))
    assert_close(loss, expected, u=4)
    slope = float(tensor(1 / (1 + np.exp(12.03125)), torch.float32).bfloat16())
    assert_same_bits(bars.W, tensor([[-slope, -slope], [slope, slope]], torch.bfloat16))


def test_rows_that_do_not_count_may_hold_anything() -> None:
    x, W, labels, bias = arguments(torch.float32)
    labels[[0, 7]] = -1
    head = OnGPU(sg.LinearCrossEntropy(ignore_index=-1))
    clean = flat(head.value_and_gradient(x, W, labels, bias))
    x[0], x[7] = torch.nan, torch.inf
    dirty = flat(head.value_and_gradient(x, W, labels, bias))
    for a, b in zip(clean, dirty, strict=True):
        assert_same_bits(a, b)
    assert not dirty[1][[0, 7]].any()


def test_a_bad_label_is_a_row_of_nan_unless_somebody_looks() -> None:
    x, W, labels, _ = arguments(torch.float32)
    labels[5] = K
    each = sg.LinearCrossEntropy(reduction="none")
    losses, bars = OnGPU(each).value_and_gradient(x, W, labels)
    assert torch.isnan(losses).nonzero().tolist() == [[5]]
    assert torch.isnan(bars.x).any(1).nonzero().tolist() == [[5]]
    with pytest.raises(IndexError, match=f"from 0 to {K - 1}, got {K} at position 5"):
        OnGPU(sg.LinearCrossEntropy(validate=True)).value(x, W, labels)


class MixedTorch:
    """PyTorch as it is on a GPU: products of bfloat16 with sums of float32."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def __getattr__(self, name: str) -> Any:
        return getattr(self.xp, name)

    def mm(self, a: Any, b: Any, *, out_dtype: Any, out: Any = None) -> Any:
        assert a.dtype == b.dtype == torch.bfloat16
        assert out_dtype == torch.float32
        if out is None:
            return a.float() @ b.float()
        assert out.dtype == torch.float32
        out[...] = a.float() @ b.float()
        return out

    def addmm(self, c: Any, a: Any, b: Any, *, out_dtype: Any, out: Any) -> None:
        assert c is out
        before = out.clone()
        self.mm(a, b, out_dtype=out_dtype, out=out)
        out += before


class OlderTorch(MixedTorch):
    """PyTorch 2.8, which writes such products, and adds them to bfloat16 alone."""

    def addmm(self, c: Any, a: Any, b: Any, *, out_dtype: Any, out: Any) -> None:
        raise RuntimeError("self and mat2 must have the same dtype, but got Float and BFloat16")


@pytest.mark.parametrize("memory", [2**12, None])
@pytest.mark.parametrize("kind", [MixedTorch, OlderTorch])
def test_the_numbers_of_mixed_products(
    kind: type[MixedTorch], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several chunks add to W_bar; a bias is written before the logits are added.

    Nothing is multiplied in float32, whichever of the two products there is.
    """
    x, W, labels, bias = arguments(torch.bfloat16)
    head, wide = sg.LinearCrossEntropy(memory=memory), (x.double(), W.double())
    expected = flat(head.value_and_gradient(*wide, labels, bias.double(), impl="reference"))
    monkeypatch.setattr(products, "_sums_in_float32", lambda product, *_: product in HAS[kind])
    monkeypatch.setattr(products, "namespace", lambda v: kind(namespace(v)))
    monkeypatch.setattr(products, "_TILE_ON_GPU", 64)
    for verb in ("write", "add"):
        monkeypatch.setattr(products.TorchProducts, verb, None)  # of float32
    found = flat(OnGPU(head).value_and_gradient(x, W, labels, bias))
    for part, exact in zip(found[1:], expected[1:], strict=True):
        allowed = ALLOWED[torch.bfloat16] * float(exact.abs().max())
        torch.testing.assert_close(part.double(), exact, rtol=0, atol=allowed)


def test_what_is_added_by_hand_is_cut_into_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the long side, and all of it."""
    monkeypatch.setattr(products, "_TILE_ON_GPU", 64)
    for n, k in ((3, 100), (100, 3), (7, 7), (1, 1), (0, 5), (5, 0)):
        tiles, seen = list(products._tiles(n, k)), np.zeros((n, k))
        for rows, columns in tiles:
            seen[rows, columns] += 1
            assert seen[rows, columns].size <= 64
        assert (seen == 1).all()
        assert len(tiles) <= max(n, k)


MIXED = ("mm", "addmm")
HAS = {MixedTorch: MIXED, OlderTorch: ("mm",)}
PASSING = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]
REFUSALS = [
    NotImplementedError("Could not run 'aten::addmm.dtype_out'"),
    TypeError("addmm() got an unexpected keyword argument 'out_dtype'"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx(handle)`"),
    RuntimeError("gemm input type at::BFloat16 and output type float is not supported for ROCm"),
    RuntimeError("self and mat2 must have the same dtype, but got Float and BFloat16"),
]


def asked(
    product: str, error: Exception, xp: Any, x: Any, monkeypatch: pytest.MonkeyPatch
) -> list[bool]:
    """Ask twice for a product that raises; return whether it was tried each time."""
    tried: list[bool] = []

    def fail(*_: Any, **how: Any) -> None:
        tried[-1] = True
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(xp, product, fail, raising=False)
        for _ in range(2):
            tried.append(False)
            with pytest.raises(type(error)) if error in PASSING else nullcontext():
                assert not products._sums_in_float32(product, xp, x.dtype, x.device)
    return tried


@pytest.mark.parametrize("product", ["mm", "addmm"])
@pytest.mark.parametrize("error", [*PASSING, *REFUSALS], ids=str)
def test_what_products_there_are_is_remembered_and_a_failure_is_not(
    product: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = arguments(torch.bfloat16)[0]
    xp = namespace(x)
    products._sums_in_float32.cache_clear()
    assert asked(product, error, xp, x, monkeypatch) == [True, error in PASSING]
    if error in REFUSALS:
        products._sums_in_float32.cache_clear()
    assert products._sums_in_float32(product, xp, x.dtype, x.device) == (not INTERPRETED)


def test_each_of_the_two_products_is_tried_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    x = arguments(torch.bfloat16)[0]
    for kind, names in HAS.items():
        products._sums_in_float32.cache_clear()
        xp = kind(namespace(x))
        found = {name: products._sums_in_float32(name, xp, x.dtype, x.device) for name in MIXED}
        assert found == {name: name in names for name in MIXED}
    products._sums_in_float32.cache_clear()


# --- PyTorch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=["float32", "bfloat16"])
def test_autograd_scales_the_gradients_it_was_given(dtype: torch.dtype) -> None:
    x, W, labels, bias = arguments(dtype)
    given = [v.clone().requires_grad_() for v in (x, W, bias)]
    with on_gpu():
        loss, bars = sg.linear_cross_entropy.value_and_gradient(x, W, labels, bias)
        y = st.linear_cross_entropy(given[0], given[1], labels, linear_bias=given[2])
        first = torch.autograd.grad(3 * y, given, retain_graph=True)
        second = torch.autograd.grad(3 * y, given)  # computed anew
    assert_same_bits(y, loss.to(y.dtype))
    for bar, a, b in zip(bars, first, second, strict=True):
        assert_same_bits(a, 3 * bar)
        allowed = ALLOWED[dtype] * float(a.abs().max())
        torch.testing.assert_close(a, b, rtol=0, atol=allowed)


def test_a_second_derivative_on_a_gpu() -> None:
    x, W, labels, bias = arguments(torch.float32)
    x.requires_grad_()
    with on_gpu():
        y = sg.linear_cross_entropy(x, W, labels, bias)
        (slope,) = torch.autograd.grad(y, x, create_graph=True)
        (bend,) = torch.autograd.grad((slope * x.detach()).sum(), x)
        expected = sg.linear_cross_entropy.hvp(
            x.detach(), W, labels, bias, x_dot=x.detach(), frozen=("W", "bias")
        )
    torch.testing.assert_close(bend, expected.x)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=["float32", "bfloat16"])
def test_one_operator_of_a_graph(dtype: torch.dtype) -> None:
    x, W, labels, bias = arguments(dtype)
    head = sg.LinearCrossEntropy(soft_cap=20.0)

    def loss(x: Any, W: Any, bias: Any) -> Any:
        return 2 * head(x, W, labels, bias)

    answers = []
    with on_gpu():
        for f in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
            given = [v.clone().requires_grad_() for v in (x, W, bias)]
            y = f(*given)
            y.backward()
            answers.append((y, *(v.grad for v in given)))
    for a, b in zip(*answers, strict=True):
        assert_same_bits(a, b)


# --- how the work is cut -----------------------------------------------------------------------


def test_a_gpu_s_chunks_are_large_and_their_products_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[Size] = []
    of = Plan.of
    monkeypatch.setattr(Plan, "of", lambda size, **how: sizes.append(size) or of(size, **how))
    OnGPU(sg.linear_cross_entropy).value_and_gradient(*arguments(torch.bfloat16)[:3])
    large = sizes[-1]._replace(N=8192, D=4096, K=131072)
    plan = of(large, buffers=1, light=True)
    assert 768 <= plan.chunk <= 512 * 2**20 // (4 * large.K)
    assert plan.tile == large.K


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_the_head_is_captured_in_a_cuda_graph() -> None:
    x, W, labels, _ = arguments(torch.bfloat16)
    sg.linear_cross_entropy.value_and_gradient(x, W, labels)  # compiles
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss, bars = sg.linear_cross_entropy.value_and_gradient(x, W, labels)
    x.mul_(2)
    graph.replay()
    expected = sg.linear_cross_entropy.value_and_gradient(x, W, labels)
    assert_same_bits(loss, expected[0])
    assert_same_bits(bars.W, expected[1].W)


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_bfloat16_is_multiplied_as_it_is() -> None:
    x, W, _, _ = arguments(torch.bfloat16)
    xp = namespace(x)
    assert products._sums_in_float32("mm", xp, x.dtype, x.device)
    out = torch.ones((N, K), device=DEVICE)
    products.MixedProducts().add(x, W.T, out)
    torch.testing.assert_close(out, 1 + x.float() @ W.float().T)


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_the_peak_of_memory() -> None:
    """dX, dW, the sums of W in float32, and the buffers."""
    rows, features, classes = 4096, 1024, 64000
    x = torch.randn(rows, features, device=DEVICE, dtype=torch.bfloat16)
    W = torch.randn(classes, features, device=DEVICE, dtype=torch.bfloat16)
    labels = torch.randint(classes, (rows,), device=DEVICE)
    head = sg.LinearCrossEntropy(memory=128 * 2**20)
    head.value_and_gradient(x, W, labels)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    head.value_and_gradient(x, W, labels)
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    results = 2 * (rows + classes) * features
    assert peak <= results + 4 * classes * features + 160 * 2**20
