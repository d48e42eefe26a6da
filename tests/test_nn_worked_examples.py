"""Numbers that others have published, to the digits that they printed."""

from __future__ import annotations

import numpy as np
import pytest

import softgrad as sg
from softgrad.nn import SGD, Linear, Network


def _mazur():
    """Mazur, 2015, "A step by step backpropagation example": two sigmoid layers."""
    return Network(
        [
            Linear.of([[0.15, 0.20], [0.25, 0.30]], [0.35, 0.35]),
            sg.sigmoid,
            Linear.of([[0.40, 0.45], [0.50, 0.55]], [0.60, 0.60]),
            sg.sigmoid,
        ],
        sg.squared_error,
    )


MAZUR = ([[0.05, 0.10]], [[0.01, 0.99]])


def test_mazur_forward():
    network, (x, t) = _mazur(), MAZUR
    assert network.loss_value(x, t) == pytest.approx(0.298371109, abs=5e-10)
    np.testing.assert_allclose(network(x), [[0.75136507, 0.772928465]], atol=5e-9, rtol=0)


def test_mazur_backward():
    """The weights after one step of 0.5, as printed; the example leaves its biases alone."""
    network, (x, t) = _mazur(), MAZUR
    gradients = network.gradients(x, t).parameters
    assert gradients["2.W"][0, 0] == pytest.approx(0.082167041, abs=5e-10)
    weights = {name: network.parameters[name] for name in ("0.W", "2.W")}
    SGD(lr=0.5).step(weights, {name: gradients[name] for name in weights})
    first = [[0.149780716, 0.19956143], [0.24975114, 0.29950229]]
    second = [[0.35891648, 0.408666186], [0.511301270, 0.561370121]]
    np.testing.assert_allclose(weights["0.W"], first, atol=5e-9, rtol=0)
    np.testing.assert_allclose(weights["2.W"], second, atol=5e-9, rtol=0)


def test_cs231n_toy_network():
    """Two layers with ReLU and softmax; the published loss has 0.05·‖W‖² added to it."""
    weights, rows = np.random.RandomState(0), np.random.RandomState(1)
    W1, W2 = 0.1 * weights.randn(4, 10), 0.1 * weights.randn(10, 3)
    X, y = 10 * rows.randn(5, 4), np.array([0, 1, 2, 2, 1])
    network = Network(
        [Linear.of(W1.T, np.zeros(10)), sg.relu, Linear.of(W2.T, np.zeros(3)), sg.softmax]
    )
    scores = [
        [-0.81233741, -1.27654624, -0.70335995],
        [-0.17129677, -1.18803311, -0.47310444],
        [-0.51590475, -1.01354314, -0.8504215],
        [-0.15419291, -0.48629638, -0.52901952],
        [-0.00618733, -0.12435261, -0.15226949],
    ]
    np.testing.assert_allclose(network.scores(X), scores, atol=5e-9, rtol=0)
    penalty = 0.05 * (np.sum(W1**2) + np.sum(W2**2))
    assert network.loss_value(X, y) + penalty == pytest.approx(1.30378789133, abs=5e-12)


def test_bridle_softmax_regression_gradient():
    """W_bar of a single softmax layer is (p − t)xᵀ, row by row."""
    x, W = np.array([0.5, 1.0, 2.0]), np.array([[0.1, 0.2, -0.3], [0.0, -0.1, 0.4]])
    gradient = Network([Linear.of(W), sg.softmax]).gradients(x, 1).parameters["0.W"]
    p = sg.softmax(W @ x)
    np.testing.assert_allclose(gradient, np.outer(p - [0.0, 1.0], x), rtol=1e-14)
