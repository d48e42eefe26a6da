"""What the heads promise beside their derivatives: memory, flops, dtypes, inputs, errors, edges."""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import pytest

from asserts import as_numpy, assert_close, assert_same_bits
from softgrad.arrays import namespace
from softgrad.heads import LinearCrossEntropy, linear_cross_entropy, selected_log_probs
from softgrad.heads.plan import Plan, Size, block_of
from softgrad.heads.products import NumPyProducts, products_for
from softgrad.losses import CrossEntropy, TopK
from specs import probe

N, D, K = 13, 6, 11
X, W, BIAS = probe((N, D), seed=1), 0.9 * probe((K, D), seed=2), 1.3 * probe((K,), seed=3)
LABELS = np.arange(N) * 3 % K
PARTS = ("x", "W", "bias")


def dense(x: Any, weights: Any, targets: Any, bias: Any, **settings: Any) -> tuple[Any, list[Any]]:
    """Return loss and gradients by stored logits in float64."""
    x, weights, bias = (as_numpy(v).astype(np.float64) for v in (x, weights, bias))
    loss, g = CrossEntropy(**settings).value_and_gradient(x @ weights.T + bias, targets)
    return loss, [g @ weights, g.T @ x, g.sum(axis=0)]


def test_a_batch_of_any_shape_is_rows() -> None:
    x, labels = X[:12].reshape(2, 2, 3, D), LABELS[:12].reshape(2, 2, 3)
    for reduction, shape in (("mean", ()), ("none", (2, 2, 3))):
        head = LinearCrossEntropy(reduction=reduction)
        value, bars = head.value_and_gradient(x, W, labels, BIAS)
        flat, flat_bars = head.value_and_gradient(X[:12], W, LABELS[:12], BIAS)
        assert value.shape == shape
        assert_same_bits(np.ravel(value), np.ravel(flat))
        assert_same_bits(bars.x, flat_bars.x.reshape(x.shape))
        assert_same_bits(bars.W, flat_bars.W)
    soft = np.full((2, 2, 3, K), 1 / K)
    ids = TopK(labels[..., None], np.full((2, 2, 3, 1), 0.5))
    for targets in (soft, ids):
        grid = linear_cross_entropy(x, W, targets, BIAS)
        flat_targets = (
            targets.reshape(12, K) if targets is soft else TopK(*(v.reshape(12, 1) for v in ids))
        )
        assert_same_bits(grid, linear_cross_entropy(X[:12], W, flat_targets, BIAS))


def test_one_row_without_a_batch() -> None:
    value, bars = linear_cross_entropy.value_and_gradient(X[0], W, 3, BIAS)
    assert bars.x.shape == (D,)
    assert_same_bits(value, linear_cross_entropy(X[:1], W, LABELS[1:2], BIAS))


def layouts() -> dict[str, tuple[Any, Any]]:
    wide = np.zeros((2 * N, D + 3))
    wide[::2, 2 : D + 2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        "strided": (wide[::2, 2 : D + 2], W),
        "Fortran": (np.asfortranarray(X), np.asfortranarray(W)),
        "backwards": (X[::-1].copy()[::-1], W[::-1].copy()[::-1]),
        "read-only": (read_only, W),
        "foreign bytes": (X.astype(">f8"), W.astype(">f8")),
    }


@pytest.mark.parametrize("layout", layouts())
def test_layouts_do_not_matter(layout: str) -> None:
    x, weights = layouts()[layout]
    value, bars = linear_cross_entropy.value_and_gradient(x, weights, LABELS, BIAS)
    expected, parts = dense(X, W, LABELS, BIAS)
    assert_close(value, expected, u=32)
    for a, e in zip(bars, parts, strict=True):
        assert_close(a, e, u=64)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("memory", [1, 2000, 2**26])
