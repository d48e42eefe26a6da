"""Kernels on float16 and bfloat16: read as they are, computed in float32, and rounded once."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_same_bits, assert_within
from softgrad.kernels import choice
from specs import Compiled, probe

pytest.importorskip("numba")
pytest.importorskip("torch")

import numba
import torch

from softgrad.kernels.numba.instructions import address, get, put

ROWS = 70


@dataclass(frozen=True)
class Store:
    """A way to keep numbers in 16 bits."""

    name: str
    library: Any
    dtype: Any
    """NumPy's dtype of such numbers."""

    def array(self, x: np.ndarray) -> Any:
        """Return float32 numbers, rounded to what is kept."""
        if self.library is np:
            return x.astype(self.dtype)
        return torch.tensor(x).to(getattr(torch, np.dtype(self.dtype).name))

    def labels(self, ids: np.ndarray) -> Any:
        return ids if self.library is np else torch.tensor(ids)


STORES = (
    Store("numpy float16", np, np.float16),
    Store("numpy bfloat16", np, ml_dtypes.bfloat16),
    Store("torch float16", torch, np.float16),
    Store("torch bfloat16", torch, ml_dtypes.bfloat16),
)
stores = pytest.mark.parametrize("store", STORES, ids=[s.name.replace(" ", "-") for s in STORES])
numpy_stores = pytest.mark.parametrize("store", STORES[:2], ids=["float16", "bfloat16"])
classes = pytest.mark.parametrize("k", [1, 7, 64, 65, 131])


def each_in(names: Iterable[Any], both: Container[Any]) -> Any:
    """Parametrise by names and stores; bfloat16, whose kernels are others, for some names alone.

    A formula does not know how numbers are kept: it need not be compiled twice to be tested.
    """
    cases = [(n, s) for n in names for s in STORES if n in both or s.dtype == np.float16]
    ids = [f"{n}-{s.name}".replace(" ", "_") for n, s in cases]
    return pytest.mark.parametrize(("name", "store"), cases, ids=ids)


def widen(x: Any) -> Any:
    """Return float32 for half precision, and anything else as it is."""
    if isinstance(x, torch.Tensor):
        return x.float() if x.element_size() == 2 else x
    return x.astype(np.float32) if x.dtype.itemsize == 2 else x


def rounded(y: Any, store: Store) -> np.ndarray:
    """Return what a float32 result is kept as, in float32."""
    y = as_numpy(y)
    assert y.dtype == np.float32
    with np.errstate(over="ignore"):
        return y.astype(store.dtype).astype(np.float32)


# --- conversions ---------------------------------------------------------------------------------


@numba.njit
def convert(source: np.ndarray, target: np.ndarray) -> None:
    for i in range(source.size):
        put(address(target), i, get(address(source), i))


def word_of(dtype: Any) -> Any:
    return np.int16 if dtype == np.float16 else np.uint16


@numpy_stores
def test_all_words_are_read_and_written_as_they_are(store: Store) -> None:
    words = np.arange(2**16, dtype=np.uint16)
    numbers, back = np.empty(2**16, np.float32), np.zeros_like(words)
    convert(words.view(word_of(store.dtype)), numbers)
    assert_same_bits(numbers, words.view(store.dtype).astype(np.float32))
    convert(numbers, back.view(word_of(store.dtype)))
    nan = np.isnan(numbers)
    assert nan.sum() > 100
    assert np.array_equal(back[~nan], words[~nan])
    assert np.isnan(back.view(store.dtype).astype(np.float32)[nan]).all()


@numpy_stores
def test_numbers_between_two_words_go_to_the_nearer_and_ties_to_the_even(store: Store) -> None:
    """Subnormals, the least number that becomes infinite, and NaN of any payload are among them."""
    kept = np.arange(2**15, dtype=np.uint16).view(store.dtype).astype(np.float32)
    kept = kept[np.isfinite(kept)].astype(np.float64)
    middles = ((kept[1:] + kept[:-1]) / 2).astype(np.float32)  # exact
    limit = np.float32(kept[-1] + (kept[-1] - kept[-2]) / 2)
    tiny = np.array([1e-45, 1e-40, 2.0**-25, 2.0**-133, 2.0**-134], np.float32)
    large = np.array([limit, 3.4028235e38, np.inf], np.float32)
    payloads = np.array([0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0x7F80FFFF], np.uint32)
    with np.errstate(all="ignore"):
        near = np.concatenate([middles, tiny, large])
        beside = [np.nextafter(near, np.float32(to)) for to in (0, np.inf)]
        numbers = np.concatenate([near, *beside, payloads.view(np.float32)])
        numbers = np.concatenate([numbers, -numbers])
        expected = numbers.astype(store.dtype)
    words = np.empty(numbers.size, word_of(store.dtype))
    convert(numbers, words)
    assert np.isinf(expected.astype(np.float32)).any()
    assert_same_bits(words.view(store.dtype).astype(np.float32), expected.astype(np.float32))


