"""Backpropagation against differences of the loss, for softmax hidden, last and both."""

from __future__ import annotations

import numpy as np
import pytest

import softgrad as sg
from softgrad.nn import Gradients, Linear, Network

N, D, K = 5, 4, 3


def _network(hidden, last, loss, fuse, seed):
    """Two hidden layers of different widths; the biases are not zero."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs, activation in ((D, 7, hidden), (7, 6, hidden), (6, K, last)):
        W = rng.normal(size=(outputs, inputs))
        layers.append(Linear.of(W, rng.normal(size=outputs)))
        if activation is not None:
            layers.append(activation)
    return Network(layers, loss, fuse)


def _data(seed, kind):
    rng = np.random.default_rng([seed, 1])
    x = rng.normal(size=(N, D))
    if kind == "indices":
        return x, rng.integers(0, K, N)
    return x, rng.dirichlet(np.ones(K), size=N)


def _differences(function, array):
    """Central differences of a number in every entry of an array that is moved in place."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept, h = array[place], 2.0**-17
        array[place] = kept + h
        above = function()
        array[place] = kept - h
        below = function()
        array[place] = kept
        gradient[place] = (above - below) / (2 * h)
    return gradient


def assert_close(got, expected, tolerance):
    """Compare relative to the largest entry of what is expected, which must not be zero."""
    assert got.shape == expected.shape
    scale = np.max(np.abs(expected))
    assert scale > 1e-6, "a gradient of zero proves nothing"
    assert np.max(np.abs(got - expected)) <= tolerance * scale


