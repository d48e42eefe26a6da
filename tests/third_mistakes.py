"""A third batch of wrong backwards: how public code gets them wrong, and what no formula fits."""

from __future__ import annotations

import numpy as np

from mistakes import Mistake, collector
from wrong_rules import log_softmax, softmax

THIRD_MISTAKES: list[Mistake] = []
mistake = collector(THIRD_MISTAKES)


@mistake(
    "jac per row, only last row returned broadcast",
    softmax,
    "unnamed or cotangent or subset",
    (4, 5),
)
def _(z, g):
    s = softmax(z)
    for i in range(len(z)):
        J = np.diag(s[i]) - np.outer(s[i], s[i])
        d = J @ g[i]
    return np.tile(d, (len(z), 1))


@mistake("s*(1-s) without g", softmax, "cotangent", (4, 5))
def _(z, g):
    s = softmax(z)
    return s * (1 - s)


@mistake("g + s*(1-s)", softmax, "cotangent", (4, 5))
def _(z, g):
    s = softmax(z)
    return g + s * (1 - s)


@mistake("s*(1-s)/N", softmax, "diagonal-only", (4, 5))
def _(z, g):
    s = softmax(z)
    return g * s * (1 - s) / len(z)


@mistake("neg s s off diag only", softmax, "projection-term or chain-term", (4, 5))
def _(z, g):
    s = softmax(z)
    return -s * ((g * s).sum(1, keepdims=True) - g * s)


@mistake("z(1-z)", softmax, "unnamed or wrong-variable or diagonal-only", (4, 5))
def _(z, g):
    return g * z * (1 - z)


@mistake("diag jac at softmax(s)", softmax, "unnamed or wrong-variable or diagonal-only", (4, 5))
def _(z, g):
    s = softmax(softmax(z))
    return g * s * (1 - s)


@mistake("flat softmax over batch", softmax, "axis or unnamed", (4, 5))
def _(z, g):
    e = np.exp(z - z.max())
    s = e / e.sum()
    return s * (g - (g * s).sum())


@mistake("mean over batch of jacobian", softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z)
    J = np.mean([np.diag(r) - np.outer(r, r) for r in s], axis=0)
    return g @ J


@mistake("gradient averaged over rows", softmax, "unnamed or cotangent or axis", (4, 5))
def _(z, g):
    s = softmax(z)
    d = s * (g - (g * s).sum(1, keepdims=True))
    return np.broadcast_to(d.mean(0), z.shape).copy()


@mistake("abs", softmax, "cotangent", (4, 5))
def _(z, g):
    s = softmax(z)
    return np.abs(s * (g - (g * s).sum(1, keepdims=True)))


@mistake("clipped grad", softmax, "cotangent", (4, 5))
def _(z, g):
    s = softmax(z)
    return np.clip(s * (g - (g * s).sum(1, keepdims=True)), -0.1, 0.1)


@mistake("normalised grad", softmax, "cotangent", (4, 5))
def _(z, g):
    s = softmax(z)
    d = s * (g - (g * s).sum(1, keepdims=True))
    return d / np.linalg.norm(d)


@mistake("eps in the denominators", softmax, "unnamed or scale", (4, 5))
def _(z, g):
    e = np.exp(z - z.max(1, keepdims=True))
    s = e / (e.sum(1, keepdims=True) + 0.1)
    return s * (g - (g * s).sum(1, keepdims=True))


@mistake("rounded to 2 decimals", softmax, "unnamed or arithmetic or subset or cotangent", (4, 5))
def _(z, g):
    s = np.round(softmax(z), 2)
    return s * (g - (g * s).sum(1, keepdims=True))


@mistake("einsum wrong index ij,ik->ij", softmax, "projection-term or axis or unnamed", (4, 5))
def _(z, g):
    s = softmax(z)
    return s * g - np.einsum("ij,ik->ij", s, g * s) * 2


@mistake("temp squared", lambda z: softmax(z / 3), "scale", (4, 5))
def _(z, g):
    s = softmax(z / 3)
    return s * (g - (g * s).sum(1, keepdims=True)) / 9


