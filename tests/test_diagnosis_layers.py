"""Layers as they are written in the wild, with state of their own, get their names, too."""

from __future__ import annotations

import numpy as np
import pytest

from softgrad.checker import check
from wrong_rules import softmax

CASES = []


def layer(codes, *inputs):
    """Register the decorated class with the names that fit it."""

    def register(made):
        CASES.append(pytest.param(made, codes.split(" or "), inputs, id=made.__name__))
        return made

    return register


rng = np.random.default_rng(0)
Z = rng.normal(size=(6, 4))
X = rng.normal(size=(6, 3))


class Softmax:
    def forward(self, x):
        self.out = softmax(x)
        return self.out


class Dense:
    def forward(self, x, W, b):
        self.x, self.W = x, W
        return x @ W + b


class CrossEntropy:
    def forward(self, z, y):
        self.p = softmax(z)
        self.y = y
        return -np.log(self.p[np.arange(len(y)), y]).mean()


@layer("identity", Z)
class PassThrough(Softmax):
    def backward(self, g):
        return g


@layer("diagonal-only", Z)
class Elementwise(Softmax):
    def backward(self, g):
        return g * self.out * (1 - self.out)


@layer("cotangent", Z)
class Fused(Softmax):
    def backward(self, g):
        return self.out - g


@layer("projection-term or zero", Z)
class SumJac(Softmax):
    def backward(self, g):
        out = []
        for s, gg in zip(self.out, g, strict=True):
            s = s.reshape(-1, 1)
            J = np.diagflat(s) - np.dot(s, s.T)
            out.append(gg * J.sum(axis=1))
        return np.array(out)


@layer("aliasing", Z)
class InPlace:
    def forward(self, x):
        self.out = softmax(x)
        return self.out.copy()

    def backward(self, g):
        d = (g * self.out).sum(1, keepdims=True)
        self.out *= g - d
        return self.out


@layer("aliasing", Z)
class Accum(Softmax):
    acc = None

    def backward(self, g):
        d = self.out * (g - (g * self.out).sum(1, keepdims=True))
        self.acc = d if self.acc is None or self.acc.shape != d.shape else self.acc + d
        return self.acc


@layer("scale", Z)
class MeanedLayer(Softmax):
    def backward(self, g):
        return self.out * (g - (g * self.out).sum(1, keepdims=True)) / g.shape[0]


@layer("axis", Z)
class WrongAx(Softmax):
    def backward(self, g):
        return self.out * (g - np.sum(g * self.out, axis=0, keepdims=True))


@layer("unnamed or wrong-variable", Z)
class InputTimes:
    def forward(self, x):
        self.x = x
        self.out = softmax(x)
        return self.out

    def backward(self, g):
        return self.x * (g - np.sum(g * self.x, axis=1, keepdims=True))


@layer("scale or unnamed", Z)
class Half(Softmax):
    def backward(self, g):
        return 0.5 * self.out * (g - (g * self.out).sum(1, keepdims=True))


W0 = rng.normal(size=(3, 5))
b0 = np.zeros(5)


@layer("scale", X, W0, b0)
class DenseMean(Dense):
    def backward(self, g):
        return (g @ self.W.T, self.x.T @ g / len(g), g.mean(0))


@layer("unreduced-broadcast", X, W0, b0)
class DenseBias(Dense):
    def backward(self, g):
        return (g @ self.W.T, self.x.T @ g, g)


@layer("unreduced-broadcast", X, W0, np.zeros((1, 5)))
class DenseBias1(Dense):
    def backward(self, g):
        return (g @ self.W.T, self.x.T @ g, g[:1])


@layer("severed", X, W0, b0)
class DenseNoBias(Dense):
    def backward(self, g):
        return (g @ self.W.T, self.x.T @ g)


