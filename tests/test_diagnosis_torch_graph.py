"""Forwards of PyTorch are followed call by call, and a mistake in one of their steps is named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import softgrad as sg
from softgrad.checker.diagnosis.graph.trace import traced
from softgrad.checker.subjects.library import Lifted

torch = pytest.importorskip("torch")
F = torch.nn.functional
from softgrad.checker.subjects.torch import Library  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4))
DOUBLE = torch.float64


def draw(*shape, positive=False):
    numbers = RNG.uniform(0.5, 2, shape) if positive else RNG.normal(size=shape)
    return torch.from_numpy(numbers).to(torch.float32)


# Forwards that are followed


def softmax(z):
    e = torch.exp(z - z.max(dim=-1, keepdim=True).values)
    return e / e.sum(dim=-1, keepdim=True)


def over_time(x):
    state, found = x.new_zeros(4), torch.empty_like(x)
    for t, row in enumerate(x):
        state = torch.tanh(row + 0.5 * state)
        found[t] = state
    return found


def in_place(x):
    y = x.clone()
    y -= y.mean(dim=0)
    y.mul_(2)
    y[:, 1:] += x[:, :-1] ** 3
    first = y[0]
    first.div_(3)  # y changes with it
    return y * first


def put_out(x):
    out = torch.empty(3, 3, dtype=x.dtype)
    torch.matmul(x, x.T, out=out)
    return out.relu_()


def rotated(x):
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * 0.3 - odd, odd * 0.3 + even], dim=-1).flatten(-2)


def gathered(x):
    rows = F.embedding(torch.tensor([0, 2, 2]), x)
    return (
        rows.gather(1, torch.tensor([[0], [2], [1]])) * x[torch.tensor([True, False, True])].sum()
    )


def masked(x):
    future = torch.ones(3, 3).triu(1).bool()
    return (x @ x.T).masked_fill(future, -1e9).softmax(dim=-1)


class Doubled(torch.autograd.Function):
    """One whose rule is not asked when it is followed."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x.exp()

    @staticmethod
    def backward(ctx, g):
        return None


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = torch.nn.Linear(4, 6)
        self.outer = torch.nn.Linear(6, 4)

    def forward(self, x):
        return x + self.outer(F.gelu(self.inner(x)))


FORWARDS = {
    "softmax": softmax,
    "over time": over_time,
    "in place": in_place,
    "put out": put_out,
    "rotated": rotated,
    "gathered": gathered,
    "masked": masked,
    "autograd function": Doubled.apply,
    "within an autograd function": lambda x: Doubled.apply(x) * x,
    "module": Block().double(),
    "random": lambda x: F.dropout(x, 0.5) * (torch.rand_like(x) > 0.3),
    "library": lambda x: F.layer_norm(x, (4,)) + F.normalize(x) + torch.logsumexp(x, 1)[:, None],
    "numbers on the left": lambda x: 1 - x + 2 / (3 + x**2) + 2**x,
    "several products": lambda x: torch.einsum("ij,kj->ik", x, x) + torch.addmm(x[:, :3], x, x.T),
    "parts": lambda x: torch.cat(x.split([1, 3], dim=1)[::-1], dim=1) * x.cumsum(dim=1),
    "kinks": lambda x: torch.where(x > 0, x, x.expm1()) + x.clamp(-0.5, 0.5) + x.abs(),
    "a narrow constant": lambda x: x * torch.ones(4) + np.float64(2),
}


def lifted(forward):
    library = Library()
    library.prepare((torch.from_numpy(X),), (0,))
    return Lifted(forward, library)


def jacobian(forward, x, h=1e-5):
    columns = []
    for move in np.eye(x.size).reshape(x.size, *x.shape):
        torch.manual_seed(0)
        plus, minus = (np.ravel(forward(x + sign * h * move)) for sign in (1, -1))
        columns.append((plus - minus) / (2 * h))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", FORWARDS)
def test_steps_make_the_whole_jacobian(name):
    forward = lifted(FORWARDS[name])
    torch.manual_seed(0)
    graph = traced(forward, [X], [0])
    assert graph is not None
    wanted = jacobian(forward, X)
    np.testing.assert_allclose(graph.jacobian_of(0), wanted, rtol=0, atol=1e-8 * abs(wanted).max())


