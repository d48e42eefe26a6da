"""Forwards of JAX are followed by their programs, and a mistake in one of their steps is named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import softgrad as sg
from softgrad.checker.diagnosis.graph.trace import traced
from softgrad.checker.subjects.library import Lifted

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
from softgrad.checker.subjects.jax import Library  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4))
KEY = jax.random.key(0)
LABELS = np.array([0, 3, 1])


def draw(*shape, positive=False):
    numbers = RNG.uniform(0.5, 2, shape) if positive else RNG.normal(size=shape)
    return jnp.asarray(numbers, jnp.float32)


# Forwards that are followed


def softmax(z):
    e = jnp.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@jax.jit
def compiled(x):
    return jnp.tanh(x) * x


@jax.custom_vjp
def doubled(x):
    return 2 * jnp.exp(x)


doubled.defvjp(lambda x: (doubled(x), None), lambda _, g: (0 * g,))


def over_time(x):
    def turn(state, row):
        state = jnp.tanh(row + 0.5 * state)
        return state, state * row

    last, rows = jax.lax.scan(turn, jnp.zeros(4), x, reverse=True)
    return rows + last


def repeated(x):
    x = jax.lax.fori_loop(0, 3, lambda i, x: jnp.sin(x + i * x[0]), x)
    turns, x = jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, jnp.tanh(s[1])), (0, x))
    return jax.lax.cond(turns > 1, lambda x: x**3, lambda x: x, x)


def updated(x):
    y = x.at[0].set(x[1] ** 2).at[:, 1].add(x[:, 0]).at[1, 2].multiply(2.0)
    return jax.lax.dynamic_update_slice(y, y[:1, :2] ** 2, (1, 2))


FORWARDS = {
    "softmax": softmax,
    "compiled": lambda x: compiled(x) + compiled(2 * x),
    "custom rule": doubled,
    "within a custom rule": lambda x: doubled(x) * x,
    "over time": over_time,
    "repeated": repeated,
    "updated": updated,
    "by rows": jax.vmap(lambda row: jax.nn.softmax(row) @ row),
    "random": lambda x: x * jax.random.bernoulli(KEY, 0.5, x.shape),
    "its own gradient": jax.grad(lambda x: (jnp.exp(x) * x).sum()),
    "checkpoint": jax.checkpoint(lambda x: jnp.exp(x) * x),
    "items": lambda x: x[1] * x[::-1, 1:3].sum() + x[jnp.array([0, 2])][:, ::2].sum(),
    "labels": lambda x: -jnp.take_along_axis(jax.nn.log_softmax(x), LABELS[:, None], axis=1).mean(),
    "products": lambda x: jnp.einsum("ij,kj->ik", x, x) @ x + jnp.tensordot(x, x.T @ x, 1),
    "batches": lambda x: jnp.matmul(x[None], x.T[None]) + jnp.outer(x[0, :3], x[1, :3]),
    "statistics": lambda x: (x - x.mean(axis=0)) / jnp.std(x, axis=0) + jnp.linalg.norm(x),
    "activations": lambda x: (
        jax.nn.gelu(x, approximate=False) + jax.nn.silu(x) + jax.nn.softplus(x)
    ),
    "kinks": lambda x: jnp.where(x > 0, x, jnp.expm1(x)) + jnp.clip(x, -0.5, 0.5) + jnp.abs(x),
    "numbers": lambda x: 1 - x + 2 / (3 + x**2) + 2**x + jnp.arctan2(x, 2.0) + jnp.log1p(x**2),
    "cumulative": lambda x: jnp.cumsum(x, axis=1) * jax.lax.cumsum(x, axis=0, reverse=True),
    "arranged": lambda x: jnp.concatenate(jnp.split(jnp.tile(x, (2, 1)), 2, axis=1)[::-1], axis=1),
    "padded": lambda x: jnp.pad(jnp.stack([x, jnp.sort(x, axis=1)]), ((0, 0), (1, 0), (0, 2))),
    "solved": lambda x: jnp.linalg.solve(x[:, :3], x),
}


def lifted(forward):
    library = Library()
    with jax.enable_x64(True):
        library.prepare((jnp.asarray(X),), (0,))
    return Lifted(forward, library)


def jacobian(forward, x, h=1e-5):
    columns = []
    for move in np.eye(x.size).reshape(x.size, *x.shape):
        plus, minus = (np.ravel(forward(x + sign * h * move)) for sign in (1, -1))
        columns.append((plus - minus) / (2 * h))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", FORWARDS)
def test_steps_make_the_whole_jacobian(name):
    forward = lifted(FORWARDS[name])
    graph = traced(forward, [X], [0])
    assert graph is not None
    assert [step.value.shape for step in graph.steps[:1]] == [X.shape]
    own = np.concatenate([graph.steps[place].value.ravel() for place in graph.outputs])
    np.testing.assert_allclose(own, np.ravel(forward(X)), rtol=0, atol=1e-13 * abs(own).max())
    wanted = jacobian(forward, X)
    np.testing.assert_allclose(graph.jacobian_of(0), wanted, rtol=0, atol=1e-8 * abs(wanted).max())


def test_several_outputs_are_laid_end_to_end():
    forward = lifted(lambda x: (x.sum(axis=0), {"index": jnp.argmax(x, axis=1)}, jnp.exp(x)))
    J = traced(forward, [X], [0]).jacobian_of(0)
    np.testing.assert_array_equal(J[4:7], 0 * J[4:7])  # integers have no derivative
    np.testing.assert_allclose(J[7:], np.diag(np.exp(X).ravel()), rtol=1e-10, atol=0)
    alone = traced(Lifted(forward.native, forward.library, only=2), [X], [0])
    np.testing.assert_array_equal(alone.jacobian_of(0), J[7:])


def test_an_expression_is_a_step():
    def forward(x):
        m = jnp.mean(x, axis=-1, keepdims=True)
        p = jax.nn.softmax(x - m)
        return jnp.where(p > 0.2, p, 0.0) @ x.T

    steps = traced(lifted(forward), [X], [0]).steps
    assert [(step.name, step.text) for step in steps] == [
        ("input", ""),
        ("mean", "jnp.mean(x, axis=-1, keepdims=True)"),
        ("subtract", "x - m"),
        ("expression", "jax.nn.softmax(x - m)"),
        ("where", "jnp.where(p > 0.2, p, 0.0)"),
        ("transpose", "x.T"),
        ("matmul", "jnp.where(p > 0.2, p, 0.0) @ x.T"),
    ]
    assert [step.elementwise for step in steps] == [False, False, True, False, True, False, False]
    loop = traced(lifted(over_time), [X], [0]).steps
    sites = [step.site for step in loop if step.name == "tanh"]
    assert len(sites) == 3
    assert len(set(sites)) == 1


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x.astype(jnp.float32) * 2,
        lambda x: x.no_such_method(),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: jnp.stack([jnp.tanh(x[0]) * k for k in range(500)])[-1],
    ],
    ids=["narrow", "raises", "asks", "long"],
)
def test_what_cannot_be_followed_is_left(forward):
    assert traced(lifted(forward), [X], [0]) is None


# Mistakes that are named


def function(forward, rule):
    """Return the function whose backward is ``rule(*inputs, g)``."""
    forward, rule = jax.jit(forward), jax.jit(rule)  # for speed
    made = jax.custom_vjp(forward)
    made.defvjp(lambda *inputs: (forward(*inputs), inputs), lambda inputs, g: rule(*inputs, g))
    return made


def attend(q, k, v):
    scores = q @ k.T / math.sqrt(q.shape[-1])
    return jax.nn.softmax(scores) @ v


def attend_backward(
    q, k, v, g, rule=lambda p, d: p * (d - (d * p).sum(axis=-1, keepdims=True)), root=math.sqrt,
    keys=lambda s_bar, q: s_bar.T @ q,
):  # fmt: skip
    p = jax.nn.softmax(q @ k.T / math.sqrt(q.shape[-1]))
    s_bar = rule(p, g @ v.T) / root(q.shape[-1])
    return s_bar @ k, keys(s_bar, q), p.T @ g


def group_norm(x, gain):
    groups = x.reshape(len(x), 2, -1)
    centred = groups - jnp.mean(groups, axis=-1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    return (centred * scale).reshape(x.shape) * gain


def group_norm_backward(x, gain, g, mean=1.0, variance=1.0):
    groups = x.reshape(len(x), 2, -1)
    centred = groups - jnp.mean(groups, axis=-1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    hat, hat_bar = centred * scale, (g * gain).reshape(groups.shape)
    x_bar = hat_bar - mean * hat_bar.mean(axis=-1, keepdims=True)
    x_bar = x_bar - variance * hat * (hat_bar * hat).mean(axis=-1, keepdims=True)
    return (x_bar * scale).reshape(x.shape), (g * hat.reshape(x.shape)).sum(axis=0)


def rms_norm(x, gain):
    r = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)
    return x * r * gain


def rms_norm_backward(x, gain, g, power=3):
    r = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)
    inner = (g * gain * x).mean(axis=-1, keepdims=True)
    return r * g * gain - x * r**power * inner, (g * x * r).sum(axis=0)


def gelu(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + jnp.tanh(inner))


def gelu_backward(x, g, cube=3 * 0.044715):
    root = math.sqrt(2 / math.pi)
    t = jnp.tanh(root * (x + 0.044715 * x**3))
    return (g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + cube * x**2)),)


def gated(x):
    a, b = jnp.split(x, 2, axis=-1)
    return jax.nn.silu(a) * b


def gated_backward(x, g, order=slice(None)):
    a, b = jnp.split(x, 2, axis=-1)
    s = jax.nn.sigmoid(a)
    return (jnp.concatenate([g * b * (s + a * s * (1 - s)), g * a * s][order], axis=-1),)


def layer(x, W, b, U):
    h = jax.nn.relu(jnp.dot(x, W) + b)
    return jax.nn.sigmoid(h @ U)


def layer_backward(x, W, b, U, g, gate=lambda h: h > 0, slope=lambda y: y * (1 - y)):
    h = jax.nn.relu(jnp.dot(x, W) + b)
    z_bar = g * slope(jax.nn.sigmoid(h @ U))
    h_bar = z_bar @ U.T * gate(h)
    return h_bar @ W.T, x.T @ h_bar, h_bar.sum(axis=0), h.T @ z_bar


def turn(state, row, U):
    state = jnp.tanh(row + state @ U)
    return state, state


@jax.jit
def unrolled(x, U):
    return jax.lax.scan(partial(turn, U=U), jnp.zeros(x.shape[1], x.dtype), x)[1]


@partial(jax.jit, static_argnames=("turned",))
def unrolled_backward(x, U, g, turned=True):
    h, later, rows, U_bar = unrolled(x, U), jnp.zeros(x.shape[1]), [], jnp.zeros(U.shape)
    for t in reversed(range(len(x))):
        rows.append((g[t] + later) * (1 - h[t] ** 2))
        U_bar += jnp.outer(h[t - 1], rows[-1]) if t else 0
        later = rows[-1] @ (U.T if turned else U)
    return jnp.stack(rows[::-1]), U_bar


def classified(x, W, targets):
    logs = jax.nn.log_softmax(x @ W)
    return -jnp.take_along_axis(logs, targets[:, None], axis=1).mean()


def classified_backward(x, W, targets, g, minus=1.0):
    d = jax.nn.softmax(x @ W) - minus * jax.nn.one_hot(targets, W.shape[1])
    d = g * d / len(x)
    return d @ W.T, x.T @ d, None


RULES = {
    attend: (attend_backward, (draw(5, 4), draw(6, 4), draw(6, 3))),
    group_norm: (group_norm_backward, (draw(4, 10), draw(10, positive=True))),
    rms_norm: (rms_norm_backward, (draw(5, 7), draw(7, positive=True))),
    gelu: (gelu_backward, (draw(5, 7),)),
    gated: (gated_backward, (draw(5, 8),)),
    layer: (layer_backward, (draw(5, 4), draw(4, 6), draw(6), draw(6, 3))),
    unrolled: (unrolled_backward, (draw(4, 5), draw(5, 5) / 2)),
    classified: (classified_backward, (draw(5, 4), draw(4, 6), jnp.array([0, 3, 5, 2, 2]))),
}


@dataclass(frozen=True)
class Mistake:
    """A wrong part of a backward, the name that it must get, and words of its sentence."""

    forward: object
    code: str
    words: tuple
    parts: dict


def wrong(forward, code, *words, **parts):
    return Mistake(forward, code, words, parts)


MISTAKES = {
    "no inner product": wrong(
        attend, "projection-term", "softmax", "term", rule=lambda p, d: p * d
    ),
    "the diagonal alone": wrong(
        attend, "diagonal-only", "softmax", rule=lambda p, d: p * (1 - p) * d
    ),
    "no root": wrong(attend, "scale", "√", root=lambda d: 1),
    "no mean": wrong(
        group_norm, "chain-term", "`jnp.mean(groups, axis=-1, keepdims=True)`", "missing", mean=0
    ),
    "no variance": wrong(group_norm, "chain-term", "is missing", variance=0),
    "r² for r³": wrong(
        rms_norm, "chain-term", "`jnp.square(x)`", "a factor of `jax.lax.rsqrt(", power=2
    ),
    "no cube": wrong(gelu, "chain-term", "`x**3` with respect to `x` is missing", cube=0),
    "parts swapped": wrong(gated, "axis", "parts", "swapped", order=slice(None, None, -1)),
    "no relu": wrong(layer, "chain-term", "`jax.nn.relu(", "not applied", gate=lambda h: 1),
    "sigmoid' is sigmoid": wrong(
        layer, "chain-term", "`jax.nn.sigmoid(h @ U)`", slope=lambda y: y
    ),
    "not transposed through time": wrong(unrolled, "axis", "`U` is transposed", turned=False),
    "no label": wrong(classified, "subset", "not subtracted", minus=0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_the_step_is_named(name):
    mistake = MISTAKES[name]
    backward, inputs = RULES[mistake.forward]
    made = function(mistake.forward, partial(backward, **mistake.parts))
    report = sg.check(made, *inputs)
    assert report.verdict == "fail"
    assert report.diagnosis.code == mistake.code, str(report)
    for word in mistake.words:
        assert word in report.diagnosis.message, report.diagnosis.message
    assert report.cost.diagnosis_forward <= 150


@pytest.mark.parametrize("forward", RULES, ids=lambda forward: forward.__name__)
def test_without_a_mistake_they_pass(forward):
    backward, inputs = RULES[forward]
    assert sg.check(function(forward, backward), *inputs).passed


def test_what_is_detached_is_named():
    def forward(x):
        e = jnp.exp(x - x.max(axis=-1, keepdims=True))
        return e / jax.lax.stop_gradient(e.sum(axis=-1, keepdims=True)) * x

    report = sg.check(forward, draw(5, 4))
    assert report.diagnosis.code == "chain-term", str(report)
    assert "`jax.lax.stop_gradient(e.sum(" in report.diagnosis.message


def test_two_mistakes_at_once_are_not_one():
    backward = partial(layer_backward, gate=lambda h: h, slope=lambda y: y * (1 - 0.3 * y))
    report = sg.check(function(layer, backward), *RULES[layer][1])
    assert report.diagnosis.code == "unnamed", str(report)
