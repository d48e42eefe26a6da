"""A layer's own weights: found by name, checked as inputs are, and left as they were."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from reports import said
from softgrad.checker import check

DRAW = np.random.default_rng(0).normal
X, W, B = DRAW(size=(4, 5)), DRAW(size=(5, 3)), DRAW(size=3)


class Linear:
    """Weights and gradients side by side; `factor` is that of W's gradient."""

    def __init__(self, factor=1.0):
        self.W, self.b, self.factor = W.copy(), B.copy(), factor

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def gradients(self, g):
        return self.factor * self.x.T @ g, g.sum(axis=0)

    def backward(self, g):
        self.dW, self.db = self.gradients(g)
        return g @ self.W.T


class Added(Linear):
    """Gradients are added to what there is."""

    def __init__(self, factor=1.0):
        super().__init__(factor)
        self.grad_W, self.b_grad = np.ones_like(W), np.zeros_like(B)

    def backward(self, g):
        W_bar, b_bar = self.gradients(g)
        self.grad_W += W_bar
        self.b_grad += b_bar
        return g @ self.W.T


class Lists(Linear):
    """The same arrays in a list, whose gradients are written in place."""

    def __init__(self, factor=1.0):
        super().__init__(factor)
        self.params = [self.W, self.b]
        self.grads = [np.zeros_like(W), np.zeros_like(B)]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, g):
        for own, new in zip(self.grads, self.gradients(g), strict=True):
            own[...] = new
        return g @ self.params[0].T


class Dictionaries(Linear):
    def __init__(self, factor=1.0):
        self.params, self.factor = {"W": W.copy(), "b": B.copy()}, factor

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, g):
        self.grads = dict(zip(("dW", "db"), self.gradients(g), strict=True))
        return g @ self.params["W"].T


class Parameter:
    def __init__(self, value):
        self.value, self.grad = value.copy(), None


class Objects(Linear):
    def __init__(self, factor=1.0):
        self.weight, self.factor = Parameter(W), factor

    def forward(self, x):
        self.x = x
        return x @ self.weight.value

    def backward(self, g):
        self.weight.grad = self.gradients(g)[0]
        return g @ self.weight.value.T


class Network:
    def __init__(self, factor=1.0):
        self.layers = [Linear(), Linear(factor)]
        self.layers[1].W = DRAW(size=(3, 2))
        self.layers[1].b = DRAW(size=2)

    def forward(self, x):
        self.h = np.tanh(self.layers[0].forward(x))
        return self.layers[1].forward(self.h)

    def backward(self, g):
        return self.layers[0].backward(self.layers[1].backward(g) * (1 - self.h**2))


class Norm:
    def __init__(self, factor=1.0):
        self.gamma, self.beta, self.factor = np.ones(5), np.zeros(5), factor
        self.running_mean = np.zeros(5)

    def forward(self, x):
        mean, self.deviation = x.mean(axis=0), x.std(axis=0)
        self.running_mean = 0.9 * self.running_mean + 0.1 * mean
        self.n = (x - mean) / self.deviation
        return self.gamma * self.n + self.beta

    def backward(self, g):
        self.dgamma, self.dbeta = self.factor * (g * self.n).sum(axis=0), g.sum(axis=0)
        d = g * self.gamma
        return (d - d.mean(axis=0) - self.n * (d * self.n).mean(axis=0)) / self.deviation


LAYERS = [Linear, Added, Lists, Dictionaries, Objects, Network, Norm]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("made", LAYERS)
def test_weights_gradients_are_checked(made, dtype):
    for seed in range(3):
        report = check(made(), X, seed=seed, dtype=dtype)
        assert report.passed, str(report)
        assert "The gradients of these weights were checked" in said(report)
        for factor in (2.0, -1.0, 0.0):
            report = check(made(factor), X, seed=seed, dtype=dtype)
            unwritten = factor == 0 and made in (Added, Lists)
            assert (report.verdict == "fail") != unwritten, str(report)


def test_the_weight_is_the_place():
    report = check(Network(2.0), X)
    assert report.diagnosis.code == "scale"
    assert "weight layers[1].W" in report.where.text
    assert "params['W']" in said(check(Dictionaries(), X))


def test_the_users_own_layer_is_left_as_it_was():
    layer = Norm()
    before = dict(vars(layer))
    assert check(layer, X).passed
    assert vars(layer).keys() == before.keys()
    assert not layer.running_mean.any()


def test_a_layer_that_cannot_be_copied_is_checked_itself():
    class Locked(Linear):
        def __init__(self, factor=1.0):
            super().__init__(factor)
            self.lock = threading.Lock()

    report = check(Locked(), X)
    assert report.passed
    assert "cannot be copied" in said(report)
    assert check(Locked(2.0), X).verdict == "fail"


class OtherNames(Linear):
    def backward(self, g):
        self.kernel_error, self.bias_error = 7 * self.x.T @ g, g.sum(axis=0)
        return g @ self.W.T


