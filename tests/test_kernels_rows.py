"""What every compiled operation keeps to: the bits of a row, memory, `out=`, bad rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_same_bits
from specs import Compiled, probe

ROWS = 70
softmax, log_softmax, sparsemax = map(Compiled, (sg.softmax, sg.log_softmax, sg.sparsemax))
each_row = Compiled(sg.CrossEntropy(reduction="none", ignore_index=-1))

classes = pytest.mark.parametrize("k", [10, 64, 65, 130])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def labels_for(x: np.ndarray) -> np.ndarray:
    return np.arange(len(x)) % x.shape[1]


def loss_and_gradient(x: np.ndarray, v: np.ndarray, labels: np.ndarray, **out: Any) -> np.ndarray:
    return each_row.value_and_gradient(x, labels, **out)[1]


CALLS: dict[str, Callable[..., np.ndarray]] = {
    "softmax": lambda x, v, labels, **out: softmax(x, **out),
    "log_softmax": lambda x, v, labels, **out: log_softmax(x, **out),
    "sparsemax": lambda x, v, labels, **out: sparsemax(x, **out),
    "vjp": lambda x, v, labels, **out: softmax.vjp(x, v, **out),
    "gradient": loss_and_gradient,
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def arguments(k: int, dtype: Any, rows: int = ROWS) -> tuple[np.ndarray, ...]:
    x = 3 * probe((rows, k), 1, dtype)
    return x, probe((rows, k), 2, dtype), labels_for(x)


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    before = sg.get_num_threads()
    yield
    sg.set_num_threads(before)


# --- the bits of a row --------------------------------------------------------------------


@calls
@dtypes
@pytest.mark.parametrize(("rows", "k"), [(20_003, 10), (2_001, 130)])
def test_r2_the_number_of_threads_changes_no_bit(call: Any, dtype: Any, rows: int, k: int) -> None:
    given = arguments(k, dtype, rows)
    sg.set_num_threads(1)
    expected = call(*given)
    for n in (2, 5):
        sg.set_num_threads(n)
        assert_same_bits(call(*given), expected)


@calls
@dtypes
@classes
def test_r2_a_row_alone_or_elsewhere_has_the_same_bits(call: Any, dtype: Any, k: int) -> None:
    given = arguments(k, dtype)
    together = call(*given)
    for i in (0, 1, 63, 64, ROWS - 1):
        assert_same_bits(call(*(a[i : i + 1] for a in given))[0], together[i])
    order = np.random.default_rng(k).permutation(ROWS)
    assert_same_bits(call(*(a[order] for a in given)), together[order])


# --- memory ------------------------------------------------------------------------------------


@calls
@dtypes
@classes
def test_out_is_written_whole_and_nothing_beside_it(call: Any, dtype: Any, k: int) -> None:
    given = arguments(k, dtype)
    kept, expected = [a.copy() for a in given], call(*given)
    memory = np.full(ROWS * k + 200, np.nan, dtype)
    memory[:100] = memory[-100:] = 77
    out = memory[100:-100].reshape(ROWS, k)
    assert call(*given, out=out) is out
    assert_same_bits(out, expected)
    assert np.all(memory[:100] == 77)
    assert np.all(memory[-100:] == 77)
    for array, copy in zip(given, kept, strict=True):
        assert np.array_equal(array, copy)


@calls
@dtypes
@classes
def test_read_only_arguments_are_fine(call: Any, dtype: Any, k: int) -> None:
    given = arguments(k, dtype)
    expected = call(*given)
    for array in given:
        array.flags.writeable = False
    assert_same_bits(call(*given), expected)


@calls
@dtypes
@classes
@pytest.mark.parametrize("shift", [0, 1, 3, "a row", "half"])
@pytest.mark.parametrize("back", [False, True])
def test_out_may_overlap_x(call: Any, dtype: Any, k: int, shift: Any, back: bool) -> None:
    x, *rest = arguments(k, dtype)
    expected = call(x, *rest)
    shift = {"a row": k, "half": ROWS * k // 2}.get(shift, shift)
    memory = np.empty(ROWS * k + shift, dtype)
    first, second = (memory[a : a + ROWS * k].reshape(ROWS, k) for a in (0, shift))
    there, out = (second, first) if back else (first, second)
    there[...] = x
    assert_same_bits(call(there, *rest, out=out), expected)
    assert_same_bits(out, expected)


@dtypes
@classes
def test_out_may_be_a_direction_or_the_targets(dtype: Any, k: int) -> None:
    x, v, _ = arguments(k, dtype)
    expected = softmax.vjp(x, v)
    assert_same_bits(softmax.vjp(x, v, out=v), expected)
    t = sg.softmax(probe((ROWS, k), 3, dtype))
    expected = each_row.gradient(x, t)
    assert_same_bits(each_row.value_and_gradient(x, t, out=t)[1], expected)


@dtypes
@classes
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_out_may_be_memory_of_the_labels(dtype: Any, k: int, smoothing: float) -> None:
    loss = Compiled(sg.CrossEntropy(reduction="none", label_smoothing=smoothing))
    x, _, labels = arguments(k, dtype)
    weights = (np.arange(ROWS) >= ROWS // 2).astype(dtype)  # the first gradients are class 0's bits
    expected = loss.gradient(x, labels, row_weights=weights)
    out = np.empty((ROWS, k), dtype)
    there = out.reshape(-1).view(np.int64)[:ROWS]
    there[...] = labels
    assert_same_bits(loss.value_and_gradient(x, there, out=out, row_weights=weights)[1], expected)
    assert_same_bits(out, expected)


@dtypes
@classes
@pytest.mark.parametrize("f", [softmax, log_softmax, sparsemax])
def test_out_may_be_memory_of_the_mask(f: Any, dtype: Any, k: int) -> None:
    x, v, _ = arguments(k, dtype)
    where = probe((ROWS, k), 3, dtype) > 0
    for call in (f, lambda x, **options: f.vjp(x, v, **options)):
        expected = call(x, where=where)
        out = np.empty((ROWS, k), dtype)
        there = out.reshape(-1).view(bool)[: where.size].reshape(where.shape)
        there[...] = where
        assert_same_bits(call(x, where=there, out=out), expected)


@dtypes
@classes
def test_out_of_any_layout_takes_the_same_bits(dtype: Any, k: int) -> None:
    x, _, _ = arguments(k, dtype)
    expected = softmax(x)
    wide = np.full((ROWS, 2 * k), 77, dtype)
    for out in (np.empty((ROWS, k), dtype, order="F"), wide[:, ::2], wide[::-1, k:]):
        assert softmax(x, out=out) is out
        assert_same_bits(out, expected)


@calls
@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty((ROWS, 9), np.float32), ValueError),
        (np.empty((ROWS + 1, 10), np.float32), ValueError),
        (np.empty((ROWS, 10), np.float64), ValueError),
        (np.empty((ROWS, 10), np.int32), ValueError),
        (np.broadcast_to(np.float32(0), (ROWS, 10)), ValueError),
        ([[0.0]], TypeError),
        ("out", TypeError),
    ],
)
def test_an_out_that_does_not_fit_is_refused_by_name(call: Any, out: Any, error: Any) -> None:
    with pytest.raises(error, match="`out` must be"):
        call(*arguments(10, np.float32), out=out)


# --- bad rows and bad input --------------------------------------------------------------------


@pytest.mark.parametrize(("bad", "position"), [(130, 7), (-2, 69), (10**12, 0)])
def test_a_bad_label_raises_before_any_work(bad: int, position: int) -> None:
    x, _, labels = arguments(130, np.float32)
    labels[position:] = bad
    out = np.full_like(x, 77)
    message = f"`targets` must be class indices from 0 to 129, got {bad} at position {position}"
    with pytest.raises(IndexError, match=message):
        each_row.value_and_gradient(x, labels, out=out)
    assert np.all(out == 77)


@dtypes
@classes
def test_bad_rows_leave_the_others_alone(dtype: Any, k: int) -> None:
    x, v, labels = arguments(k, dtype)
    clean = {name: call(x, v, labels) for name, call in CALLS.items()}
    bad = x.copy()
    bad[3, 1], bad[5, k - 1], bad[63] = np.nan, np.inf, -np.inf
    others = np.delete(np.arange(ROWS), [3, 5, 63])
    for name, call in CALLS.items():
        found = call(bad, v, labels)
        assert_same_bits(found[others], clean[name][others], name)
        assert np.isnan(found[[3, 5, 63]]).all(), name
    np.testing.assert_array_equal(
        Compiled(sg.logsumexp)(bad)[[3, 5, 63]], [np.nan, np.inf, -np.inf]
    )


@dtypes
@classes
def test_nan_beside_an_infinite_maximum_is_not_lost(dtype: Any, k: int) -> None:
    x, _, _ = arguments(k, dtype)
    x[3], x[5, 0], x[63] = -np.inf, np.inf, np.nan
    x[[3, 5], k - 1] = np.nan
    x[64] = np.inf
    found = Compiled(sg.logsumexp)(x)
    np.testing.assert_array_equal(found[[3, 5, 63, 64]], [np.nan] * 3 + [np.inf])


@dtypes
@classes
def test_a_row_that_is_ignored_has_no_say_whatever_it_holds(dtype: Any, k: int) -> None:
    x, _, labels = arguments(k, dtype)
    labels[[2, 64]] = -1
    mean = Compiled(sg.CrossEntropy(ignore_index=-1))
    clean = mean.value_and_gradient(x, labels)
    x[2], x[64, :2] = np.nan, [np.inf, -np.inf]
    dirty = mean.value_and_gradient(x, labels)
    assert_same_bits(dirty[0], clean[0])
    assert_same_bits(dirty[1], clean[1])
    assert not dirty[1][[2, 64]].any()
    value, gradient = mean.value_and_gradient(x, np.full(ROWS, -1))
    assert float(value) == 0
    assert not gradient.any()


@calls
@dtypes
@classes
def test_masked_entries_and_minus_infinity_count_nothing(call: Any, dtype: Any, k: int) -> None:
    x, v, labels = arguments(k, dtype)
    keep = np.arange(k) % 3 != 1
    labels[:] = 0
    x[:, ~keep] = -np.inf
    found = call(x, v, labels)
    packed = call(x[:, keep], v[:, keep], labels)
    u = np.finfo(dtype).eps
    scale = np.max(np.abs(packed), axis=-1, keepdims=True)
    assert np.all(np.abs(found[:, keep] - packed) <= 8 * u * scale)
    assert np.all(scale > 0)


@dtypes
@classes
def test_a_masked_class_counts_nothing_under_a_cap(dtype: Any, k: int) -> None:
    x, _, labels = arguments(k, dtype)
    keep, labels[:] = np.arange(k) % 3 != 1, 0
    capped = Compiled(sg.CrossEntropy(reduction="none", soft_cap=2.0))
    found = capped.value_and_gradient(x, labels, where=keep)
    packed = capped.value_and_gradient(np.ascontiguousarray(x[:, keep]), labels)
    u = np.finfo(dtype).eps
    assert np.all(np.abs(found[0] - packed[0]) <= 8 * u * packed[0])
    assert np.all(np.abs(found[1][:, keep] - packed[1]) <= 8 * u)
    assert not found[1][:, ~keep].any()


@dtypes
@classes
def test_subnormal_probabilities_underflow_gradually(dtype: Any, k: int) -> None:
    x = np.zeros((ROWS, k), dtype)
    x[:, 1:] = np.log(np.finfo(dtype).smallest_subnormal, dtype=np.float64) + 3
    p, (loss, gradient) = softmax(x), each_row.value_and_gradient(x, np.zeros(ROWS, int))
    for found in (p[:, 1:], gradient[:, 1:], loss):
        assert np.all(found > 0)
    assert np.all(p[:, 1:] < np.finfo(dtype).smallest_normal)


@calls
@dtypes
@pytest.mark.parametrize("shape", [(0, 10), (0, 130)])
def test_no_rows_at_all(call: Any, dtype: Any, shape: tuple[int, int]) -> None:
    x = np.zeros(shape, dtype)
    assert call(x, x, np.zeros(0, int)).shape == shape


@dtypes
def test_no_classes_at_all(dtype: Any) -> None:
    x = np.zeros((3, 0), dtype)
    assert softmax(x).shape == softmax.vjp(x, x).shape == log_softmax(x).shape == (3, 0)
    np.testing.assert_array_equal(Compiled(sg.logsumexp)(x), [-np.inf] * 3)
    with pytest.raises(ValueError, match="`x` must be of at least one class"):
        each_row(x, np.zeros(3, int))