def test_narrow_storage_is_computed_in_float32(library: str, dtype: str, memory: int) -> None:
    """The gradients are those of float32, rounded once: exact for the values that were stored."""
    if library == "torch":
        torch = pytest.importorskip("torch")
        x, weights, bias = (torch.tensor(v).to(getattr(torch, dtype)) for v in (X, W, BIAS))
        labels = torch.tensor(LABELS)
    else:
        kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
        x, weights, bias = (v.astype(kind) for v in (X, W, BIAS))
        labels = LABELS
    head = LinearCrossEntropy(memory=memory)
    value, bars = head.value_and_gradient(x, weights, labels, bias)
    expected, parts = dense(x, weights, LABELS, bias)
    assert as_numpy(value).dtype == np.float32
    assert_close(value, expected, u=16)
    rounding = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 0.0}[dtype]
    for a, e, like in zip(bars, parts, (x, weights, bias), strict=True):
        assert a.dtype == like.dtype
        once = rounding * np.maximum(np.abs(e), 2.0**-14)  # or half a unit of a subnormal
        scale = once * 2.0**24 + 64 * np.max(np.abs(e))
        assert_close(as_numpy(a), e, u=1, scale=scale)
    products = head.hvp(x, weights, labels, bias, x_dot=x, W_dot=weights, bias_dot=bias)
    assert all(p.dtype == x.dtype for p in products)


@pytest.mark.parametrize("frozen", [(), ("x",), ("W", "bias"), ("x", "W", "bias")])
def test_what_is_frozen_is_not_multiplied(
    frozen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, ...]] = []
    for verb in ("write", "add"):
        work = getattr(NumPyProducts, verb)

        def spy(self: Any, a: Any, b: Any, out: Any, work: Any = work) -> None:
            calls.append(out.shape)
            work(self, a, b, out)

        monkeypatch.setattr(NumPyProducts, verb, spy)
    _, bars = linear_cross_entropy.value_and_gradient(X, W, LABELS, BIAS, frozen=frozen)
    assert [getattr(bars, name) is None for name in PARTS] == [name in frozen for name in PARTS]
    back = [shape for name, shape in (("x", (N, D)), ("W", (K, D))) if name not in frozen]
    assert calls == [(N, K), *back]


def test_rows_that_do_not_count_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    work = NumPyProducts.write

    def spy(self: Any, a: Any, b: Any, out: Any) -> None:
        if out.shape[1] == K:
            rows.append(out.shape[0])
        work(self, a, b, out)

    monkeypatch.setattr(NumPyProducts, "write", spy)
    labels, w = np.where(np.arange(N) % 3 == 0, -100, LABELS), np.ones(N)
    w[1] = 0
    x = X.copy()
    x[(labels == -100) | (w == 0)] = np.nan
    head = LinearCrossEntropy(ignore_index=-100)
    value, bars = head.value_and_gradient(x, W, labels, BIAS, row_weights=w)
    used = (labels != -100) & (w != 0)
    assert sum(rows) == used.sum()
    expected, parts = dense(X[used], W, LABELS[used], BIAS)
    assert_close(value, expected, u=32)
    assert_close(bars.x[used], parts[0], u=64)
    assert not np.any(bars.x[~used])
    assert_close(bars.W, parts[1], u=64)
    v = {"x_dot": x, "W_dot": W}
    kept = linear_cross_entropy.hvp(X[used], W, LABELS[used], BIAS, x_dot=X[used], W_dot=W)
    product = head.hvp(x, W, labels, BIAS, row_weights=w, **v)
    assert_close(product.W, kept.W, u=64)
    assert not np.any(product.x[~used])


def test_no_thread_warns_of_what_is_not_finite() -> None:
    """Many logits are shared by threads: ∞ − ∞ is NaN in its row, and not a warning."""
    rows, classes = 64, 2**13
    x, weights = np.ones((rows, 1), np.float32), np.ones((classes, 1), np.float32)
    bias = np.zeros(classes, np.float32)
    x[5], bias[7] = np.inf, -np.inf
    value = LinearCrossEntropy(reduction="none")(x, weights, np.arange(rows) + 100, bias)
    assert np.flatnonzero(np.isnan(value)).tolist() == [5]
    assert_close(np.delete(value, 5), np.full(rows - 1, np.log(classes - 1)), u=32)


