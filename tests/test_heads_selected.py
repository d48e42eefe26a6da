"""Selected log-probabilities and predictions against dense logits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import heads_primal as primal
import oracles
from asserts import as_numpy, assert_close, assert_mpmath_close, assert_same_bits
from softgrad.heads import LinearCrossEntropy, SelectedLogProbs, selected_log_probs
from specs import probe

N, D, K = 5, 3, 7
X, W, BIAS = probe((N, D), seed=1), 0.9 * probe((K, D), seed=2), 1.3 * probe((K,), seed=3)
IDS = np.array([[2, 0, 2], [1, 5, 6], [3, 2, 0], [0, 1, 2], [6, 6, 6]])
BARS = {
    "log_probs_bar": probe((N, 3), seed=4),
    "logsumexp_bar": probe((N,), seed=5),
    "entropy_bar": probe((N,), seed=6),
}
DOTS = {"x_dot": probe((N, D), 7), "W_dot": probe((K, D), 8), "bias_dot": probe((K,), 9)}
OTHER_DOTS = {name: 0.7 * probe(dot.shape, 10) for name, dot in DOTS.items()}
SETTINGS: list[dict[str, Any]] = [{}, {"temperature": 0.6}, {"soft_cap": 2.0}]
SETTINGS += [{"temperature": 1.7, "soft_cap": 3.0}]
each_setting = pytest.mark.parametrize("settings", SETTINGS)
each_library = pytest.mark.parametrize("library", ["numpy", "torch"])


@pytest.fixture(autouse=True)
def fewer_digits() -> Any:
    with mpmath.workdps(90):
        yield


def in_library(library: str, **arrays: Any) -> dict[str, Any]:
    if library == "numpy":
        return arrays
    torch = pytest.importorskip("torch")
    return {name: torch.tensor(v) for name, v in arrays.items()}


def outputs(point: list[Any], settings: Any) -> tuple[Any, Any, Any]:
    """Return log p at the ids, logsumexp and entropy, by their definitions."""
    log_p, lse = primal.log_softmax(primal.logits(point, settings))
    p = np.frompyfunc(mpmath.exp, 1, 1)(log_p)
    return np.take_along_axis(log_p, IDS, axis=-1), lse, -(p * log_p).sum(axis=-1)


def weighted_sum(settings: Any, bars: dict[str, Any]) -> primal.Primal:
    """Return Σ ⟨bar, output⟩ as a function of [x, W, bias]; a bar that is missing is 0."""
    names = ("log_probs_bar", "logsumexp_bar", "entropy_bar")

    def total(point: list[Any]) -> Any:
        found = zip(names, outputs(point, settings), strict=True)
        return sum((primal.exact(bars[n]) * v).sum() for n, v in found if n in bars)

    return total


@each_setting
@each_library
def test_outputs_and_their_tangents_are_those_of_dense_logits(settings: Any, library: str) -> None:
    head = SelectedLogProbs(**settings, memory=600)
    point = [primal.exact(v) for v in (X, W, BIAS)]
    given = in_library(library, x=X, W=W, ids=IDS, bias=BIAS)
    dots = [primal.exact(v) for v in DOTS.values()]
    found = head(**given)
    tangent = head.jvp(**given, **in_library(library, **DOTS))
    there, back = (outputs(primal.moved(point, dots, sign * primal.STEP), head) for sign in (1, -1))
    for name, a, b, e, up, down in zip(
        found._fields, found, tangent, outputs(point, head), there, back, strict=True
    ):
        assert_close(a, e.astype(float), u=64, what=name)
        slope = (up - down) / (2 * primal.STEP)
        assert_close(b, slope.astype(float), u=256, what=f"{name}_dot")


@each_setting
@each_library
def test_second_derivatives_are_those_of_dense_logits(settings: Any, library: str) -> None:
    head, h = SelectedLogProbs(**settings, memory=600), primal.STEP
    point = [primal.exact(v) for v in (X, W, BIAS)]
    u, v = ([primal.exact(dot) for dot in dots.values()] for dots in (DOTS, OTHER_DOTS))
    given, other = (
        in_library(library, x=X, W=W, ids=IDS, bias=BIAS),
        in_library(library, **OTHER_DOTS),
    )
    found = head.second_derivative(**given, **in_library(library, **DOTS), other=other)

    def at(s: int, t: int) -> Any:
        return outputs(primal.moved(primal.moved(point, u, s * h), v, t * h), head)

    corners = at(1, 1), at(1, -1), at(-1, 1), at(-1, -1)
    for name, bent, a, b, c, d in zip(found._fields, found, *corners, strict=True):
        assert_close(bent, ((a - b - c + d) / (4 * h**2)).astype(float), u=1024, what=name)


@each_setting
@each_library
@pytest.mark.parametrize("which", [["log_probs_bar"], ["logsumexp_bar"], ["entropy_bar"], None])
def test_vjp_and_hvp_are_those_of_dense_logits(
    settings: Any, library: str, which: list[str] | None
) -> None:
    head = SelectedLogProbs(**settings, memory=600)
    bars = {name: BARS[name] for name in which or BARS}
    point = [primal.exact(v) for v in (X, W, BIAS)]
    f = weighted_sum(head, bars)
    given = in_library(library, x=X, W=W, ids=IDS, bias=BIAS)
    bars, dots = in_library(library, **bars), in_library(library, **DOTS)
    for a, e in zip(head.vjp(**given, **bars), primal.gradient(f, point), strict=True):
        assert_close(a, e, u=256)
    products = head.hvp(**given, **bars, **dots)
    expected = primal.hessian_product(f, point, [primal.exact(v) for v in DOTS.values()])
    for a, e in zip(products, expected, strict=True):
        assert_close(a, e, u=1024)


def test_one_class_a_row_is_a_column_of_one() -> None:
    one, many = selected_log_probs(X, W, IDS[:, 0], BIAS), selected_log_probs(X, W, IDS, BIAS)
    assert one.log_probs.shape == (N,)
    assert_same_bits(one.log_probs, many.log_probs[:, 0])
    bar = BARS["logsumexp_bar"]
    here = selected_log_probs.vjp(X, W, IDS[:, 0], BIAS, log_probs_bar=bar)
    there = selected_log_probs.vjp(X, W, IDS[:, :1], BIAS, log_probs_bar=bar[:, None])
    assert_same_bits(here.W, there.W)


def test_batch_axes_are_rows() -> None:
    flat = selected_log_probs.vjp(X[:4], W, IDS[:4], BIAS, entropy_bar=BARS["entropy_bar"][:4])
    grid = selected_log_probs.vjp(
        X[:4].reshape(2, 2, D),
        W,
        IDS[:4].reshape(2, 2, 3),
        BIAS,
        entropy_bar=BARS["entropy_bar"][:4].reshape(2, 2),
    )
    assert_same_bits(grid.x, flat.x.reshape(2, 2, D))
    assert_same_bits(grid.W, flat.W)


@pytest.mark.parametrize("margin", [5.0, 40.0, 200.0])
def test_confident_rows_keep_their_digits(margin: float) -> None:
    """Logits as they are: x = 1 and D = 1, so that no product rounds."""
    z = np.array([margin, 0.0, -1.0])
    x, weights = np.ones((1, 1)), z[:, None]
    found = selected_log_probs(x, weights, [[0, 1, 2]])
    slope = selected_log_probs.vjp(x, weights, [[0, 1, 2]], entropy_bar=np.array([1.0])).W[:, 0]
    with mpmath.workdps(300):
        log_p, p = oracles.log_softmax(oracles.row(z)), oracles.softmax(oracles.row(z))
        entropy = -mpmath.fdot(p, log_p)
        assert_mpmath_close(found.log_probs[0], log_p, u=8)
        assert_mpmath_close(found.entropy, [entropy], u=16)
        expected = [-a * (b + entropy) for a, b in zip(p, log_p, strict=True)]  # −p_i(log p_i + H)
        assert_mpmath_close(slope, expected, u=32)


def test_rows_that_are_not_asked_for_are_not_looked_at() -> None:
    x, bar = X.copy(), BARS["entropy_bar"].copy()
    x[1], bar[1] = np.nan, 0.0
    bars = selected_log_probs.vjp(x, W, IDS, BIAS, entropy_bar=bar)
    keep = [0, 2, 3, 4]
    kept = selected_log_probs.vjp(X[keep], W, IDS[keep], BIAS, entropy_bar=bar[keep])
    assert_same_bits(bars.x[keep], kept.x)
    assert_same_bits(bars.W, kept.W)
    assert not np.any(bars.x[1])


# --- predictions -----------------------------------------------------------------------------


@each_library
@pytest.mark.parametrize("memory", [1, 600, 2**20])
def test_predictions_are_those_of_dense_logits(library: str, memory: int) -> None:
    head = LinearCrossEntropy(memory=memory, temperature=1.7, soft_cap=3.0)
    given = in_library(library, x=X, W=W, bias=BIAS)
    z = X @ W.T + BIAS
    log_p = primal.log_softmax(primal.logits([primal.exact(v) for v in (X, W, BIAS)], head))[0]
    log_p = log_p.astype(float)
    order = np.argsort(-z, axis=-1)
    assert_same_bits(head.argmax(**given), order[:, 0])
    for k in (1, 3, K):
        best = head.top_k(**given, k=k)
        assert_same_bits(best.ids, order[:, :k])
        assert_close(best.log_probs, np.take_along_axis(log_p, order[:, :k], -1), u=64)
    ids = in_library(library, ids=IDS)["ids"]
    assert_close(head.log_probs(**given, ids=ids), np.take_along_axis(log_p, IDS, -1), u=64)
    assert_close(head.entropy(**given), -(np.exp(log_p) * log_p).sum(-1), u=64)


@each_library
def test_of_equal_classes_the_first_is_the_likelier(library: str) -> None:
    weights = np.array([[1.0], [2.0], [0.0], [2.0], [1.0], [2.0], [1.0]])
    given = in_library(library, x=np.ones((2, 1)), W=weights)
    head = LinearCrossEntropy()
    assert_same_bits(head.argmax(**given), np.array([1, 1]))
    for k, ids in ((2, [1, 3]), (4, [1, 3, 5, 0]), (6, [1, 3, 5, 0, 4, 6])):
        assert_same_bits(head.top_k(**given, k=k).ids, np.array([ids, ids]))


def test_k_is_a_number_of_classes() -> None:
    head = LinearCrossEntropy()
    for k in (0, K + 1, -1):
        with pytest.raises(ValueError, match="`k` must be from 1 to the 7 classes"):
            head.top_k(X, W, k, BIAS)
    with pytest.raises(TypeError, match="`k` must be an integer"):
        head.top_k(X, W, 1.5, BIAS)


def test_bad_ids_and_bars_say_what_was_expected() -> None:
    with pytest.raises(IndexError, match=r"`ids` must be class indices from 0 to 6, got 7 at"):
        selected_log_probs(X, W, IDS + 1, BIAS)
    with pytest.raises(ValueError, match=r"`ids` must be integers of shape \(5,\) or of k more"):
        selected_log_probs(X, W, IDS[:3], BIAS)
    with pytest.raises(ValueError, match=r"`entropy_bar` must be of shape \(5,\), got float64"):
        selected_log_probs.vjp(X, W, IDS, BIAS, entropy_bar=np.arange(6.0))


def test_torch_and_numpy_give_the_same_kind() -> None:
    torch = pytest.importorskip("torch")
    given = in_library("torch", x=np.float32(X), W=np.float32(W), ids=IDS)
    found = selected_log_probs(**given)
    assert all(isinstance(v, torch.Tensor) and v.dtype == torch.float32 for v in found)
    half = selected_log_probs(given["x"].bfloat16(), given["W"].bfloat16(), given["ids"])
    assert half.entropy.dtype == torch.float32
    assert_close(half.entropy, as_numpy(found.entropy), u=2.0**19)