@mistake("temp multiplied", lambda z: softmax(z / 3), "scale", (4, 5))
def _(z, g):
    s = softmax(z / 3)
    return s * (g - (g * s).sum(1, keepdims=True)) * 3


def lsm2(z):
    return log_softmax(z)


@mistake(
    "log: exp(y)*g", lsm2, "wrong-variable or projection-term or unnamed or chain-term", (4, 5)
)
def _(z, g):
    return np.exp(log_softmax(z)) * g


@mistake("log: 1 - s, times g sum", lsm2, "unnamed or cotangent or projection-term", (4, 5))
def _(z, g):
    return (1 - softmax(z)) * g.sum(1, keepdims=True)


@mistake("log: first column g", lsm2, "unreduced-broadcast or cotangent or projection-term", (4, 5))
def _(z, g):
    return g - softmax(z) * g[:, :1]


def ce1(z, t):
    return -(t * np.log(softmax(z))).sum() / len(z)


@mistake(
    "onehot CE p-t no division",
    ce1,
    "scale or projection-term or chain-term",
    (6, 3),
    (6, 3),
    positive=(1,),
)
def _(z, t, g):
    return (g * (softmax(z) * t.sum(1, keepdims=True) - t), -g * np.log(softmax(z)) / len(z))


@mistake("onehot CE t grad sign", ce1, "sign", (6, 3), (6, 3), positive=(1,))
def _(z, t, g):
    return (
        g * (softmax(z) * t.sum(1, keepdims=True) - t) / len(z),
        g * np.log(softmax(z)) / len(z),
    )


def prob_ce(p, y):
    return -np.log(p[np.arange(len(p)), y]).mean()


@mistake("CE of probabilities: fused", prob_ce, "wrong-variable", (6, 3), positive=(0,), labels=6)
def _(p, y, g):
    d = p.copy()
    d[np.arange(len(p)), y] -= 1
    return g * d / len(p)


@mistake(
    "CE of probabilities: -1",
    prob_ce,
    "wrong-variable or chain-term",
    (6, 3),
    positive=(0,),
    labels=6,
)
def _(p, y, g):
    d = np.zeros_like(p)
    d[np.arange(len(p)), y] -= 1
    return g * d / len(p)


@mistake("CE of probabilities: sum", prob_ce, "scale", (6, 3), positive=(0,), labels=6)
def _(p, y, g):
    d = np.zeros_like(p)
    d[np.arange(len(p)), y] = -g / p[np.arange(len(p)), y]
    return d


def kl(z, q):
    lp = log_softmax(z)
    return (np.exp(lp) * (lp - q)).sum(1).mean()


@mistake("kl: p*(lp-q) only", kl, "unnamed or chain-term or projection-term", (4, 5), (4, 5))
def _(z, q, g):
    lp = log_softmax(z)
    p = np.exp(lp)
    return (g * p * (lp - q) / len(z), -g * p / len(z))


@mistake("kl: sum", kl, "scale", (4, 5), (4, 5))
def _(z, q, g):
    lp = log_softmax(z)
    p = np.exp(lp)
    d = p * (lp - q)
    return (g * (d - p * d.sum(1, keepdims=True)), -g * p / len(z))


def lin2(x, W):
    return x @ W


@mistake("lin2: dW = x.T@g / N", lin2, "scale", (6, 3), (3, 4))
def _(x, W, g):
    return (g @ W.T, x.T @ g / len(x))


@mistake("lin2: dx with softmax? none", lin2, "axis", (3, 3), (3, 3))
def _(x, W, g):
    return (g @ W, x.T @ g)


@mistake("lin2: dW last sample", lin2, "unreduced-broadcast or cotangent or subset", (6, 3), (3, 4))
def _(x, W, g):
    for i in range(len(x)):
        d = np.outer(x[i], g[i])
    return (g @ W.T, d)


@mistake("lin2: dW mean", lin2, "scale", (6, 3), (3, 4))
def _(x, W, g):
    return (g @ W.T, np.einsum("ni,nj->nij", x, g).mean(0))


