"""Layers: what they compute, that the checker takes them, and what they say to bad arguments."""

from __future__ import annotations

import numpy as np
import pytest

import softgrad as sg
from softgrad.checker import check
from softgrad.nn import (
    Activation,
    Linear,
    Network,
    as_functions,
    build_mlp,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    zeros,
)

MAPS = [
    sg.relu,
    sg.tanh,
    sg.sigmoid,
    sg.softmax,
    sg.Softmax(temperature=0.5),
    sg.log_softmax,
    sg.sparsemax,
    sg.entmax15,
]


@pytest.mark.parametrize("map_", MAPS, ids=repr)
def test_checker_passes_every_map_as_a_layer(map_):
    x = np.random.default_rng(0).normal(size=(6, 5))
    report = check(Activation(map_), x)
    assert report.verdict == "pass", report


def test_checker_passes_linear_in_input_weights_and_bias():
    layer = Linear(5, 3, seed=0)
    x = np.random.default_rng(1).normal(size=(2, 6, 5))
    assert check(layer, x).verdict == "pass"
    assert check(*as_functions(layer), x, *layer.parameters.values()).verdict == "pass"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_checker_passes_a_whole_network(dtype):
    network = build_mlp(5, 3, hidden=(6, 4), activation="softmax", seed=0, dtype=dtype)
    x = np.random.default_rng(1).normal(size=(8, 5)).astype(dtype)
    assert check(network, x).verdict == "pass"
    assert check(*as_functions(network), x, *network.parameters.values()).verdict == "pass"


def test_as_functions_leaves_the_layer_alone():
    layer = Linear(2, 2, seed=0)
    kept = layer.W.copy()
    forward, backward = as_functions(layer)
    W, x = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, -1.0])
    np.testing.assert_array_equal(forward(x, W, np.zeros(2)), [-1.0, -1.0])
    x_bar, W_bar, b_bar = backward(x, W, np.zeros(2), np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x_bar, [31.0, 42.0])
    np.testing.assert_array_equal(W_bar, [[1.0, -1.0], [10.0, -10.0]])
    np.testing.assert_array_equal(b_bar, [1.0, 10.0])
    np.testing.assert_array_equal(layer.W, kept)


def test_backward_belongs_to_the_last_forward():
    layer = Activation(sg.softmax)
    with pytest.raises(RuntimeError, match=r"call layer\.forward"):
        layer.backward([1.0, 0.0])
    np.testing.assert_array_equal(layer.forward([0.0, 0.0]), layer([0.0, 0.0]))
    layer([5.0, 0.0])  # a call keeps nothing
    np.testing.assert_array_equal(layer.backward([1.0, 0.0]), [0.25, -0.25])


LAYOUTS = {
    "columns": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
}


@pytest.mark.parametrize("rows", [1, 50])  # one row alone takes another way through BLAS
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides_do_not_change_bits(layout, rows):
    layer, lay = Linear(64, 10, seed=0), LAYOUTS[layout]
    x = np.random.default_rng(2).normal(size=(rows, 64))
    (y, pullback), (y2, pullback2) = layer.linearize(x), layer.linearize(lay(x))
    np.testing.assert_array_equal(y, y2)
    y_bar = np.random.default_rng(3).normal(size=y.shape)
    (x_bar, bars), (x_bar2, bars2) = pullback(y_bar), pullback2(lay(y_bar))
    np.testing.assert_array_equal(x_bar, x_bar2)
    np.testing.assert_array_equal(bars["W"], bars2["W"])
    assert bars["W"].any()


def test_parameters_are_live():
    network = Network([Linear(2, 2, seed=0), sg.relu])
    network.parameters["0.W"][...] = np.eye(2)
    np.testing.assert_array_equal(network([1.0, 2.0]), [1.0, 2.0])


def test_networks_among_layers_are_taken_layer_by_layer():
    inner = Network([Linear(3, 4, seed=0), sg.softmax])
    outer = Network([inner, Linear(4, 2, seed=1), sg.softmax])
    assert list(outer.parameters) == ["0.W", "0.b", "2.W", "2.b"]
    assert outer.parameters["0.W"] is inner.parameters["0.W"]


