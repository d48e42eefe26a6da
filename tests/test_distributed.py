"""Heads whose classes are spread over real processes, against one process in float64."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest

import heads_primal as primal
from asserts import assert_close
from softgrad.heads import LinearCrossEntropy, SelectedLogProbs
from softgrad.losses import CrossEntropy, SquaredError, TopK
from specs import probe

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("PyTorch was built without torch.distributed", allow_module_level=True)

import distributed_calls as calls  # noqa: E402
from distributed_world import World, in_folder, started_world  # noqa: E402

N, D, K = 6, 3, 7
SPLITS = [(7,), (3, 4), (7, 0), (0, 7), (2, 0, 5), (1, 3, 0, 3)]
each_split = pytest.mark.parametrize("sizes", SPLITS, ids=lambda sizes: "+".join(map(str, sizes)))

LABELS = np.array([0, 6, 2, 3, -100, 5])
TARGETS = {
    "labels": LABELS,
    "soft": np.abs(probe((N, K), 11)) + 0.1,
    "top k": TopK(
        np.array([[0, 1], [2, 6], [5, 5], [3, 1], [6, 0], [2, 4]]), 0.4 * np.abs(probe((N, 2), 12))
    ),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "count": {"normalizer": "count"},
    "number": {"normalizer": 3.0},
    "smoothing": {"label_smoothing": 0.1},
    "soft cap": {"soft_cap": 1.5},
    "z-loss": {"z_loss": 0.3},
    "temperature": {"temperature": 0.6},
    "all": {"label_smoothing": 0.2, "soft_cap": 2.0, "z_loss": 0.1, "temperature": 0.7},
    "spread": {"rest": "spread"},
}
WEIGHTS = {
    "no weights": {},
    "weights": {
        "class_weights": np.linspace(0.5, 2, K),
        "row_weights": np.array([1.0, 0.0, 0.3, 2.0, 1.0, 0.7]),
    },
}
X, W, BIAS = probe((N, D), 1), probe((K, D), 2), probe((K,), 3)
DOTS = {"x_dot": probe((N, D), 4), "W_dot": probe((K, D), 5), "bias_dot": probe((K,), 6)}
OTHER = {"x_dot": DOTS["x_dot"][::-1], "W_dot": DOTS["W_dot"] ** 2}
PRODUCTS = {"jvp": ("gradients", DOTS), "second": ("hvp", OTHER)}
"""The verbs that are inner products, and of what."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with started_world(in_folder(tmp_path_factory.mktemp("world"))) as world:
        yield world


def upstream(settings: dict[str, Any]) -> Any:
    """Return a gradient from above that differs from row to row."""
    return probe((N,), 8) if settings.get("reduction") == "none" else -0.7


def in_one_process(settings: Any, call: Any, weights: Any) -> dict[str, Any]:
    """Return what the verbs give where all classes are here."""
    head, bar = LinearCrossEntropy(**settings), {"loss_bar": upstream(settings)}
    loss, gradients = head.value_and_gradient(*call, **weights, **bar)
    return {
        "value": loss,
        "loss": loss,
        "gradients": gradients,
        "jvp": head.jvp(*call, **weights, **DOTS),
        "hvp": head.hvp(*call, **weights, **bar, **DOTS),
        "ggn": head.ggn(*call, **weights, **bar, **DOTS),
        "second": head.second_derivative(*call, **weights, **DOTS, other=OTHER),
    }


def size_of_terms(name: str, expected: dict[str, Any], settings: dict[str, Any]) -> float | None:
    """Return what the terms of an inner product, where it is one number, sum to in size."""
    if name not in PRODUCTS or settings.get("reduction") == "none":
        return None
    bars, along = PRODUCTS[name]
    terms = zip(expected[bars], along.values(), strict=False)  # the bias may not move
    return float(sum(np.sum(np.abs(bar * v)) for bar, v in terms)) / abs(upstream(settings))


def assert_parts(found: list[Any], expected: Any, sizes: tuple[int, ...], u: float) -> None:
    """Compare x_bar of every rank, and W_bar and bias_bar put together, with those of one."""
    x_bars, W_bars, bias_bars = zip(*found, strict=True)
    for x_bar in x_bars:
        np.testing.assert_array_equal(x_bar, x_bars[0])
    assert [len(part) for part in W_bars] == list(sizes)
    for part, e in zip(
        (x_bars[0], np.concatenate(W_bars), np.concatenate(bias_bars)), expected, strict=True
    ):
        assert_close(part, e, u=u)


