"""Wrong backwards as they are written in the wild, with the name that each should get.

`expected` is a set where an honest reader could give either name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wrong_rules import linear, log_softmax, sigmoid, softmax


@dataclass(frozen=True)
class Mistake:
    """A forward, a wrong backward, the names that fit it, and inputs to draw."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    expected: frozenset[str]
    shapes: tuple[tuple[int, ...], ...]
    positive: tuple[int, ...] = ()
    labels: int | None = None
    """A further input: this many labels; they point into the first input's last axis."""
    extra: tuple[Any, ...] = ()

    def inputs(self, rng, scale=1.0, dtype="float64"):
        drawn = []
        for place, shape in enumerate(self.shapes):
            x = scale * rng.standard_normal(shape)
            drawn.append((np.exp(x) if place in self.positive else x).astype(dtype))
        if self.labels is not None:
            drawn.append(rng.integers(0, self.shapes[0][-1], self.labels))
        return (*drawn, *self.extra)


def collector(batch):
    """Return a decorator that adds a backward to a batch of mistakes."""

    def mistake(name, forward, codes, *shapes, **options):
        def register(backward):
            names = frozenset(codes.split(" or "))
            batch.append(Mistake(name, forward, backward, names, shapes, **options))
            return backward

        return register

    return mistake


MISTAKES: list[Mistake] = []
mistake = collector(MISTAKES)


# --- softmax --------------------------------------------------------------------------------


@mistake("softmax: derivative of the sigmoid, in a loop", softmax, "diagonal-only", (4, 6))
def _(z, g):
    s = softmax(z)
    out = np.empty_like(z)
    for i in range(len(z)):
        for j in range(z.shape[1]):
            out[i, j] = g[i, j] * s[i, j] * (1 - s[i, j])
    return out


@mistake("softmax: jacobian matrix without its outer product", softmax, "projection-term", (3, 8))
def _(z, g):
    out = []
    for row, g_row in zip(softmax(z), g, strict=True):
        jacobian = np.diag(row)
        out.append(jacobian @ g_row)
    return np.array(out)


@mistake("softmax: einsum with a plus", softmax, "projection-term", (3, 4))
def _(z, g):
    s = softmax(z)
    jac = np.einsum("ni,ij->nij", s, np.eye(z.shape[1])) + np.einsum("ni,nj->nij", s, s)
    return np.einsum("nij,nj->ni", jac, g)


@mistake("softmax: einsum with the diagonal taken", softmax, "diagonal-only", (5, 3))
def _(z, g):
    s = softmax(z)
    jac = np.einsum("ni,ij->nij", s, np.eye(z.shape[1])) - np.einsum("ni,nj->nij", s, s)
    return np.einsum("nii,ni->ni", jac, g)


@mistake("softmax: jacobian summed", softmax, "projection-term or zero", (4, 5))
def _(z, g):
    s = softmax(z)
    jac = s[:, :, None] * (np.eye(z.shape[1]) - s[:, None, :])
    return jac.sum(axis=2) * g


@mistake("softmax: keepdims forgotten and broadcast over a square", softmax, "axis", (5, 5))
def _(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1))


@mistake("softmax: inner product over axis 0", softmax, "axis", (4, 7))
def _(z, g):
    s = softmax(z)
    return s * (g - np.sum(s * g, axis=0))


@mistake("softmax: inner product of the whole batch by vdot", softmax, "axis", (4, 7))
def _(z, g):
    s = softmax(z)
    return s * (g - np.vdot(s, g))


@mistake("softmax: divided by the batch", softmax, "scale", (6, 4))
def _(z, g):
    s = softmax(z)
    s *= g - (g * s).sum(axis=-1, keepdims=True)
    s /= z.shape[0]
    return s


@mistake("softmax: divided by the root of K", softmax, "scale", (3, 11))
def _(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True)) / np.sqrt(z.shape[-1])


@mistake("softmax: a stray minus", softmax, "sign", (3, 11))
def _(z, g):
    s = softmax(z)
    return s * ((g * s).sum(axis=-1, keepdims=True) - g)


@mistake("softmax: softmax of its own output", softmax, "wrong-variable", (4, 5))
def _(z, g):
    p = softmax(z)
    s = softmax(p)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


