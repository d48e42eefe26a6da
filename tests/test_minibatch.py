"""Mini-batch training: gradients, the steps of an optimiser, what is held out, and going on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.special import logsumexp

import softgrad as sg
from asserts import assert_close, assert_same_bits
from softgrad.learn import linear_loss
from softgrad.learn.minibatch import Batch, Model, Plan, Shuffled, Training, hold_out
from softgrad.nn import SGD, Adam
from softgrad.nn.mlp import hidden_layers

SEED = np.arange(4, dtype=np.uint32)

SHAPES: dict[str, tuple[tuple[int, ...], tuple[Any, ...], int]] = {
    "no hidden layer": ((), (), 4),
    "two classes": ((), (), 2),
    "relu": ((7,), (sg.relu,), 4),
    "tanh, softmax": ((6, 5), (sg.tanh, sg.softmax), 3),
    "softmax, two classes": ((5,), (sg.softmax,), 2),
    "entmax, sigmoid": ((6, 4), (sg.Entmax(alpha=1.4), sg.sigmoid), 3),
}


def some_model(name: str, rng: np.random.Generator, dtype: Any = np.float64) -> Model:
    """Return a model of 5 features whose parameters are all other than 0."""
    sizes, maps, K = SHAPES[name]
    model = Model.at_zero(hidden_layers(5, sizes, maps, rng, dtype), (K, (5, *sizes)[-1]), dtype)
    for parameter in model.parameters.values():
        parameter += 0.5 * rng.normal(size=parameter.shape)
    return model


def some_batch(K: int, rng: np.random.Generator, n: int = 12, dtype: Any = np.float64) -> Batch:
    X = rng.normal(size=(n, 5)) * (rng.random((n, 5)) > 0.3)
    return Batch(X.astype(dtype), rng.integers(K, size=n), rng.uniform(0.2, 2, size=n))


def objective(model: Model, batch: Batch, ridge: float) -> float:
    """Return mean w CE + ½ ridge ‖W‖² from the definition; two classes have one row w."""
    h = batch.X.toarray() if sparse.issparse(batch.X) else batch.X
    for layer in model.hidden:
        h = layer(h)
    z = h @ model.W.T + model.b
    losses = logsumexp(z, axis=1) - z[np.arange(len(z)), batch.y]
    squares = sum(np.sum(p**2) for name, p in model.parameters.items() if name.endswith(".W"))
    squares += (2 if len(model.b) == 2 else 1) * np.sum(model.W**2)
    return float(batch.weights @ losses / len(losses) + ridge / 2 * squares)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_the_slopes_of_the_objective(
    name: str, form: Any, rng: np.random.Generator
) -> None:
    model = some_model(name, rng)
    batch = some_batch(len(model.b), rng)
    batch = batch._replace(X=form(batch.X))
    loss, gradients = model.loss_and_gradients(batch, ridge=0.3)
    data_loss = objective(model, batch, 0.0)
    assert loss / len(batch.y) == pytest.approx(data_loss, rel=1e-13)
    assert data_loss + model.penalty(0.3) == pytest.approx(objective(model, batch, 0.3), rel=1e-13)
    for key, parameter in model.parameters.items():
        direction, at = rng.normal(size=parameter.shape), parameter.copy()
        values = []
        for step in (1e-5, -1e-5):
            parameter[...] = at + step * direction
            values.append(objective(model, batch, 0.3))
        parameter[...] = at
        slope = float(np.vdot(gradients[key], direction))
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-7), key


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
@pytest.mark.parametrize("name", ["no hidden layer", "relu"])
def test_chunks_of_logits_change_nothing(
    name: str, form: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = some_model(name, rng)
    batch = some_batch(len(model.b), rng, n=50)
    batch = batch._replace(X=form(batch.X))
    loss, gradients = model.loss_and_gradients(batch, ridge=0.1)
    mean = model.mean_loss(batch)
    monkeypatch.setattr(linear_loss, "MEMORY", 7 * 4 * 8 * len(model.b))  # seven rows
    other_loss, others = model.loss_and_gradients(batch, ridge=0.1)
    assert other_loss == pytest.approx(loss, rel=1e-13)
    assert model.mean_loss(batch) == pytest.approx(mean, rel=1e-13)
    for key, gradient in gradients.items():
        assert_close(others[key], gradient, u=200)


def adam(g: Any, m: Any, v: Any, t: int, lr: float) -> tuple[Any, Any, Any]:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    return lr * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def momentum(g: Any, m: Any, v: Any, t: int, lr: float) -> tuple[Any, Any, Any]:
    v = 0.8 * v + g
    return lr * v, m, v


@pytest.mark.parametrize(
    ("optimiser", "rule"),
    [(Adam(lr=0.05), adam), (SGD(lr=0.05, momentum=0.8), momentum)],
    ids=["adam", "sgd"],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_are_those_of_a_plain_loop(
    optimiser: Any, rule: Any, dtype: Any, rng: np.random.Generator
) -> None:
    rows = some_batch(3, rng, n=50)
    rows = rows._replace(X=rows.X.astype(dtype))
    batches = Shuffled(rows, 16)
    model = Model.at_zero((), (3, 5), dtype)
    training = Training(model, type(optimiser)(**_settings(optimiser)), SEED)
    list(training.run(batches, Plan(epochs=4, ridge=0.2)))

    theta, m, v, t = np.zeros((3, 6)), 0.0, 0.0, 0
    for epoch in range(1, 5):
        lr = 0.05 * (1 - (epoch - 1) / 4)
        losses = []
        for X, y, w, _ in batches.epoch(np.random.default_rng([*SEED.tolist(), epoch])):
            A = np.column_stack([X, np.ones(len(y))]).astype(np.float64)
            z = A @ theta.T
            p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
            losses += list(-w * np.log(p[np.arange(len(y)), y]))
            g = ((p - np.eye(3)[y]) * w[:, None]).T @ A / len(y)
            g[:, :-1] += 0.2 * theta[:, :-1]
            t += 1
            change, m, v = rule(g, m, v, t, lr)
            theta -= change
        assert training.epochs[epoch - 1].loss == pytest.approx(
            sum(losses) / rows.weights.sum(), rel=1e-12 if dtype == np.float64 else 1e-5
        )
        assert training.epochs[epoch - 1].learning_rate == pytest.approx(lr)
    assert model.W.dtype == model.b.dtype == dtype
    assert {a.dtype for key, a in training.optimiser.state.items() if a.ndim} == {np.dtype(dtype)}
    assert_close(model.W, theta[:, :-1], u=1e4)
    assert_close(model.b, theta[:, -1], u=1e4)


def _settings(optimiser: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(optimiser).items() if key != "state"}


def test_an_epoch_is_all_rows_once_in_even_parts(rng: np.random.Generator) -> None:
    rows = some_batch(3, rng, n=50)
    parts = list(Shuffled(rows, 16).epoch(np.random.default_rng(1)))
    assert sorted(len(part.y) for part in parts) == [12, 12, 13, 13]
    joined = Batch(*(np.concatenate(each) for each in list(zip(*parts, strict=True))[:3]))
    order = np.lexsort(joined.X.T)
    for one, other in zip(joined[:3], rows[:3], strict=True):
        assert_same_bits(one[order], other[np.lexsort(rows.X.T)])
    assert not np.array_equal(joined.y, rows.y)
    again, other = (next(Shuffled(rows, 16).epoch(np.random.default_rng(s))) for s in (1, 2))
    assert_same_bits(again.X, parts[0].X)
    assert not np.array_equal(other.X, parts[0].X)


@pytest.mark.parametrize("after", [3, 4, 9])
@pytest.mark.parametrize("name", ["no hidden layer", "tanh, softmax"])
def test_what_was_written_down_goes_on_bit_for_bit(
    name: str, after: int, rng: np.random.Generator
) -> None:
    K = SHAPES[name][2]
    rows, held_out = some_batch(K, rng, n=60), some_batch(K, rng, n=9)
    batches, plan = Shuffled(rows, 16), Plan(epochs=4, ridge=0.1, patience=2)

    def new() -> Training:
        return Training(some_model(name, np.random.default_rng(0)), Adam(lr=0.1), SEED.copy())

    states = []

    def write(training: Training) -> None:
        arrays, numbers = training.state()
        states.append(({key: a.copy() for key, a in arrays.items()}, dict(numbers)))

    whole = new()
    list(whole.run(batches, plan, held_out, after_batch=write))
    resumed = Training(some_model(name, rng), Adam(lr=0.1), np.zeros(4, np.uint32))
    resumed.load(*states[after])
    list(resumed.run(batches, plan, held_out))
    assert resumed.epochs == whole.epochs
    (arrays, numbers), (expected, expected_numbers) = resumed.state(), whole.state()
    assert numbers == expected_numbers
    assert arrays.keys() == expected.keys()
    assert any(key.startswith("best.") for key in arrays)
    for key, array in expected.items():
        assert_same_bits(arrays[key], array, key)


def test_a_state_of_another_model_is_refused(rng: np.random.Generator) -> None:
    training = Training(some_model("relu", rng), Adam(), SEED)
    arrays, numbers = training.state()
    other = Training(some_model("softmax, two classes", rng), Adam(), SEED)
    before = {key: a.copy() for key, a in other.model.parameters.items()}
    with pytest.raises(ValueError, match="`arrays` must be the state of a model of"):
        other.load(arrays, numbers)
    for key, array in before.items():
        assert_same_bits(other.model.parameters[key], array)


def test_a_stream_of_any_kind_will_do(rng: np.random.Generator) -> None:
    rows = some_batch(3, rng, n=40)

    class Halves:
        def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
            for half in (slice(0, 20), slice(20, 40)):
                yield rows.taken(half)

    training = Training(Model.at_zero((), (3, 5), np.float64), Adam(lr=0.1), SEED)
    first, *_, last = training.run(Halves(), Plan(epochs=20, ridge=0.0))
    assert last.loss < 0.9 * first.loss
    assert first.loss > 0.5 * np.log(3)


def test_new_classes_have_no_moments_and_old_ones_keep_theirs(rng: np.random.Generator) -> None:
    training = Training(some_model("relu", rng), Adam(lr=0.1), SEED)
    list(training.run(Shuffled(some_batch(4, rng), 4), Plan(epochs=2, ridge=0.1)))
    places = np.array([0, 2, 3, 5])
    grown = training.grown(places, 6)
    for one, other in (
        (grown.model.parameters, training.model.parameters),
        (grown.optimiser.state, training.optimiser.state),
    ):
        assert one.keys() == other.keys()
        for key, array in other.items():
            of_classes = key.partition(".")[0] in ("W", "b") and array.ndim
            assert_same_bits(one[key][places] if of_classes else one[key], array, key)
            if of_classes:
                assert not one[key][[1, 4]].any()


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_every_class_gives_its_share(fraction: float, rng: np.random.Generator) -> None:
    counts = np.array([200, 40, 3, 1, 76])
    y = rng.permutation(np.repeat(np.arange(5), counts))
    train, held = hold_out(y, fraction, rng)
    assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(len(y)))
    assert abs(len(held) - fraction * len(y)) <= 0.5
    given = np.bincount(y[held], minlength=5)
    assert np.all(np.abs(given - fraction * counts) <= 2)
    assert np.all(np.bincount(y[train], minlength=5) >= 1)
    other, _ = hold_out(y, fraction, rng)
    assert not np.array_equal(train, other)


def test_a_class_keeps_its_only_row(rng: np.random.Generator) -> None:
    y = np.concatenate([np.arange(1, 60), np.zeros(70, dtype=int)])
    _, held = hold_out(y, 0.3, rng)
    assert np.all(y[held] == 0)
    assert abs(len(held) - 0.3 * len(y)) <= 0.5