class Decayed(Linear):
    """A penalty's gradient is added."""

    def backward(self, g):
        x_bar = super().backward(g)
        self.dW = self.dW + 0.1 * self.W
        return x_bar


class Copied(Linear):
    """The forward reads another copy of the weight."""

    def __init__(self):
        super().__init__()
        self._own = self.W.copy()

    def forward(self, x):
        self.x = x
        return x @ self._own + self.b

    def backward(self, g):
        super().backward(g)
        return g @ self._own.T


@pytest.mark.parametrize("made", [OtherNames, Decayed, Copied])
def test_no_weight_is_guessed(made):
    report = check(made(), X)
    assert report.passed, str(report)
    assert "Weights' gradients were not checked for " in said(report)


def test_a_layer_without_weights_has_no_such_note():
    class Tanh:
        def forward(self, x):
            self.y = np.tanh(x)
            return self.y

        def backward(self, g):
            return g * (1 - self.y**2)

    layer = Tanh()
    for _ in range(2):  # what a forward has kept is no weight
        report = check(layer, X)
        assert report.passed
        assert "eights" not in said(report)
        layer.forward(X)


def test_means_over_the_rows_are_left_open():
    class Mean(Linear):
        def backward(self, g):
            x_bar = super().backward(g)
            self.dW, self.db = self.dW / len(g), self.db / len(g)
            return x_bar

    class Half(Mean):
        def backward(self, g):
            x_bar = super().backward(g)
            self.dW[0] = 0
            return x_bar

    report = check(Mean(), X)
    assert report.verdict == "inconclusive"
    assert "are 1/4 of what they must be" in said(report)
    assert check(Linear(0.25), X).verdict == "fail"
    assert check(Half(), X).verdict == "fail"


class Stepping(Linear):
    def backward(self, g):
        x_bar = super().backward(g)
        self.W -= 0.1 * self.dW
        self.b = self.b - 0.1 * self.db
        return x_bar


class SteppingAlone(Linear):
    def backward(self, g):
        x_bar = g @ self.W.T
        self.W -= 0.1 * self.factor * self.x.T @ g
        return x_bar


@pytest.mark.parametrize("made", [Stepping, SteppingAlone])
def test_a_step_of_training_inside_the_backward_is_said(made):
    report = check(made(), X)
    assert report.verdict == "inconclusive"
    assert "The backward changes the layer's weights" in said(report)

    class Wrong(made):
        def backward(self, g):
            return 2 * super().backward(g)

    assert check(Wrong(), X).verdict == "fail"


def test_labels_go_with_weights():
    class Loss(Linear):
        def forward(self, x, labels):
            self.labels = labels
            z = super().forward(x)
            e = np.exp(z - z.max(axis=-1, keepdims=True))
            self.p = e / e.sum(axis=-1, keepdims=True)
            return -np.log(self.p[np.arange(len(z)), labels]).mean()

        def backward(self, g):
            d = self.p.copy()
            d[np.arange(len(d)), self.labels] -= 1
            return super().backward(g * d / len(d)), None

    labels = np.array([0, 2, 1, 1])
    assert check(Loss(), X, labels).passed
    assert check(Loss(2.0), X, labels).verdict == "fail"


class Shaped(Linear):
    """A bias of one row, whose gradient is kept in another shape."""

    def __init__(self, sum_of, factor=1.0):
        super().__init__()
        self.b, self.sum_of, self.factor = B[None].copy(), sum_of, factor

    def gradients(self, g):
        return self.x.T @ g, self.factor * self.sum_of(g)


def test_a_weights_gradient_may_lack_an_axis_of_length_one():
    def rows(g):
        return g.sum(axis=0)

    report = check(Shaped(rows), X)
    assert report.passed
    assert "b (in db)" in said(report)
    assert "kept with shape (3,), and it has (1, 3)" in said(report)
    wrong = check(Shaped(rows, factor=0.5), X)
    assert wrong.diagnosis.code == "scale"
    assert wrong.where.text.startswith("weight b")


def test_a_weights_gradient_that_is_not_summed():
    report = check(Shaped(lambda g: g.copy()), X)
    assert report.diagnosis.code == "unreduced-broadcast"
    assert report.where.text.startswith("weight b")


class Alike(Linear):
    """A softmax of which all logits may be moved together; the gradient does not know it."""

    def forward(self, x):
        self.x = x
        e = np.exp(x @ self.W + self.b)
        self.s = e / e.sum(axis=1, keepdims=True)
        return self.s

    def gradients(self, g):
        d = self.s * (g - g.min())  # of one sign
        return self.x.T @ d, d.sum(axis=0)


def test_a_bias_is_found_where_the_logits_moved_together_change_nothing():
    report = check(Alike(), X)
    assert report.verdict == "fail"
    assert "W (in dW), b (in db)" in said(report)
