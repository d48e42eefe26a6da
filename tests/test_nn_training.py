"""Training: it learns, it repeats, and whatever stops it leaves a whole epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

import softgrad as sg
from softgrad.errors import UsageError
from softgrad.learn import Standardizer, load, split
from softgrad.nn import (
    SGD,
    AbstractOptimiser,
    Adam,
    History,
    Linear,
    Network,
    build_mlp,
    evaluate,
    train,
)


def _toy(seed=0, rows=50):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 2))
    return X, (X[:, 0] > X[:, 1]).astype(np.int64)


@dataclass
class Interrupted(AbstractOptimiser):
    """Gradient descent that is interrupted at a step."""

    at: int
    steps: int = 0
    state: dict = field(default_factory=dict)

    def change(self, name, gradient):
        self.steps += name == "0.W"
        if self.steps == self.at:
            raise KeyboardInterrupt
        return -0.1 * gradient


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_defaults_learn_digits(head):
    pytest.importorskip("sklearn")
    rows, held_out = split(load("digits"), 0.2, seed=0)
    standardizer = Standardizer.fit(rows.X)
    network = build_mlp(64, 10, head=head, seed=0)
    validation = (standardizer(held_out.X), held_out.y)
    history = train(network, Adam(), standardizer(rows.X), rows.y, validation=validation)
    losses = [epoch.loss for epoch in history.epochs]
    assert all(late < early for early, late in zip(losses, losses[5:], strict=False))
    assert history.last.validation_accuracy >= 0.95
    held_out_loss, held_out_accuracy = evaluate(network, *validation)
    assert history.last.validation_loss == held_out_loss
    assert history.last.validation_accuracy == held_out_accuracy
    predicted = network.probabilities(validation[0]).argmax(axis=-1)
    assert held_out_accuracy == np.mean(predicted == held_out.y)


@pytest.mark.parametrize("activation", ["softmax", "tanh", "sparsemax"])
def test_hidden_layers_learn_what_a_linear_one_cannot(activation):
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
    straight = build_mlp(2, 2, hidden=(), seed=0)
    bent = build_mlp(2, 2, hidden=(16,), activation=activation, seed=0)
    for network in (straight, bent):
        train(network, Adam(lr=0.05), X, y, epochs=40)
    assert evaluate(straight, X, y)[1] < 0.75
    assert evaluate(bent, X, y)[1] > 0.9


def test_same_seeds_give_the_same_bits():
    X, y = _toy()

    def run(weights_seed, order_seed):
        network = build_mlp(2, 2, seed=weights_seed)
        history = train(network, Adam(), X, y, epochs=3, seed=order_seed)
        return [epoch.loss for epoch in history.epochs], network.parameters["4.W"]

    losses, W = run(0, 0)
    same_losses, same_W = run(0, 0)
    assert losses == same_losses
    np.testing.assert_array_equal(W, same_W)
    assert losses != run(0, 1)[0]
    assert losses != run(1, 0)[0]


def test_every_row_is_seen_once_an_epoch():
    """With one parameter vector a row, the rows that moved are those that were seen."""
    X = np.eye(7)
    network = Network([Linear.of(np.zeros((2, 7)))], sg.CrossEntropy(reduction="sum"))
    train(network, SGD(lr=1.0), X, np.zeros(7, dtype=int), epochs=1, batch_size=3)
    np.testing.assert_array_equal(network.parameters["0.W"], [[0.5] * 7, [-0.5] * 7])


def test_gradient_sizes_are_means_over_mini_batches():
    X, y = _toy(rows=6)
    network = build_mlp(2, 2, hidden=(3,), seed=0)
    order = np.random.default_rng(4).permutation(6)
    batches = [network.gradients(X[rows], y[rows]).layer_sizes() for rows in (order[:4], order[4:])]
    history = train(network, SGD(lr=1e-300), X, y, epochs=1, batch_size=4, seed=4)
    assert history.last.gradient_sizes.keys() == {"0", "2"}
    for layer, size in history.last.gradient_sizes.items():
        assert size == pytest.approx(np.mean([sizes[layer] for sizes in batches]), rel=1e-14)
        assert size > 1e-3


@pytest.mark.parametrize("at", [1, 7, 8, 9])
def test_an_interruption_leaves_the_last_whole_epoch(at):
    X, y = _toy(rows=40)  # 4 steps an epoch
    seen = []
    network, whole = (build_mlp(2, 2, hidden=(5,), seed=0) for _ in range(2))
    with pytest.raises(KeyboardInterrupt):
        train(network, Interrupted(at), X, y, epochs=9, batch_size=10, on_epoch=seen.append)
    epochs = (at - 1) // 4
    assert [epoch.number for epoch in seen] == list(range(1, epochs + 1))
    if epochs:
        train(whole, Interrupted(0), X, y, epochs=epochs, batch_size=10)
        assert seen[-1].loss == evaluate(network, X, y)[0]
    for name, parameter in network.parameters.items():
        np.testing.assert_array_equal(parameter, whole.parameters[name])


def test_an_interruption_in_the_callback_keeps_its_epoch():
    X, y = _toy()
    network, records = build_mlp(2, 2, seed=0), []

    def stop(epoch):
        records.append(epoch)
        raise KeyboardInterrupt

    before = evaluate(network, X, y)[0]
    with pytest.raises(KeyboardInterrupt):
        train(network, Adam(), X, y, on_epoch=stop)
    assert evaluate(network, X, y)[0] == records[0].loss != before


def test_a_loss_that_is_not_finite_stops_the_training():
    X, y = _toy()
    network = Network([Linear(2, 1, seed=0)], sg.squared_error)
    W = network.parameters["0.W"].copy()
    with pytest.raises(
        UsageError, match=r"the loss became (inf|nan): try a smaller .* SGD\(lr=1e\+200"
    ):
        train(network, SGD(lr=1e200), X, y[:, None].astype(float), epochs=5)
    np.testing.assert_array_equal(network.parameters["0.W"], W)


def test_a_last_step_that_diverges_is_no_success():
    X, y = _toy()
    network = build_mlp(2, 2, hidden=(), seed=0)
    with pytest.raises(UsageError, match="the loss became"):
        train(network, SGD(lr=1e308), 100 * X, y, epochs=1, batch_size=len(X))
    assert np.isfinite(evaluate(network, X, y)[0])


def test_training_stops_at_the_first_loss_that_is_not_finite():
    X, y = _toy(rows=40)
    network = Network([Linear(2, 1, seed=0)], sg.squared_error)
    y = y[:, None].astype(float)
    y[np.random.default_rng(0).permutation(40)[25]] = np.inf  # a row of the third mini-batch
    optimiser = Interrupted(at=0)
    with pytest.raises(UsageError, match="the loss became inf"):
        train(network, optimiser, X, y, batch_size=10)
    assert optimiser.steps == 2


def test_many_rows_are_evaluated_in_blocks():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9001, 2)), rng.integers(0, 3, 9001)
    network, widest = build_mlp(2, 3, seed=0), 0
    first = network.layers[0].linearize

    def linearize(x):
        nonlocal widest
        widest = max(widest, len(x))
        return first(x)

    network.layers[0].linearize = linearize
    loss, accuracy = evaluate(network, X, y)
    assert widest < 5000
    assert loss == pytest.approx(network.loss_value(X, y), rel=1e-13)
    assert accuracy == np.mean(network(X).argmax(axis=-1) == y)


def test_accuracy_of_targets_of_each_kind():
    network = Network([Linear.of(np.eye(3))])
    scores = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 1.0, 2.0], [5.0, 0.0, 0.0]])
    assert evaluate(network, scores, [0, 1, 2, 1])[1] == 0.75
    soft = [[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.1, 0.0, 0.9], [1.0, 0.0, 0.0]]
    assert evaluate(network, scores, soft)[1] == 0.75
    single = Network([Linear(3, 1, seed=0)], sg.squared_error)
    assert math.isnan(evaluate(single, scores, np.ones((4, 1)))[1])


def test_history_prints_and_turns_to_json():
    X, y = _toy()
    history = train(build_mlp(2, 2, seed=0), Adam(), X, y, epochs=2, validation=_toy(1))
    text = str(history)
    for part in ("epoch", "validation accuracy", f"{history.last.loss:.4g}"):
        assert part in text
    assert history.to_dict()["epochs"][1]["number"] == 2
    without = train(build_mlp(2, 2, seed=0), Adam(), X, y, epochs=1)
    assert "validation" not in str(without)
    assert without.last.validation_loss is None
    assert isinstance(without, History)


X, Y = _toy(rows=4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "`epochs` must be a positive integer, got 0"),
        ({"batch_size": 2.5}, ValueError, "`batch_size` must be a positive integer, got 2.5"),
        ({"X": X[:0], "y": Y[:0]}, ValueError, "`X` must be of shape"),
        ({"X": X[0]}, ValueError, r"`X` must be of shape \[N, D\] with a row, got float64 \(2,\)"),
        ({"X": np.full((4, 2), np.nan)}, ValueError, "`X` must be finite, got NaN or infinity"),
        ({"X": np.ones((4, 3))}, ValueError, r"`x` must be of shape \[..., 2\]"),
        ({"y": Y[:3]}, ValueError, r"`y` must be of length 4, got int64 \(3,\)"),
        ({"y": Y + 1}, IndexError, "`targets` must be class indices from 0 to 1"),
        ({"y": Y > 0}, TypeError, "`targets` must be integers of shape"),
        ({"validation": (X, Y + 1)}, IndexError, "`targets` must be class indices"),
        ({"validation": (X, Y[:2])}, ValueError, r"`validation\[1\]` must be of length 4"),
        ({"validation": 5}, TypeError, r"`validation` must be a pair \(X, y\), got int"),
        ({"validation": (X,)}, ValueError, r"`validation` must be a pair \(X, y\), got 1 values"),
        ({"seed": -1}, ValueError, "`seed` must be an integer of at least 0, got -1"),
        ({"on_epoch": 3}, TypeError, "`on_epoch` must be a function of an Epoch, got 3"),
        ({"optimiser": None}, TypeError, r"`optimiser` must be an optimiser, .*, got NoneType"),
        ({"optimiser": Adam}, TypeError, "got the class Adam"),
        ({"network": None}, TypeError, "`network` must be a Network, got NoneType"),
    ],
)
def test_bad_arguments_are_named_before_any_step(arguments, error, message):
    network = build_mlp(2, 2, hidden=(), seed=0)
    W = network.parameters["0.W"].copy()
    defaults = {"network": network, "optimiser": SGD(), "X": X, "y": Y, "epochs": 1}
    with pytest.raises(error, match=message):
        train(**defaults | arguments)
    np.testing.assert_array_equal(network.parameters["0.W"], W)