CASES = {
    "softmax last": (sg.tanh, sg.softmax, sg.cross_entropy),
    "softmax hidden": (sg.softmax, None, sg.cross_entropy),
    "softmax hidden and last": (sg.softmax, sg.softmax, sg.cross_entropy),
    "log_softmax hidden and last": (sg.log_softmax, sg.log_softmax, sg.cross_entropy),
    "tempered softmax last": (sg.tanh, sg.Softmax(temperature=2.0), sg.cross_entropy),
    "relu, sigmoid last": (sg.relu, sg.sigmoid, sg.binary_cross_entropy),
    "sigmoid hidden, softmax last": (sg.sigmoid, sg.softmax, sg.cross_entropy),
    "tanh, log of sigmoid": (sg.tanh, sg.sigmoid, sg.cross_entropy),
    "softmax, elementwise": (sg.tanh, sg.softmax, sg.binary_cross_entropy),
    "softmax, squared error": (sg.softmax, sg.softmax, sg.squared_error),
    "sparsemax hidden and last": (
        sg.sparsemax,
        sg.sparsemax,
        sg.FenchelYoung(map=sg.sparsemax, reduction="sum"),
    ),
    "entmax hidden": (sg.entmax15, sg.softmax, sg.CrossEntropy(label_smoothing=0.1)),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
@pytest.mark.parametrize("case", CASES)
def test_parameter_gradients_match_differences(case, kind, seed):
    network = _network(*CASES[case], True, seed)
    x, t = _data(seed, kind)
    gradients = network.gradients(x, t)
    assert gradients.loss == network.loss_value(x, t)
    assert list(gradients.parameters) == list(network.parameters)
    expected = {
        name: _differences(lambda: network.loss_value(x, t), parameter)
        for name, parameter in network.parameters.items()
    }
    scale = max(np.max(np.abs(g)) for g in expected.values())
    assert scale > 1e-3
    for name, gradient in gradients.parameters.items():
        assert gradient.shape == expected[name].shape
        assert np.max(np.abs(gradient - expected[name])) <= 1e-8 * scale, name


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("last", [sg.softmax, sg.log_softmax])
def test_every_delta_is_the_gradient_at_that_output(last, fuse):
    network = _network(sg.softmax, last, sg.cross_entropy, fuse, seed=3)
    x, t = _data(3, "probabilities")
    gradients, outputs = network.gradients(x, t), network.activations(x)
    assert len(outputs) == 1 + len(network.layers) == 1 + len(gradients.outputs)
    assert (gradients.outputs[-1] is None) == fuse
    for i, delta in enumerate((gradients.input, *gradients.outputs[:-1])):
        rest = Network(network.layers[i:], network.loss, fuse)
        at = outputs[i].copy()
        assert_close(delta, _differences(lambda r=rest, a=at: r.loss_value(a, t), at), 1e-7)


FUSED = {
    "softmax": (sg.softmax, sg.cross_entropy),
    "log_softmax": (sg.log_softmax, sg.cross_entropy),
    "sigmoid": (sg.sigmoid, sg.binary_cross_entropy),
    "smoothed, summed": (sg.softmax, sg.CrossEntropy(label_smoothing=0.2, reduction="sum")),
    "ignored rows": (sg.log_softmax, sg.CrossEntropy(ignore_index=1)),
    "positive weight": (sg.sigmoid, sg.BinaryCrossEntropy(pos_weight=3.0)),
}


@pytest.mark.parametrize("kind", ["indices", "probabilities"])
@pytest.mark.parametrize("case", FUSED)
def test_fused_and_two_step_agree(case, kind):
    x, t = _data(4, kind)
    fused, plain = (_network(sg.tanh, *FUSED[case], fuse, seed=4) for fuse in (True, False))
    one, two = fused.gradients(x, t), plain.gradients(x, t)
    assert one.outputs[-1] is None
    assert two.outputs[-1] is not None
    assert one.loss == pytest.approx(two.loss, rel=1e-13)
    assert one.loss > 0.1
    assert_close(two.input, one.input, 1e-12)
    for i in range(len(one.outputs) - 1):
        assert_close(two.outputs[i], one.outputs[i], 1e-12)
    for name in one.parameters:
        assert_close(two.parameters[name], one.parameters[name], 1e-12)


def test_fused_delta_is_p_minus_t():
    x, t = _data(5, "indices")
    network = _network(sg.tanh, sg.softmax, sg.CrossEntropy(reduction="sum"), True, seed=5)
    delta = network.gradients(x, t).outputs[-2]
    assert_close(delta, network(x) - np.eye(K)[t], 1e-15)


def test_softmax_alone_is_a_network():
    network = Network([sg.softmax], sg.CrossEntropy(reduction="sum"))
    gradients = network.gradients([[1, 0, 2]], [2])
    assert gradients.outputs == (None,)
    assert_close(gradients.input, sg.softmax([[1.0, 0.0, 2.0]]) - [[0, 0, 1]], 1e-15)


def test_two_step_delta_is_minus_t_over_p():
    x, t = _data(5, "indices")
    network = _network(sg.tanh, sg.softmax, sg.CrossEntropy(reduction="sum"), False, seed=5)
    delta = network.gradients(x, t).outputs[-1]
    assert_close(delta, -np.eye(K)[t] / network(x), 1e-15)


def test_fused_head_learns_where_two_steps_are_stuck():
    """p underflows to 0 at the target: −t/p is infinite and J is 0, yet p − t is 1."""
    layers = [Linear.of(np.diag([800.0, -800.0])), sg.softmax]
    x, t = np.array([[1.0, 1.0]]), np.array([1])
    fused = Network(layers).gradients(x, t)
    np.testing.assert_array_equal(fused.outputs[0], [[1.0, -1.0]])
    assert fused.loss == 1600.0
    two_step = Network(layers, fuse=False).gradients(x, t)
    assert two_step.loss == np.inf
    assert not np.any(two_step.outputs[0] == -1.0)


def test_index_targets_equal_one_hot_targets():
    x, t = _data(6, "indices")
    for last, loss in ((sg.softmax, sg.cross_entropy), (sg.sigmoid, sg.binary_cross_entropy)):
        network = _network(sg.tanh, last, loss, True, seed=6)
        by_index, by_row = network.gradients(x, t), network.gradients(x, np.eye(K)[t])
        assert by_index.loss == by_row.loss
        assert_close(by_index.input, by_row.input, 2e-15)
        assert np.any(by_index.input)


def test_batch_axes_are_free():
    network = _network(sg.softmax, sg.softmax, sg.cross_entropy, True, seed=7)
    rng = np.random.default_rng(7)
    x, t = rng.normal(size=(2, 3, D)), rng.integers(0, K, (2, 3))
    block, flat = network.gradients(x, t), network.gradients(x.reshape(6, D), t.reshape(6))
    assert block.loss == pytest.approx(flat.loss, rel=1e-14)
    assert_close(block.input.reshape(6, D), flat.input, 1e-13)
    assert_close(block.parameters["0.W"], flat.parameters["0.W"], 1e-13)


def test_inputs_and_parameters_are_not_modified():
    network = _network(sg.softmax, sg.softmax, sg.cross_entropy, True, seed=8)
    x, t = _data(8, "probabilities")
    before = [a.tobytes() for a in (x, t, *network.parameters.values())]
    x.flags.writeable = t.flags.writeable = False
    gradients = network.gradients(x, t)
    assert [a.tobytes() for a in (x, t, *network.parameters.values())] == before
    assert gradients.parameters["0.W"].any()


def test_float32_is_kept_and_agrees_with_float64():
    wide = _network(sg.softmax, sg.softmax, sg.cross_entropy, True, seed=9)
    x, t = _data(9, "indices")
    parts = [
        Linear.of(part.W.astype(np.float32), part.b.astype(np.float32))
        if isinstance(part, Linear)
        else part
        for part in wide.layers
    ]
    narrow = Network(parts)
    got, expected = narrow.gradients(x.astype(np.float32), t), wide.gradients(x, t)
    assert narrow(x.astype(np.float32)).dtype == np.float32
    for name, gradient in got.parameters.items():
        assert gradient.dtype == np.float32
        assert_close(gradient, expected.parameters[name], 2e-5)


def test_gradients_print_and_turn_to_json():
    network = _network(sg.tanh, sg.softmax, sg.cross_entropy, True, seed=0)
    gradients = network.gradients(*_data(0, "indices"))
    text = str(gradients)
    for part in ("0.W", "4.b", "Linear(4, 7)", "one with the loss", "5 × 4"):
        assert part in text
    assert gradients.to_dict()["schema"] == "softgrad.gradients/1"
    assert '"0.W"' in gradients.to_json()


def test_layer_sizes_are_norms_of_all_parameters_of_a_layer():
    parameters = {"0.W": np.array([[3.0]]), "0.b": np.array([4.0]), "10.W": np.array([[2.0]])}
    gradients = Gradients(0.0, (), np.zeros(1), (), parameters)
    assert gradients.layer_sizes() == {"0": 5.0, "10": 2.0}