@mistake("lin2: dW not reduced", lin2, "unreduced-broadcast", (6, 3), (3, 4))
def _(x, W, g):
    return (g @ W.T, np.einsum("ni,nj->nij", x, g))


@mistake("lin2: dW uses ones", lin2, "unnamed or chain-term or wrong-variable", (6, 3), (3, 4))
def _(x, W, g):
    return (g @ W.T, np.ones_like(x).T @ g)


def ln(x, w, b):
    m = x.mean(-1, keepdims=True)
    v = x.var(-1, keepdims=True)
    return (x - m) / np.sqrt(v + 1e-06) * w + b


@mistake("ln: /D missing in both", ln, "chain-term", (4, 6), (6,), (6,), positive=(1,))
def _(x, w, b, g):
    m = x.mean(-1, keepdims=True)
    s = np.sqrt(x.var(-1, keepdims=True) + 1e-06)
    h = (x - m) / s
    d = g * w
    return (
        (d - d.sum(-1, keepdims=True) - h * (d * h).sum(-1, keepdims=True)) / s,
        (g * h).sum(0),
        g.sum(0),
    )


@mistake("ln: sign of the variance term", ln, "chain-term", (4, 6), (6,), (6,), positive=(1,))
def _(x, w, b, g):
    m = x.mean(-1, keepdims=True)
    s = np.sqrt(x.var(-1, keepdims=True) + 1e-06)
    h = (x - m) / s
    d = g * w
    return (
        (d - d.mean(-1, keepdims=True) + h * (d * h).mean(-1, keepdims=True)) / s,
        (g * h).sum(0),
        g.sum(0),
    )


@mistake("ln: sigma squared", ln, "chain-term", (4, 6), (6,), (6,), positive=(1,))
def _(x, w, b, g):
    m = x.mean(-1, keepdims=True)
    s = np.sqrt(x.var(-1, keepdims=True) + 1e-06)
    h = (x - m) / s
    d = g * w
    return (
        (d - d.mean(-1, keepdims=True) - h * (d * h).mean(-1, keepdims=True)) / s**2,
        (g * h).sum(0),
        g.sum(0),
    )


@mistake("ln: db mean", ln, "scale", (4, 6), (6,), (6,), positive=(1,))
def _(x, w, b, g):
    m = x.mean(-1, keepdims=True)
    s = np.sqrt(x.var(-1, keepdims=True) + 1e-06)
    h = (x - m) / s
    d = g * w
    return (
        (d - d.mean(-1, keepdims=True) - h * (d * h).mean(-1, keepdims=True)) / s,
        (g * h).sum(0),
        g.mean(0),
    )


@mistake(
    "ln: ddof 1 in backward",
    ln,
    "unnamed or chain-term or scale",
    (4, 6),
    (6,),
    (6,),
    positive=(1,),
)
def _(x, w, b, g):
    m = x.mean(-1, keepdims=True)
    s = np.sqrt(x.var(-1, keepdims=True, ddof=1) + 1e-06)
    h = (x - m) / s
    d = g * w
    return (
        (d - d.mean(-1, keepdims=True) - h * (d * h).mean(-1, keepdims=True)) / s,
        (g * (x - m) / np.sqrt(x.var(-1, keepdims=True) + 1e-06)).sum(0),
        g.sum(0),
    )


