"""Triton's row kernels against the reference in float64: lengths, dtypes, layouts, options, edges.

The promised digits are measured in test_promises.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton_rows")

import torch

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from softgrad.arrays import quiet
from softgrad.kernels.triton import launch, operations
from specs import probe
from triton_rows import DEVICE, OnGPU, on_gpu, tensor

ROWS = 5
HALVES = (torch.float16, torch.bfloat16)

softmax, log_softmax, logsumexp = map(OnGPU, (sg.softmax, sg.log_softmax, sg.logsumexp))
each_row = sg.CrossEntropy(reduction="none", ignore_index=-1)

Call = Callable[[Any, Any, Any], Any]
"""A function of logits, a direction and labels."""


def gradient(f: Any) -> Call:
    return lambda x, v, labels: f.gradient(x, labels, row_weights=abs(v[:, 0]))


def value(f: Any) -> Call:
    return lambda x, v, labels: f.value(x, labels, row_weights=abs(v[:, 0]))


def dense(f: Any) -> Call:
    """Targets that are made of the direction: not negative, some of them 0, of any sum."""
    return lambda x, v, labels: f.gradient(x, v * (v > 0))


def top_k(f: Any) -> Call:
    """Three classes a row, of which two may be the same."""

    def call(x: Any, v: Any, labels: Any) -> Any:
        ids = np.stack([as_numpy(labels), as_numpy(labels), (as_numpy(labels) + 1) % x.shape[1]], 1)
        masses = abs(v[:, :1] * np.array([0.5, 0.25, 0.125]).tolist()[0])
        masses = as_numpy(masses) * np.array([1.0, 0.5, 0.25])
        if isinstance(x, torch.Tensor):
            return f.gradient(x, sg.TopK(tensor(ids), tensor(masses, torch.float32)))
        return f.gradient(x, sg.TopK(ids, masses))

    return call


def dense_weighted(f: Any) -> Call:
    return lambda x, v, labels: f.gradient(x, v * (v > 0), class_weights=abs(v[0]))


def weighted(f: Any) -> Call:
    return lambda x, v, labels: f.gradient(x, labels, class_weights=abs(v[0]))


MAPS: dict[str, Callable[[Any], Call]] = {
    "softmax": lambda by: lambda x, v, labels: by(sg.softmax)(x),
    "softmax at T": lambda by: lambda x, v, labels: by(sg.Softmax(temperature=0.7))(x),
    "log_softmax": lambda by: lambda x, v, labels: by(sg.log_softmax)(x),
    "log_softmax at T": lambda by: lambda x, v, labels: by(sg.LogSoftmax(temperature=3.0))(x),
    "logsumexp": lambda by: lambda x, v, labels: by(sg.logsumexp)(x),
    "softmax.vjp": lambda by: lambda x, v, labels: by(sg.softmax).vjp(x, v),
    "softmax.jvp": lambda by: lambda x, v, labels: by(sg.Softmax(temperature=0.7)).jvp(x, v),
    "softmax.hvp": lambda by: lambda x, v, labels: by(sg.softmax).hvp(x, v, 2 * v - v**2),
    "log_softmax.vjp": lambda by: lambda x, v, labels: by(sg.log_softmax).vjp(x, v),
    "log_softmax.jvp": lambda by: lambda x, v, labels: by(sg.log_softmax).jvp(x, v),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature": {"temperature": 1.7},
    "z-loss": {"z_loss": 0.01},
    "cap": {"soft_cap": 5.0},
    "smoothed": {"label_smoothing": 0.1},
    "all": {"temperature": 0.6, "z_loss": 0.01, "soft_cap": 5.0, "label_smoothing": 0.2},
}
TARGETS = {
    "gradient": gradient,
    "value": value,
    "dense": dense,
    "dense, weighted": dense_weighted,
    "top-k": top_k,
    "weighted": weighted,
}


def losses(options: dict[str, Any], target: Callable[[Any], Call]) -> Callable[[Any], Call]:
    loss = sg.CrossEntropy(reduction="none", **options)
    return lambda by: target(by(loss))


CALLS = MAPS | {
    f"{name}, {setting}": losses(options, target)
    for name, target in TARGETS.items()
    for setting, options in SETTINGS.items()
}
SOME = [*MAPS, "gradient, plain", "gradient, all", "dense, plain", "top-k, plain"]
some_calls = pytest.mark.parametrize("name", SOME)


def arguments(K: int, rows: int = ROWS) -> tuple[np.ndarray, ...]:
    """Return float32 logits, some of them saturated, a direction, and labels."""
    x = 4 * probe((rows, K), 1, np.float32)
    x[1::3, K // 2] += 30
    return x, probe((rows, K), 2, np.float32), np.arange(rows) * 7 % K


def here(name: str, *given: np.ndarray) -> torch.Tensor:
    return CALLS[name](OnGPU)(*map(tensor, given))


def exact(name: str, x: np.ndarray, v: np.ndarray, labels: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64), v.astype(np.float64), labels
    return as_numpy(CALLS[name](lambda f: Reference(f))(*wide))


class Reference:
    """A map or a loss by its reference."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, verb: str) -> Any:
        run = getattr(self.inner, verb)
        return lambda *given, **options: run(*given, impl="reference", **options)

    def __call__(self, *given: Any) -> Any:
        return self.inner(*given, impl="reference")


