"""Networks that others have worked out by hand, to the digits that they printed.

    python examples/worked_examples.py

Mazur, 2015, "A step by step backpropagation example", has two sigmoid layers and squared error.
The notes of Stanford's CS231n have ReLU, softmax and cross-entropy, and add 0.05·‖W‖² to the loss.
"""

import numpy as np

import softgrad as sg
from softgrad.nn import SGD, Linear, Network

MAZUR = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
"""The row, and what the network should say of it."""


def mazur() -> Network:
    """Return the network before its first step."""
    return Network(
        [
            Linear.of([[0.15, 0.20], [0.25, 0.30]], [0.35, 0.35]),
            sg.sigmoid,
            Linear.of([[0.40, 0.45], [0.50, 0.55]], [0.60, 0.60]),
            sg.sigmoid,
        ],
        sg.squared_error,
    )


def mazur_step() -> dict[str, np.ndarray]:
    """Return the weights after one step of 0.5; the example leaves its biases alone."""
    network = mazur()
    gradients = network.gradients(*MAZUR).parameters
    weights = {name: network.parameters[name] for name in ("0.W", "2.W")}
    SGD(lr=0.5).step(weights, {name: gradients[name] for name in weights})
    return weights


def cs231n() -> tuple[Network, np.ndarray, np.ndarray]:
    """Return the toy network, its rows and their classes."""
    weights, rows = np.random.RandomState(0), np.random.RandomState(1)
    W1, W2 = 0.1 * weights.randn(4, 10), 0.1 * weights.randn(10, 3)
    X, y = 10 * rows.randn(5, 4), np.array([0, 1, 2, 2, 1])
    layers = [Linear.of(W1.T, np.zeros(10)), sg.relu, Linear.of(W2.T, np.zeros(3)), sg.softmax]
    return Network(layers), X, y


def cs231n_loss() -> float:
    """Return its loss with the penalty."""
    network, X, y = cs231n()
    W1, W2 = (network.parameters[name] for name in ("0.W", "2.W"))
    return float(network.loss_value(X, y) + 0.05 * (np.sum(W1**2) + np.sum(W2**2)))


if __name__ == "__main__":
    print(f"Mazur's error        {mazur().loss_value(*MAZUR):.9f}   printed: 0.298371109")
    print(f"his w5 after a step  {mazur_step()['2.W'][0, 0]:.8f}    printed: 0.35891648")
    print(f"CS231n's loss        {cs231n_loss():.11f} printed: 1.30378789133")
