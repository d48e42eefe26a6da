"""NumPy, PyTorch, JAX (eager and traced) and the strict array API: one call, one answer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from specs import Spec, each, probe, sample

SHAPE = (3, 5)


def of_torch(x: Any) -> Any:
    return importlib.import_module("torch").tensor(x)


def of_jax(x: Any) -> Any:
    return importlib.import_module("jax").numpy.asarray(x)


def of_strict(x: Any) -> Any:
    return importlib.import_module("array_api_strict").asarray(x)


TO = {"torch": of_torch, "jax": of_jax, "array_api_strict": of_strict}
everywhere = pytest.mark.parametrize("library", TO)


def arrays(library: str, *given: Any) -> list[Any]:
    pytest.importorskip(library)
    return [TO[library](a) for a in given]


def assert_same_answer(there: Any, here: Any, like: Any, what: str) -> None:
    """Compare kind, dtype, shape, and values within a few roundings of the largest."""
    assert isinstance(there, type(like)), f"{what}: {type(there)}"
    assert as_numpy(there).dtype == here.dtype, what
    if np.any(here):
        assert_close(as_numpy(there), here, u=64, what=what)
    else:
        assert not np.any(as_numpy(there)), what


@each
@everywhere
def test_every_product_is_that_of_numpy(spec: Spec, library: str) -> None:
    dtype = np.float32 if library == "jax" else np.float64
    given = [
        2 * probe(SHAPE, 1, dtype),
        probe(SHAPE, 2, dtype),
        probe(spec.out_shape(SHAPE), 3, dtype),
    ]
    f, calls = spec.map, {}
    calls["value"] = lambda x, x_dot, y_bar: f(x)
    calls["jvp"] = lambda x, x_dot, y_bar: f.jvp(x, x_dot)
    calls["vjp"] = lambda x, x_dot, y_bar: f.vjp(x, y_bar)
    calls["hvp"] = lambda x, x_dot, y_bar: f.hvp(x, y_bar, x_dot)
    calls["jacobian"] = lambda x, x_dot, y_bar: f.jacobian(x)
    if library == "jax":  # every shape is compiled for every operation: the linear ones suffice
        calls = {"jvp": calls["jvp"], "vjp": calls["vjp"]}
    there = arrays(library, *given)
    for name, call in calls.items():
        assert_same_answer(call(*there), call(*given), there[0], name)


@each
@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
def test_other_axes_and_masks(spec: Spec, library: str) -> None:
    x, where = 0.2 * probe((3, 4, 2), 1), probe((3, 4, 2), 2) < 1
    options = {"axis": 1} if spec.elementwise else {"axis": 1, "where": where}
    there, mask = arrays(library, x, where)
    moved = options | ({"where": mask} if "where" in options else {})
    value = spec.map(there, **moved)
    here = spec.map(x, **options)
    assert np.array_equal(np.isneginf(as_numpy(value)), np.isneginf(here))
    finite = np.isfinite(here)
    assert_close(as_numpy(value)[finite], here[finite], u=32)
    y_bar = probe(here.shape, 3)
    (bar,) = arrays(library, y_bar)
    gradient = spec.map.vjp(there, bar, **moved)
    assert_close(as_numpy(gradient), spec.map.vjp(x, y_bar, **options), u=64)


LOSSES = {
    "labels": (sg.CrossEntropy(label_smoothing=0.1, z_loss=0.01), "labels"),
    "ignored": (sg.CrossEntropy(ignore_index=2, on_empty="nan"), "labels"),
    "soft": (sg.CrossEntropy(reduction="none"), "soft"),
    "binary": (sg.BinaryCrossEntropy(pos_weight=2.0), "soft"),
    "squared": (sg.SquaredError(reduction="sum"), "soft"),
    "sparsemax": (sg.FenchelYoung(map=sg.sparsemax), "soft"),
}


@pytest.mark.parametrize(("loss", "kind"), LOSSES.values(), ids=LOSSES)
@everywhere
def test_every_loss_is_that_of_numpy(loss: Any, kind: str, library: str) -> None:
    dtype = np.float32 if library == "jax" else np.float64
    x, v, w = 2 * probe(SHAPE, 1, dtype), probe(SHAPE, 2, dtype), np.array([1, 0.5, 2], dtype)
    t = np.array([0, 2, 4]) if kind == "labels" else sg.softmax(probe(SHAPE, 3, dtype))
    x_there, t_there, v_there, w_there = arrays(library, x, t, v, w)
    value, gradient = loss.value_and_gradient(x_there, t_there, row_weights=w_there)
    here = loss.value_and_gradient(x, t, row_weights=w)
    assert_same_answer(value, np.asarray(here[0]), x_there, "value")
    assert_same_answer(gradient, here[1], x_there, "gradient")
    product = loss.hessian(x_there, t_there, row_weights=w_there).mv(v_there)
    assert_same_answer(product, loss.hessian(x, t, row_weights=w).mv(v), x_there, "hessian")


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_saturated_row_in_float32(library: str) -> None:
    x, v = arrays(library, np.array([40.0, 0.0], np.float32), np.array([1.0, 0.0], np.float32))
    expected = np.float32(4.248354255291589e-18) * np.array([1, -1])
    assert_close(as_numpy(sg.softmax.vjp(x, v)), expected, u=4, scale=np.abs(expected))
    label = arrays(library, np.array(0))[0]
    gradient = as_numpy(sg.cross_entropy.gradient(x, label))
    assert_close(gradient, -expected, u=4, scale=np.abs(expected))


# --- heads at other libraries' arrays ----------------------------------------------------------

HEAD = sg.LinearCrossEntropy(reduction="none", label_smoothing=0.1)
X, W, BIAS = probe((5, 3), 1), probe((7, 3), 2), probe((7,), 3)
ALONG = {"x_dot": probe((5, 3), 4), "W_dot": probe((7, 3), 5), "bias_dot": probe((7,), 6)}
OTHER = {"x_dot": probe((5, 3), 7), "W_dot": probe((7, 3), 8)}
WEIGHTS = {"row_weights": np.array([1, 0.5, 0, 2, 1]), "class_weights": np.linspace(0.5, 1.5, 7)}
LABELS = np.array([2, 0, 6, 3, 3])
TOP = sg.TopK(np.array([[2, 0], [1, 5], [3, 2], [0, 1], [6, 4]]), np.abs(probe((5, 2), 9)))
IDS = np.array([[2, 0], [1, 5], [3, 2], [0, 1], [6, 4]])
BARS = {"log_probs_bar": probe((5, 2), 10), "entropy_bar": probe((5,), 11)}

VERBS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "call": (HEAD, (X, W, LABELS, BIAS), WEIGHTS),
    "gradient": (
        HEAD.value_and_gradient,
        (X, W, TOP, BIAS),
        {"loss_bar": probe((5,), 12), "frozen": ["x"], **WEIGHTS},
    ),
    "reduced": (sg.linear_cross_entropy.value_and_gradient, (X, W, LABELS), {"loss_bar": 2.0}),
    "approximate": (
        HEAD.approximate_value_and_gradient,
        (X, W, LABELS, BIAS),
        {"skip_below": 1e-3},
    ),
    "jvp": (HEAD.jvp, (X, W, LABELS, BIAS), ALONG),
    "second_derivative": (HEAD.second_derivative, (X, W, LABELS, BIAS), {**ALONG, "other": OTHER}),
    "hvp": (HEAD.hvp, (X, W, LABELS, BIAS), ALONG),
    "ggn": (HEAD.ggn, (X, W, LABELS, BIAS), ALONG),
    "argmax": (HEAD.argmax, (X, W, BIAS), {}),
    "top_k": (HEAD.top_k, (X, W, 3, BIAS), {}),
    "log_probs": (HEAD.log_probs, (X, W, IDS, BIAS), {}),
    "entropy": (HEAD.entropy, (X, W, BIAS), {}),
    "selected": (sg.selected_log_probs, (X, W, IDS, BIAS), {}),
    "selected jvp": (sg.selected_log_probs.jvp, (X, W, IDS, BIAS), ALONG),
    "selected vjp": (sg.selected_log_probs.vjp, (X, W, IDS, BIAS), BARS),
    "selected hvp": (sg.selected_log_probs.hvp, (X, W, IDS, BIAS), {**BARS, **ALONG}),
    "selected, twice": (
        sg.selected_log_probs.second_derivative,
        (X, W, IDS, BIAS),
        {**ALONG, "other": OTHER},
    ),
}


def strict(given: Any) -> Any:
    """Return arguments or results whose arrays are of the strict library."""
    if isinstance(given, dict):
        return {name: strict(v) for name, v in given.items()}
    if isinstance(given, tuple):
        parts = [strict(v) for v in given]
        return type(given)(*parts) if hasattr(given, "_fields") else tuple(parts)
    return of_strict(given) if isinstance(given, np.ndarray | np.generic) else given


def assert_same(there: Any, here: Any) -> None:
    """Compare results part by part: kind, dtype, shape and bits."""
    if isinstance(here, tuple):
        assert type(there) is type(here)
        for a, b in zip(there, here, strict=True):
            assert_same(a, b)
    elif isinstance(here, np.ndarray | np.generic):
        assert type(there) is type(of_strict(0.0))
        assert_same_bits(as_numpy(there), np.asarray(here))
    else:
        assert there == here


@pytest.mark.parametrize(("verb", "args", "options"), VERBS.values(), ids=VERBS)
def test_heads_take_any_library_that_numpy_shares_memory_with(
    verb: Any, args: Any, options: Any
) -> None:
    pytest.importorskip("array_api_strict")
    assert_same(verb(*strict(args), **strict(options)), verb(*args, **options))


def test_heads_keep_the_device_of_another_library() -> None:
    xp = pytest.importorskip("array_api_strict")
    there = xp.Device("device1")
    x, weights, labels = (xp.asarray(v, device=there) for v in (X, W, LABELS))
    loss, bars = sg.linear_cross_entropy.value_and_gradient(x, weights, targets=labels)
    assert {loss.device, bars.x.device, bars.W.device} == {there}
    assert sg.explain_impl(sg.linear_cross_entropy, x, weights, labels).impl == "reference"


class Elsewhere:
    """An array of the strict library that says that it is in a GPU's memory."""

    def __init__(self, v: Any) -> None:
        self.v = v

    def __getattr__(self, name: str) -> Any:
        return getattr(self.v, name)

    def __array_namespace__(self, api_version: Any = None) -> Any:
        return self.v.__array_namespace__(api_version=api_version)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def test_heads_refuse_other_libraries_that_are_mixed_or_on_a_gpu() -> None:
    pytest.importorskip("array_api_strict")
    x, weights, labels = strict((X, W, LABELS))
    with pytest.raises(TypeError, match=r"`W` must be of the same kind \(array_api_strict\), got"):
        sg.linear_cross_entropy(x, W, labels)
    with pytest.raises(TypeError, match=r"`targets` must be of the same kind \(numpy\), got"):
        sg.linear_cross_entropy(X, W, labels)
    with pytest.raises(TypeError, match=r"`targets` must be of the same kind .*, got numpy"):
        sg.linear_cross_entropy(x, weights, LABELS)
    with pytest.raises(TypeError, match=r"`x` must be in the memory of the CPU for a head, or a"):
        sg.linear_cross_entropy(Elsewhere(x), weights, labels)