# --- the numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "K"), [*itertools.product(CALLS, (1, 65)), *itertools.product(SOME, (1025,))]
)
def test_a_kernel_has_the_reference_s_digits(name: str, K: int) -> None:
    """Relative to the largest number of the row: single digits are test_promises.py's."""
    given = arguments(K)
    found, expected = as_numpy(here(name, *given)), exact(name, *given)
    capped = "cap" in name or "all" in name
    scale = np.max(np.abs(expected), axis=-1, keepdims=expected.ndim == 2)
    if not np.any(expected):  # one class alone: exactly 0
        assert not found.any()
        return
    floor = 1.0 if name == "logsumexp" or capped else 0.0
    assert_close(found, expected, u=40 if capped else 12, scale=np.maximum(scale, floor), what=name)


@pytest.mark.parametrize("K", [2, 3, 15, 16, 17, 63, 64, 127, 129, 1000, 1023, 1024])
def test_rows_of_any_length(K: int) -> None:
    given = arguments(K)
    for name in ("softmax", "softmax.vjp", "gradient, plain"):
        found, expected = here(name, *given), exact(name, *given)
        scale = np.max(np.abs(expected), axis=-1, keepdims=True)
        assert_close(found, expected, u=12, scale=scale, what=name)


@some_calls
@pytest.mark.parametrize("dtype", HALVES, ids=["float16", "bfloat16"])
@pytest.mark.parametrize("K", [7, 1025])
def test_half_precision_is_read_exactly_and_rounded_once(name: str, dtype: Any, K: int) -> None:
    x, v, labels = arguments(K)
    half = tuple(tensor(a).to(dtype) for a in (x, v))
    found = CALLS[name](OnGPU)(*half, tensor(labels))
    wide = CALLS[name](OnGPU)(*(a.float() for a in half), tensor(labels))
    twice_rounded = "at T" in name or name in ("softmax.jvp", "softmax.hvp", "log_softmax.jvp")
    if found.dtype == torch.float32 or twice_rounded:  # losses; products that pass through others
        torch.testing.assert_close(found.float(), wide, rtol=2**-7, atol=0.02)
    else:
        assert_same_bits(found, wide.to(dtype), name)