def test_several_outputs_are_laid_end_to_end():
    forward = lifted(lambda x: (x.sum(dim=0), {"index": x.argmax(dim=1)}, None, x.exp()))
    graph = traced(forward, [X], [0])
    J = graph.jacobian_of(0)
    np.testing.assert_array_equal(J[4:7], 0 * J[4:7])  # integers have no derivative
    np.testing.assert_allclose(J[7:], np.diag(np.exp(X).ravel()), rtol=1e-10, atol=0)
    alone = traced(Lifted(forward.native, forward.library, only=2), [X], [0])
    np.testing.assert_array_equal(alone.jacobian_of(0), J[7:])


def test_steps_know_where_they_are_written_and_what_they_are():
    graph = traced(lifted(softmax), [X], [0])
    steps = {step.name: step for step in graph.steps}
    assert steps["exp"].text == "torch.exp(z - z.max(dim=-1, keepdim=True).values)"
    assert steps["divide"].text == "e / e.sum(dim=-1, keepdim=True)"
    assert [step.name for step in graph.steps if step.elementwise] == ["subtract", "exp", "divide"]
    sites = [step.site for step in traced(lifted(over_time), [X], [0]).steps if step.name == "tanh"]
    assert len(sites) == 3
    assert len(set(sites)) == 1


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x.float() * 2,
        lambda x: x.no_such_method(),
        lambda x: [torch.tanh(x) for _ in range(500)][-1],
        lambda x: x * x.sum().item(),  # where a number comes from is not known
        lambda x: torch.from_numpy(np.exp(x.numpy())),
    ],
    ids=["narrow", "raises", "long", "number", "NumPy"],
)
def test_what_cannot_be_followed_is_left(forward):
    graph = traced(lifted(forward), [X], [0])
    wanted = None if graph is None else jacobian(lifted(forward), X)
    assert graph is None or abs(graph.jacobian_of(0) - wanted).max() > 0.1 * abs(wanted).max()
    sg.check(lifted(forward).native, torch.from_numpy(X[:, :3]).abs())  # nothing is raised


def test_what_memory_happens_to_hold_is_no_value():
    torch.use_deterministic_algorithms(True)  # fills it with NaN
    try:
        graph = traced(lifted(over_time), [X], [0])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(np.isfinite(step.value).all() for step in graph.steps)


def test_inputs_and_random_numbers_are_left_as_they_were():
    x = X.copy()
    before = torch.get_rng_state()
    graph = traced(lifted(lambda x: F.dropout(x.mul_(2), 0.5)), [x], [0])
    assert graph is not None
    np.testing.assert_array_equal(x, X)
    assert torch.equal(torch.get_rng_state(), before)


# Mistakes that are named