# --- JAX: traced -----------------------------------------------------------------------------


def traced(f: Callable[..., Any]) -> Callable[..., Any]:
    return pytest.importorskip("jax").jit(f)


@pytest.mark.parametrize(
    "name", ["softmax", "log_softmax", "logsumexp", "entmax15", "sparsemax", "sigmoid"]
)
def test_jit_gives_the_answer_of_numpy(name: str) -> None:
    """Also on saturated rows: the compiler keeps the error terms of the sums."""
    f = getattr(sg, name)
    x = np.stack([sample("normal", 1.0, rows=1)[0], [40.0, 0.0, 1.0, -30.0, 2.0]]).astype(
        np.float32
    )
    x_dot = probe(x.shape, 1, np.float32)
    y_bar = probe(f(x).shape, 2, np.float32)

    def everything(x: Any, x_dot: Any, y_bar: Any) -> Any:
        y, jacobian = f.linearize(x)
        return y, jacobian.mv(x_dot), jacobian.rmv(y_bar)

    here = everything(x, x_dot, y_bar)
    for there, answer in zip(
        traced(everything)(*map(of_jax, (x, x_dot, y_bar))), here, strict=True
    ):
        size = np.max(np.abs(answer), axis=-1, keepdims=True) + 0 * answer
        assert_close(as_numpy(there), answer, u=16, scale=size, what=name)