@each_split
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_every_verb_gives_what_one_process_gives(
    world: World, sizes: Any, targets: str, settings: str
) -> None:
    given, t = SETTINGS[settings], TARGETS[targets]
    if targets == "labels":
        given = given | {"ignore_index": -100}
    call = (X, W, t, BIAS)
    for weights in WEIGHTS.values():
        expected = in_one_process(given, call, weights)
        found = world.results(
            len(sizes), calls.verbs, sizes, given, call, weights, upstream(given), DOTS
        )
        for name, e in expected.items():
            answers = [answer[name] for answer in found]
            if name in ("gradients", "hvp", "ggn"):
                assert_parts(answers, e, sizes, u=256)
                continue
            for answer in answers:
                np.testing.assert_array_equal(answer, answers[0])  # the same bits on all ranks
            assert_close(answers[0], e, u=256, scale=size_of_terms(name, expected, given))


@each_split
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_pytorch_differentiates_twice(world: World, sizes: Any, reduction: str) -> None:
    settings = {"reduction": reduction, "ignore_index": -100, "label_smoothing": 0.1}
    bar = upstream(settings) if reduction == "none" else np.array(-0.7)
    call = (X, W, LABELS, BIAS)
    found = world.results(len(sizes), calls.autograd, sizes, settings, call, bar)
    head, parts = LinearCrossEntropy(**settings), [torch.tensor(v) for v in (X, W, BIAS)]
    for part in parts:
        part.requires_grad_()
    loss = head(parts[0], parts[1], torch.tensor(LABELS), parts[2])
    bars = torch.autograd.grad(loss, parts, torch.tensor(bar), create_graph=True)
    sum((b**3).sum() for b in bars).backward()
    for answer, _ in found:
        assert_close(answer[0], loss.detach().numpy(), u=64)
    assert_parts(
        [answer[1:] for answer, _ in found], [b.detach().numpy() for b in bars], sizes, 256
    )
    second = [part.grad.numpy() for part in parts]
    assert_parts([answer for _, answer in found], second, sizes, u=1024)


@each_split
def test_pytorch_differentiates_forward(world: World, sizes: Any) -> None:
    call = (X, W, LABELS % K, BIAS)
    found = world.results(len(sizes), calls.forward_mode, sizes, call, DOTS)
    for answer in found:
        assert_close(answer[0], LinearCrossEntropy().jvp(*call, **DOTS), u=64)
    expected = LinearCrossEntropy().hvp(*call, **DOTS)
    assert_parts([answer[1:] for answer in found], expected, sizes, u=256)


@each_split
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.6}, {"soft_cap": 1.5}], ids=str)
def test_selected_log_probs_and_predictions(world: World, sizes: Any, settings: Any) -> None:
    ids = np.array([[0, 6], [2, 2], [3, 1], [6, 5], [4, 4], [5, 0]])
    W_tied = W.copy()
    W_tied[5], bias = W[1], BIAS.copy()
    bias[5] = bias[1]  # of equals the first
    call = (X, W_tied, ids, bias)
    bars = {
        "log_probs_bar": probe((N, 2), 7),
        "logsumexp_bar": probe((N,), 8),
        "entropy_bar": probe((N,), 9),
    }
    found = world.results(len(sizes), calls.selected, sizes, settings, call, bars, DOTS, 4)
    head, predicting = SelectedLogProbs(**settings), LinearCrossEntropy(**settings)
    vjp = head.vjp(*call, **bars)
    for name, e in {"vjp": vjp, "autograd": vjp, "hvp": head.hvp(*call, **bars, **DOTS)}.items():
        assert_parts([answer[name] for answer in found], e, sizes, u=256)
    best = predicting.top_k(X, W_tied, 4, bias)
    for answer in found:
        np.testing.assert_array_equal(answer["argmax"], predicting.argmax(X, W_tied, bias))
        np.testing.assert_array_equal(answer["top k"][0], best.ids)
        assert_close(answer["top k"][1], best.log_probs, u=64)
        assert_close(answer["entropy"], predicting.entropy(X, W_tied, bias), u=64)
        assert_close(answer["log_probs"], predicting.log_probs(*call), u=64)
        for name, e in {"value": head.value(*call), "jvp": head.jvp(*call, **DOTS)}.items():
            for a, b in zip(answer[name], e, strict=True):
                assert_close(a, b, u=128)