def function(forward, rule):
    """Return the autograd function whose backward is ``rule(*inputs, g)``."""

    class Made(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return rule(*ctx.saved_tensors, g)

    return Made.apply


def attend(q, k, v):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return torch.softmax(scores, dim=-1) @ v


def attend_backward(
    q, k, v, g, rule=lambda p, d: p * (d - (d * p).sum(dim=-1, keepdim=True)), root=math.sqrt,
    keys=lambda s_bar, q: s_bar.transpose(-1, -2) @ q,
):  # fmt: skip
    p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
    s_bar = rule(p, g @ v.transpose(-1, -2)) / root(q.shape[-1])
    return s_bar @ k, keys(s_bar, q), p.transpose(-1, -2) @ g


def group_norm(x, gain):
    groups = x.reshape(len(x), 2, -1)
    centred = groups - groups.mean(dim=-1, keepdim=True)
    scale = torch.rsqrt(centred.pow(2).mean(dim=-1, keepdim=True) + 1e-5)
    return (centred * scale).reshape(x.shape) * gain


def group_norm_backward(x, gain, g, mean=1.0, variance=1.0):
    groups = x.reshape(len(x), 2, -1)
    centred = groups - groups.mean(dim=-1, keepdim=True)
    scale = torch.rsqrt(centred.pow(2).mean(dim=-1, keepdim=True) + 1e-5)
    hat, hat_bar = centred * scale, (g * gain).reshape(groups.shape)
    x_bar = hat_bar - mean * hat_bar.mean(dim=-1, keepdim=True)
    x_bar = x_bar - variance * hat * (hat_bar * hat).mean(dim=-1, keepdim=True)
    return (x_bar * scale).reshape(x.shape), (g * hat.reshape(x.shape)).sum(dim=0)


def normed(x, W):
    return torch.tanh(F.layer_norm(x, (x.shape[-1],)) @ W)


def normed_backward(x, W, g, mean=1.0, variance=1.0):
    hat = F.layer_norm(x, (x.shape[-1],))
    z_bar = g * (1 - torch.tanh(hat @ W) ** 2)
    hat_bar = z_bar @ W.T
    x_bar = hat_bar - mean * hat_bar.mean(dim=-1, keepdim=True)
    x_bar = x_bar - variance * hat * (hat_bar * hat).mean(dim=-1, keepdim=True)
    return x_bar * torch.rsqrt(x.var(dim=-1, unbiased=False, keepdim=True) + 1e-5), hat.T @ z_bar


def rms_norm(x, gain):
    r = torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6)
    return x * r * gain


def rms_norm_backward(x, gain, g, power=3):
    r = torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6)
    inner = (g * gain * x).mean(dim=-1, keepdim=True)
    return r * g * gain - x * r**power * inner, (g * x * r).sum(dim=0)


def gelu(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + torch.tanh(inner))


def gelu_backward(x, g, cube=3 * 0.044715, slope=lambda t: 1 - t * t):
    root = math.sqrt(2 / math.pi)
    t = torch.tanh(root * (x + 0.044715 * x**3))
    return g * (0.5 * (1 + t) + 0.5 * x * slope(t) * root * (1 + cube * x**2))


def swiglu(x):
    a, b = x.chunk(2, dim=-1)
    s = torch.sigmoid(a)
    return a * s * b


def swiglu_backward(x, g, slope=lambda s: s * (1 - s), order=slice(None)):
    a, b = x.chunk(2, dim=-1)
    s = torch.sigmoid(a)
    return torch.cat([g * b * (s + a * slope(s)), g * a * s][order], dim=-1)


def layer(x, W, b, U):
    h = torch.relu(x @ W + b)
    return torch.sigmoid(h @ U)


def layer_backward(x, W, b, U, g, gate=lambda h: h > 0, slope=lambda y: y * (1 - y)):
    h = torch.relu(x @ W + b)
    z_bar = g * slope(torch.sigmoid(h @ U))
    h_bar = z_bar @ U.T * gate(h)
    return h_bar @ W.T, x.T @ h_bar, h_bar.sum(dim=0), h.T @ z_bar


def unrolled(x, U):
    state, found = torch.zeros_like(x[0]), []
    for row in x:
        state = torch.tanh(row + state @ U)
        found.append(state)
    return torch.stack(found)


def unrolled_backward(x, U, g, turned=lambda U: U.T, add=lambda total, part: total + part):
    h = unrolled(x, U)
    x_bar, U_bar, later = torch.zeros_like(x), torch.zeros_like(U), torch.zeros_like(x[0])
    for t in reversed(range(len(x))):
        x_bar[t] = (g[t] + later) * (1 - h[t] ** 2)
        if t:
            U_bar = add(U_bar, torch.outer(h[t - 1], x_bar[t]))
        later = x_bar[t] @ turned(U)
    return x_bar, U_bar


def classified(x, W, targets):
    logs = torch.log_softmax(x @ W, dim=-1)
    return -logs[torch.arange(len(x)), targets].mean()


def classified_backward(x, W, targets, g, minus=1.0):
    d = torch.softmax(x @ W, dim=-1)
    d[torch.arange(len(x)), targets] -= minus
    d = g * d / len(x)
    return d @ W.T, x.T @ d, None


