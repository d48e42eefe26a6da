"""A second batch of wrong backwards, of other operations, written when the hypotheses stood."""

from __future__ import annotations

import numpy as np

from mistakes import Mistake, collector
from wrong_rules import log_softmax, sigmoid, softmax

LATER_MISTAKES: list[Mistake] = []
mistake = collector(LATER_MISTAKES)


# --- log-sum-exp, softplus, and other losses ---------------------------------------------------


def _logsumexp(z):
    m = z.max(axis=-1, keepdims=True)
    return (m + np.log(np.exp(z - m).sum(axis=-1, keepdims=True)))[..., 0]


@mistake("logsumexp: uniform", _logsumexp, "unnamed or identity or scale", (4, 6))
def _(z, g):
    return np.repeat(g[:, None], z.shape[1], axis=1) / z.shape[1]


@mistake("logsumexp: passed on", _logsumexp, "identity", (4, 6))
def _(z, g):
    return np.broadcast_to(g[:, None], z.shape).copy()


@mistake("logsumexp: sum of g", _logsumexp, "cotangent", (4, 6))
def _(z, g):
    return g.sum() * softmax(z)


@mistake(
    "logsumexp: exp unnormalised", _logsumexp, "chain-term or unnamed or wrong-variable", (4, 6)
)
def _(z, g):
    return g[:, None] * np.exp(z)


@mistake("logsumexp: log_softmax", _logsumexp, "wrong-variable or unnamed", (4, 6))
def _(z, g):
    return g[:, None] * log_softmax(z)


@mistake("logsumexp: softmax twice", _logsumexp, "wrong-variable or unnamed", (4, 6))
def _(z, g):
    return g[:, None] * softmax(softmax(z))


@mistake("logsumexp: minus", _logsumexp, "sign", (4, 6))
def _(z, g):
    return -(g[:, None] * softmax(z))


def _softplus(x):
    return np.logaddexp(0, x)


@mistake("softplus: passed on", _softplus, "identity", (9,))
def _(x, g):
    return g.copy()


@mistake(
    "softplus: derivative of the sigmoid",
    _softplus,
    "chain-term or unnamed or wrong-variable",
    (9,),
)
def _(x, g):
    s = sigmoid(x)
    return g * s * (1 - s)


@mistake("softplus: at the output", _softplus, "wrong-variable", (9,))
def _(x, g):
    return g * sigmoid(_softplus(x))


def _bce(z, t):
    return (np.logaddexp(0, z) - t * z).mean()


@mistake("bce: sum", _bce, "scale", (4, 3), (4, 3))
def _(z, t, g):
    return g * (sigmoid(z) - t), -g * z / z.size


@mistake(
    "bce: sigmoid's derivative once more",
    _bce,
    "chain-term or wrong-variable or unnamed",
    (4, 3),
    (4, 3),
)
def _(z, t, g):
    s = sigmoid(z)
    return g * (s - t) * s * (1 - s) / z.size, -g * z / z.size


@mistake("bce: sigmoid twice", _bce, "wrong-variable or unnamed", (4, 3), (4, 3))
def _(z, t, g):
    return g * (sigmoid(sigmoid(z)) - t) / z.size, -g * z / z.size


@mistake("bce: t − s", _bce, "sign", (4, 3), (4, 3))
def _(z, t, g):
    return g * (t - sigmoid(z)) / z.size, -g * z / z.size


@mistake("bce: divided by rows only", _bce, "scale", (4, 3), (4, 3))
def _(z, t, g):
    return g * (sigmoid(z) - t) / len(z), -g * z / z.size


def _square(x, t):
    return ((x - t) ** 2).sum()


@mistake("squared error: 2 forgotten", _square, "scale", (4, 3), (4, 3))
def _(x, t, g):
    return g * (x - t), -2 * g * (x - t)


@mistake("squared error: second sign", _square, "sign", (4, 3), (4, 3))
def _(x, t, g):
    d = 2 * g * (x - t)
    return d, d