@pytest.mark.parametrize(
    ("initialiser", "variance", "limit"),
    [
        (glorot_uniform, 2 / 500, np.sqrt(6 / 500)),
        (glorot_normal, 2 / 500, np.inf),
        (he_uniform, 2 / 300, np.sqrt(6 / 300)),
        (he_normal, 2 / 300, np.inf),
        (zeros, 0.0, 0.0),
    ],
)
def test_initialisers_have_their_variance(initialiser, variance, limit):
    W = initialiser(np.random.default_rng(0), (200, 300))
    assert W.shape == (200, 300)
    assert np.var(W) == pytest.approx(variance, rel=0.02)
    assert np.max(np.abs(W)) <= limit
    if np.isfinite(limit) and limit:
        assert np.max(np.abs(W)) > 0.99 * limit


def test_seed_fixes_the_weights():
    first, again, other = (Linear(3, 2, seed=s).W for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)
    rng = np.random.default_rng(5)
    shared = [Linear(3, 2, seed=rng).W for _ in range(2)]
    np.testing.assert_array_equal(shared[0], first)
    assert np.all(shared[0] != shared[1])


@pytest.mark.parametrize(("activation", "variance"), [("relu", 2 / 300), ("tanh", 2 / 500)])
def test_build_mlp_starts_after_he_before_relu_and_else_after_glorot(activation, variance):
    network = build_mlp(300, 2, hidden=(200,), activation=activation, seed=0)
    assert np.var(network.parameters["0.W"]) == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("fuse", [True, False])
def test_probabilities_are_those_of_the_head(head, fuse):
    built = build_mlp(4, 3, hidden=(5,), head=head, seed=0)
    network = Network(built.layers, built.loss, fuse)
    x = np.random.default_rng(0).normal(size=(6, 4))
    p, logits = network.probabilities(x), network.activations(x)[-2]
    np.testing.assert_array_equal(p, getattr(sg, head)(logits))
    without_last = Network(built.layers[:-1], built.loss)
    np.testing.assert_array_equal(without_last.probabilities(x), p)
    assert network.scores(x).tobytes() == (logits if fuse else p).tobytes()


def test_probabilities_of_log_softmax_and_of_fenchel_young():
    x, layer = np.array([[1.0, -2.0]]), Linear(2, 3, seed=0)
    logits = layer(x)
    p = Network([layer, sg.log_softmax]).probabilities(x)
    np.testing.assert_allclose(p, sg.softmax(logits), rtol=1e-15)
    p = Network([layer], sg.FenchelYoung(map=sg.sparsemax)).probabilities(x)
    np.testing.assert_array_equal(p, sg.sparsemax(logits))


L = Linear(2, 3, seed=0)


