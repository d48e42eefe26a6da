"""Two hundred steps on digits: the same losses with PyTorch's autograd as with NumPy's arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import softgrad as sg

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")

import softgrad.torch as drop_ins  # noqa: E402

STEPS, ROWS, RATE = 200, 64, 0.5


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features [N, 64], labels [N], and the first weights [10, 64]."""
    X, y = datasets.load_digits(return_X_y=True)
    W = 0.1 * np.random.default_rng(0).normal(size=(10, X.shape[1]))
    return (X / 16).astype(np.float32), y.astype(np.int64), W.astype(np.float32)


def batch(step: int, n: int) -> slice:
    start = step * ROWS % (n - ROWS)
    return slice(start, start + ROWS)


@cache
def losses_of_numpy() -> list[float]:
    X, y, W = digits()
    losses = []
    for step in range(STEPS):
        rows = batch(step, len(X))
        loss, bars = sg.linear_cross_entropy.value_and_gradient(X[rows], W, y[rows])
        W = W - np.float32(RATE) * bars.W
        losses.append(float(loss))
    return losses


def cross_entropy(x: Any, layer: Any, t: Any) -> Any:
    return drop_ins.cross_entropy(layer(x), t)


def composed(x: Any, layer: Any, t: Any) -> Any:
    return -sg.log_softmax(layer(x)).gather(1, t[:, None]).mean()


def head(x: Any, layer: Any, t: Any) -> Any:
    return sg.linear_cross_entropy(x, layer.weight, t)


WAYS: dict[str, Callable[..., Any]] = {
    "cross_entropy": cross_entropy,
    "composed": composed,
    "head": head,
    "compiled head": torch.compile(head, fullgraph=True, backend="aot_eager"),
}


@pytest.mark.parametrize("way", WAYS)
def test_losses_of_a_training_are_those_of_numpy(way: str) -> None:
    X, y, W = digits()
    layer = torch.nn.Linear(64, 10, bias=False)
    layer.load_state_dict({"weight": torch.tensor(W)})
    optimiser = torch.optim.SGD(layer.parameters(), lr=RATE)
    x, t, losses = torch.tensor(X), torch.tensor(y), []
    for step in range(STEPS):
        rows = batch(step, len(X))
        optimiser.zero_grad()
        loss = WAYS[way](x[rows], layer, t[rows])
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    expected = losses_of_numpy()
    assert expected[-1] < expected[0] / 4
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-5)
