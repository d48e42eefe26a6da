"""Forwards whose data are bound, or whose data's gradient is None, are followed all the same."""

import numpy as np
import pytest

import softgrad as sg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5))
T = np.eye(3)[[0, 2, 1, 1, 0, 2]]
U, V = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def hidden(U):
    return np.tanh(X.dot(U))


def of_globals(U, V):
    return ((softmax(hidden(U).dot(V)) - T) ** 2).sum()


def of_cells(data):
    def hidden(U):
        return np.tanh(data.dot(U))

    return lambda U, V: ((softmax(hidden(U).dot(V)) - T) ** 2).sum()


def of_arguments(x, U, V):
    return ((softmax(np.tanh(x.dot(U)).dot(V)) - T) ** 2).sum()


def of_data(x, U, V, g):
    h = np.tanh(x.dot(U))
    p = softmax(h.dot(V))
    d = 2 * g * (p - T) * p * (1 - p)
    return x.T.dot(d.dot(V.T) * (1 - h**2)), h.T.dot(d)


def diagonal(U, V, g):
    return of_data(X, U, V, g)


@pytest.mark.parametrize("forward", [of_globals, of_cells(X.copy())])
def test_data_that_a_function_has_bound(forward):
    report = sg.check(forward, diagonal, U, V)
    assert report.diagnosis.code == "diagonal-only", str(report)
    assert "In the softmax `e / e.sum(axis=-1, keepdims=True)`" in report.diagnosis.message


def test_what_is_bound_stays_as_it_was():
    before = dict(globals())
    sg.check(of_globals, diagonal, U, V)
    assert type(X) is np.ndarray
    assert all(globals()[name] is value for name, value in before.items())


def test_a_gradient_of_data_that_is_none_hides_no_other_mistake():
    report = sg.check(of_arguments, lambda *a: (None, *of_data(*a)), X, U, V)
    assert report.diagnosis.code == "diagonal-only", str(report)
    assert any("No gradient reaches input 0" in found.message for found in report.findings)


def test_a_gradient_that_is_none_alone_is_named():
    def backward(x, U, V, g):
        h = np.tanh(x.dot(U))
        p = softmax(h.dot(V))
        d = 2 * g * (p - T)
        d = p * (d - (d * p).sum(axis=-1, keepdims=True))
        return None, x.T.dot(d.dot(V.T) * (1 - h**2)), h.T.dot(d)

    report = sg.check(of_arguments, backward, X, U, V)
    assert report.diagnosis.code == "severed"