@mistake("squared error: target's gradient missing", _square, "severed", (4, 3), (4, 3))
def _(x, t, g):
    return 2 * g * (x - t), None


def _weighted(z, w, y):
    rows = -log_softmax(z)[np.arange(len(z)), y]
    return (w[y] * rows).sum() / w[y].sum()


def _weighted_w(z, w, y, g):
    rows = -log_softmax(z)[np.arange(len(z)), y]
    total = w[y].sum()
    out = np.zeros_like(w)
    np.add.at(out, y, g * (rows / total - (w[y] * rows).sum() / total**2))
    return out


@mistake(
    "weighted cross-entropy: divided by N",
    _weighted,
    "scale or unnamed",
    (5, 4),
    (4,),
    positive=(1,),
    labels=5,
)
def _(z, w, y, g):
    d = w[y][:, None] * (softmax(z) - np.eye(z.shape[1])[y])
    return g * d / len(z), _weighted_w(z, w, y, g)


@mistake(
    "weighted cross-entropy: weights forgotten",
    _weighted,
    "chain-term or unnamed or scale",
    (5, 4),
    (4,),
    positive=(1,),
    labels=5,
)
def _(z, w, y, g):
    d = softmax(z) - np.eye(z.shape[1])[y]
    return g * d / w[y].sum(), _weighted_w(z, w, y, g)


def _ignoring(z, y):
    kept = y >= 0
    return -log_softmax(z)[np.arange(len(z)), np.where(kept, y, 0)][kept].sum() / kept.sum()


_Y = np.array([1, -100, 3, 0, -100])


@mistake("ignored rows: not masked", _ignoring, "subset", (5, 4), extra=(_Y,))
def _(z, y, g):
    d = softmax(z) - np.eye(z.shape[1])[np.where(y >= 0, y, 0)]
    return g * d / (y >= 0).sum()


@mistake("ignored rows: divided by N", _ignoring, "scale", (5, 4), extra=(_Y,))
def _(z, y, g):
    d = softmax(z) - np.eye(z.shape[1])[np.where(y >= 0, y, 0)]
    return g * d * (y >= 0)[:, None] / len(z)


def _smoothed(z, y):
    K = z.shape[1]
    t = 0.9 * np.eye(K)[y] + 0.1 / K
    return -(t * log_softmax(z)).sum(axis=1).mean()


@mistake(
    "label smoothing: forgotten",
    _smoothed,
    "chain-term or wrong-variable or unnamed",
    (5, 4),
    labels=5,
)
def _(z, y, g):
    return g * (softmax(z) - np.eye(z.shape[1])[y]) / len(z)


@mistake("label smoothing: sum", _smoothed, "scale", (5, 4), labels=5)
def _(z, y, g):
    K = z.shape[1]
    return g * (softmax(z) - 0.9 * np.eye(K)[y] - 0.1 / K)


# --- softmax in other layouts --------------------------------------------------------------------


def _columns(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


@mistake("softmax of columns: sum over rows", _columns, "axis", (6, 4))
def _(z, g):
    s = _columns(z)
    return s * (g - (g * s).sum(axis=1, keepdims=True))


@mistake("softmax of columns: diagonal", _columns, "diagonal-only", (6, 4))
def _(z, g):
    s = _columns(z)
    return g * (s * (1.0 - s))


@mistake("softmax of columns: missing term", _columns, "projection-term", (6, 4))
def _(z, g):
    return _columns(z) * g


@mistake("softmax of columns: divided by m", _columns, "scale", (6, 4))
def _(z, g):
    s = _columns(z)
    return s * (g - (g * s).sum(axis=0)) / z.shape[1]


@mistake(
    "softmax of columns: jacobian of the first only",
    _columns,
    "wrong-variable",
    (6, 4),
)
def _(z, g):
    s = _columns(z)[:, :1]
    jac = np.diagflat(s) - s @ s.T
    return jac @ g


def _masked(z, mask):
    e = np.exp(z - z.max(axis=-1, keepdims=True)) * mask
    return e / e.sum(axis=-1, keepdims=True)


_KEPT = np.array([[1, 1, 0, 1, 0], [1, 0, 1, 1, 1], [1, 1, 1, 0, 0]]) > 0


@mistake("masked softmax: diagonal", _masked, "diagonal-only", (3, 5), extra=(_KEPT,))
def _(z, mask, g):
    s = _masked(z, mask)
    return g * s * (1 - s)


@mistake(
    "masked softmax: mask forgotten",
    _masked,
    "subset or unnamed or chain-term or wrong-variable",
    (3, 5),
    extra=(_KEPT,),
)
def _(z, mask, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=-1, keepdims=True))