def att(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v


@mistake("att: dv with p not transposed (square)", att, "axis or unnamed", (4, 4), (4, 4), (4, 4))
def _(q, k, v, g):
    p = softmax(q @ k.T / 2)
    dp = g @ v.T
    ds = p * (dp - (dp * p).sum(1, keepdims=True)) / 2
    return (ds @ k, ds.T @ q, p @ g)


@mistake("att: only dq scaled", att, "scale", (3, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p = softmax(q @ k.T / 2)
    dp = g @ v.T
    ds = p * (dp - (dp * p).sum(1, keepdims=True))
    return (ds @ k / 2, ds.T @ q, p.T @ g)


@mistake("att: dv zero", att, "zero", (3, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p = softmax(q @ k.T / 2)
    dp = g @ v.T
    ds = p * (dp - (dp * p).sum(1, keepdims=True)) / 2
    return (ds @ k, ds.T @ q, np.zeros_like(v))


@mistake("att: dscores sum axis 0", att, "axis or unnamed", (3, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p = softmax(q @ k.T / 2)
    dp = g @ v.T
    ds = p * (dp - (dp * p).sum(0, keepdims=True)) / 2
    return (ds @ k, ds.T @ q, p.T @ g)


@mistake("exp: passed on", np.exp, "identity", (6,))
def _(x, g):
    return g.copy()


@mistake("exp: times x", np.exp, "wrong-variable or chain-term", (6,))
def _(x, g):
    return g * x


@mistake("log: y", np.log, "unnamed", (6,), positive=(0,))
def _(x, g):
    return g / np.log(x)


@mistake("sqrt: 1/sqrt", np.sqrt, "scale", (6,), positive=(0,))
def _(x, g):
    return g / np.sqrt(x)


@mistake("square: x", np.square, "scale", (6,))
def _(x, g):
    return g * x


@mistake("relu: y>=0.5", lambda x: np.maximum(x, 0), "subset or unnamed", (30,))
def _(x, g):
    return g * (x > 0.5)


@mistake(
    "leaky relu: slope", lambda x: np.where(x > 0, x, 0.01 * x), "subset or unnamed or scale", (30,)
)
def _(x, g):
    return np.where(x > 0, g, 0.0)


@mistake("scale: not summed", lambda x, c: x * c, "unreduced-broadcast", (4, 5), ())
def _(x, c, g):
    return (g * c, g * x)


@mistake("scale: mean", lambda x, c: x * c, "scale", (4, 5), ())
def _(x, c, g):
    return (g * c, np.mean(g * x))


@mistake("col bias: wrong axis", lambda x, b: x + b, "axis or unnamed", (5, 5), (5, 1))
def _(x, b, g):
    return (g, g.sum(0).reshape(5, 1))


@mistake("sum: over n", lambda x: x.sum(), "scale", (4, 5))
def _(x, g):
    return np.full_like(x, g / x.size)


@mistake("mean: forgotten", lambda x: x.mean(), "scale", (4, 5))
def _(x, g):
    return np.full_like(x, g)


@mistake("concat: halves swapped", lambda a, b: np.concatenate([a, b], 1), "axis", (4, 3), (4, 3))
def _(a, b, g):
    return (g[:, 3:], g[:, :3])


@mistake("transpose: copied", lambda x: x.T, "axis", (5, 5))
def _(x, g):
    return g.copy()


@mistake("reshape-transposed", lambda x: x.T, "axis", (4, 5))
def _(x, g):
    return g.reshape(4, 5)


@mistake("odd: dropout at random scale", softmax, "unnamed or aliasing", (4, 5))
def _(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(1, keepdims=True)) * (np.arange(5) % 2 + 0.5)


@mistake("odd: softened temp", softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z / 1.1)
    return s * (g - (g * s).sum(1, keepdims=True))


@mistake("odd: power", softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z) ** 1.1
    return s * (g - (g * s).sum(1, keepdims=True))


@mistake("odd: add tiny identity", softmax, "unnamed", (4, 5))
def _(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(1, keepdims=True)) + 0.013 * g


@mistake("odd: ln mixture", ln, "unnamed", (4, 6), (6,), (6,), positive=(1,))
def _(x, w, b, g):
    m = x.mean(-1, keepdims=True)
    s = np.sqrt(x.var(-1, keepdims=True) + 1e-06)
    h = (x - m) / s
    d = g * w
    return (
        (d - d.mean(-1, keepdims=True) - h * (d * np.tanh(h)).mean(-1, keepdims=True)) / s,
        (g * h).sum(0),
        g.sum(0),
    )


@mistake("odd: att blend", att, "unnamed", (3, 4), (5, 4), (5, 2))
def _(q, k, v, g):
    p = 0.9 * softmax(q @ k.T / 2) + 0.02
    dp = g @ v.T
    ds = p * (dp - (dp * p).sum(1, keepdims=True)) / 2
    return (ds @ k, ds.T @ q, p.T @ g)