@some_calls
@pytest.mark.parametrize("K", [1024, 1025, 2049])
def test_rows_in_tiles_have_the_digits_of_whole_rows(
    name: str, K: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(K)
    expected = exact(name, *given)
    monkeypatch.setattr(launch, "WHOLE", 512)
    monkeypatch.setattr(launch, "TILE", 1024)
    assert not launch.Shape.of(K, launch.WHOLE).whole
    scale = np.max(np.abs(expected), axis=-1, keepdims=expected.ndim == 2)
    scale = np.maximum(scale, 1.0 if "all" in name else 0.0)
    assert_close(here(name, *given), expected, u=40 if "all" in name else 12, scale=scale)


@pytest.mark.parametrize("K", [2, 9, 1025])
def test_several_maxima_share_their_probability(K: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.full((3, K), -1.0, np.float32)
    x[:, ::2] = 2.0
    expected = sg.softmax(x.astype(np.float64))
    for whole in (16384, 512):
        monkeypatch.setattr(launch, "WHOLE", whole)
        monkeypatch.setattr(launch, "TILE", 1024)
        assert_close(softmax(tensor(x)), expected, u=3, scale=expected)


def test_what_multiplies_a_row_is_not_rounded(rng: np.random.Generator) -> None:
    """Rounded to float32, 1/S would move all entries of a row, and their sum, the same way."""
    x = tensor(rng.normal(size=(16, 4096)).astype(np.float32))
    off = softmax(x).double().sum(1) - 1
    assert float(off.abs().max()) < 0.15 * 2**-24


@pytest.mark.parametrize("slope", [1e-6, 1e-3, 0.1, -1e-3])
def test_a_ramp_of_many_tiles_loses_no_digits(
    slope: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An online sum that is rescaled at every logit would be off by a thousand u here."""
    monkeypatch.setattr(launch, "WHOLE", 512)
    monkeypatch.setattr(launch, "TILE", 1024)
    x = (slope * np.arange(100_000)).astype(np.float32)[None]
    expected = sg.softmax(x.astype(np.float64), impl="reference")
    scale = np.maximum(expected, 1e-30)
    assert_close(softmax(tensor(x)), expected, u=6, scale=scale)


@pytest.mark.parametrize("name", ["softmax", "softmax.vjp", "gradient, all"])
def test_a_row_of_a_million_classes(name: str, rng: np.random.Generator) -> None:
    """In the tiles that a GPU takes it in, whose maxima rise."""
    K = 1_000_000
    x = (3 * rng.normal(size=(1, K)) + np.linspace(-20, 20, K)).astype(np.float32)
    given = x, rng.normal(size=(1, K)).astype(np.float32), np.array([K - 1])
    found, expected = as_numpy(here(name, *given)), exact(name, *given)
    scale = np.max(np.abs(expected), axis=-1, keepdims=True)
    assert_close(found, expected, u=40 if "all" in name else 12, scale=scale, what=name)


def test_rows_beyond_32_bits_of_offset() -> None:
    """The third row begins 2³¹ numbers after the first, in memory that is hardly touched."""
    K, rows, apart = 130, 3, 2**30 + 130
    x, _, labels = arguments(K, rows)
    loss, near = OnGPU(each_row), tensor(x).half()
    memory = torch.empty((rows - 1) * apart + K, dtype=near.dtype, device=DEVICE)
    far = memory.as_strided((rows, K), (apart, 1))
    for call in (softmax, lambda z, out: loss.value_and_gradient(z, tensor(labels), out=out)):
        far.copy_(near)
        call(far, out=far)
        expected = torch.empty_like(near)
        call(near, out=expected)
        assert_same_bits(far, expected)


@pytest.mark.parametrize(("K", "k"), [(2, 5), (130, 1), (130, 70), (1025, 3), (1025, 70)])
def test_many_classes_with_a_target(K: int, k: int, rng: np.random.Generator) -> None:
    """More than are seen at a time, and some of them several times."""
    x, _, _ = arguments(K)
    ids, masses = rng.integers(K, size=(ROWS, k)), rng.random((ROWS, k)).astype(np.float32)
    found = OnGPU(each_row).value_and_gradient(tensor(x), sg.TopK(tensor(ids), tensor(masses)))
    wide = x.astype(np.float64), sg.TopK(ids, masses.astype(np.float64))
    expected = Reference(each_row).value_and_gradient(*wide)
    assert_close(found[0], expected[0], u=4, scale=np.abs(expected[0]))
    assert_close(found[1], expected[1], u=6, scale=np.max(np.abs(expected[1]), 1, keepdims=True))
    ids[2, k - 1] = K
    bad = OnGPU(each_row).gradient(tensor(x), sg.TopK(tensor(ids), tensor(masses)))
    assert torch.isnan(bad).any(1).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
@pytest.mark.parametrize("K", [10, 1025])
def test_probabilities_of_any_dtype(K: int, dtype: Any) -> None:
    x, v, _ = map(tensor, arguments(K))
    t = (v**2).to(dtype)
    t[1] = torch.nan
    loss = OnGPU(sg.CrossEntropy(reduction="none", label_smoothing=0.1))
    weights = tensor([1.0, 0.0, 2.0, 0.5, 1.0], torch.float32)
    found = loss.value_and_gradient(x, t, row_weights=weights)
    expected = loss.value_and_gradient(x, t.float(), row_weights=weights)
    for a, b in zip(found, expected, strict=True):
        assert_same_bits(a, b)
        assert not a[1].any()


@pytest.mark.parametrize("K", [16385, 70_001])
def test_long_rows(K: int) -> None:
    x, _, labels = arguments(K, 2)
    found = OnGPU(each_row).value_and_gradient(tensor(x), tensor(labels))
    expected = each_row.value_and_gradient(x.astype(np.float64), labels)
    assert_close(found[0], expected[0], u=4, scale=np.abs(expected[0]))
    assert_close(found[1], expected[1], u=6, scale=np.maximum(np.abs(expected[1]), 1e-30))


# --- memory ------------------------------------------------------------------------------------


def between_nan(x: np.ndarray, before: int = 3) -> torch.Tensor:
    """Return the same numbers in memory with NaN around every row."""
    N, K = x.shape
    memory = torch.full((N + 2, K + 2 * before), torch.nan, device=DEVICE)
    memory[1:-1, before : before + K] = tensor(x)
    return memory[1:-1, before : before + K]


@some_calls
@pytest.mark.parametrize("K", [10, 1025])
def test_nothing_beside_a_row_is_read(name: str, K: int) -> None:
    x, v, labels = arguments(K)
    expected = here(name, x, v, labels)
    found = CALLS[name](OnGPU)(between_nan(x), between_nan(v, 5), tensor(labels))
    assert_same_bits(found, expected, name)
    columns = tensor(np.ascontiguousarray(x.T)).T  # the class axis has a stride
    assert_same_bits(CALLS[name](OnGPU)(columns, tensor(v), tensor(labels)), expected, name)


OUTS: dict[str, Callable[..., Any]] = {
    "softmax": lambda x, v, labels, out: operations.softmax(x, out=out),
    "log_softmax": lambda x, v, labels, out: operations.log_softmax(x, out=out),
    "softmax_product": lambda x, v, labels, out: operations.softmax_product(x, v, out=out),
    "diagonal_minus_outer": lambda x, v, y, out: operations.diagonal_minus_outer(x**2, v, out),
    "identity_minus_outer": lambda x, v, y, out: operations.identity_minus_outer(x**2, v, out),
    "transpose": lambda x, v, y, out: operations.identity_minus_outer_transpose(x**2, v, out),
    "tangent": lambda x, v, y, out: operations.diagonal_minus_outer_tangent(x**2, v, v, out),
    "cross_entropy": lambda x, v, labels, out: loss_of(x, labels, out),
    "cross_entropy_dense": lambda x, v, labels, out: loss_of(x, labels, out, v**2),
}


def loss_of(x: Any, labels: Any, out: Any, t: Any = None) -> Any:
    f = torch.ones(len(x), device=DEVICE)
    how = {"z_loss": 0.1, "temperature": 1.0, "with_gradient": True, "out": out}
    if t is not None:
        return operations.cross_entropy_dense(x, t, f, **how)[1]
    return operations.cross_entropy(x, labels[:, None], None, f, **how)[1]


@pytest.mark.parametrize("name", OUTS)
@pytest.mark.parametrize("K", [10, 1025])
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_a_result_is_written_whole_and_nothing_beside_it(name: str, K: int, dtype: Any) -> None:
    x, v, labels = map(tensor, arguments(K))
    with on_gpu():
        expected = OUTS[name](x, v, labels, None)
        memory = torch.full((ROWS + 2, K + 11), 77.0, dtype=dtype, device=DEVICE)
        out = memory[1:-1, 4 : 4 + K]
        out[...] = torch.nan
        assert OUTS[name](x, v, labels, out) is out
    assert_same_bits(out, expected.to(dtype))
    out[...] = 77
    assert torch.all(memory == 77)


@pytest.mark.parametrize("K", [10, 65, 1025])
@pytest.mark.parametrize("t", [None, 1.0])
def test_a_gradient_in_the_memory_of_its_logits(K: int, t: Any) -> None:
    x, v, labels = map(tensor, arguments(K))
    t = None if t is None else v**2
    with on_gpu():
        expected = loss_of(x, labels, None, t)
        narrow = x.clone()
        short = narrow.view(torch.bfloat16)[:, :K]  # at the begin of every row
        assert loss_of(narrow, labels, short, t) is short
        assert_same_bits(short, expected.bfloat16())
        assert loss_of(x, labels, x, t) is x
    assert_same_bits(x, expected)


def test_an_out_that_would_spoil_what_is_read_is_left_alone() -> None:
    x, v, _ = map(tensor, arguments(10))
    memory = torch.zeros(60, device=DEVICE)
    x = memory[:50].view(5, 10).copy_(x)
    overlapping = memory[10:].view(5, 10)
    with on_gpu():
        expected = operations.softmax_product(x.clone(), v)
        assert_same_bits(operations.softmax_product(x, v, out=v), expected)
        assert_same_bits(operations.softmax_product(x, v, out=overlapping), expected)


@pytest.mark.parametrize(
    ("held", "written"), [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)]
)
def test_rows_are_not_overwritten_by_numbers_of_another_length(held: Any, written: Any) -> None:
    """Longer ones would spoil the rest of a row; a map's kernel has no barrier for shorter ones."""
    memory = torch.zeros((ROWS, 20), device=DEVICE)
    x, out = (memory.view(dtype)[:, :10] for dtype in (held, written))
    x[...] = tensor(arguments(10)[0])
    with on_gpu():
        expected = operations.softmax(x.clone())
        found = operations.softmax(x, out=out)
    assert found is not out
    assert_same_bits(found, expected)


def test_class_weights_with_a_stride() -> None:
    x, v, labels = map(tensor, arguments(10))
    f, weights = torch.ones(ROWS, device=DEVICE), (v[:2] ** 2).T.contiguous()[:, 1]
    how = {"z_loss": 0.0, "temperature": 1.0, "with_gradient": True, "smoothing": 0.5}
    with on_gpu():
        found, expected = (
            operations.cross_entropy(x, labels[:, None], None, f, class_weights=c, **how)
            for c in (weights, weights.contiguous())
        )
    assert weights.stride() == (2,)
    assert_same_bits(found[0], expected[0])
    assert_same_bits(found[1], expected[1])


# --- bits and bad rows -------------------------------------------------------------------------


@some_calls
@pytest.mark.parametrize("K", [10, 1025])
def test_r2_a_row_alone_or_elsewhere_has_the_same_bits(name: str, K: int) -> None:
    given = arguments(K, 7)
    together = here(name, *given)
    for i in (0, 6):
        assert_same_bits(here(name, *(a[i : i + 1] for a in given))[0], together[i], name)
    assert_same_bits(here(name, *(a[::-1].copy() for a in given)), together.flip(0), name)


@some_calls
@pytest.mark.parametrize("K", [10, 1025])
def test_bad_rows_are_nan_and_leave_the_others_alone(name: str, K: int) -> None:
    x, v, labels = arguments(K, 7)
    clean = here(name, x, v, labels)
    x[1, 1], x[3, K - 1], x[5] = np.nan, np.inf, -np.inf
    found = here(name, x, v, labels)
    assert_same_bits(found[::2], clean[::2])
    bad = as_numpy(found)[1::2]
    if name == "logsumexp":
        np.testing.assert_array_equal(bad, [np.nan, np.inf, -np.inf])
    elif "all" not in name:  # a cap makes infinite logits finite
        assert np.isnan(bad).all()
    else:
        assert np.isnan(bad[0]).all()


def test_rows_of_nan_and_infinity_alone() -> None:
    x = np.array([[np.nan, np.nan], [-np.inf, np.nan], [np.inf, np.nan], [-np.inf, 0]], np.float32)
    np.testing.assert_array_equal(as_numpy(logsumexp(tensor(x))), [np.nan, np.nan, np.nan, 0])
    assert torch.isnan(softmax(tensor(x))[:3]).all()
    np.testing.assert_array_equal(as_numpy(softmax(tensor(x)))[3], [0, 1])
    np.testing.assert_array_equal(as_numpy(log_softmax(tensor(x)))[3], [-np.inf, 0])


def test_whole_tiles_of_minus_infinity_add_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WHOLE", 512)
    monkeypatch.setattr(launch, "TILE", 1024)
    x, _, _ = arguments(5000, 2)
    x[0, :2048], x[1, 1024:] = -np.inf, -np.inf
    expected = sg.softmax(x.astype(np.float64))
    assert_close(softmax(tensor(x)), expected, u=4, scale=np.maximum(expected, 1e-30))


@pytest.mark.parametrize("K", [10, 65])
def test_a_bad_label_is_a_row_of_nan_unless_somebody_looks(K: int) -> None:
    x, _, labels = arguments(K, 7)
    clean = OnGPU(each_row).value_and_gradient(tensor(x), tensor(labels))
    labels[[2, 4]] = K, -7
    found = OnGPU(each_row).value_and_gradient(tensor(x), tensor(labels))
    for part, good in zip(found, clean, strict=True):
        assert torch.isnan(part[[2, 4]]).all()
        assert_same_bits(part[[0, 1, 3, 5, 6]], good[[0, 1, 3, 5, 6]])
    looking = OnGPU(sg.CrossEntropy(validate=True, ignore_index=-1))
    with pytest.raises(IndexError, match=f"from 0 to {K - 1}, got {K} at position 2"):
        looking.value(tensor(x), tensor(labels))


def test_bad_ids_of_top_k_targets_are_rows_of_nan() -> None:
    x, _, _ = arguments(10, 2)
    masses = tensor([[0.5, 0.5], [0.5, 0.5]])
    value, slope = OnGPU(each_row).value_and_gradient(
        tensor(x), sg.TopK(tensor([[1, 10], [1, 2]]), masses)
    )
    assert torch.isnan(value).tolist() == [True, False]
    assert torch.isnan(slope).all(1).tolist() == [True, False]


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.1}])
def test_an_ignored_row_has_no_say_whatever_it_holds(settings: dict[str, Any]) -> None:
    x, _, labels = arguments(65, 6)
    labels[[1, 4]] = -1
    mean = OnGPU(sg.CrossEntropy(ignore_index=-1, **settings))
    clean = mean.value_and_gradient(tensor(x), tensor(labels))
    x[1], x[4, :2] = np.nan, [np.inf, -np.inf]
    dirty = mean.value_and_gradient(tensor(x), tensor(labels))
    assert_same_bits(dirty[0], clean[0])
    assert_same_bits(dirty[1], clean[1])
    assert not dirty[1][[1, 4]].any()