def test_jit_of_cross_entropy_makes_a_bad_label_a_row_of_nan() -> None:
    x = sample("normal", 1.0, dtype=np.float32)
    loss = sg.CrossEntropy(reduction="none", ignore_index=-1)
    both = traced(loss.value_and_gradient)
    value, gradient = map(as_numpy, both(of_jax(x), of_jax(np.array([1, 7, -1]))))
    assert np.isnan(value[1])
    assert np.all(np.isnan(gradient[1]))
    fine = loss.value_and_gradient(x[[0, 2]], np.array([1, -1]))
    assert_close(value[[0, 2]], fine[0], u=8)
    assert_close(gradient[[0, 2]], fine[1], u=8)


def test_jit_keeps_the_settings_that_would_raise_quiet() -> None:
    """Values cannot be looked at while tracing: "raise" then does what "nan" and "zero" do."""
    empty = sg.Softmax(empty_row="raise")
    p = as_numpy(traced(empty)(of_jax(np.array([[-np.inf, -np.inf], [1.0, 2.0]], np.float32))))
    assert np.all(np.isnan(p[0]))
    assert_close(p[1], sg.softmax(np.array([1.0, 2.0], np.float32)), u=8)


def test_jax_with_float64() -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        x, v = of_jax(np.array([40.0, 0.0])), of_jax(np.array([1.0, 0.0]))
        product = as_numpy(jax.jit(sg.softmax.vjp)(x, v))
    assert_close(product, 4.248354255291589e-18 * np.array([1, -1]), u=4)


# --- mixing ----------------------------------------------------------------------------------


@each
def test_arrays_of_two_libraries_are_a_type_error(spec: Spec) -> None:
    pytest.importorskip("torch")
    x, v = probe(SHAPE, 1), of_torch(probe(spec.out_shape(SHAPE), 2))
    with pytest.raises(TypeError, match=r"`y_bar` must be of the same kind \(numpy\), got torch"):
        spec.map.vjp(x, v)


def test_targets_of_another_library_are_a_type_error() -> None:
    pytest.importorskip("torch")
    x = of_torch(probe(SHAPE, 1))
    with pytest.raises(TypeError, match=r"`targets` must be of the same kind \(torch\), got numpy"):
        sg.cross_entropy(x, np.array([0, 1, 2]))


def test_nested_lists_and_numbers_become_numpy_arrays() -> None:
    assert_same_bits(sg.softmax([[1.0, 2.0], [3.0, 0.5]]), sg.softmax(np.array([[1, 2], [3, 0.5]])))
    assert isinstance(sg.softmax([1.0, 2.0]), np.ndarray)
    assert float(sg.sigmoid(0.0)) == 0.5
    assert float(sg.relu.jvp(2.0, 3.0)) == 3.0
