"""Nothing waits for a GPU, and nothing is made elsewhere: on tensors that have no numbers.

A number that is looked at raises there, in every call, before and behind PyTorch's dispatch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("meta_gpu")

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import softgrad as sg
import softgrad.torch as st
from meta_gpu import Launch, empty, take_meta_for_a_gpu
from softgrad import arrays
from softgrad.frameworks.torch import modes
from softgrad.kernels.triton import operations
from specs import probe

N, D, K = 9, 8, 130
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).split(".")[1])


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    return take_meta_for_a_gpu(monkeypatch)


def rows(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits, a direction, and labels."""
    z, v = (empty(N, K, dtype=dtype) for _ in range(2))
    return z, v, empty(N, dtype=torch.int64)


def differentiated(f: Callable[[Any], Any], *given: torch.Tensor) -> None:
    """Differentiate in every argument, and the gradient once more."""
    given = tuple(x.clone().requires_grad_() for x in given)
    f(*given).sum().backward()
    slopes = torch.autograd.grad(f(*given).sum(), given, create_graph=True)
    torch.autograd.grad(sum(slope.sum() for slope in slopes), given, allow_unused=True)


# --- maps and losses ---------------------------------------------------------------------------

MAPS = ("softmax", "log_softmax", "logsumexp", "sparsemax", "entmax15", "sigmoid", "relu", "tanh")


@dtypes
@pytest.mark.parametrize("name", MAPS)
def test_maps(name: str, dtype: torch.dtype, launches: list[Launch]) -> None:
    f, (z, v, _) = getattr(sg, name), rows(dtype)
    f(z)
    f(z.T, axis=0)
    f.linearize(z)[1].mv(v)
    f.jvp(z, v)
    f.jacobian(z[:2, :5])
    differentiated(f, z)
    if name != "logsumexp":
        f(z, out=v)
        f.vjp(z, v)
        f.hvp(z, v, v)
    if name in MAPS[:5]:
        f(z, where=empty(N, K, dtype=torch.bool))
    has_kernels = name in MAPS[:3] and dtype != torch.float64
    assert bool(launches) == has_kernels


@dtypes
@pytest.mark.parametrize("name", MAPS)
def test_rows_without_classes(name: str, dtype: torch.dtype, launches: list[Launch]) -> None:
    f, z = getattr(sg, name), empty(N, 0, dtype=dtype)
    y, J = f.linearize(z)
    bar = f.vjp(z, y)
    assert {part.device.type for part in (y, f(z), J.mv(z), bar, f.jvp(z, z))} == {"meta"}
    differentiated(f, z)
    assert not launches


LOSSES: dict[str, Any] = {
    "plain": sg.cross_entropy,
    "none": sg.CrossEntropy(reduction="none"),
    "all": sg.CrossEntropy(
        label_smoothing=0.1, z_loss=0.1, soft_cap=5.0, temperature=0.7, ignore_index=-1
    ),
}


@dtypes
@pytest.mark.parametrize("setting", LOSSES)
def test_losses(setting: str, dtype: torch.dtype, launches: list[Launch]) -> None:
    loss, (z, v, labels) = LOSSES[setting], rows(dtype)
    weights = {"class_weights": empty(K), "row_weights": empty(N)}
    loss.value_and_gradient(z, labels, **weights)
    loss.value_and_gradient(z, labels, where=empty(N, K, dtype=torch.bool))
    loss.value_and_gradient(z.T, labels, axis=0)
    loss.hessian(z, labels).mv(v)
    differentiated(lambda z: loss(z, labels), z)
    if setting != "all":
        differentiated(lambda z: loss(z, v), z)
    differentiated(lambda z: st.cross_entropy(z, labels), z)
    assert bool(launches) == (dtype != torch.float64)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=["float32", "bfloat16"])
def test_autograd_launches_one_kernel_for_value_and_gradient(
    dtype: torch.dtype, launches: list[Launch]
) -> None:
    z, _, labels = rows(dtype)
    z.requires_grad_()
    loss = sg.cross_entropy(z, labels)
    assert [one.arguments["GRADIENT"] for one in launches] == [True]
    (3 * loss).backward()
    assert len(launches) == 1