@mistake("masked softmax: missing term", _masked, "projection-term", (3, 5), extra=(_KEPT,))
def _(z, mask, g):
    return g * _masked(z, mask)


def _heads(z):
    return softmax(z)


@mistake("softmax [B, H, T, S]: sum over S and T", _heads, "axis", (2, 2, 3, 4))
def _(z, g):
    s = softmax(z)
    return s * (g - (g * s).sum(axis=(2, 3), keepdims=True))


@mistake("softmax [B, T, S]: missing term", _heads, "projection-term", (2, 3, 4))
def _(z, g):
    return softmax(z) * g


# --- other maps -----------------------------------------------------------------------------------


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@mistake("gelu: product rule half", _gelu, "chain-term or unnamed", (8,))
def _(x, g):
    return g * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _silu(x):
    return x * sigmoid(x)


@mistake("silu: product rule half", _silu, "chain-term or unnamed", (8,))
def _(x, g):
    return g * sigmoid(x)


@mistake("silu: at its output", _silu, "wrong-variable", (8,))
def _(x, g):
    y = _silu(x)
    s = sigmoid(y)
    return g * (s + y * s * (1 - s))


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@mistake("unit vectors: norm constant", _unit, "chain-term", (4, 5))
def _(x, g):
    return g / np.linalg.norm(x, axis=-1, keepdims=True)


@mistake("unit vectors: projection with a plus", _unit, "chain-term", (4, 5))
def _(x, g):
    n = np.linalg.norm(x, axis=-1, keepdims=True)
    y = x / n
    return (g + y * (g * y).sum(-1, keepdims=True)) / n


def _share(x):
    return x / x.sum(axis=-1, keepdims=True)


@mistake(
    "shares: sum constant", _share, "diagonal-only or chain-term or unnamed", (4, 5), positive=(0,)
)
def _(x, g):
    return g / x.sum(axis=-1, keepdims=True)


@mistake("shares: quotient rule's diagonal", _share, "diagonal-only", (4, 5), positive=(0,))
def _(x, g):
    total = x.sum(axis=-1, keepdims=True)
    return g * (total - x) / total**2


def _mean_pool(x):
    return x.mean(axis=1)


@mistake("mean pool: not divided", _mean_pool, "scale", (3, 4, 5))
def _(x, g):
    return np.repeat(g[:, None, :], x.shape[1], axis=1)


@mistake("mean pool: first step only", _mean_pool, "subset", (3, 4, 5))
def _(x, g):
    out = np.zeros_like(x)
    out[:, 0] = g / x.shape[1]
    return out


def _max_pool(x):
    return x.max(axis=-1)


@mistake("max: to every entry", _max_pool, "identity or subset", (4, 5))
def _(x, g):
    return np.repeat(g[:, None], x.shape[-1], axis=-1)


@mistake("max: to the smallest", _max_pool, "unnamed or axis or subset", (4, 5))
def _(x, g):
    return g[:, None] * (x == x.min(axis=-1, keepdims=True))


def _cumsum(x):
    return np.cumsum(x, axis=-1)


@mistake("cumsum: cumsum again", _cumsum, "axis", (3, 5))
def _(x, g):
    return np.cumsum(g, axis=-1)


@mistake("cumsum: passed on", _cumsum, "identity or diagonal-only", (3, 5))
def _(x, g):
    return g.copy()


def _outer(a, b):
    return np.outer(a, b)