@mistake("softmax: the input taken for the output", softmax, "wrong-variable", (4, 5))
def _(s, g):
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


@mistake("softmax: gradient passed on", softmax, "identity", (4, 5))
def _(z, g):
    return g.copy()


@mistake("softmax: minus the target", softmax, "cotangent", (4, 5))
def _(z, g):
    return softmax(z) - g


@mistake("softmax: the largest class alone", softmax, "subset", (4, 5))
def _(z, g):
    s = softmax(z)
    out = s * (g - (g * s).sum(axis=-1, keepdims=True))
    out[np.arange(len(z)), z.argmax(axis=1)] = 0
    return out


@mistake("softmax: last class left out", softmax, "subset", (4, 5))
def _(z, g):
    s = softmax(z)
    out = np.zeros_like(z)
    for k in range(z.shape[1] - 1):
        out[:, k] = s[:, k] * (g[:, k] - (g * s).sum(axis=1))
    return out


@mistake("softmax: first row only", softmax, "subset", (4, 5))
def _(z, g):
    s = softmax(z)
    out = np.zeros_like(z)
    out[0] = s[0] * (g[0] - g[0] @ s[0])
    return out


@mistake("softmax: exp without its maximum", softmax, "arithmetic", (4, 5), extra=())
def _(z, g):
    e = np.exp(z + 720)
    s = e / e.sum(axis=-1, keepdims=True)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


@mistake("softmax: in half precision", softmax, "arithmetic", (4, 5))
def _(z, g):
    s = softmax(z.astype(np.float16))
    g = g.astype(np.float16)
    return (s * (g - (g * s).sum(axis=-1, keepdims=True))).astype(z.dtype)


@mistake("softmax: g multiplied in place", softmax, "aliasing", (4, 5))
def _(z, g):
    s = softmax(z)
    inner = (g * s).sum(axis=-1, keepdims=True)
    g -= inner
    g *= s
    return g


@mistake("softmax: no factor in front", softmax, "chain-term or projection-term", (4, 5))
def _(z, g):
    s = softmax(z)
    return g - (g * s).sum(axis=-1, keepdims=True)


@mistake("softmax: of the transpose", softmax, "axis", (4, 5))
def _(z, g):
    s = softmax(z.T).T
    return s * (g - (g * s).sum(axis=0, keepdims=True))


@mistake("softmax: reshaped and not transposed", softmax, "axis", (4, 5))
def _(z, g):
    s = softmax(z)
    out = s * (g - (g * s).sum(axis=-1, keepdims=True))
    return out.T.reshape(z.shape)


@mistake("softmax: gradient of log_softmax", softmax, "wrong-variable", (4, 5))
def _(z, g):
    return g - softmax(z) * g.sum(axis=-1, keepdims=True)


@mistake("softmax: 3-d, sum over axis 1", softmax, "axis", (2, 3, 4))
def _(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=1, keepdims=True))


@mistake("softmax: 3-d, diagonal", softmax, "diagonal-only", (2, 3, 4))
def _(z, g):
    s = softmax(z)
    return g * (s - s**2)


@mistake(
    "softmax: one dimension, outer without diag", softmax, "chain-term or projection-term", (6,)
)
def _(z, g):
    s = softmax(z)
    return -np.outer(s, s) @ g


@mistake("softmax: one dimension, diagonal", softmax, "diagonal-only", (6,))
def _(z, g):
    s = softmax(z)
    return g * s * (1 - s)


def _tempered(z):
    return softmax(z / 2.5)