@pytest.mark.parametrize(
    ("K", "k", "together"),
    [(131072, 1, 1), (131072, 5, 8), (4096, 16, 16), (4096, 900, 16), (64, 9, 4), (2, 9, 1)],
)
def test_classes_with_a_target_are_seen_together(
    K: int, k: int, together: int, launches: list[Launch]
) -> None:
    y = sg.TopK(empty(N, k, dtype=torch.int64), empty(N, k))
    sg.cross_entropy.value_and_gradient(empty(N, K), y)
    assert [one.arguments["Q"] for one in launches] == [together]


@pytest.mark.parametrize(
    ("K", "pitch", "step"),
    [(1000, 1000, 8), (1024, 1024, 8), (130, 130, 2), (50, 1000, 2), (64, 65, 1)],
)
def test_a_kernel_knows_what_rows_are_multiples_of(
    K: int, pitch: int, step: int, launches: list[Launch]
) -> None:
    sg.softmax(empty(N, pitch)[:, :K])
    assert [one.arguments["STEP"] for one in launches] == [step]


HELD: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "softmax": (lambda z, y: sg.softmax(z), 16384),
    "log_softmax": (lambda z, y: sg.log_softmax(z), 8192),
    "softmax.vjp": (lambda z, y: sg.softmax.vjp(z, z), 8192),
    "labels": (lambda z, y: sg.cross_entropy(z, y), 16384),
    "dense": (lambda z, y: sg.cross_entropy(z, z), 8192),
    "smoothed": (lambda z, y: sg.CrossEntropy(label_smoothing=0.1)(z, y), 8192),
    "capped": (lambda z, y: sg.CrossEntropy(soft_cap=30.0)(z, y), 8192),
}


@pytest.mark.parametrize("name", HELD)
def test_rows_are_held_at_once_as_far_as_registers_go(name: str, launches: list[Launch]) -> None:
    call, longest = HELD[name]
    for K in (longest, longest + 1):
        call(empty(N, K), empty(N, dtype=torch.int64))
    held, tiled = (one.arguments for one in launches)
    assert (held["B"], held["WHOLE"]) == (longest, True)
    assert (tiled["B"], tiled["WHOLE"]) == (8192, False)


def test_float16_gradients_are_made_of_what_comes_in(launches: list[Launch]) -> None:
    """Of a loss that was scaled up for them: they are not there without the factor."""
    z, _, labels = rows(torch.float16)
    loss = sg.cross_entropy(z.requires_grad_(), labels)
    loss.backward()
    assert [one.arguments["GRADIENT"] for one in launches] == [False, True]