# --- every verb ----------------------------------------------------------------------------------

MAPS = {
    "softmax": sg.softmax,
    "softmax at T=0.7": sg.Softmax(temperature=0.7),
    "softmax with zero rows": sg.Softmax(empty_row="uniform"),
    "log_softmax": sg.log_softmax,
    "logsumexp": sg.logsumexp,
    "sparsemax": sg.sparsemax,
    "entmax15": sg.entmax15,
    "sigmoid": sg.sigmoid,
    "log_sigmoid": sg.log_sigmoid,
}


@each_in(MAPS, both=("softmax", "logsumexp", "sigmoid"))
@pytest.mark.parametrize("k", [7, 131])
def test_products_of_maps_are_those_of_float32_rounded_once(
    name: str, k: int, store: Store
) -> None:
    f, like_y = Compiled(MAPS[name]), (ROWS,) if name == "logsumexp" else (ROWS, k)
    numbers = 3 * probe((ROWS, k), 1, np.float32)
    numbers[5] = -np.inf if "zero rows" in name else 60  # far from every other row
    x, x_dot = store.array(numbers), store.array(probe((ROWS, k), 2, np.float32))
    y_bar = store.array(probe(like_y, 3, np.float32))
    verbs: dict[str, Callable[..., Any]] = {
        "value": lambda x, v, g: f(x),
        "jvp": lambda x, v, g: f.jvp(x, v),
        "vjp": lambda x, v, g: f.vjp(x, g),
        "hvp": lambda x, v, g: f.hvp(x, g, v),
        "linearize": lambda x, v, g: f.linearize(x)[0],
        "rmv": lambda x, v, g: f.linearize(x)[1].rmv(g),
    }
    for verb, call in verbs.items():
        found = call(x, x_dot, y_bar)
        assert found.dtype == x.dtype, verb
        expected = call(*map(widen, (x, x_dot, y_bar)))
        assert_same_bits(found, rounded(expected, store), f"{name}, {verb}")


LOSSES = {
    "cross_entropy": sg.cross_entropy,
    "with smoothing": sg.CrossEntropy(label_smoothing=0.1),
    "with all options": sg.CrossEntropy(z_loss=0.1, temperature=0.7, soft_cap=5.0),
    "binary_cross_entropy": sg.binary_cross_entropy,
}
TARGETS = {
    "cross_entropy": ("labels", "probabilities", "top k"),
    "with smoothing": ("labels", "probabilities"),
    "with all options": ("labels",),
    "binary_cross_entropy": ("probabilities",),
}


@each_in(LOSSES, both=("cross_entropy", "binary_cross_entropy"))
@pytest.mark.parametrize("k", [7, 131])
def test_losses_are_those_of_float32_and_gradients_are_rounded_once(
    name: str, k: int, store: Store
) -> None:
    loss, x = Compiled(LOSSES[name]), store.array(3 * probe((ROWS, k), 1, np.float32))
    v, t = (store.array(probe((ROWS, k), seed, np.float32)) for seed in (2, 3))
    ids = store.labels(np.arange(2 * ROWS).reshape(ROWS, 2) * 3 % k)
    made = {
        "labels": ids[:, 0],
        "probabilities": sg.softmax(t),
        "top k": sg.TopK(ids, sg.softmax(t[:, :2])),
    }
    weights = store.labels(np.linspace(0.5, 2, k).astype(np.float32))
    for kind, options in product(TARGETS[name], ({}, {"class_weights": weights})):
        targets = made[kind]
        wide = sg.TopK(ids, widen(targets[1])) if kind == "top k" else widen(targets)
        value, gradient = loss.value_and_gradient(x, targets, **options)
        expected = loss.value_and_gradient(widen(x), wide, **options)
        assert gradient.dtype == x.dtype
        assert_same_bits(value, expected[0], f"{name}, {kind}")
        assert_same_bits(gradient, rounded(expected[1], store), f"{name}, {kind}")
        assert_same_bits(loss.value(x, targets, **options), loss.value(widen(x), wide, **options))
        along_v = loss.hessian(x, targets, **options).mv(v)
        expected = loss.hessian(widen(x), wide, **options).mv(widen(v))
        assert_same_bits(along_v, rounded(expected, store), f"{name}, {kind}, hessian")