@mistake("tempered softmax: temperature forgotten", _tempered, "scale", (4, 5))
def _(z, g):
    s = _tempered(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


@mistake("tempered softmax: diagonal", _tempered, "diagonal-only", (4, 5))
def _(z, g):
    s = _tempered(z)
    return g * s * (1 - s) / 2.5


def _with_temperature(z, T):
    return softmax(z / T)


@mistake(
    "softmax with temperature: gradient of T left out",
    _with_temperature,
    "zero or severed",
    (4, 5),
    (1,),
    positive=(1,),
)
def _(z, T, g):
    s = softmax(z / T)
    return s * (g - (g * s).sum(axis=-1, keepdims=True)) / T, np.zeros_like(T)


# --- log_softmax ----------------------------------------------------------------------------


@mistake("log_softmax: mean of g", log_softmax, "projection-term", (4, 6))
def _(z, g):
    return g - softmax(z) * np.mean(g, axis=1, keepdims=True)


@mistake("log_softmax: exp forgotten", log_softmax, "wrong-variable or projection-term", (4, 6))
def _(z, g):
    return g - log_softmax(z) * np.sum(g, axis=1, keepdims=True)


@mistake("log_softmax: sum over axis 0", log_softmax, "axis", (4, 6))
def _(z, g):
    return g - softmax(z) * np.sum(g, axis=0, keepdims=True)


@mistake("log_softmax: multiplied by g", log_softmax, "diagonal-only", (4, 6))
def _(z, g):
    out = g.copy()
    out -= softmax(z) * g
    return out


@mistake("log_softmax: sum over everything", log_softmax, "axis", (4, 6))
def _(z, g):
    return g - softmax(z) * g.sum()


@mistake(
    "log_softmax: divided by p", log_softmax, "unnamed or chain-term or projection-term", (4, 6)
)
def _(z, g):
    return g / softmax(z)


@mistake("log_softmax: transposed", log_softmax, "axis or projection-term", (4, 6))
def _(z, g):
    return g - (g * softmax(z)).sum(axis=1, keepdims=True)


@mistake("log_softmax: softmax's gradient", log_softmax, "wrong-variable", (4, 6))
def _(z, g):
    s = np.exp(log_softmax(z))
    return s * g - s * np.sum(s * g, axis=1, keepdims=True)


# --- cross-entropy --------------------------------------------------------------------------


def _ce(z, y):
    return -log_softmax(z)[np.arange(len(z)), y].mean()


def _ce_sum(z, y):
    return -log_softmax(z)[np.arange(len(z)), y].sum()


def _ce_rows(z, y):
    return -log_softmax(z)[np.arange(len(z)), y]


def _minus(z, y):
    p = softmax(z)
    p[np.arange(len(z)), y] -= 1
    return p


@mistake("cross-entropy: not divided by N", _ce, "scale", (5, 4), labels=5)
def _(z, y, g):
    return g * _minus(z, y)


@mistake("cross-entropy sum: divided by N", _ce_sum, "scale", (5, 4), labels=5)
def _(z, y, g):
    return g * _minus(z, y) / len(y)


@mistake("cross-entropy: divided by K", _ce, "scale", (5, 4), labels=5)
def _(z, y, g):
    return g * _minus(z, y) / z.shape[1]


@mistake("cross-entropy: g forgotten", _ce, "cotangent", (5, 4), labels=5)
def _(z, y, g):
    return _minus(z, y) / len(y)


@mistake("cross-entropy: t − p", _ce, "sign", (5, 4), labels=5)
def _(z, y, g):
    return -g * _minus(z, y) / len(y)


@mistake("cross-entropy: label not subtracted", _ce, "subset", (5, 4), labels=5)
def _(z, y, g):
    return g * softmax(z) / len(y)


@mistake(
    "cross-entropy: p[y] = p[y] − 1 in column 0", _ce, "unnamed or subset or axis", (5, 4), labels=5
)
def _(z, y, g):
    p = softmax(z)
    p[:, 0] -= 1
    return g * p / len(y)


@mistake("cross-entropy: softmax twice", _ce, "wrong-variable", (5, 4), labels=5)
def _(z, y, g):
    return g * _minus(softmax(z), y) / len(y)


@mistake("cross-entropy: logits minus one-hot", _ce, "wrong-variable", (5, 4), labels=5)
def _(z, y, g):
    out = z.copy()
    out[np.arange(len(z)), y] -= 1
    return out / len(y) * g


@mistake("cross-entropy: −1/p at the label", _ce, "wrong-variable", (5, 4), labels=5)
def _(z, y, g):
    p = softmax(z)
    out = np.zeros_like(z)
    out[np.arange(len(z)), y] = -1 / p[np.arange(len(z)), y] / len(y)
    return g * out


@mistake("cross-entropy: chain through the diagonal", _ce, "diagonal-only", (5, 4), labels=5)
def _(z, y, g):
    p = softmax(z)
    dp = np.zeros_like(z)
    dp[np.arange(len(z)), y] = -g / p[np.arange(len(z)), y] / len(y)
    return dp * p * (1 - p)


@mistake(
    "cross-entropy: derivative multiplied in once more",
    _ce,
    "diagonal-only or wrong-variable or chain-term",
    (5, 4),
    labels=5,
)
def _(z, y, g):
    p = softmax(z)
    return g * _minus(z, y) / len(y) * p * (1 - p)


@mistake("cross-entropy rows: only the first g", _ce_rows, "cotangent", (5, 4), labels=5)
def _(z, y, g):
    return g[0] * _minus(z, y)


@mistake("cross-entropy rows: mean of g", _ce_rows, "cotangent", (5, 4), labels=5)
def _(z, y, g):
    return g.mean() * _minus(z, y)


@mistake("cross-entropy rows: divided by N", _ce_rows, "scale", (5, 4), labels=5)
def _(z, y, g):
    return g[:, None] * _minus(z, y) / len(z)


@mistake("cross-entropy rows: label not subtracted", _ce_rows, "subset", (5, 4), labels=5)
def _(z, y, g):
    return g[:, None] * softmax(z)


def _soft_ce(z, t):
    return -(t * log_softmax(z)).sum(axis=-1).mean()


def _soft_ce_t(z, t, g):
    return -g * log_softmax(z) / len(z)


@mistake(
    "soft cross-entropy: softmax twice", _soft_ce, "wrong-variable", (5, 4), (5, 4), positive=(1,)
)
def _(z, t, g):
    p = softmax(softmax(z))
    return g * (p * t.sum(axis=1, keepdims=True) - t) / len(z), _soft_ce_t(z, t, g)


@mistake(
    "soft cross-entropy: targets' gradient zero", _soft_ce, "zero", (5, 4), (5, 4), positive=(1,)
)
def _(z, t, g):
    p = softmax(z)
    return g * (p * t.sum(axis=1, keepdims=True) - t) / len(z), np.zeros_like(t)


@mistake(
    "soft cross-entropy: targets taken to sum to 1",
    _soft_ce,
    "unnamed or projection-term or chain-term or scale",
    (5, 4),
    (5, 4),
    positive=(1,),
)
def _(z, t, g):
    return g * (softmax(z) - t) / len(z), _soft_ce_t(z, t, g)


def _nll(logp, y):
    return -logp[np.arange(len(y)), y].mean()


@mistake("nll: gradient at the logits", _nll, "wrong-variable", (5, 4), labels=5)
def _(x, y, g):
    p = np.exp(x)
    p[np.arange(len(y)), y] -= 1
    return g * p / len(y)


@mistake("nll: sum", _nll, "scale", (5, 4), labels=5)
def _(x, y, g):
    out = np.zeros_like(x)
    out[np.arange(len(y)), y] = -g
    return out


@mistake("nll: gradient everywhere", _nll, "unnamed or subset or axis", (5, 4), labels=5)
def _(x, y, g):
    return np.full_like(x, -g / len(y))


def _mse(z, t):
    return ((softmax(z) - t) ** 2).mean()


@mistake("squared error: diagonal", _mse, "diagonal-only", (5, 4), (5, 4))
def _(z, t, g):
    p = softmax(z)
    dp = 2 * g * (p - t) / p.size
    return dp * p * (1 - p), -dp


@mistake("squared error: softmax skipped", _mse, "chain-term or identity", (5, 4), (5, 4))
def _(z, t, g):
    dp = 2 * g * (softmax(z) - t) / z.size
    return dp, -dp


@mistake("squared error: the 2 forgotten", _mse, "scale", (5, 4), (5, 4))
def _(z, t, g):
    p = softmax(z)
    dp = g * (p - t) / p.size
    return p * (dp - (dp * p).sum(-1, keepdims=True)), -dp


# --- sigmoid, tanh, elementwise --------------------------------------------------------------


@mistake("sigmoid: of the input", sigmoid, "wrong-variable", (4, 5))
def _(x, g):
    return g * x * (1 - x)


@mistake("sigmoid: at its own output", sigmoid, "wrong-variable", (4, 5))
def _(x, g):
    s = sigmoid(sigmoid(x))
    return g * s * (1 - s)


@mistake("sigmoid: without 1 − s", sigmoid, "chain-term", (4, 5))
def _(x, g):
    return g * sigmoid(x)


@mistake("tanh: square forgotten", np.tanh, "chain-term", (4, 5))
def _(x, g):
    return g * (1 - np.tanh(x))


@mistake("tanh: of the input", np.tanh, "wrong-variable", (4, 5))
def _(x, g):
    return g * (1 - x**2)


@mistake("tanh: at its own output", np.tanh, "wrong-variable", (3, 2))
def _(x, g):
    return g * (1 - np.tanh(np.tanh(x)) ** 2)


@mistake("tanh: passed on", np.tanh, "identity", (7,))
def _(x, g):
    return 1 * g


@mistake("tanh: sign", np.tanh, "sign", (7,))
def _(x, g):
    return g * (np.tanh(x) ** 2 - 1)


def _softcap(x):
    return 5 * np.tanh(x / 5)


@mistake("soft cap: 1/c kept", _softcap, "scale", (4, 5))
def _(x, g):
    return g * (1 - np.tanh(x / 5) ** 2) / 5


@mistake("soft cap: tanh of x", _softcap, "chain-term", (4, 5))
def _(x, g):
    return g * (1 - np.tanh(x) ** 2)


def _relu(x):
    return np.maximum(x, 0)


@mistake("relu: passed on", _relu, "identity or chain-term", (4, 5))
def _(x, g):
    return g * 1.0


@mistake("relu: leaky backward", _relu, "subset", (4, 5))
def _(x, g):
    return np.where(x > 0, g, 0.1 * g)


def _dropout(x, mask):
    return x * mask / 0.8


_MASK = np.random.default_rng(5).random((4, 5)) < 0.8


@mistake("dropout: scale forgotten", _dropout, "scale", (4, 5), extra=(_MASK,))
def _(x, mask, g):
    return g * mask


@mistake("dropout: mask forgotten", _dropout, "chain-term or identity", (4, 5), extra=(_MASK,))
def _(x, mask, g):
    return g / 0.8


@mistake("dropout: passed on", _dropout, "chain-term or identity", (4, 5), extra=(_MASK,))
def _(x, mask, g):
    return g + 0


# --- linear, matmul, broadcasting ------------------------------------------------------------


@mistake("linear: bias not summed", linear, "unreduced-broadcast", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return g @ W, g.T @ x, g


@mistake("linear: bias mean", linear, "scale", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return g @ W, np.einsum("nk,nd->kd", g, x), g.mean(axis=0)


@mistake("linear: bias summed over everything", linear, "axis", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return g @ W, np.einsum("nk,nd->kd", g, x), np.full_like(b, np.sum(g))


@mistake("linear: bias the mean of everything", linear, "axis", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return g @ W, np.einsum("nk,nd->kd", g, x), np.full_like(b, np.mean(g))


@mistake("linear: bias the mean of its sums", linear, "axis", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return g @ W, np.einsum("nk,nd->kd", g, x), np.full_like(b, g.sum(axis=0).mean())


@mistake("linear: weight divided by N", linear, "scale", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return np.matmul(g, W), np.dot(g.T, x) / len(x), np.sum(g, 0)


@mistake("linear: weight not transposed, square", linear, "axis", (4, 4), (4, 4), (4,))
def _(x, W, b, g):
    return g @ W, x.T @ g, g.sum(0)


@mistake("linear: input through Wᵀ, square", linear, "axis", (4, 4), (4, 4), (4,))
def _(x, W, b, g):
    return g @ W.T, g.T @ x, g.sum(0)


@mistake("linear: bias from the last row", linear, "unreduced-broadcast", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    for row in g:
        b_bar = row
    return g @ W, g.T @ x, b_bar


@mistake("linear: bias forgotten", linear, "severed", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return g @ W, g.T @ x, None


@mistake("linear: bias zero", linear, "zero", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return g @ W, g.T @ x, np.zeros(b.shape)


@mistake("linear: x.T for W", linear, "sign", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    return -(g @ W), g.T @ x, g.sum(0)


@mistake(
    "linear: weight of the last row",
    linear,
    "cotangent or unreduced-broadcast or subset",
    (4, 5),
    (3, 5),
    (3,),
)
def _(x, W, b, g):
    return g @ W, np.outer(g[-1], x[-1]), g.sum(0)


def _matmul(a, b):
    return a @ b


@mistake("matmul: a not transposed, square", _matmul, "axis", (4, 4), (4, 4))
def _(a, b, g):
    return g @ b.T, a @ g


@mistake("matmul: gradients swapped, square", _matmul, "axis", (4, 4), (4, 4))
def _(a, b, g):
    return a.T @ g, g @ b.T


@mistake("matmul: transposed result", _matmul, "axis", (3, 4), (4, 5))
def _(a, b, g):
    return g @ b.T, g.T @ a


@mistake("matmul: elementwise, square", _matmul, "diagonal-only or unnamed", (4, 4), (4, 4))
def _(a, b, g):
    return g * b, a.T @ g


def _add(a, b):
    return a + b


@mistake("add: row not summed", _add, "unreduced-broadcast", (4, 5), (5,))
def _(a, b, g):
    return g, g


@mistake("add: column summed over the wrong axis, square", _add, "axis or unnamed", (4, 4), (4, 1))
def _(a, b, g):
    return g, g.sum(axis=0)[:, None]


@mistake("add: mean for sum", _add, "scale", (4, 5), (1, 5))
def _(a, b, g):
    return g, g.mean(axis=0, keepdims=True)


@mistake("add: first row", _add, "unreduced-broadcast", (4, 5), (1, 5))
def _(a, b, g):
    return g, g[:1]


def _subtract(a, b):
    return a - b


@mistake("subtract: sign of the second", _subtract, "sign", (4, 5), (4, 5))
def _(a, b, g):
    return g, g


def _multiply(a, b):
    return a * b


@mistake("multiply: own factor", _multiply, "axis or wrong-variable", (4, 5), (4, 5))
def _(a, b, g):
    return g * a, g * b


@mistake("multiply: passed on", _multiply, "identity", (4, 5), (4, 5))
def _(a, b, g):
    return g, g


def _embed(W, index):
    return W[index]


_INDEX = np.array([2, 0, 2, 5, 1, 2, 0])


@mistake("embedding: assigned", _embed, "unreduced-broadcast", (6, 3), extra=(_INDEX,))
def _(W, index, g):
    out = np.zeros_like(W)
    out[index] = g
    return out


@mistake(
    "embedding: += with an index array", _embed, "unreduced-broadcast", (6, 3), extra=(_INDEX,)
)
def _(W, index, g):
    out = np.zeros_like(W)
    out[index] += g
    return out


@mistake(
    "embedding: mean of uses",
    _embed,
    "scale or unnamed or subset or unreduced-broadcast",
    (6, 3),
    extra=(_INDEX,),
)
def _(W, index, g):
    out = np.zeros_like(W)
    np.add.at(out, index, g)
    return out / np.maximum(np.bincount(index, minlength=len(W)), 1)[:, None]


@mistake("embedding: dense gradient divided by T", _embed, "scale", (6, 3), extra=(_INDEX,))
def _(W, index, g):
    out = np.zeros_like(W)
    np.add.at(out, index, g)
    return out / len(index)


# --- norms ----------------------------------------------------------------------------------


def _layer_norm(x, gamma, beta):
    mean = x.mean(axis=-1, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(var + 1e-5) + beta


def _parts(x):
    mean = x.mean(axis=-1, keepdims=True)
    sigma = np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-5)
    return (x - mean) / sigma, sigma


def _layer_norm_backward(x, gamma, g):
    hat, sigma = _parts(x)
    d = g * gamma
    x_bar = (d - d.mean(-1, keepdims=True) - hat * (d * hat).mean(-1, keepdims=True)) / sigma
    return x_bar, (g * hat).sum(axis=0), g.sum(axis=0)


_NORM = ((4, 6), (6,), (6,))


@mistake("layer norm: statistics constant", _layer_norm, "chain-term", *_NORM, positive=(1,))
def _(x, gamma, beta, g):
    hat, sigma = _parts(x)
    return g * gamma / sigma, (g * hat).sum(0), g.sum(0)


@mistake("layer norm: mean term missing", _layer_norm, "chain-term", *_NORM, positive=(1,))
def _(x, gamma, beta, g):
    hat, sigma = _parts(x)
    d = g * gamma
    return (d - hat * np.mean(d * hat, axis=-1, keepdims=True)) / sigma, (g * hat).sum(0), g.sum(0)


@mistake("layer norm: variance term missing", _layer_norm, "chain-term", *_NORM, positive=(1,))
def _(x, gamma, beta, g):
    hat, sigma = _parts(x)
    d = g * gamma
    return (d - d.mean(axis=-1, keepdims=True)) / sigma, (g * hat).sum(0), g.sum(0)


@mistake("layer norm: gamma forgotten", _layer_norm, "chain-term", *_NORM, positive=(1,))
def _(x, gamma, beta, g):
    x_bar, gamma_bar, beta_bar = _layer_norm_backward(x, np.ones_like(gamma), g)
    return x_bar, gamma_bar, beta_bar


@mistake("layer norm: sigma forgotten", _layer_norm, "chain-term", *_NORM, positive=(1,))
def _(x, gamma, beta, g):
    x_bar, gamma_bar, beta_bar = _layer_norm_backward(x, gamma, g)
    return x_bar * _parts(x)[1], gamma_bar, beta_bar


@mistake(
    "layer norm: gamma's gradient not summed",
    _layer_norm,
    "unreduced-broadcast",
    *_NORM,
    positive=(1,),
)
def _(x, gamma, beta, g):
    x_bar, _, beta_bar = _layer_norm_backward(x, gamma, g)
    return x_bar, g * _parts(x)[0], beta_bar


@mistake(
    "layer norm: gamma's gradient from x",
    _layer_norm,
    "wrong-variable or chain-term or unnamed",
    *_NORM,
    positive=(1,),
)
def _(x, gamma, beta, g):
    x_bar, _, beta_bar = _layer_norm_backward(x, gamma, g)
    return x_bar, (g * x).sum(0), beta_bar


@mistake("layer norm: gamma and beta swapped", _layer_norm, "axis", *_NORM, positive=(1,))
def _(x, gamma, beta, g):
    x_bar, gamma_bar, beta_bar = _layer_norm_backward(x, gamma, g)
    return x_bar, beta_bar, gamma_bar


@mistake(
    "layer norm: mean over everything",
    _layer_norm,
    "axis or chain-term or unnamed",
    *_NORM,
    positive=(1,),
)
def _(x, gamma, beta, g):
    hat, sigma = _parts(x)
    d = g * gamma
    return (
        (d - d.mean() - hat * (d * hat).mean(-1, keepdims=True)) / sigma,
        (g * hat).sum(0),
        g.sum(0),
    )


def _rms_norm(x, gain):
    return gain * x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)


@mistake("rms norm: norm constant", _rms_norm, "chain-term", (4, 6), (6,), positive=(1,))
def _(x, gain, g):
    r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
    return g * gain / r, (g * x / r).sum(0)


@mistake(
    "rms norm: gain forgotten in the inner product",
    _rms_norm,
    "chain-term or unnamed",
    (4, 6),
    (6,),
    positive=(1,),
)
def _(x, gain, g):
    r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
    hat = x / r
    return (g * gain - hat * (g * hat).mean(-1, keepdims=True)) / r, (g * hat).sum(0)


@mistake(
    "rms norm: sum for mean",
    _rms_norm,
    "chain-term or scale or unnamed",
    (4, 6),
    (6,),
    positive=(1,),
)
def _(x, gain, g):
    r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
    hat, d = x / r, g * gain
    return (d - hat * (d * hat).sum(-1, keepdims=True)) / r, (g * hat).sum(0)


def _batch_norm(x):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


@mistake("batch norm: statistics constant", _batch_norm, "chain-term", (6, 4))
def _(x, g):
    return g / np.sqrt(x.var(0) + 1e-5)


@mistake("batch norm: variance term missing", _batch_norm, "chain-term", (6, 4))
def _(x, g):
    return (g - g.mean(0)) / np.sqrt(x.var(0) + 1e-5)


# --- compositions ---------------------------------------------------------------------------


def _head(x, W, b):
    return softmax(x @ W + b)


@mistake("softmax layer: diagonal", _head, "diagonal-only", (4, 5), (5, 3), (3,))
def _(x, W, b, g):
    s = _head(x, W, b)
    dz = g * s * (1 - s)
    return dz @ W.T, x.T @ dz, dz.sum(axis=0)


@mistake("softmax layer: passed on", _head, "identity", (4, 5), (5, 3), (3,))
def _(x, W, b, g):
    return g @ W.T, x.T @ g, g.sum(axis=0)


@mistake("softmax layer: inner product missing", _head, "projection-term", (4, 5), (5, 3), (3,))
def _(x, W, b, g):
    dz = g * _head(x, W, b)
    return dz @ W.T, x.T @ dz, dz.sum(axis=0)


@mistake("softmax layer: weights divided by N", _head, "scale", (4, 5), (5, 3), (3,))
def _(x, W, b, g):
    s = _head(x, W, b)
    dz = s * (g - (g * s).sum(1, keepdims=True))
    return dz @ W.T, x.T @ dz / len(x), dz.sum(axis=0) / len(x)


def _attention(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[1])) @ v


def _attention_parts(q, k, v, g):
    p = softmax(q @ k.T / np.sqrt(q.shape[1]))
    return p, g @ v.T, p.T @ g


@mistake("attention: 1/√d forgotten", _attention, "scale", (3, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p, dp, dv = _attention_parts(q, k, v, g)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    return ds @ k, ds.T @ q, dv


@mistake("attention: diagonal", _attention, "diagonal-only", (3, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p, dp, dv = _attention_parts(q, k, v, g)
    ds = dp * p * (1 - p) / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, dv


@mistake("attention: inner product missing", _attention, "projection-term", (3, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p, dp, dv = _attention_parts(q, k, v, g)
    ds = dp * p / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, dv


@mistake("attention: q and k swapped, same shape", _attention, "axis", (5, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p, dp, dv = _attention_parts(q, k, v, g)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(q.shape[1])
    return ds.T @ q, ds @ k, dv


def _two(z):
    return softmax(z), log_softmax(z)


@mistake("two outputs: the second's gradient dropped", _two, "cotangent", (4, 5))
def _(z, g):
    s = softmax(z)
    return s * (g[0] - (g[0] * s).sum(-1, keepdims=True))


@mistake("two outputs: cotangents swapped", _two, "cotangent or axis", (4, 5))
def _(z, g):
    b, a = g
    s = softmax(z)
    return s * (a - (a * s).sum(-1, keepdims=True)) + b - s * b.sum(-1, keepdims=True)


# --- odd mistakes, that have no name ----------------------------------------------------------


@mistake("odd: cosine of softmax", softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z)
    return g * np.cos(s) * s**1.7


@mistake("odd: random matrix", softmax, "unnamed", (4, 5))
def _(z, g):
    return g @ np.random.default_rng(0).normal(size=(z.shape[1],) * 2)


@mistake("odd: a fixed warp of the gradient", softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z)
    right = s * (g - (g * s).sum(-1, keepdims=True))
    return right * (1 + 0.3 * np.sin(3 * z))


@mistake("odd: sigmoid cubed", sigmoid, "unnamed", (4, 5))
def _(x, g):
    return g * sigmoid(x) ** 3 * 1.37


@mistake("odd: softened indices", softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z)
    right = s * (g - (g * s).sum(-1, keepdims=True))
    return right * np.linspace(0.5, 1.4, z.shape[1])


@mistake("odd: tanh by a rational approximation", np.tanh, "unnamed", (4, 5))
def _(x, g):
    return g / (1 + x**2) ** 1.1


@mistake("odd: two terms of unlike size", log_softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z)
    return 0.7 * g - 0.4 * s * g.sum(-1, keepdims=True)


@mistake("odd: linear mixes its rows", linear, "unnamed", (4, 5), (3, 5), (3,))
def _(x, W, b, g):
    mixed = 0.6 * g + 0.4 * np.roll(g, 1, axis=0)
    return mixed @ W, g.T @ x, g.sum(0)


@mistake(
    "odd: layer norm with a smaller weight",
    _layer_norm,
    "unnamed or chain-term",
    *_NORM,
    positive=(1,),
)
def _(x, gamma, beta, g):
    hat, sigma = _parts(x)
    d = g * gamma
    x_bar = (
        d - 0.37 * d.mean(-1, keepdims=True) - 0.81 * hat * (d * hat).mean(-1, keepdims=True)
    ) / sigma
    return x_bar, (g * hat).sum(0), g.sum(0)