@mistake("outer: gradient not summed", _outer, "unreduced-broadcast", (4,), (5,))
def _(a, b, g):
    return g * b, a @ g


@mistake("outer: swapped, same length", _outer, "axis", (4,), (4,))
def _(a, b, g):
    return a @ g, g @ b


def _conv(x, w):
    return np.stack([x[:, i : i + w.size] @ w for i in range(x.shape[1] - w.size + 1)], axis=1)


def _conv_w(x, w, g):
    return np.array([(g * x[:, k : k + g.shape[1]]).sum() for k in range(w.size)])


@mistake("convolution: kernel flipped", _conv, "axis", (3, 7), (3,))
def _(x, w, g):
    out = np.zeros_like(x)
    for i in range(g.shape[1]):
        out[:, i : i + w.size] += g[:, i : i + 1] * w
    return out, _conv_w(x, w, g)[::-1]


@mistake(
    "convolution: overlaps written over",
    _conv,
    "unreduced-broadcast or unnamed or subset",
    (3, 7),
    (3,),
)
def _(x, w, g):
    out = np.zeros_like(x)
    for i in range(g.shape[1]):
        out[:, i : i + w.size] = g[:, i : i + 1] * w
    return out, _conv_w(x, w, g)


@mistake("convolution: last window missing", _conv, "cotangent or subset or unnamed", (3, 7), (3,))
def _(x, w, g):
    out = np.zeros_like(x)
    for i in range(g.shape[1] - 1):
        out[:, i : i + w.size] += g[:, i : i + 1] * w
    return out, _conv_w(x, w, g)


def _gather(x, index):
    return x[np.arange(len(x)), index]


@mistake("gather: to the whole row", _gather, "identity or subset or unnamed", (5, 4), labels=5)
def _(x, index, g):
    return np.repeat(g[:, None], x.shape[1], axis=1)


@mistake("gather: off by one", _gather, "axis", (5, 4), labels=5)
def _(x, index, g):
    out = np.zeros_like(x)
    out[np.arange(len(x)), (index + 1) % x.shape[1]] = g
    return out


def _bilinear(x, A, y):
    return np.einsum("ni,ij,nj->n", x, A, y)


@mistake("bilinear: A symmetric", _bilinear, "axis", (4, 3), (3, 3), (4, 3))
def _(x, A, y, g):
    return g[:, None] * (y @ A.T), np.einsum("n,ni,nj->ij", g, y, x), g[:, None] * (x @ A)


@mistake("bilinear: y through Aᵀ", _bilinear, "axis", (4, 3), (3, 3), (4, 3))
def _(x, A, y, g):
    return g[:, None] * (y @ A.T), np.einsum("n,ni,nj->ij", g, x, y), g[:, None] * (x @ A.T)


def _mlp(x, W, V):
    return softmax(np.tanh(x @ W) @ V)


@mistake("mlp: tanh's derivative missing", _mlp, "chain-term or unnamed", (4, 3), (3, 5), (5, 6))
def _(x, W, V, g):
    h = np.tanh(x @ W)
    s = softmax(h @ V)
    dz = s * (g - (g * s).sum(1, keepdims=True))
    dh = dz @ V.T
    return dh @ W.T, x.T @ dh, h.T @ dz


@mistake("mlp: softmax diagonal", _mlp, "diagonal-only", (4, 3), (3, 5), (5, 6))
def _(x, W, V, g):
    h = np.tanh(x @ W)
    s = softmax(h @ V)
    dz = g * s * (1 - s)
    dh = (dz @ V.T) * (1 - h**2)
    return dh @ W.T, x.T @ dh, h.T @ dz


def _head(x, W, y):
    return -log_softmax(x @ W)[np.arange(len(x)), y].mean()


@mistake(
    "linear cross-entropy: not divided",
    _head,
    "scale",
    (5, 3),
    (3, 4),
    extra=(np.array([0, 3, 1, 2, 3]),),
)
def _(x, W, y, g):
    d = g * (softmax(x @ W) - np.eye(W.shape[1])[y])
    return d @ W.T, x.T @ d