def test_a_map_may_stand_at_many_places():
    network = Network([sg.tanh, L, sg.tanh, Linear(3, 2, seed=1), sg.tanh])
    assert list(network.parameters) == ["1.W", "1.b", "3.W", "3.b"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Linear(0, 3, seed=0), ValueError, "`inputs` must be a positive integer, got 0"),
        (lambda: Linear(2, 3.0, seed=0), ValueError, "`outputs` must be a positive integer"),
        (lambda: Linear(2, 3, seed=0, dtype=np.float16), TypeError, "`dtype` must be float64 or"),
        (
            lambda: Linear(2, 3, seed=0, initialiser=lambda rng, shape: np.zeros(3)),
            ValueError,
            r"`initialiser` must be one that returns shape \(3, 2\), got float64 \(3,\)",
        ),
        (
            lambda: Linear.of([1.0]),
            ValueError,
            r"`W` must be of shape \[K, D\], got float64 \(1,\)",
        ),
        (lambda: Linear.of(np.eye(2), [1.0]), ValueError, r"`b` must be of shape \(2,\)"),
        (lambda: L([1.0]), ValueError, r"`x` must be of shape \[..., 2\], got float64 \(1,\)"),
        (lambda: L(["a", "b"]), TypeError, "`x` must be real numbers"),
        (lambda: L.linearize([1.0, 2.0])[1](np.ones(2)), ValueError, r"`y_bar` .* shape \(3,\)"),
        (lambda: Linear(2, 3, seed="x"), TypeError, "`seed` must be an integer, got 'x'"),
        (lambda: Linear(2, 3, seed=-1), ValueError, "`seed` must be an integer of at least 0"),
        (lambda: Linear(2, 3, seed=0, bias="no"), TypeError, "`bias` must be True or False"),
        (lambda: Linear(2, 3, seed=0, initialiser=3), TypeError, "`initialiser` must be a func"),
        (lambda: Linear(2, 3, seed=0, dtype="blah"), TypeError, "`dtype` .*, got 'blah'"),
        (lambda: Linear([2], 3, seed=0), ValueError, "`inputs` must be a positive integer"),
        (lambda: Activation(np.tanh), TypeError, "`map` must be a map"),
        (lambda: Network([sg.Softmax]), TypeError, "a layer or a map, got the class Softmax"),
        (
            lambda: Network([L, sg.tanh, Linear(3, 2, seed=1), L]),
            ValueError,
            "`layers` must be layers with parameters of their own, got one array as 0.W and 3.W",
        ),
        (lambda: Network([]), ValueError, "`layers` must be at least one layer, got none"),
        (
            lambda: Network(L),
            TypeError,
            "`layers` must be a sequence of layers and maps, got Linear",
        ),
        (lambda: Network([L, np.tanh]), TypeError, r"`layers\[1\]` must be a layer or a map"),
        (lambda: Network([L], loss="mse"), TypeError, "`loss` must be a loss"),
        (lambda: Network([L], fuse=1), TypeError, "`fuse` must be True or False, got 1"),
        (
            lambda: Network([L], sg.CrossEntropy(reduction="none")),
            ValueError,
            "`loss.reduction` must be 'mean' or 'sum', got 'none'",
        ),
        (
            lambda: Network([L, sg.sparsemax], sg.FenchelYoung(map=sg.softmax)),
            ValueError,
            r"`loss` must be one that goes with a last layer Sparsemax\(\), fuse=True",
        ),
        (
            lambda: Network([L, sg.softmax], sg.CrossEntropy(z_loss=1e-4), fuse=False),
            ValueError,
            "`z_loss` must be 0",
        ),
        (
            lambda: Network([L, sg.relu], sg.squared_error).probabilities([1.0, 2.0]),
            ValueError,
            "`loss` must be one of logits",
        ),
        (
            lambda: Network([L, sg.softmax]).gradients([[1.0, 2.0]], [3]),
            IndexError,
            "`targets` must be class indices from 0 to 2, got 3 at position 0",
        ),
        (
            lambda: Network([L, sg.sigmoid], sg.binary_cross_entropy).gradients([[1.0, 2.0]], [3]),
            IndexError,
            "`targets` must be class indices from 0 to 2, got 3",
        ),
        (
            lambda: Network([L, sg.softmax]).gradients([[1.0, 2.0]], [[0.5, 0.5]]),
            ValueError,
            "`targets` must be integers of shape",
        ),
        (lambda: build_mlp(2, 3, activation="gelu", seed=0), ValueError, "`activation` must be"),
        (lambda: build_mlp(2, 3, head="tanh", seed=0), ValueError, "`head` must be 'softmax' or"),
        (lambda: build_mlp(2, 3, activation=["relu"], seed=0), ValueError, "`activation` must be"),
        (lambda: build_mlp(0, 3, seed=0), ValueError, "`features` must be a positive integer"),
        (lambda: build_mlp(2, 0, seed=0), ValueError, "`classes` must be a positive integer"),
        (lambda: build_mlp(2, 3, hidden=5, seed=0), TypeError, "`hidden` must be a sequence"),
        (lambda: build_mlp(2, 3, hidden=(4, 0), seed=0), ValueError, r"`hidden\[1\]` .*, got 0"),
        (lambda: build_mlp(2, 3, hidden=("a",), seed=0), ValueError, r"`hidden\[0\]` .*, got 'a'"),
        (lambda: build_mlp(2, 3, seed=1.5), TypeError, "`seed` must be an integer, got 1.5"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_arrays_of_other_libraries_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="`x` must be a NumPy array, got torch float32"):
        Network([L, sg.softmax])(torch.ones(1, 2))