# --- memory and threads --------------------------------------------------------------------------

CALLS: dict[str, Callable[..., Any]] = {
    "softmax": lambda x, v, labels, **out: Compiled(sg.softmax)(x, **out),
    "vjp": lambda x, v, labels, **out: Compiled(sg.softmax).vjp(x, v, **out),
    "gradient": lambda x, v, labels, **out: Compiled(sg.cross_entropy).value_and_gradient(
        x, labels, **out
    )[1],
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def arguments(k: int, store: Store, rows: int = ROWS) -> tuple[Any, ...]:
    numbers = 3 * probe((rows, k), 1, np.float32)
    numbers[0] *= 1000 if rows > 1 else 1
    labels = store.labels(np.arange(rows) % k)
    return store.array(numbers), store.array(probe((rows, k), 2, np.float32)), labels


@calls
@stores
@classes
def test_out_takes_the_result_and_may_be_x(call: Any, k: int, store: Store) -> None:
    given = arguments(k, store)
    expected = call(*given)
    memory = store.array(np.full(ROWS * k + 200, np.nan, np.float32))
    memory[:100] = memory[-100:] = 77
    out = memory[100:-100].reshape(ROWS, k)
    assert call(*given, out=out) is out
    assert_same_bits(out, expected)
    assert np.all(as_numpy(memory[:100]) == 77)
    assert np.all(as_numpy(memory[-100:]) == 77)
    x = given[0]
    assert call(*given, out=x) is x
    assert_same_bits(x, expected)


@calls
@stores
@pytest.mark.parametrize("k", [7, 131])
def test_rows_of_any_layout_have_the_same_bits(call: Any, k: int, store: Store) -> None:
    x, v, labels = arguments(k, store)
    expected = call(x, v, labels)
    memory = store.array(np.full((ROWS, 2 * k), np.nan, np.float32))
    strided = memory[:, ::2]
    strided[...] = x
    assert_same_bits(call(strided, v, labels), expected)
    assert call(x, v, labels, out=strided) is strided
    assert_same_bits(strided, expected)


@numpy_stores
def test_read_only_rows_along_another_axis(store: Store) -> None:
    x, v, _ = arguments(7, store)
    x.flags.writeable = v.flags.writeable = False
    expected = CALLS["vjp"](x, v, None)
    assert_same_bits(sg.softmax.vjp(x.T, v.T, axis=0, impl="numba").T, expected)


@pytest.fixture
def as_many_threads_as_before() -> Iterator[None]:
    before = sg.get_num_threads()
    yield
    sg.set_num_threads(before)


@calls
@numpy_stores
@pytest.mark.parametrize(("rows", "k"), [(20_003, 7), (2_001, 131)])
def test_r2_a_rows_bits_depend_on_the_row_alone(
    call: Any, store: Store, rows: int, k: int, as_many_threads_as_before: None
) -> None:
    x, v, labels = arguments(k, store, rows)
    call = call if call is not CALLS["gradient"] else each_gradient
    sg.set_num_threads(1)
    together = call(x, v, labels)
    sg.set_num_threads(5)
    assert_same_bits(call(x, v, labels), together)
    for i in (0, 1, 63, 64, rows - 1):
        assert_same_bits(call(x[i : i + 1], v[i : i + 1], labels[i : i + 1])[0], together[i])


def each_gradient(x: Any, v: Any, labels: Any) -> Any:
    return Compiled(sg.CrossEntropy(reduction="none")).gradient(x, labels)


@numpy_stores
@pytest.mark.parametrize("k", [7, 131])
def test_bad_rows_leave_the_others_alone(store: Store, k: int) -> None:
    given = arguments(k, store)
    clean = {name: call(*given) for name, call in CALLS.items()}
    given[0][3, 1], given[0][5, k - 1], given[0][63] = np.nan, np.inf, -np.inf
    others = np.delete(np.arange(ROWS), [3, 5, 63])
    for name, call in CALLS.items():
        found = call(*given)
        assert_same_bits(found[others], clean[name][others], name)
        assert np.isnan(as_numpy(found)[[3, 5, 63]]).all(), name


# --- A-12 ----------------------------------------------------------------------------------------


def half_a_unit(exact: np.ndarray, dtype: Any) -> np.ndarray:
    """Return half a unit in the last place of 16 bits, and the float32 error of 6 u."""
    info = ml_dtypes.finfo(dtype)
    normal = np.maximum(np.abs(exact), float(info.smallest_normal))
    unit = 2.0 ** np.floor(np.log2(normal)) * float(info.eps)
    return unit / 2 + 6 * 2.0**-24 * np.abs(exact)


@numpy_stores
@classes
@pytest.mark.parametrize("scale", [0.02, 1.0, 8.0])
def test_a12_softmax_and_gradient_are_rounded_to_the_nearest(
    scale: float, k: int, store: Store
) -> None:
    x = store.array(scale * probe((ROWS, k), 1, np.float32))
    labels = np.arange(ROWS) % k
    wide = x.astype(np.longdouble)
    E = np.exp(wide - wide.max(axis=1, keepdims=True))
    p = E / E.sum(axis=1, keepdims=True)
    others = np.where(np.arange(k) == labels[:, None], 0, p).sum(axis=1)
    gradient = p.copy()
    gradient[np.arange(ROWS), labels] = -others
    for found, exact in (
        (CALLS["softmax"](x, None, None), p),
        (each_gradient(x, x, labels), gradient),
    ):
        error = np.abs(found.astype(np.longdouble) - exact)
        assert_within(error, half_a_unit(exact, store.dtype), f"{k} classes")
        assert np.abs(exact).max() > 0 or k == 1


# --- which implementation runs -------------------------------------------------------------------


@stores
def test_kernels_read_and_write_half_precision_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No array of the size of x is cast before a kernel sees it, or after."""
    operations, seen = choice.kernels(), []

    def spy(name: str, run: Any, *args: Any, **options: Any) -> Any:
        result = run(*args, **options)
        seen.append((name, *(str(a.dtype).split(".")[-1] for a in (args[0], result))))
        return result

    names = ("softmax", "softmax_product", "diagonal_minus_outer", "sparsemax", "log_softmax")
    for name in names:
        monkeypatch.setattr(operations, name, partial(spy, name, getattr(operations, name)))
    half = np.dtype(store.dtype).name
    x, v, _ = arguments(7, store)
    sg.softmax(x, impl="numba")
    sg.sparsemax(x, impl="numba")
    sg.log_softmax(x, impl="numba")
    sg.softmax.vjp(x, v, impl="numba")
    sg.softmax.linearize(x, impl="numba")[1].rmv(v)
    assert seen == [
        ("softmax", half, half),
        ("sparsemax", half, half),
        ("log_softmax", half, half),
        ("softmax_product", half, half),
        ("softmax", half, "float32"),  # of which the product is made
        ("diagonal_minus_outer", "float32", half),
    ]


@stores
def test_auto_takes_the_kernels_for_half_precision_too(store: Store) -> None:
    x = store.array(np.zeros((2, choice.LEAST_SIZE // 2), np.float32))
    assert sg.explain_impl(sg.softmax, x).impl == "numba"
    assert sg.explain_impl(sg.cross_entropy, x, None).impl == "numba"
    fewer = "numba" if store.library is torch else "reference"  # tensors take them at any size
    assert sg.explain_impl(sg.softmax, x[:, 1:]).impl == fewer
    assert str(sg.explain_impl(sg.softmax, x[:, :9], impl="numba")) == "numba: asked for"


def test_a_processor_without_float16_takes_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_has_float16", lambda: False)
    x = probe((2, choice.LEAST_SIZE), 1, np.float16)
    assert sg.explain_impl(sg.softmax, x).reason == "this processor has no instructions for float16"
    assert sg.explain_impl(sg.softmax, x.astype(ml_dtypes.bfloat16)).impl == "numba"
    assert_same_bits(sg.softmax(x), sg.softmax(x, impl="reference"))
    with pytest.raises(ValueError, match="`impl` must be 'auto' or 'reference' here, got 'numba'"):
        sg.softmax(x, impl="numba")