@mistake(
    "linear cross-entropy: target missing",
    _head,
    "subset or chain-term or unnamed",
    (5, 3),
    (3, 4),
    extra=(np.array([0, 3, 1, 2, 3]),),
)
def _(x, W, y, g):
    d = g * softmax(x @ W) / len(x)
    return d @ W.T, x.T @ d


# --- odd ones -----------------------------------------------------------------------------------


@mistake("odd: softmax with a decayed term", softmax, "unnamed or projection-term", (4, 6))
def _(z, g):
    s = softmax(z)
    return s * (g - 0.83 * (g * s).sum(-1, keepdims=True))


@mistake("odd: softmax at a shifted point", softmax, "unnamed", (4, 6))
def _(z, g):
    s = softmax(1.07 * z + 0.2 * z**2)
    return s * (g - (g * s).sum(-1, keepdims=True))


@mistake("odd: neighbours' inner product", softmax, "unnamed", (4, 6))
def _(z, g):
    s = softmax(z)
    return s * (g - np.roll((g * s).sum(-1, keepdims=True), 1, axis=0) * 0.7)


@mistake("odd: hard maximum", softmax, "unnamed", (4, 6))
def _(z, g):
    s = (z == z.max(-1, keepdims=True)) * 0.9 + 0.01
    return s * (g - (g * s).sum(-1, keepdims=True))


@mistake("odd: tanh with a polynomial", np.tanh, "unnamed", (7,))
def _(x, g):
    return g * (1 - x**2 + 2 * x**4 / 3)


@mistake("odd: sigmoid by its Gaussian", sigmoid, "unnamed", (7,))
def _(x, g):
    return g * 0.25 * np.exp(-(x**2) / 4)


@mistake("odd: log_softmax smeared", log_softmax, "unnamed", (4, 6))
def _(z, g):
    s = 0.9 * softmax(z) + 0.1 / z.shape[1]
    return g - s * g.sum(-1, keepdims=True)


@mistake("odd: mixed columns", softmax, "unnamed", (4, 6))
def _(z, g):
    s = softmax(z)
    out = s * (g - (g * s).sum(-1, keepdims=True))
    return 0.5 * out + 0.5 * out[:, ::-1]


@mistake("odd: momentum over rows", softmax, "unnamed", (4, 6))
def _(z, g):
    s = softmax(z)
    out = s * (g - (g * s).sum(-1, keepdims=True))
    for i in range(1, len(out)):
        out[i] += 0.3 * out[i - 1]
    return out


@mistake("odd: gelu by a sigmoid", _gelu, "unnamed", (8,))
def _(x, g):
    s = sigmoid(1.702 * x)
    return g * (s + 1.702 * x * s * (1 - s))


@mistake("odd: bilinear with half of A", _bilinear, "unnamed", (4, 3), (3, 3), (4, 3))
def _(x, A, y, g):
    return (
        g[:, None] * (y @ (0.5 * A.T + 0.5 * A)),
        np.einsum("n,ni,nj->ij", g, x, y),
        g[:, None] * (x @ A),
    )


@mistake("odd: cross-entropy with a margin", _smoothed, "unnamed", (5, 4), labels=5)
def _(z, y, g):
    return g * (softmax(z + 0.3 * np.eye(z.shape[1])[y]) - np.eye(z.shape[1])[y]) / len(z)


@mistake("odd: unit vectors in another norm", _unit, "unnamed", (4, 5))
def _(x, g):
    n = np.abs(x).max(axis=-1, keepdims=True)
    return g / n


@mistake("odd: clipped probabilities", softmax, "unnamed or subset", (4, 6))
def _(z, g):
    s = np.clip(softmax(z), 0.1, 0.5)
    return s * (g - (g * s).sum(-1, keepdims=True))


@mistake("odd: gradient scaled by its row", softmax, "unnamed or scale", (4, 6))
def _(z, g):
    s = softmax(z)
    out = s * (g - (g * s).sum(-1, keepdims=True))
    return out * (1 + np.arange(len(z))[:, None])
