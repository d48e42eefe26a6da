"""Forwards that are followed step by step: their Jacobians, and what is left as it was."""

import threading

import numpy as np
import pytest

from softgrad.checker.diagnosis.graph.trace import traced

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4))
W = RNG.normal(size=(4, 5))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x):
    x = np.asarray(x, dtype=np.float64)
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


def by_rows(x):
    out = np.zeros((len(x), 2))
    for i, row in enumerate(x):
        out[i, 0] = row @ row
        out[i, 1] = np.tanh(row).sum()
    return out


def in_place(x):
    y = np.array(x)
    y -= y.mean(axis=0)
    y *= 2
    y[:, 1:] += x[:, :-1] ** 3
    return y


def over_time(x):
    state, found = np.zeros(x.shape[1]), []
    for row in x:
        state = np.tanh(row + 0.5 * state)
        found.append(state)
    return np.stack(found)


def heads(x):
    a, b = np.split(x, 2, axis=1)
    return np.einsum("ij,kj->ik", a, b).reshape(-1)


def gathered(x):
    found = np.zeros((4, 4))
    np.add.at(found, np.array([0, 2, 2]), x)
    return found[[2, 0]] * x[np.array([True, False, True])]


def masked(x):
    return softmax(np.where(np.tril(np.ones((3, 4))) > 0, x, -np.inf))


def cached(x):
    cache = {"p": softmax(x)}
    return float(-np.log(cache["p"][np.arange(3), [0, 3, 1]]).mean())


FORWARDS = {
    "softmax": softmax,
    "layer norm": layer_norm,
    "rows in a loop": by_rows,
    "in place": in_place,
    "over time": over_time,
    "split and einsum": heads,
    "gathered": gathered,
    "masked": masked,
    "a loss as a float": cached,
    "logaddexp.reduce": lambda x: np.logaddexp.reduce(x, axis=-1),
    "lists of lists": lambda x: np.array([[x[0, 1] * x[1, 0], x[2, 2]], [x[0, 0], 1.0]]),
    "lengths": lambda x: x / np.linalg.norm(x, axis=1, keepdims=True),
    "kinks": lambda x: np.maximum(x, 0) + np.abs(x) + np.clip(x, -0.5, 0.5),
    "cumulative": lambda x: np.cumsum(x.T, axis=0).T.max(axis=1),
    "one operand twice": lambda x: x * x + np.concatenate([x, x])[:3],
}


def assert_near(got, wanted, part):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=part * np.abs(wanted).max())


def jacobian(forward, x, h=1e-5):
    columns = []
    for move in np.eye(x.size).reshape(x.size, *x.shape):
        plus, minus = (np.ravel(forward(x + sign * h * move)) for sign in (1, -1))
        columns.append((plus - minus) / (2 * h))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", FORWARDS)
def test_steps_make_the_whole_jacobian(name):
    graph = traced(FORWARDS[name], [X], [0])
    assert graph is not None
    wanted = jacobian(FORWARDS[name], X)
    assert_near(graph.jacobian_of(0), wanted, 1e-8)


def test_effects_and_moves_are_one_jacobian():
    graph = traced(lambda x, w: softmax(np.tanh(x) @ w), [X, W], [0, 1])
    moves, effects = graph.push(np.eye(X.size + W.size)), graph.pull(np.eye(15))
    for where, place in enumerate(graph.inputs):
        assert_near(effects[place], graph.jacobian_of(where), 1e-12)
    assert_near(moves[graph.outputs[0]], graph.whole, 1e-12)
    assert_near(graph.stretch(graph.inputs[0], graph.outputs[0]), graph.jacobian_of(0), 1e-12)


def test_several_outputs_are_laid_end_to_end():
    graph = traced(lambda x: (x.sum(axis=0), np.exp(x)), [X], [0])
    wanted = np.concatenate([jacobian(lambda x: x.sum(axis=0), X), jacobian(np.exp, X)])
    assert_near(graph.jacobian_of(0), wanted, 1e-7)


def test_what_is_subtracted_to_no_effect_is_idle():
    graph = traced(softmax, [X], [0])
    assert [graph.steps[place].name for place in graph.idle] == ["max"]
    assert not traced(lambda x: x - x.max(axis=-1, keepdims=True), [X], [0]).idle


def test_gates_are_what_all_goes_through():
    graph = traced(lambda x, w: softmax(x @ w) * 2.0, [X, W], [0, 1])
    names = [graph.steps[place].name for place in graph.gates]
    assert names == ["input", "input", "matmul", "subtract", "exp", "divide", "multiply"]
    own = traced(lambda x: softmax(x) * x, [X], [0])
    assert [own.steps[place].name for place in own.gates] == ["input", "multiply"]


def test_steps_know_where_they_are_written():
    steps = traced(softmax, [X], [0]).steps
    texts = {step.name: step.text for step in steps if step.site is not None}
    assert texts["exp"] == "np.exp(z - z.max(axis=-1, keepdims=True))"
    assert texts["divide"] == "e / e.sum(axis=-1, keepdims=True)"
    loop = traced(over_time, [X], [0]).steps
    sites = [step.site for step in loop if step.name == "tanh"]
    assert len(sites) == 3
    assert len(set(sites)) == 1


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: np.array([2.0]) * float(x.sum()),  # where a number comes from is not known
        lambda x: x.astype(np.float32) * 2,
        lambda x: x.no_such_method(),
        lambda x: [np.tanh(x) for _ in range(500)][-1],
        lambda x: np.zeros((100, 100)) + x.sum(),
    ],
    ids=["float", "narrow", "raises", "long", "large"],
)
def test_what_cannot_be_followed_is_left(forward):
    graph = traced(forward, [X], [0])
    assert graph is None or not graph.whole.any()


def test_constructors_are_put_back():
    names = ("asarray", "array", "zeros", "empty", "ones", "full", "ascontiguousarray")
    before = [getattr(np, name) for name in names]
    seen = []

    def forward(x):
        seen.append(np.asarray is not before[0])
        raise KeyError

    assert traced(forward, [X], [0]) is None
    assert seen == [True]
    assert [getattr(np, name) for name in names] == before


def test_other_threads_keep_their_constructors():
    kinds = []

    def forward(x):
        thread = threading.Thread(target=lambda: kinds.append(type(np.zeros(2))))
        thread.start()
        thread.join()
        kinds.append(type(np.zeros(2)))
        return x + 1

    assert traced(forward, [X], [0]) is not None
    assert kinds[0] is np.ndarray
    assert kinds[1] is not np.ndarray


def test_inputs_are_left_as_they_were():
    x = X.copy()
    traced(in_place, [x], [0])
    np.testing.assert_array_equal(x, X)