RULES = {
    attend: (attend_backward, (draw(2, 5, 4), draw(2, 6, 4), draw(2, 6, 3))),
    group_norm: (group_norm_backward, (draw(4, 10), draw(10, positive=True))),
    normed: (normed_backward, (draw(5, 7), draw(7, 4))),
    rms_norm: (rms_norm_backward, (draw(5, 7), draw(7, positive=True))),
    gelu: (gelu_backward, (draw(5, 7),)),
    swiglu: (swiglu_backward, (draw(5, 8),)),
    layer: (layer_backward, (draw(5, 4), draw(4, 6), draw(6), draw(6, 3))),
    unrolled: (unrolled_backward, (draw(4, 5), draw(5, 5) / 2)),
    classified: (classified_backward, (draw(5, 4), draw(4, 6), torch.tensor([0, 3, 5, 2, 2]))),
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
        attend, "projection-term", "`torch.softmax(scores, dim=-1)`", rule=lambda p, d: p * d
    ),
    "the diagonal alone": wrong(
        attend, "diagonal-only", "softmax", rule=lambda p, d: p * (1 - p) * d
    ),
    "no root": wrong(attend, "scale", "√", root=lambda d: 1),
    "no mean": wrong(
        group_norm, "chain-term", "`groups.mean(dim=-1, keepdim=True)`", "missing", mean=0
    ),
    "no variance": wrong(group_norm, "chain-term", "is missing", variance=0),
    "no mean within": wrong(
        normed, "chain-term", "In `F.layer_norm(", "The term of the mean is missing", mean=0
    ),
    "no variance within": wrong(normed, "chain-term", "In `F.layer_norm(", variance=0),
    "r² for r³": wrong(rms_norm, "chain-term", "a factor of `torch.rsqrt", "is missing", power=2),
    "no cube": wrong(gelu, "chain-term", "`x**3` with respect to `x` is missing", cube=0),
    "1 − t for 1 − t²": wrong(gelu, "chain-term", "`1 + torch.tanh", slope=lambda t: 1 - t),
    "parts swapped": wrong(swiglu, "axis", "parts", "swapped", order=slice(None, None, -1)),
    "no slope of the gate": wrong(
        swiglu, "chain-term", "`torch.sigmoid(a)` with respect to `a` is missing",
        slope=lambda s: 0,
    ),
    "a factor of the gate's slope": wrong(
        swiglu, "chain-term", "`torch.sigmoid(a)`", "a factor of its own value",
        slope=lambda s: 1 - s,
    ),
    "no relu": wrong(layer, "chain-term", "`torch.relu(x @ W + b)`", "not", gate=lambda h: 1),
    "sigmoid' is sigmoid": wrong(layer, "chain-term", "`torch.sigmoid(h @ U)`", slope=lambda y: y),
    "not transposed through time": wrong(unrolled, "axis", "`U` is transposed", turned=lambda U: U),
    "the last turn alone": wrong(
        unrolled, "unreduced-broadcast", "one alone", add=lambda total, part: part
    ),
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


def test_a_mistake_within_a_module_is_named():
    wrong_gelu = function(gelu, partial(gelu_backward, cube=0))

    class Wrong(Block):
        def forward(self, x):
            return x + self.outer(wrong_gelu(self.inner(x)))

    report = sg.check(Wrong(), draw(5, 4))
    assert report.diagnosis.code == "chain-term", str(report)
    assert "`x**3` with respect to `x` is missing" in report.diagnosis.message


def test_what_is_detached_is_named():
    def forward(x):
        e = torch.exp(x - x.max(dim=-1, keepdim=True).values)
        return e / e.sum(dim=-1, keepdim=True).detach() * x

    report = sg.check(forward, draw(5, 4))
    assert report.diagnosis.code == "chain-term", str(report)
    assert "`e.sum(dim=-1, keepdim=True).detach()` is missing" in report.diagnosis.message


def test_two_mistakes_at_once_are_not_one():
    backward = partial(layer_backward, gate=lambda h: h, slope=lambda y: y * (1 - 0.3 * y))
    report = sg.check(function(layer, backward), *RULES[layer][1])
    assert report.diagnosis.code == "unnamed", str(report)
