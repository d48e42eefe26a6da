"""compare: the published tables, gradients against differences, and words that match them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from softgrad.explain import compare
from softgrad.explain.heads import HEADS

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "two_heads.json").read_text())


def published():
    return compare(FIXTURE["x"], FIXTURE["W"], FIXTURE["target"])


def loss_of(name: str, z: np.ndarray, target: int) -> float:
    """The losses as their definitions read: the oracle of the differences."""
    softmax = np.exp(z) / np.exp(z).sum()
    sigmoid = 1 / (1 + np.exp(-z))
    others = np.arange(z.size) != target
    return {
        "softmax": -np.log(softmax[target]),
        "sigmoid": -np.log(sigmoid[target]),
        "sigmoid-all": -np.log(sigmoid[target]) - np.log(1 - sigmoid[others]).sum(),
        "softmax-squared": 0.5 * ((softmax - ~others) ** 2).sum(),
    }[name]


@pytest.mark.parametrize("head", [0, 1])
def test_compare_reproduces_the_published_tables(head):
    gradient = published().heads[head]
    assert gradient.name == ["softmax", "sigmoid"][head]
    np.testing.assert_array_equal(gradient.W_bar.round(4), FIXTURE[gradient.name])


def test_the_sigmoid_head_has_rows_that_are_exactly_zero():
    W_bar = published().heads[1].W_bar
    assert not W_bar[[0, 2]].any()
    assert not np.signbit(W_bar[[0, 2]]).any()
    assert W_bar[1].all()


def test_the_fixture_is_what_torch_draws():
    torch = pytest.importorskip("torch")
    state = torch.random.get_rng_state()
    torch.manual_seed(99)
    x, W = torch.randn(5).abs(), torch.randn(3, 5).abs()
    torch.random.set_rng_state(state)
    np.testing.assert_array_equal(x.numpy(), np.array(FIXTURE["x"], dtype=np.float32))
    np.testing.assert_array_equal(W.numpy(), np.array(FIXTURE["W"], dtype=np.float32))
    drawn = compare(x.requires_grad_(), W, 1)
    np.testing.assert_allclose(drawn.heads[0].W_bar, published().heads[0].W_bar, rtol=1e-7)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("bias", [False, True])
def test_gradients_match_differences_of_the_loss(name, bias):
    rng = np.random.default_rng(5)
    x, W = rng.normal(size=4), rng.normal(size=(3, 4))
    b = rng.normal(size=3) if bias else None
    head = compare(x, W, 2, b=b, heads=[name]).heads[0]
    shift = np.zeros(3) if b is None else b
    assert head.loss == pytest.approx(loss_of(name, W @ x + shift, 2), rel=1e-12)
    differences = np.zeros_like(W)
    for place in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[place] = 1e-5
        plus, minus = (loss_of(name, (W + s * step) @ x + shift, 2) for s in (1, -1))
        differences[place] = (plus - minus) / 2e-5
    scale = np.abs(head.W_bar).max()
    np.testing.assert_allclose(head.W_bar, differences, rtol=0, atol=1e-8 * scale)
    np.testing.assert_array_equal(head.W_bar, np.outer(head.logits_bar, x))


def test_arguments_of_any_library_are_copied():
    jnp = pytest.importorskip("jax.numpy")
    x, W = np.array(FIXTURE["x"]), np.array(FIXTURE["W"])
    result = compare(x, W, 1)
    x[:] = 0
    np.testing.assert_array_equal(result.x, FIXTURE["x"])
    other = compare(jnp.asarray(FIXTURE["x"]), jnp.asarray(W), 1)
    np.testing.assert_allclose(other.heads[0].W_bar, result.heads[0].W_bar, rtol=1e-6)


def test_the_words_of_the_published_example():
    words = " ".join(published().words)
    assert "sigmoid: rows 0 and 2 are exactly zero: the loss reads cell 1 alone" in words
    assert "softmax: no row is zero" in words
    assert "(+ − +) and (0 − 0), zero for sigmoid alone in rows 0 and 2, the same in row 1" in words
    assert "softmax raises logit 1, lowers logits 0 and 2." in words
    assert "sigmoid raises logit 1, leaves logits 0 and 2 as before." in words
    assert "softmax: ∂L/∂z sums to zero" in words
    assert "sigmoid: ∂L/∂z sums to -0.07374" in words
    softmax, sigmoid = published().heads
    ratio = np.linalg.norm(softmax.W_bar) / np.linalg.norm(sigmoid.W_bar)
    assert f"{ratio:.3g} times as large as sigmoid's" in words


def test_no_zero_is_claimed_where_there_is_none():
    rng = np.random.default_rng(0)
    result = compare(rng.normal(size=3), rng.normal(size=(4, 3)), 0, heads=["sigmoid-all"])
    assert result.heads[0].W_bar.all()
    assert not any("exactly zero" in sentence for sentence in result.words)
    assert "x has both signs" in result.words[0]


def test_opposite_signs_are_named():
    heads = ("softmax", "softmax-squared")
    result = compare(FIXTURE["x"], FIXTURE["W"], 1, heads=heads)
    signs = [np.sign(head.logits_bar) for head in result.heads]
    assert np.flatnonzero(signs[0] * signs[1] < 0).tolist() == [2]
    assert any("opposite in row 2" in sentence for sentence in result.words)


def test_zeros_from_x_and_from_underflow_have_their_own_reasons():
    result = compare([1.0, 0.0], [[1000.0, 1.0], [0.0, 1.0]], 0)
    assert "Column 1 of it: exactly zero, as x is there" in result.words[0]
    softmax = next(sentence for sentence in result.words if sentence.startswith("softmax:"))
    assert "too small for float64" in softmax
    all_zero = compare([0.0, 0.0], [[1.0, 2.0], [0.0, 1.0]], 0)
    assert all_zero.words == (
        "Every gradient in W is exactly zero, because x is zero: row k is ∂L/∂z[k] times x.",
    )


def test_a_single_class_has_no_gradient():
    result = compare([1.0, 2.0], [[0.5, 0.5]], 0)
    assert not result.heads[0].W_bar.any()
    assert any("a single class has p = 1" in sentence for sentence in result.words)


def test_the_sigmoid_sum_by_accident_zero_makes_no_claim_of_invariance():
    result = compare([1.0], [[0.0], [0.0]], 0, heads=["sigmoid-all"])
    assert result.heads[0].logits_bar.sum() == 0
    assert not any("changes no output" in sentence for sentence in result.words)


def test_json_round_trip_and_faces():
    result = published()
    back = json.loads(result.to_json())
    assert back == result.to_dict()
    assert back["schema"] == "softgrad.compare/1"
    np.testing.assert_array_equal(back["heads"][0]["W_bar"], result.heads[0].W_bar)
    assert max(map(len, str(result).splitlines())) <= 100
    assert "0.5393" in str(result)
    assert "0.5393" in result._repr_html_()


def test_large_layers_show_a_part_and_say_so():
    rng = np.random.default_rng(1)
    text = str(compare(rng.normal(size=64), rng.normal(size=(40, 64)), 39))
    assert "6 of 40 classes" in text
    assert "5 of 64 columns" in text
    assert "39 (target)" in text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1.0]], [[1.0]], 0), ValueError, r"`x` must be of shape \(D,\), got shape \(1, 1\)"),
        (([1.0], [1.0], 0), ValueError, r"`W` must be of shape \(K, D\)"),
        (([1.0], [[1.0, 2.0]], 0), ValueError, r"`W` must be of shape \(K, 1\)"),
        (([np.nan], [[1.0]], 0), ValueError, r"`x` must be finite, got nan at \[0\]"),
        (([], np.zeros((2, 0)), 0), ValueError, "`x` must be of one number at least"),
        ((["a"], [[1.0]], 0), TypeError, "`x` must be real numbers"),
        (([1.0], [[1.0], [2.0]], 2), IndexError, "`target` must be a class index from 0 to 1"),
        (([1.0], [[1.0], [2.0]], -1), IndexError, "`target` must be a class index from 0 to 1"),
        (([1.0], [[1.0], [2.0]], True), TypeError, "`target` must be a class index"),
        (([1.0], [[1.0], [2.0]], 0.5), TypeError, "`target` must be a class index"),
        (([1.0], [[1.0], [2.0]], 0, [1.0]), ValueError, r"`b` must be of shape \(2,\)"),
        (([1e300], [[1e300]], 0), ValueError, "`W` must be small enough"),
        (([1.0], [[1.0]], 0, None, ["relu"]), ValueError, "`heads` must be different names"),
        (([1.0], [[1.0]], 0, None, None), TypeError, "`heads` must be different names"),
        (([1.0], [[1.0]], 0, None, [["softmax"]]), TypeError, "`heads` must be different names"),
        (([1.0], [[1.0]], 0, None, []), ValueError, "`heads` must be different names"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        compare(*arguments)


def test_one_class_and_one_feature_are_written_in_the_singular():
    assert "1 class, 1 feature, target class 0" in str(compare([1.0], [[1.0]], 0))