@layer("diagonal-only", X, W0, b0)
class DenseSoftmaxDiag:
    def forward(self, x, W, b):
        self.x, self.W = x, W
        self.p = softmax(x @ W + b)
        return self.p

    def backward(self, g):
        d = g * self.p * (1 - self.p)
        return (d @ self.W.T, self.x.T @ d, d.sum(0))


@layer("diagonal-only or unnamed", X, W0)
class DenseSoftmaxDiagNoBias:
    def forward(self, x, W):
        self.x, self.W = x, W
        self.p = softmax(x @ W)
        return self.p

    def backward(self, g):
        d = g * self.p * (1 - self.p)
        return (d @ self.W.T, self.x.T @ d)


@layer("identity", X, W0)
class DenseSoftmaxId:
    def forward(self, x, W):
        self.x, self.W = x, W
        self.p = softmax(x @ W)
        return self.p

    def backward(self, g):
        return (g @ self.W.T, self.x.T @ g)


Wh = rng.normal(size=(3, 5))


@layer("diagonal-only", X)
class ClosureDiag:
    def forward(self, x):
        self.x = x
        self.p = softmax(x @ Wh)
        return self.p

    def backward(self, g):
        d = g * self.p * (1 - self.p)
        return d @ Wh.T


y = np.array([0, 3, 1, 2, 2, 0])


@layer("scale", Z, y)
class CESum(CrossEntropy):
    def backward(self, g):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return g * d


@layer("cotangent", Z, y)
class CENoG(CrossEntropy):
    def backward(self, g):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d / len(self.y)


@layer("aliasing", Z, y)
class CEInPlace(CrossEntropy):
    def backward(self, g):
        d = self.p
        d[np.arange(len(self.y)), self.y] -= 1
        d /= len(self.y)
        return g * d


@layer("chain-term or unnamed", Z)
class BN:
    def forward(self, x):
        self.m = x.mean(0)
        self.v = x.var(0)
        self.h = (x - self.m) / np.sqrt(self.v + 1e-05)
        return self.h

    def backward(self, g):
        return (g - g.mean(0) - self.h * (g * self.h).sum(0)) / np.sqrt(self.v + 1e-05)


@layer("chain-term", Z)
class LNconst:
    def forward(self, x):
        self.s = np.sqrt(x.var(1, keepdims=True) + 1e-05)
        return (x - x.mean(1, keepdims=True)) / self.s

    def backward(self, g):
        return g / self.s


@layer("chain-term", Z)
class LNstd:
    def forward(self, x):
        self.s = x.std(1, keepdims=True) + 1e-05
        return (x - x.mean(1, keepdims=True)) / self.s

    def backward(self, g):
        return (g - g.mean(1, keepdims=True)) / self.s


@layer("wrong-variable", Z)
class SigTwice:
    def forward(self, x):
        self.x = x
        return 1 / (1 + np.exp(-x))

    def backward(self, g):
        s = 1 / (1 + np.exp(-self.x))
        s = 1 / (1 + np.exp(-s))
        return g * s * (1 - s)


@layer("sign", Z)
class NegTanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, g):
        return g * (self.y**2 - 1)


@layer("scale", Z, 1.7)
class Temp:
    def forward(self, x, T):
        self.T = T
        self.x = x
        self.p = softmax(x / T)
        return self.p

    def backward(self, g):
        d = self.p * (g - (g * self.p).sum(1, keepdims=True))
        return (d, -np.asarray((d * self.x).sum()) / self.T**2)


@layer("scale", Z, 1.7)
class Temp2:
    def forward(self, x, T):
        self.T = T
        self.x = x
        self.p = softmax(x * T)
        return self.p

    def backward(self, g):
        d = self.p * (g - (g * self.p).sum(1, keepdims=True))
        return (d / self.T, np.asarray((d * self.x).sum()))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("made", "codes", "inputs"), CASES)
def test_layers_get_their_names(made, codes, inputs, dtype):
    cast = [
        x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in inputs
    ]
    report = check(made(), *cast)
    assert report.verdict == "fail"
    assert report.diagnosis.code in codes, str(report)