# Rows of logits that a formula may lose digits of.
WIDE = 80
ROWS = {
    "ramp": np.linspace(-20, 20, WIDE),
    "falling": np.linspace(20, -20, WIDE),
    "spike": np.where(np.arange(WIDE) == 4, 40.0, 0.1 * probe((WIDE,), 4)),
    "ties": np.where(np.arange(WIDE) % 4 == 2, 5.0, probe((WIDE,), 5)),
    "offset": 1e4 + 3 * probe((WIDE,), 6),
    "wide": 30 * probe((WIDE,), 7),
    "small": 0.02 * probe((WIDE,), 8),
}
WIDE_SPLITS = [(33, 47), (0, 80), (7, 43, 30), (38, 0, 19, 23)]
TILED = 1600
"""Bytes in which few rows fit: the classes of a rank come in tiles of 32."""


@cache
def exact_log_p(dtype: str) -> Any:
    """Return the log-probabilities of the rows, as mpmath's numbers."""
    return primal.log_softmax(primal.exact(np.stack(list(ROWS.values())).astype(dtype)))[0]


@pytest.mark.parametrize("sizes", WIDE_SPLITS, ids=lambda sizes: "+".join(map(str, sizes)))
@pytest.mark.parametrize("impl", ["reference", "numba"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", ["label", "one-hot", "tiles"])
def test_shards_keep_the_digits_of_a_row(
    world: World, sizes: Any, impl: str, dtype: str, target: str
) -> None:
    """A-6 and A-7: no term of a saturated row is lost, wherever its parts are."""
    z = np.stack(list(ROWS.values())).astype(dtype)
    u = 2.0**-24 if dtype == "float32" else 2.0**-53
    settings: dict[str, Any] = {"reduction": "none"}
    if target == "tiles":
        settings["memory"] = TILED
    for label in (0, 4, 6, WIDE - 1):
        t = np.eye(WIDE)[np.full(len(z), label)] if target == "one-hot" else np.full(len(z), label)
        call = (np.eye(len(z)), z.T.astype(np.float64), t, None)
        found = world.results(
            len(sizes), calls.gradients, sizes, settings, call, dtype, {"impl": impl}
        )
        log_p, one_hot = exact_log_p(dtype), np.arange(WIDE) == label
        g = np.frompyfunc(mpmath.exp, 1, 1)(log_p) - one_hot
        loss = -log_p[:, one_hot][:, 0]
        normal = np.abs(g).astype(float) > np.finfo(dtype).tiny * 4
        W_bar = np.concatenate([answer[2] for answer in found]).T
        off = np.abs((W_bar - g) / np.where(normal, g, 1)).astype(float)
        assert np.max(off[normal]) <= 6 * u
        for answer in found:
            assert np.max(np.abs((answer[0] - loss) / loss).astype(float)) <= 4 * u
            np.testing.assert_array_equal(answer[1], found[0][1])


@pytest.mark.parametrize("sizes", [(3, 4), (0, 7), (2, 0, 5)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_rounded_once(world: World, sizes: Any, dtype: str) -> None:
    kind = getattr(torch, dtype)
    x, W_half, bias = (calls.to_numpy(torch.tensor(v).to(kind)) for v in (X, W, BIAS))
    call = (x, W_half, LABELS % K, bias)
    found = world.results(len(sizes), calls.gradients, sizes, {}, call, dtype, {})
    expected = LinearCrossEntropy().value_and_gradient(*call)
    assert_close(found[0][0], expected[0], u=2.0**32)  # float32
    u = 2.0**43 if dtype == "float16" else 2.0**46
    assert_parts([answer[1:] for answer in found], expected[1], sizes, u=u)


@pytest.mark.parametrize("sizes", [(3, 4), (2, 0, 5), (1, 3, 0, 3)])
def test_what_is_not_finite_stays_in_its_row(world: World, sizes: Any) -> None:
    """Logits of a row that is NaN, or −inf in one shard or in all: no other row hears of it."""
    x = np.array([[1.0, 0.0, 0.0, 0.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    z = np.stack([probe((K,), i) for i in range(4)])
    bias = np.zeros(K)
    W = z.T.copy()
    x[1] = np.nan
    t = np.array([1, 2, 3, 4])
    found = world.results(
        len(sizes), calls.gradients, sizes, {"reduction": "none"}, (x, W, t, bias), "float64", {}
    )
    expected = CrossEntropy(reduction="none")(z, t)
    for answer in found:
        assert np.isnan(answer[0][1])
        assert_close(answer[0][[0, 2, 3]], expected[[0, 2, 3]], u=32)
        assert not np.any(np.isnan(answer[1][[0, 2, 3]]))


@pytest.mark.parametrize("sizes", [(3, 4), (0, 7), (1, 3, 0, 3)])
def test_classes_at_minus_infinity_count_nothing(world: World, sizes: Any) -> None:
    """A whole shard at −inf, as padded vocabularies have it."""
    bias = np.where(np.arange(K) < sizes[0], -np.inf, BIAS)
    t = np.full(N, K - 1)
    found = world.results(len(sizes), calls.gradients, sizes, {}, (X, W, t, bias), "float64", {})
    there = slice(sizes[0], K)
    expected = LinearCrossEntropy().value_and_gradient(X, W[there], t - sizes[0], BIAS[there])
    assert_close(found[0][0], expected[0], u=32)
    assert_close(found[0][1], expected[1].x, u=64)
    W_bar = np.concatenate([answer[2] for answer in found])
    assert_close(W_bar[there], expected[1].W, u=64)
    assert np.all(W_bar[: sizes[0]] == 0)
    lost = world.results(len(sizes), calls.gradients, sizes, {}, (X, W, 0 * t, bias), "float64", {})
    if sizes[0]:
        assert all(np.isinf(answer[0]) for answer in lost)


@pytest.mark.parametrize("memory", [2**26, 200], ids=["whole rows", "tiles"])
@pytest.mark.parametrize("offset", [-50.0, 50.0])
def test_logits_far_from_zero(world: World, memory: int, offset: float) -> None:
    """A target that is another rank's is no logit of 0 here."""
    call, settings = (X, W, TARGETS["top k"], BIAS + offset), {"memory": memory}
    expected = LinearCrossEntropy().value_and_gradient(X, W, TARGETS["top k"], BIAS)
    for sizes in ((3, 4), (2, 0, 5)):
        found = world.results(len(sizes), calls.gradients, sizes, settings, call, "float64", {})
        assert_close(found[0][0], expected[0], u=512)
        assert_parts([answer[1:] for answer in found], expected[1], sizes, u=1024)


def test_the_same_bits_for_the_same_shards_whatever_else(world: World) -> None:
    """What one rank has does not depend on how often, or in which order, others are asked."""
    call = (X, W, LABELS, BIAS)
    settings = {"ignore_index": -100}
    once = world.results(4, calls.gradients, (1, 3, 0, 3), settings, call, "float32", {})
    world.results(2, calls.gradients, (3, 4), settings, call, "float32", {})
    again = world.results(4, calls.gradients, (1, 3, 0, 3), settings, call, "float32", {})
    for a, b in zip(once, again, strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(one, other)


@each_split
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("settings", ["plain", "none", "validate", "all"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_logits_that_are_spread_over_their_classes(
    world: World, sizes: Any, targets: str, settings: str, axis: int
) -> None:
    """The loss of logits [2, 3, K], or [2, K, 3] with the classes on axis 1."""
    given: dict[str, Any] = {"validate": True} if settings == "validate" else SETTINGS[settings]
    z, z_dot, t = probe((2, 3, K), 1), probe((2, 3, K), 2), TARGETS[targets]
    if targets == "soft":
        t = (t / t.sum(-1, keepdims=True)).reshape(2, 3, K)
    elif targets == "top k":
        if settings == "validate":
            given = {}
        t = TopK(*(part.reshape(2, 3, 2) for part in t))
    else:
        given, t = given | {"ignore_index": -100}, t.reshape(2, 3)
    if axis == 1:
        z, z_dot = (np.moveaxis(v, -1, 1).copy() for v in (z, z_dot))
        t = np.moveaxis(t, -1, 1).copy() if targets == "soft" else t
    weights = {
        "class_weights": np.linspace(0.5, 2, K),
        "row_weights": np.array([[1.0, 0.0, 0.3], [2.0, 1.0, 0.7]]),
    }
    bar = probe((2, 3), 8) if settings == "none" else np.array(-0.7)
    found = world.results(
        len(sizes), calls.cross_entropy, sizes, given, z, t, weights, bar, z_dot, axis
    )
    loss, options = CrossEntropy(**given), {**weights, "axis": axis}
    value, gradient = loss.value_and_gradient(z, t, **options)
    reduced = loss.reduced(z, t, options)  # type: ignore[arg-type]
    vjp = loss.vjp(z, t, bar, **options)
    expected = {
        "value": value,
        "rate": reduced.jvp(z_dot),
        "second": reduced.second_derivative(z_dot, z_dot),
    }
    for answer in found:
        for name, e in expected.items():
            assert_close(answer[name], e, u=256)
    curved = reduced.hvp(bar, z_dot)
    for name, e in {"gradient": gradient, "vjp": vjp, "autograd": vjp, "curved": curved}.items():
        whole = np.concatenate([answer[name] for answer in found], axis=axis)
        assert_close(whole, e, u=256)


@pytest.mark.parametrize("axis", [0, 1])
def test_logits_that_are_a_dtensor(world: World, axis: int) -> None:
    z, t = probe((N, K), 1), LABELS % K
    value, gradient = CrossEntropy().value_and_gradient(z, t)
    for ranks in (1, 2, 3):
        for answer in world.results(ranks, calls.spread_logits, z, t, axis):
            assert_close(answer[0], value, u=64)
            assert_close(answer[1], gradient, u=64)


def test_other_losses_and_masks_have_no_group() -> None:
    z = torch.zeros(2, 3)
    with pytest.raises(TypeError, match="`group` must be None for this loss"):
        SquaredError()(z, z, group="world")


each_count = pytest.mark.parametrize("ranks", [1, 2, 3, 4])


@each_count
@pytest.mark.parametrize("frozen", ["", "x", "W", "bias"])
@pytest.mark.parametrize("spread_x", [False, True], ids=["x whole", "x spread"])
def test_dtensors_come_back(world: World, ranks: int, frozen: str, spread_x: bool) -> None:
    call = (X, W[:5], LABELS % 5, BIAS[:5])  # four ranks have 2, 2, 1 and none of five classes
    found = world.results(ranks, calls.dtensors, call, frozen, spread_x)
    loss, expected = LinearCrossEntropy().value_and_gradient(*call)
    log_probs = SelectedLogProbs()(*call).log_probs
    for value, *bars, chosen in found:
        assert_close(value, loss, u=64)
        assert_close(chosen, log_probs, u=64)
        for name, bar in zip(("x", "W", "bias"), bars, strict=True):
            assert (bar is None) == (name == frozen)
            if bar is not None:
                assert_close(bar, getattr(expected, name), u=64)


@each_count
@pytest.mark.parametrize("spread_x", [False, True], ids=["x whole", "x spread"])
def test_every_verb_takes_dtensors(world: World, ranks: int, spread_x: bool) -> None:
    """What is like x, W or the bias comes back as they are placed; all else every rank has."""
    call, few = (X, W[:5], LABELS % 5, BIAS[:5]), {"W_dot": DOTS["W_dot"][:5]}
    moves = {**DOTS, **few, "bias_dot": DOTS["bias_dot"][:5]}
    ids = np.array([[0, 4], [2, 2], [3, 1], [1, 0], [4, 4], [3, 0]])  # as many axes as x has
    other = {"x_dot": DOTS["x_dot"][::-1], "W_dot": few["W_dot"] ** 2}
    head, chosen, bars = LinearCrossEntropy(), SelectedLogProbs(), np.linspace(-1, 2, 12)
    bar, at = {"log_probs_bar": bars.reshape(6, 2)}, (X, W[:5], ids, BIAS[:5])
    expected = {
        "loss": (head.value(*call),),
        "gradients": head.value_and_gradient(*call, loss_bar=-0.7)[1],
        "jvp": (head.jvp(*call, **moves),),
        "second": (head.second_derivative(*call, **moves, other=other),),
        "hvp": head.hvp(*call, **moves),
        "ggn": head.ggn(*call, **moves),
        "argmax": (head.argmax(X, W[:5], BIAS[:5]),),
        "top k": head.top_k(X, W[:5], 3, BIAS[:5]),
        "entropy": (head.entropy(X, W[:5], BIAS[:5]),),
        "log_probs": (head.log_probs(*at),),
        "selected vjp": chosen.vjp(*at, **bar),
        "selected jvp": chosen.jvp(*at, **moves),
        "selected hvp": chosen.hvp(*at, **bar, **moves),
    }
    like_arguments = ("S(0)" if spread_x else "R", "S(0)", "plain")
    for found, places in world.results(ranks, calls.verbs_of_dtensors, call, ids, moves, spread_x):
        assert found.keys() == expected.keys()
        for name, parts in expected.items():
            products = len(parts) == 3 and name != "selected jvp"
            assert places[name] == (like_arguments if products else ("R",) * len(parts))
            for part, e in zip(found[name], parts, strict=True):
                assert_close(part.astype(np.float64), e, u=256)


@each_count
def test_tied_embeddings_add_up(world: World, ranks: int) -> None:
    tokens = np.array([4, 0, 2, 2, 6, 1])
    found = world.results(ranks, calls.tied, W, tokens, LABELS % K)
    weights = torch.tensor(W).requires_grad_()
    x = torch.tanh(torch.nn.functional.embedding(torch.tensor(tokens), weights))
    loss = torch.nn.functional.cross_entropy(x @ weights.T, torch.tensor(LABELS % K))
    loss.backward()
    for value, W_bar in found:
        assert_close(value, loss.detach().numpy(), u=64)
        assert_close(W_bar, weights.grad.numpy(), u=64)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_fully_sharded_parameters_just_work(world: World, ranks: int) -> None:
    found = world.results(ranks, calls.fully_sharded, X, W, LABELS % K)
    _, expected = LinearCrossEntropy().value_and_gradient(X, W, LABELS % K)
    for _, W_bar in found:
        assert_close(W_bar, expected.W, u=64)


def test_compiled_programs_give_the_same_bits(world: World) -> None:
    for found in world.results(2, calls.compiled, (4, 3), (X, W, LABELS % K)):
        assert found.keys() == {"group", "DTensor"}
        for plain, compiled in found.values():
            for a, b in zip(plain, compiled, strict=True):
                np.testing.assert_array_equal(a, b)
                assert np.any(a != 0)


def test_a_mesh_of_which_one_dimension_has_the_classes(world: World) -> None:
    call = (X, W, LABELS % K)
    loss, bars = LinearCrossEntropy(reduction="sum").value_and_gradient(*call)
    for found, (rows, mine) in world.results(4, calls.on_two_axes, call):
        for part, e in zip(found, (loss, bars.x[rows], bars.W[mine]), strict=True):
            assert_close(part, e, u=64)


# Mistakes that others have made, each of which has been silent for somebody.


def test_gradients_of_replicated_features_are_whole(world: World) -> None:
    """pytorch #190746: x_bar was that of the own shard, as if its sum were an identity."""
    found = world.results(2, calls.gradients, (3, 4), {}, (X, W, LABELS % K, BIAS), "float64", {})
    expected = LinearCrossEntropy().value_and_gradient(X, W, LABELS % K, BIAS)[1].x
    part = LinearCrossEntropy().value_and_gradient(X, W[:3], LABELS % 3, BIAS[:3])[1].x
    assert np.abs(part - expected).max() > 1e-3
    for answer in found:
        assert_close(answer[1], expected, u=64)


def test_smoothing_is_spread_over_all_classes(world: World) -> None:
    """Megatron-LM #7452 and #737: ε/K had the K of the own shard."""
    settings = {"label_smoothing": 0.3}
    found = world.results(
        2, calls.gradients, (3, 4), settings, (X, W, LABELS % K, BIAS), "float64", {}
    )
    z = X @ W.T + BIAS
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    one_hot = np.eye(K)[LABELS % K]
    loss = -(((1 - 0.3) * one_hot + 0.3 / K) * log_p).sum(-1).mean()
    for answer in found:
        assert_close(answer[0], loss, u=64)


def test_every_row_has_its_own_gradient_from_above(world: World) -> None:
    """NeMo Automodel #3853: every row was scaled by the gradient of the first."""
    bar = probe((N,), 8)
    call, options = (X, W, LABELS % K, BIAS), {"loss_bar": bar}
    found = world.results(
        2, calls.gradients, (3, 4), {"reduction": "none"}, call, "float64", options
    )
    ones = LinearCrossEntropy(reduction="none").value_and_gradient(*call)[1].x
    for answer in found:
        assert_close(answer[1], bar[:, None] * ones, u=64)


@pytest.mark.parametrize("label", range(K))
def test_a_label_that_lives_elsewhere_keeps_its_gradient(world: World, label: int) -> None:
    """ms-swift #9947: the gradient was lost where the label was another rank's."""
    call = (X, W, np.full(N, label), BIAS)
    found = world.results(2, calls.gradients, (3, 4), {}, call, "float64", {})
    _, expected = LinearCrossEntropy().value_and_gradient(*call)
    assert_parts([answer[1:] for answer in found], expected, (3, 4), u=64)


def test_classes_need_no_common_divisor(world: World) -> None:
    """apple/ml-cross-entropy #42: shards whose sizes differ."""
    call = (X, W, LABELS % K, BIAS)
    _, expected = LinearCrossEntropy().value_and_gradient(*call)
    for sizes in ((5, 2), (1, 6), (2, 2, 3), (1, 1, 1, 4)):
        found = world.results(len(sizes), calls.gradients, sizes, {}, call, "float64", {})
        assert_parts([answer[1:] for answer in found], expected, sizes, u=64)


@pytest.mark.parametrize("way", ["group", "DTensor"])
def test_every_promise_is_kept(world: World, way: str) -> None:
    """The battery behind sg.conformance, on two ranks; DTensors know no torch.func."""
    mine, theirs = world.results(2, calls.conformance, way)
    assert mine == theirs
    assert len(mine) > 25
    others = {name: found for name, found in mine.items() if found[0] != "kept"}
    if way == "DTensor":
        assert others.pop("forward-mode")[0] == "could not run"
    assert not others


# What ranks must agree on.

PAIR = [(X, W[:3], LABELS), (X, W[3:], LABELS)]
DIFFERENT: dict[str, tuple[Any, Any, Any, str]] = {
    "settings": ([{}, {"label_smoothing": 0.1}], PAIR, [{}, {}], "`head` must be the same on"),
    "memory": ([{}, {"memory": 999}], PAIR, [{}, {}], "`head` must be the same on"),
    "rows": (
        [{}, {}],
        [PAIR[0], (X[:5], W[3:], LABELS[:5])],
        [{}, {}],
        r"`targets` must be the same.*int64 \(6,\).*rank 0 and int64 \(5,\)",
    ),
    "labels": (
        [{}, {}],
        [PAIR[0], (X, W[3:], LABELS[::-1].copy())],
        [{}, {}],
        "`targets` must be the same on every rank, got .* on rank 0 and .* on rank 1",
    ),
    "dtype": (
        [{}, {}],
        [PAIR[0], (torch.tensor(X).float(), torch.tensor(W[3:]).float(), LABELS)],
        [{}, {}],
        "`W` must be the same on every rank, got float64 .* on rank 0 and float32 .* on rank 1",
    ),
    "weights of rows": (
        [{}, {}],
        PAIR,
        [{"row_weights": np.ones(N)}, {}],
        "`row_weights` must be the same on",
    ),
    "targets of another kind": (
        [{}, {}],
        [PAIR[0], (X, W[3:], np.ones((N, K)))],
        [{}, {}],
        "`targets` must be the same on",
    ),
    "weights of rows in values": (
        [{}, {}],
        PAIR,
        [{"row_weights": np.ones(N)}, {"row_weights": np.arange(6.0)}],
        "`row_weights` must be the same on",
    ),
    "no classes at all": ([{}, {}], [(X, W[:0], LABELS)] * 2, [{}, {}], "at least one class on"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_ranks_that_differ_are_refused_with_both_sides(world: World, what: str) -> None:
    settings, arguments, options, message = DIFFERENT[what]
    settings = [{"ignore_index": -100, **own} for own in settings]
    answers = world.run(2, calls.differently, settings, arguments, options)
    for answer in answers:
        assert isinstance(answer, ValueError)
        assert re.search(message, str(answer), re.DOTALL), answer
    # Nobody is left waiting: the next call is in step.
    good = [{"ignore_index": -100}] * 2
    assert_close(*world.results(2, calls.differently, good, PAIR, [{}, {}]), u=0)


@pytest.mark.parametrize("phase", ["before the ranks have met", "after it"])
def test_what_one_rank_raises_is_raised_by_all(world: World, phase: str) -> None:
    wrong = {
        "before the ranks have met": (X, W[3:, :2], LABELS),
        "after it": (X, W[3:], np.ones((N, 5))),
    }[phase]
    soft = np.ones((N, K))
    first = PAIR[0] if phase.startswith("before") else (X, W[:3], soft)
    settings = [{"ignore_index": -100}] * 2
    mine, theirs = world.run(2, calls.differently, settings, [first, wrong], [{}, {}])[::-1]
    assert isinstance(mine, ValueError)
    assert isinstance(theirs, ValueError)
    assert "rank 1 of the group has raised ValueError: " + str(mine) == str(theirs)
    assert_close(*world.results(2, calls.differently, settings, PAIR, [{}, {}]), u=0)


@pytest.mark.parametrize(
    "what",
    [
        "weights of a taped head",
        "weights of a taped loss",
        "ids of a taped head",
        "a bar",
        "features",
        "directions",
        "targets beside class weights",
        "targets that are validated",
        "targets of a loss",
        "a verb that stays at home",
        "an option of a loss",
        "a bar of a loss",
    ],
)
def test_what_is_wrong_on_one_rank_is_told_wherever_it_is_seen(world: World, what: str) -> None:
    """Before a call reaches its verb, and after the layer was found to be right."""
    arguments = (X, W[:3], LABELS % 6)
    (theirs, again), (own, again_here) = world.results(2, calls.wrongly, what, arguments)
    assert "of the group" not in str(own)
    assert str(theirs) == f"rank 1 of the group has raised {type(own).__name__}: {own}"
    assert again == again_here


APART = {
    "hvp and ggn": "`call` must be the same on every rank, got hvp on rank 0 and ggn on rank 1",
    "jvp and second": "`call` .*, got jvp on rank 0 and second_derivative on rank 1",
    "verbs of a loss": "`call` .*, got value_and_gradient on rank 0 and hessian on rank 1",
    "incoming gradients": r"`call` .*, got vjp of a value_bar, .* \(6,\) .*rank 0 and .* \(5,\)",
    "head and loss": r"`head` .*, got LinearCrossEntropy\(.* on rank 0 and nothing on rank 1",
    "x_dot": "`x_dot` .*, got a direction on rank 0 and None on rank 1",
    "other": "`other` .*, got x_dot on rank 0 and no x_dot on rank 1",
    "class weights": r"`class_weights` .*, got float64 \(6,\) with .* on rank 0 and float64 \(6,",
    "class weights of a loss": r"`class_weights` .* \(6,\) .* on rank 0 and float64 \(5,\) with",
    "top k": r"`targets` .*, got TopK of int64 \(6, 2\) with .* and float64 \(6, 2\) with",
    "impl of a loss": "`impl` .*, got numba on rank 0 and reference on rank 1",
    "features that need a gradient": "`frozen` .*, got not x on rank 0 and x on rank 1",
    "selected": "`call` .*, got value on rank 0 and jvp on rank 1",
}


@pytest.mark.parametrize("what", APART)
def test_ranks_that_call_something_else_are_refused(world: World, what: str) -> None:
    """Some would wait for exchanges that the others know nothing of; some would be wrong alone."""
    (error, again), (other, again_there) = world.results(
        2, calls.apart, what, (X, W[:3], LABELS % 6)
    )
    assert isinstance(error, ValueError)
    assert re.match(APART[what], str(error)), error
    assert str(other) == str(error)
    assert again == again_there


def test_a_bad_label_is_named_by_all(world: World) -> None:
    settings, bad = [{}, {}], np.where(np.arange(N) == 2, K, 0)
    arguments = [(X, W[:3], bad), (X, W[3:], bad)]
    for answer in world.run(2, calls.differently, settings, arguments, [{}, {}]):
        assert isinstance(answer, IndexError)
        assert "class indices from 0 to 6, got 7 at position 2" in str(answer)


@pytest.mark.parametrize("group", ["gloo", 3])
def test_a_group_is_a_process_group(group: Any) -> None:
    with pytest.raises(TypeError, match="`group` must be a process group of"):
        LinearCrossEntropy()(torch.tensor(X), torch.tensor(W), torch.tensor(LABELS), group=group)
