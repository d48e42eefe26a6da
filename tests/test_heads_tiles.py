"""So many classes that they come in tiles: the digits of whole rows, whatever the tile."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import heads_primal as primal
from asserts import as_numpy, assert_close
from softgrad.heads import LinearCrossEntropy
from softgrad.heads.layer import LinearLayer
from softgrad.heads.plan import Size, TiledPlan
from softgrad.losses import CrossEntropy, TopK
from specs import probe

K = 150
MEMORY = 2400  # 2 rows of logits fit, and tiles of some tens of classes
RAMP = np.linspace(-20, 20, K)
SPIKE = np.where(np.arange(K) == 70, 40.0, 0.1 * probe((K,), seed=4))
TIES = np.where(np.arange(K) % 40 == 3, 5.0, probe((K,), seed=5))
ROWS = {
    "ramp": RAMP,
    "falling": -RAMP,
    "spike": SPIKE,
    "ties": TIES,
    "offset": 1e4 + 3 * probe((K,), seed=6),
    "wide": 30 * probe((K,), seed=7),
    "small": 0.02 * probe((K,), seed=8),
    "some at -inf": np.where(np.arange(K) < 60, -np.inf, probe((K,), seed=9)),
}
LABELS = {"first": 0, "spike": 70, "tie": 83, "last": K - 1}
each_library = pytest.mark.parametrize("library", ["numpy", "torch"])
each_impl = pytest.mark.parametrize("impl", ["reference", "numba"])


@pytest.fixture(autouse=True)
def tiles(monkeypatch: pytest.MonkeyPatch) -> list[slice]:
    """Let tests see which tiles of logits were made."""
    seen: list[slice] = []
    work = LinearLayer.tile_of_logits

    def spy(self: Any, chunk: Any, tile: slice, buffer: Any) -> Any:
        seen.append(tile)
        return work(self, chunk, tile, buffer)

    monkeypatch.setattr(LinearLayer, "tile_of_logits", spy)
    return seen


def rows_of_logits(names: list[str], dtype: Any, library: str) -> tuple[Any, Any, np.ndarray]:
    """Return x and W whose logits are exactly those rows; −inf comes by the bias."""
    z = np.stack([np.where(np.isinf(ROWS[n]), 0, ROWS[n]) for n in names]).astype(dtype)
    x = np.eye(len(names), dtype=dtype)
    return (*to_library(library, x, np.ascontiguousarray(z.T)), z)


def to_library(library: str, *arrays: Any) -> Any:
    if library == "numpy":
        return arrays
    torch = pytest.importorskip("torch")
    return tuple(torch.from_numpy(np.ascontiguousarray(v)) for v in arrays)


@each_library
@each_impl
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label", LABELS)
def test_tiles_keep_the_digits_of_a_row(
    library: str, impl: Any, dtype: Any, label: str, tiles: list[slice]
) -> None:
    """A-6 and A-7, and no term of a saturated row is lost."""
    names = [n for n in ROWS if n != "some at -inf"]
    x, W, z = rows_of_logits(names, dtype, library)
    labels = np.full(len(names), LABELS[label])
    head = LinearCrossEntropy(reduction="none", memory=MEMORY)
    value, bars = head.value_and_gradient(x, W, *to_library(library, labels), impl=impl)
    assert len({t.start for t in tiles}) >= 3
    rounding = 2.0**-24 if dtype == np.float32 else 2.0**-53
    with mpmath.workdps(60):
        log_p, _ = primal.log_softmax(primal.exact(z))
        one_hot = np.arange(K) == LABELS[label]
        g = np.frompyfunc(mpmath.exp, 1, 1)(log_p) - one_hot
        loss = -log_p[:, one_hot][:, 0]
        normal = np.abs(g).astype(float) > np.finfo(dtype).tiny * 4
        off = np.abs((as_numpy(bars.W).T - g) / np.where(normal, g, 1)).astype(float)
        off_loss = np.abs((as_numpy(value) - loss) / loss).astype(float)
    assert np.max(off_loss) <= 4 * rounding
    assert np.max(off[normal]) <= 6 * rounding
    assert np.sum(normal) > K


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "weights": ({}, {"class_weights": np.linspace(0.5, 2, K), "row_weights": np.r_[0, 1:6.0]}),
    "ignored": ({"ignore_index": 3}, {}),
    "z-loss": ({"z_loss": 0.05}, {}),
    "temperature": ({"temperature": 0.6}, {}),
    "none": ({"reduction": "none"}, {}),
}
TARGETS = {
    "labels": np.array([3, 0, 149, 70, 70, 44]),
    "top k": TopK(np.arange(18).reshape(6, 3) * 7 % 5, np.linspace(0, 0.4, 18).reshape(6, 3)),
}


@each_library
@each_impl
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("targets", TARGETS)
def test_tiles_and_whole_rows_agree(
    library: str, impl: Any, options: str, targets: str, tiles: list[slice]
) -> None:
    settings, weights = OPTIONS[options]
    if targets == "top k" and "ignore_index" in settings:
        settings = {}
    x, W, bias = probe((6, 4), seed=1), probe((K, 4), seed=2), probe((K,), seed=3)
    bar = probe((6,), seed=8) if options == "none" else -0.7
    t = TARGETS[targets]
    dense = CrossEntropy(**settings)
    factor = bar if options == "none" else 1.0
    z = x @ W.T + bias
    expected = dense(z, t, **weights)
    g = dense.gradient(z, t, **weights) * (bar[:, None] if options == "none" else bar)
    x, W, bias = to_library(library, x, W, bias)
    t = TopK(*to_library(library, *t)) if isinstance(t, TopK) else to_library(library, t)[0]
    weights = dict(zip(weights, to_library(library, *weights.values()), strict=True))
    if options == "none":
        (bar,) = to_library(library, bar)
    head = LinearCrossEntropy(**settings, memory=MEMORY)
    value, bars = head.value_and_gradient(x, W, t, bias, loss_bar=bar, impl=impl, **weights)
    assert len({tile.start for tile in tiles}) >= 3
    assert np.any(factor)
    assert_close(value, expected, u=32)
    assert_close(head(x, W, t, bias, impl=impl, **weights), value, u=0)
    for a, e in zip(bars, (g @ as_numpy(W), g.T @ as_numpy(x), g.sum(axis=0)), strict=True):
        assert_close(a, e, u=128)


@each_impl
def test_what_is_not_finite_stays_in_its_row(impl: Any, tiles: list[slice]) -> None:
    z = np.stack([RAMP, RAMP, RAMP, RAMP, RAMP])
    z[1, 75], z[2, 20], z[3, :60], z[4, :] = np.nan, np.inf, -np.inf, -np.inf
    x, W = np.eye(5), z.T
    whole = CrossEntropy(reduction="none").value_and_gradient(z, [100] * 5)
    layer = ListedLogits(z)
    with np.errstate(invalid="ignore"):
        head = LinearCrossEntropy(reduction="none", memory=MEMORY)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LinearLayer, "tile_of_logits", layer.tile)
            value, bars = head.value_and_gradient(x, W, [100] * 5, np.zeros(K), impl=impl)
    assert not np.any(np.isnan(value[[0, 3]]))
    np.testing.assert_array_equal(np.isnan(value), np.isnan(whole[0]))
    assert_close(value[[0, 3]], whole[0][[0, 3]], u=8)
    assert tiles == []
    del bars


class ListedLogits:
    """Logits that no finite features give."""

    def __init__(self, z: np.ndarray) -> None:
        self.z = z

    def tile(self, chunk: Any, tile: slice, buffer: Any) -> Any:
        part = self.z[chunk.rows, tile]
        out = buffer[: part.size].reshape(part.shape)
        out[...] = part
        return out


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("features", [1, 64, 4096])
def test_tiles_fit_their_memory_and_begin_where_chunks_are_short(
    itemsize: int, features: int
) -> None:
    def plan(classes: int) -> TiledPlan | None:
        return TiledPlan.of(Size(8192, features, classes, itemsize, narrow=False, memory=2**26))

    assert plan(32768) is None
    found = plan(1_000_000)
    assert found is not None
    assert itemsize * found.chunk * (found.tile + 2 * features) <= 0.75 * 2**26
    assert 64 < found.chunk <= found.tile
    few = Size(8, features, 1_000_000, 4, narrow=False, memory=2**26)
    assert TiledPlan.of(few) is None  # all rows fit


@pytest.mark.parametrize(
    "settings", [{"label_smoothing": 0.1}, {"soft_cap": 3.0}, {"rest": "spread"}]
)
def test_what_needs_whole_rows_gets_them(settings: dict[str, Any], tiles: list[slice]) -> None:
    x, W = probe((6, 4), seed=1), probe((K, 4), seed=2)
    t = TARGETS["top k" if "rest" in settings else "labels"]
    value = LinearCrossEntropy(**settings, memory=MEMORY)(x, W, t)
    assert_close(value, CrossEntropy(**settings)(x @ W.T, t), u=32)
    assert tiles == []