def test_subnormal_numbers_underflow_gradually() -> None:
    x = np.zeros((3, 20), np.float32)
    x[:, 1:] = np.log(np.finfo(np.float32).smallest_subnormal, dtype=np.float64) + 3
    p = softmax(tensor(x))
    assert torch.all(p[:, 1:] > 0)
    assert torch.all(p[:, 1:] < torch.finfo(torch.float32).smallest_normal)


@pytest.mark.parametrize("K", [10, 65])
def test_masked_classes_count_nothing_with_every_setting(K: int) -> None:
    x, _, labels = arguments(K)
    keep, labels = np.arange(K) % 3 != 1, labels * 0
    for options in SETTINGS.values():
        loss = sg.CrossEntropy(reduction="none", **options)
        found = OnGPU(loss).gradient(tensor(x), tensor(labels), where=tensor(keep))
        wide = x.astype(np.float64)
        expected = loss.gradient(wide, labels, where=keep, impl="reference")
        scale = np.maximum(np.max(np.abs(expected), axis=-1, keepdims=True), 0.1)
        assert_close(found, expected, u=400, scale=scale)
        assert not found[:, ~tensor(keep)].any()


@pytest.mark.parametrize("shape", [(0, 10), (3, 0)])
def test_nothing_at_all(shape: tuple[int, int]) -> None:
    x = torch.zeros(shape, device=DEVICE)
    with quiet():
        assert softmax(x).shape == softmax.vjp(x, x).shape == log_softmax(x).shape == shape
        assert as_numpy(logsumexp(x)).tolist() == [-np.inf] * (shape[0])
