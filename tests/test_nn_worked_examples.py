"""Numbers that others have published, to the digits that they printed."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import softgrad as sg
from softgrad.nn import Linear, Network

EXAMPLES = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "worked_examples.py"))


def test_mazur_forward():
    network, (x, t) = EXAMPLES["mazur"](), EXAMPLES["MAZUR"]
    assert network.loss_value(x, t) == pytest.approx(0.298371109, abs=5e-10)
    np.testing.assert_allclose(network(x), [[0.75136507, 0.772928465]], atol=5e-9, rtol=0)


def test_mazur_backward():
    gradients = EXAMPLES["mazur"]().gradients(*EXAMPLES["MAZUR"]).parameters
    assert gradients["2.W"][0, 0] == pytest.approx(0.082167041, abs=5e-10)
    weights = EXAMPLES["mazur_step"]()
    first = [[0.149780716, 0.19956143], [0.24975114, 0.29950229]]
    second = [[0.35891648, 0.408666186], [0.511301270, 0.561370121]]
    np.testing.assert_allclose(weights["0.W"], first, atol=5e-9, rtol=0)
    np.testing.assert_allclose(weights["2.W"], second, atol=5e-9, rtol=0)


def test_cs231n_toy_network():
    network, X, _ = EXAMPLES["cs231n"]()
    scores = [
        [-0.81233741, -1.27654624, -0.70335995],
        [-0.17129677, -1.18803311, -0.47310444],
        [-0.51590475, -1.01354314, -0.8504215],
        [-0.15419291, -0.48629638, -0.52901952],
        [-0.00618733, -0.12435261, -0.15226949],
    ]
    np.testing.assert_allclose(network.scores(X), scores, atol=5e-9, rtol=0)
    assert EXAMPLES["cs231n_loss"]() == pytest.approx(1.30378789133, abs=5e-12)


def test_bridle_softmax_regression_gradient():
    """W_bar of a single softmax layer is (p − t)xᵀ, row by row."""
    x, W = np.array([0.5, 1.0, 2.0]), np.array([[0.1, 0.2, -0.3], [0.0, -0.1, 0.4]])
    gradient = Network([Linear.of(W), sg.softmax]).gradients(x, 1).parameters["0.W"]
    p = sg.softmax(W @ x)
    np.testing.assert_allclose(gradient, np.outer(p - [0.0, 1.0], x), rtol=1e-14)