@pytest.mark.parametrize("verb", ["value", "value_and_gradient", "hvp", "selected"])
def test_logits_are_never_stored(verb: str) -> None:
    rows, features, classes, memory = 400, 4, 8192, 2**21  # the logits would take 12.5 MiB
    x, weights = np.float32(probe((rows, features))), np.float32(probe((classes, features)))
    labels = np.arange(rows) * 20
    head = LinearCrossEntropy(memory=memory)
    along = {"x_dot": x, "W_dot": weights} if verb == "hvp" else {}
    work: Any = type(selected_log_probs)(memory=memory)
    if verb != "selected":
        work = partial(getattr(head, verb), **along)
    work(x, weights, labels)  # compiled code is loaded now
    tracemalloc.start()
    answer = work(x, weights, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer is not None
    assert peak < 1.5 * memory + 2**18, f"{peak / 2**20:.1f} MiB"


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("buffers", [1, 2])
@pytest.mark.parametrize(
    ("rows", "features", "classes"),
    [(8192, 1024, 65536), (100, 64, 1_000_000), (1_000_000, 512, 10), (300, 8, 301), (1, 1, 1)],
)
def test_chunks_fit_their_memory_and_products_end_soon(
    rows: int, features: int, classes: int, buffers: int, light: bool
) -> None:
    memory = 2**26
    size = Size(rows, features, classes, itemsize=4, narrow=False, memory=memory)
    plan = Plan.of(size, buffers=buffers, light=light)
    room = (7 / 8 if light else 3 / 4) * memory
    assert plan.chunk * 4 * (buffers * classes + 3 * features) <= room
    assert plan.chunk * features * plan.tile <= 2.5e9  # multiplications of one product
    assert 1 <= plan.chunk <= rows
    row = 4 * classes
    for compiled in (True, False):
        block = block_of(row, memory, compiled=compiled, light=False, chunk=plan.chunk)
        assert block == 1 or block * row <= memory / (32 if compiled else 128)
    assert block_of(row, memory, compiled=True, light=True, chunk=plan.chunk) == plan.chunk
    assert plan.chunk in (1, rows) or plan.chunk < 64 or plan.chunk % 64 == 0
    tiny = Plan.of(Size(rows, features, classes, 8, True, memory=1), buffers=buffers, light=light)
    assert (tiny.chunk, tiny.tile) == (1, 1)


def test_targets_are_validated_some_rows_at_a_time() -> None:
    soft = np.full((N, K), 1 / K)
    head = LinearCrossEntropy(validate=True, memory=1)
    assert_same_bits(head(X, W, soft, BIAS), LinearCrossEntropy(memory=1)(X, W, soft, BIAS))
    soft[7, 3] = 0.9
    with pytest.raises(ValueError, match="`targets` must be probabilities that sum to one"):
        head(X, W, soft, BIAS)


@pytest.mark.parametrize("splits", [[1, 12], [5, 4, 4], [1] * 13])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_micro_batches_with_one_normalizer_give_one_gradient(splits: list[int], dtype: Any) -> None:
    """R-4: within 4 u Σ|g|, whatever the split."""
    x, weights, bias = (v.astype(dtype) for v in (X, W, BIAS))
    head = LinearCrossEntropy(normalizer=float(N), label_smoothing=0.1)
    value, bars = head.value_and_gradient(x, weights, LABELS, bias)
    parts, start = [], 0
    for size in splits:
        cut = slice(start, start := start + size)
        parts.append(head.value_and_gradient(x[cut], weights, LABELS[cut], bias))
    sums = [
        sum(np.asarray(bar, np.longdouble) for bar in each)
        for each in zip(*((loss, *bars[1:]) for loss, bars in parts), strict=True)
    ]
    z = x.astype(np.float64) @ W.T + BIAS
    g = np.abs(CrossEntropy(label_smoothing=0.1).gradient(z, LABELS))  # [N, K]
    assert_close(value, sums[0], u=4)
    rows = np.concatenate([bars.x for _, bars in parts])
    assert_close(rows, bars.x, u=4, scale=np.sum(g @ np.abs(W)))
    assert_close(bars.W, sums[1], u=4, scale=np.sum(g.T @ np.abs(x)))
    assert_close(bars.bias, sums[2], u=4, scale=np.sum(g))


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_inputs_are_never_modified(library: str) -> None:
    """R-5."""
    xp = np if library == "numpy" else pytest.importorskip("torch")
    soft = np.full((N, K), 1 / K)
    given = [xp.asarray(v.copy()) for v in (X, W, soft, BIAS, X + 1, W + 1, BIAS + 1)]
    before = [as_numpy(v).copy() for v in given]
    x, weights, t, bias, x_dot, W_dot, b_dot = given
    dots = {"x_dot": x_dot, "W_dot": W_dot, "bias_dot": b_dot}
    linear_cross_entropy(x, weights, t, bias)
    linear_cross_entropy.value_and_gradient(x, weights, t, bias, loss_bar=2.0)
    for verb in ("jvp", "hvp", "ggn"):
        getattr(linear_cross_entropy, verb)(x, weights, t, bias, **dots)
    ids = xp.asarray(LABELS)
    selected_log_probs.vjp(x, weights, ids, bias, entropy_bar=x_dot[:, 0])
    selected_log_probs.hvp(x, weights, ids, bias, **dots, entropy_bar=x_dot[:, 0])
    for a, e in zip(given, before, strict=True):
        assert_same_bits(a, e)


def test_a_confident_row_keeps_its_digits() -> None:
    """At one feature no product rounds: the gradient of the bias is that of given logits."""
    z = np.array([[40.0, 0.0, -3.0], [200.0, 0.0, 1.0]])
    for row in z:
        _, bars = linear_cross_entropy.value_and_gradient(np.ones((1, 1)), row[:, None], [0])
        assert_same_bits(bars.W[:, 0], CrossEntropy().gradient(row[None], [0])[0])


# --- edges -----------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_empty_batch_has_an_empty_answer(library: str, reduction: str) -> None:
    xp = np if library == "numpy" else pytest.importorskip("torch")
    x, labels = xp.asarray(X[:0]), xp.asarray(LABELS[:0])
    head = LinearCrossEntropy(reduction=reduction)
    value, bars = head.value_and_gradient(x, xp.asarray(W), labels, xp.asarray(BIAS))
    assert tuple(value.shape) == ((0,) if reduction == "none" else ())
    assert reduction == "none" or float(value) == 0
    assert tuple(bars.x.shape) == (0, D)
    assert not as_numpy(bars.W).any()
    assert not as_numpy(bars.bias).any()
    assert tuple(head.top_k(x, xp.asarray(W), 2).ids.shape) == (0, 2)


def test_a_mean_over_nothing_is_what_the_setting_says() -> None:
    ignored = np.full(N, -1)
    for on_empty, expected in (("zero", 0.0), ("nan", np.nan)):
        head = LinearCrossEntropy(ignore_index=-1, on_empty=on_empty)
        value, bars = head.value_and_gradient(X, W, ignored, BIAS)
        assert_same_bits(value, np.float64(expected))
        assert not any(np.any(bar) for bar in bars)
        assert float(head.jvp(X, W, ignored, BIAS, x_dot=X)) == 0
    with pytest.raises(ValueError, match="at least one row that counts"):
        LinearCrossEntropy(ignore_index=-1, on_empty="raise")(X, W, ignored, BIAS)


def test_no_features_leave_the_bias() -> None:
    value, bars = linear_cross_entropy.value_and_gradient(X[:, :0], W[:, :0], LABELS, BIAS)
    assert_close(value, CrossEntropy()(np.tile(BIAS, (N, 1)), LABELS), u=4)
    assert bars.W.shape == (K, 0)
    assert np.all(bars.bias)


def test_nan_stays_in_its_row() -> None:
    x = X.copy()
    x[4] = np.nan
    head = LinearCrossEntropy(reduction="none")
    value, bars = head.value_and_gradient(x, W, LABELS, BIAS)
    assert np.isnan(value[4])
    others = np.arange(N) != 4
    assert_same_bits(value[others], head(X, W, LABELS, BIAS)[others])
    assert np.all(np.isfinite(bars.x[others]))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (X, W[:, :5], LABELS),
            ValueError,
            r"`W` must be of shape (K, 6) to match `x` (13, 6), got",
        ),
        ((X, np.float32(W), LABELS), TypeError, "`W` must be float64 to match `x`, got float32"),
        ((X, W[:0], LABELS), ValueError, "`W` must be of at least one class, got shape (0, 6)"),
        (
            (X, W, LABELS, BIAS[:3]),
            ValueError,
            "`bias` must be of shape (11,) to match `W` (11, 6)",
        ),
        ((X, W, LABELS[:3]), ValueError, "`targets` must be integers of shape (13,) or probab"),
        ((X, W, LABELS + 5), IndexError, "`targets` must be class indices from 0 to 10, got 11 at"),
        ((X > 0, W, LABELS), TypeError, "`x` must be real numbers"),
        ((1.0, W, LABELS), ValueError, "`x` must be an array with a feature axis"),
    ],
)
def test_errors_name_both_sides_before_any_work(
    arguments: Any, error: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_work(*_: Any) -> Any:
        raise AssertionError("work before the arguments were checked")

    for verb in ("write", "add"):
        monkeypatch.setattr(NumPyProducts, verb, no_work)
    for verb in ("value", "value_and_gradient", "jvp", "hvp", "ggn"):
        with pytest.raises(error) as caught:
            getattr(linear_cross_entropy, verb)(*arguments)
        assert message in str(caught.value)


def test_the_other_arguments_are_checked_too() -> None:
    given = (X, W, LABELS, BIAS)
    for arguments, message in (
        ({"loss_bar": np.ones(3)}, "`loss_bar` must be of shape ()"),
        ({"frozen": "x"}, "`frozen` must be a collection of names among 'x', 'W', 'bias'"),
        ({"frozen": ["y"]}, "`frozen` must be a collection of names among"),
        ({"class_weights": np.ones(3)}, "`class_weights` must be of shape (11,)"),
        ({"row_weights": -np.ones(N)}, "`row_weights` must be not negative"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            linear_cross_entropy.value_and_gradient(*given, **arguments)
        assert message in str(caught.value)
    for dots, message in (
        ({"x_dot": W}, "`x_dot` must be of shape (13, 6)"),
        ({"W_dot": X}, "`W_dot` must be of shape (11, 6)"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            linear_cross_entropy.jvp(*given, **dots)
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="`bias_dot` must be None where there is no bias"):
        linear_cross_entropy.jvp(X, W, LABELS, bias_dot=BIAS)
    with pytest.raises(TypeError, match="`options` must be one of"):
        linear_cross_entropy(X, W, LABELS, BIAS, axis=0)
    for bad in (0, -1):
        with pytest.raises(ValueError, match="`memory` must be a positive number of bytes"):
            LinearCrossEntropy(memory=bad)


def test_jax_is_told_how_a_verb_is_had_there() -> None:
    jnp = pytest.importorskip("jax.numpy")
    with pytest.raises(TypeError, match="an array that is not JAX's for this verb"):
        linear_cross_entropy.value_and_gradient(jnp.asarray(X), jnp.asarray(W), jnp.asarray(LABELS))


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_failed_allocation_is_a_memory_error(library: str) -> None:
    xp = np if library == "numpy" else pytest.importorskip("torch")
    x = xp.asarray(X)
    with pytest.raises(MemoryError):
        products_for(x).empty((1 << 50,), x.dtype, x)


def test_another_error_of_an_allocation_is_no_want_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A GPU's failure is said by the first call that comes after it."""
    torch = pytest.importorskip("torch")
    x = torch.zeros(2)

    def raised(error: RuntimeError) -> BaseException:
        def empty(*_: Any, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(namespace(x), "empty", empty)
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            products_for(x).empty((2,), x.dtype, x)
        return caught.value

    failed = RuntimeError("CUDA error: device-side assert triggered")
    assert raised(failed) is failed
    found = raised(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))
    assert isinstance(found, MemoryError)
    assert "no memory for torch.float32 of shape (2,)" in str(found)