def test_a_kernel_runs_on_the_device_of_its_rows(
    launches: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the one that PyTorch happens to be at."""
    z, held = rows(torch.float32)[0], []

    @contextmanager
    def device_of(x: torch.Tensor) -> Iterator[None]:
        assert x.data_ptr() == z.data_ptr()
        before = len(launches)
        yield
        held.append(len(launches) - before)

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    sg.logsumexp(z)
    assert held == [len(launches)] == [1]


class _Calls(TorchDispatchMode):
    """Notes the names of PyTorch's own operations that a GPU is told to do."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), named: Any = None) -> Any:
        name = str(call).split(".")[1]
        if not call.is_view and "empty" not in name:
            self.names.append(name)
        return call(*args, **(named or {}))


CHECKS = ["ge", "lt", "bitwise_and"]
"""Whether labels are class indices."""
MEAN = ["sum", "_to_copy", "eq", "mul", "add", "add", "where", "div"]
"""The divisor, which is finite and not 0, and the factor of each row."""
TOTAL = ["sum", "_to_copy"]


def test_beside_the_kernel_there_is_what_a_mean_wants(
    launches: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation on a number a row takes as long as its launch."""
    monkeypatch.setattr(modes, "is_recorded", lambda: False)
    z, _, labels = rows(torch.bfloat16)
    with _Calls() as calls:
        sg.cross_entropy.value_and_gradient(z, labels)
    assert calls.names == [*CHECKS, "ones_like", *MEAN, *TOTAL]
    with _Calls() as calls:
        sg.CrossEntropy(reduction="none").value_and_gradient(z, labels)
    assert calls.names == [*CHECKS, "ones_like"]
    with _Calls() as calls:
        sg.linear_cross_entropy.value_and_gradient(*layer(torch.bfloat16)[:2], labels)
    before = calls.names[: calls.names.index("mm")]
    assert sorted(set(before)) == sorted({*CHECKS, *MEAN, "copy_", "scalar_tensor"})
    assert before.count("sum") == 1
    assert before.count("add") == 2
    assert launches


# --- the head ----------------------------------------------------------------------------------

HEADS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "plain": ({}, "labels", ()),
    "none": ({"reduction": "none"}, "labels", ()),
    "ignored": ({"ignore_index": -1}, "labels", ()),
    "empty": ({"ignore_index": -1, "on_empty": "nan"}, "labels", ()),
    "all": ({**vars(LOSSES["all"]), "reduction": "mean"}, "labels", ()),
    "weighted": ({"label_smoothing": 0.1}, "labels", ("class_weights", "row_weights")),
    "normalised": ({"normalizer": 7.0}, "labels", ()),
    "little memory": ({"memory": 2**12}, "labels", ()),
    "top-k": ({}, "top-k", ()),
    "top-k, spread": ({"rest": "spread"}, "top-k", ()),
    "top-k, smoothed": ({"label_smoothing": 0.1}, "top-k", ()),
    "dense": ({}, "dense", ()),
    "dense, weighted": ({}, "dense", ("class_weights",)),
}
OPTIONS = {"class_weights": K, "row_weights": N}


def targets(kind: str) -> Any:
    if kind == "top-k":
        return sg.TopK(empty(N, 3, dtype=torch.int64), empty(N, 3))
    return empty(N, K) if kind == "dense" else empty(N, dtype=torch.int64)


def layer(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return x, W and a bias."""
    return empty(N, D, dtype=dtype), empty(K, D, dtype=dtype), empty(K, dtype=dtype)


@dtypes
@pytest.mark.parametrize("case", HEADS)
def test_the_head(case: str, dtype: torch.dtype, launches: list[Launch]) -> None:
    settings, kind, names = HEADS[case]
    head, y, (x, W, bias) = sg.LinearCrossEntropy(**settings), targets(kind), layer(dtype)
    options: dict[str, Any] = {name: empty(OPTIONS[name]) for name in names}
    head.value(x, W, y, bias, **options)
    head.value_and_gradient(x, W, y, bias, **options)
    head.jvp(x, W, y, bias, x_dot=x, **options)
    head.hvp(x, W, y, bias, x_dot=x, W_dot=W, **options)
    differentiated(lambda x, W, bias: head.value(x, W, y, bias, **options), x, W, bias)
    assert bool(launches) == (dtype != torch.float64)


def test_rows_of_the_head_s_buffer_are_aligned(launches: list[Launch]) -> None:
    x, W, _ = layer(torch.bfloat16)
    sg.linear_cross_entropy.value_and_gradient(x, W, targets("labels"))
    (one,) = launches
    assert (one.arguments["x_stride"], one.arguments["out_stride"]) == (144, 288)


LARGE = {
    "labels": {},
    "smoothed": {"label_smoothing": 0.1},
    "dense": {},
    "dense, smoothed": {"label_smoothing": 0.1},
    "top-k": {},
}


@pytest.mark.parametrize("case", LARGE)
def test_a_chunk_is_one_launch_that_fills_a_gpu(case: str, launches: list[Launch]) -> None:
    rows, classes = 8192, 131072
    x, W = (empty(n, 4096, dtype=torch.bfloat16) for n in (rows, classes))
    y: Any = empty(rows, dtype=torch.int64)
    if "dense" in case:
        y = empty(rows, classes, dtype=torch.bfloat16)
    if case == "top-k":
        y = sg.TopK(empty(rows, 3, dtype=torch.int64), empty(rows, 3))
    sg.LinearCrossEntropy(**LARGE[case]).value_and_gradient(x, W, y)
    assert len(launches) == 11
    assert min(one.programs for one in launches) > 500


@pytest.mark.parametrize(("memory", "together"), [(None, 32), (2**31, 128)])
def test_more_memory_gives_second_derivatives_more_rows_at_a_time(
    memory: Any, together: int, launches: list[Launch]
) -> None:
    x, W = (empty(n, 4096, dtype=torch.bfloat16) for n in (512, 131072))
    labels = empty(512, dtype=torch.int64)
    sg.LinearCrossEntropy(memory=memory).hvp(x, W, labels, x_dot=x)
    assert {one.programs for one in launches} == {together}


def test_dense_targets_are_weighed_many_rows_at_a_time(
    launches: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    weigh, calls = sg.CrossEntropy.weigh, []
    monkeypatch.setattr(
        sg.CrossEntropy, "weigh", lambda *args: (calls.append(args[2].shape), weigh(*args))[1]
    )
    x, W = (empty(n, 64, dtype=torch.bfloat16) for n in (8192, 131072))
    sg.linear_cross_entropy.value(x, W, empty(8192, 131072), class_weights=empty(131072))
    assert set(calls) == {(128,)}
    assert launches


@dtypes
def test_selected_log_probs(dtype: torch.dtype, launches: list[Launch]) -> None:
    f, (x, W, bias), ids = sg.selected_log_probs, layer(dtype), empty(N, 2, dtype=torch.int64)
    bars = {"log_probs_bar": empty(N, 2), "entropy_bar": empty(N)}
    f(x, W, ids, bias)
    f.jvp(x, W, ids, bias, x_dot=x, bias_dot=bias)
    f.vjp(x, W, ids, bias, **bars)
    f.hvp(x, W, ids, bias, x_dot=x, W_dot=W, **bars)
    f.second_derivative(x, W, ids, bias, x_dot=x, other={"W_dot": W})
    differentiated(lambda x, W, bias: sum(part.sum() for part in f(x, W, ids, bias)), x, W, bias)
    assert bool(launches) == (dtype != torch.float64)


@dtypes
def test_the_head_s_other_verbs(dtype: torch.dtype, launches: list[Launch]) -> None:
    head, y, (x, W, bias) = sg.linear_cross_entropy, targets("labels"), layer(dtype)
    head.ggn(x, W, y, bias, x_dot=x)
    head.second_derivative(x, W, y, bias, x_dot=x, other={"W_dot": W})
    head.argmax(x, W, bias)
    head.log_probs(x, W, y, bias)
    head.entropy(x, W, bias)
    differentiated(lambda x, W: st.linear_cross_entropy(x, W, y), x, W)
    weight = empty(K, dtype=dtype)
    differentiated(lambda x, W: st.linear_cross_entropy(x, W, y, weight=weight), x, W)
    differentiated(lambda z: st.cross_entropy(z, y, weight), empty(N, K, dtype=dtype))
    assert launches or dtype == torch.float64


def test_a_bias_is_summed_in_parts(launches: list[Launch], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of float64 cast what they are given: not a whole chunk at a time."""
    monkeypatch.setattr(modes, "is_recorded", lambda: False)  # who counts sees every sum
    x, W, bias = (empty(*n, dtype=torch.bfloat16) for n in ((2048, 64), (131072, 64), (131072,)))
    with _Sums() as sums:
        sg.linear_cross_entropy.value_and_gradient(x, W, empty(2048, dtype=torch.int64), bias)
    assert launches
    assert 0 < max(sums.sizes) <= 2**22  # of 8 bytes: 32 MiB


class _Sums(TorchDispatchMode):
    """Notes how many numbers each sum of float64 is given."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), named: Any = None) -> Any:
        if "sum" in str(call) and (named or {}).get("dtype") == torch.float64:
            self.sizes.append(args[0].numel())
        return call(*args, **(named or {}))


# --- class ids that are not looked at ------------------------------------------------------------


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the CPU for a GPU: float64 goes by array operations there, and is not looked at."""
    monkeypatch.setattr(arrays, "_GPUS", {"cpu"})


BAD_IDS = torch.tensor([[0, 2], [1, 7], [3, -1], [4, 4]])
FINE = torch.tensor([True, False, False, True])


def numbers(*shape: int, seed: int) -> torch.Tensor:
    return torch.tensor(probe(shape, seed))


def assert_bad_rows_alone(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare with an answer without the bad rows, which are NaN."""
    assert torch.isnan(found[~FINE]).flatten(1).any(1).all()
    torch.testing.assert_close(found[FINE], expected, rtol=1e-12, atol=0)


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("rest", ["ignore", "spread"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_bad_id_of_top_k_makes_its_row_nan(rest: Any, smoothing: float) -> None:
    loss = sg.CrossEntropy(reduction="none", rest=rest, label_smoothing=smoothing, z_loss=0.1)
    z, p = numbers(4, 5, seed=1), numbers(4, 2, seed=3).abs() / 8
    all_of_them, some = (z, sg.TopK(BAD_IDS, p)), (z[FINE], sg.TopK(BAD_IDS[FINE], p[FINE]))
    assert_bad_rows_alone(loss.gradient(*all_of_them), loss.gradient(*some))
    v = numbers(4, 5, seed=2)
    found, answer = loss.hessian(*all_of_them).mv(v), loss.hessian(*some).mv(v[FINE])
    torch.testing.assert_close(found[FINE], answer, rtol=1e-12, atol=0)


@pytest.mark.usefixtures("unseen")
def test_a_bad_id_of_selected_log_probs_makes_its_row_nan() -> None:
    f, x, W = sg.selected_log_probs, numbers(4, 3, seed=1), numbers(5, 3, seed=2)
    bars, x_dot = {"log_probs_bar": numbers(4, 2, seed=3)}, numbers(4, 3, seed=4)
    fine = {"log_probs_bar": bars["log_probs_bar"][FINE]}
    few = x[FINE], W, BAD_IDS[FINE]
    assert_bad_rows_alone(f(x, W, BAD_IDS).log_probs, f(*few).log_probs)
    found = f.jvp(x, W, BAD_IDS, x_dot=x_dot).log_probs
    assert_bad_rows_alone(found, f.jvp(*few, x_dot=x_dot[FINE]).log_probs)
    assert_bad_rows_alone(f.vjp(x, W, BAD_IDS, **bars).x, f.vjp(*few, **fine).x)
    found = f.hvp(x, W, BAD_IDS, x_dot=x_dot, **bars).x
    assert_bad_rows_alone(found, f.hvp(*few, x_dot=x_dot[FINE], **fine).x)


WAITS: dict[str, Callable[..., Any]] = {
    "top_k": lambda x, W, y: sg.linear_cross_entropy.top_k(x, W, 3),
    "approximate": lambda x, W, y: sg.linear_cross_entropy.approximate_value_and_gradient(
        x, W, y, skip_below=1e-3
    ),
    "validate": lambda x, W, y: sg.LinearCrossEntropy(validate=True).value(x, W, y),
    "on_empty": lambda x, W, y: sg.LinearCrossEntropy(on_empty="raise").value(x, W, y),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_is_seen_to_wait(name: str, launches: list[Launch]) -> None:
    """The verbs of which docs/gpu.md says so: numbers that are looked at do raise here."""
    x, W, _ = layer(torch.float32)
    with pytest.raises((RuntimeError, NotImplementedError), match=r"item\(\)|nonzero"):
        WAITS[name](x, W, targets("labels"))


def test_a_result_on_another_device_is_seen(launches: list[Launch]) -> None:
    x = rows(torch.float32)[0]
    with pytest.raises(AssertionError, match="out of softmax is on cpu"):
        operations.softmax(x, out=torch.empty(N, K))
