"""Second derivatives that are wrong: the mistake is named where the first ones are right."""

from __future__ import annotations

import numpy as np
import pytest

from softgrad.checker import check
from wrong_rules import OPERATIONS, log_softmax, log_softmax_backward, softmax, softmax_backward

Z = np.random.default_rng(0).normal(size=(4, 9))


def inner(a, b):
    return (a * b).sum(axis=-1, keepdims=True)


def right(z, g, v):
    """Return the gradients of ⟨softmax_backward(z, g), v⟩ in z and g."""
    s, r = softmax(z), softmax_backward(z, g)
    return v * r - s * inner(v, r) - r * inner(v, s), softmax_backward(z, v)


def in_z(change):
    """Return a second derivative whose part in z is another; it gets s, r and v."""

    def second(z, g, v):
        s, r = softmax(z), softmax_backward(z, g)
        return change(s, r, v), softmax_backward(z, v)

    return second


def in_g(change):
    def second(z, g, v):
        return right(z, g, v)[0], change(softmax(z), v)

    return second


WRONG = {
    "zero in z": (in_z(lambda s, r, v: 0 * s), "input 0", "It is zero"),
    "None in z": (in_z(lambda s, r, v: None), "input 0", "It is zero"),
    "zero in g": (in_g(lambda s, v: 0 * v), "cotangent 0", "It is zero"),
    "inner s held": (in_z(lambda s, r, v: v * r - s * inner(v, r)), "input 0", "inside ⟨g, s⟩"),
    "outer s held": (in_z(lambda s, r, v: -r * inner(v, s)), "input 0", "before the bracket"),
    "a term missing": (in_z(lambda s, r, v: v * r - r * inner(v, s)), "input 0", "⟩ is missing"),
    "a sign": (
        in_z(lambda s, r, v: v * r + s * inner(v, r) - r * inner(v, s)),
        "input 0",
        "−s·⟨v, r⟩ has the wrong sign",
    ),
    "all signs": (lambda *a: [-x for x in right(*a)], "input 0", "has the wrong sign"),
    "doubled in g": (in_g(lambda s, v: 2 * s * (v - inner(v, s))), "cotangent 0", "is 2 times"),
    "v itself": (in_g(lambda s, v: v.copy()), "cotangent 0", "passed on as it is"),
    "diagonal": (in_g(lambda s, v: v * s * (1 - s)), "cotangent 0", "Only the diagonal"),
    "swapped": (lambda *a: right(*a)[::-1], "input 0", "swapped"),
    "one entry": (lambda *a: right(*a)[0], "cotangent 0", "1 of 2"),
    "odd": (in_z(lambda s, r, v: np.cos(3 * r) * v), "input 0", "has no name here"),
}


def diagnosed(*arguments, **options):
    report = check(*arguments, order=2, **options)
    assert report.verdict == "fail", str(report)
    return report


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_the_second_derivative_is_said(name, dtype):
    second, part, words = WRONG[name]
    report = diagnosed(softmax, softmax_backward, Z.astype(dtype), second=second)
    message = report.diagnosis.message
    assert report.diagnosis.code == "second-order"
    assert message.startswith(
        f"The first derivatives are right, and the second derivative in {part}"
    )
    assert words in message
    assert report.where.text.split(",")[0].split(";")[0] == part


def test_right_second_derivatives_have_no_diagnosis():
    report = check(softmax, softmax_backward, Z, order=2, second=right)
    assert report.passed
    assert report.diagnosis is report.where is None
    assert report.cost.diagnosis_forward == 0


@pytest.mark.parametrize("name", [n for n in WRONG if "held" in n or "term" in n or "zero" in n])
def test_formulas_are_the_lines_that_are_and_that_should_be(name):
    second, part, _ = WRONG[name]
    formula = diagnosed(softmax, softmax_backward, Z, second=second).diagnosis.formula
    rng = np.random.default_rng(1)
    g, v = rng.normal(size=Z.shape), rng.normal(size=Z.shape)
    names = {"s": softmax(Z), "r": softmax_backward(Z, g), "v": v}
    place = 0 if part == "input 0" else 1
    for line, function in ((formula.returned, second), (formula.expected, right)):
        got = eval(line, names)
        np.testing.assert_allclose(got, function(Z, g, v)[place], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("mistake", ["diagonal only", "doubled", "cotangent overwritten"])
def test_a_wrong_first_derivative_is_named_first(mistake):
    wrong = OPERATIONS["softmax"].wrong[mistake]()
    first = check(softmax, wrong, Z)
    report = diagnosed(softmax, wrong, Z, second=right)
    assert report.diagnosis.code == first.diagnosis.code != "second-order"
    start = "The first derivatives are wrong, and must be mended first."
    assert report.diagnosis.message == f"{start} {first.diagnosis.message}"


def test_other_maps_than_softmax():
    def second(z, g, v):
        p, total = np.exp(log_softmax(z)), g.sum(axis=-1, keepdims=True)
        return -total * p * (v - inner(v, p)), v - inner(v, p)

    assert check(log_softmax, log_softmax_backward, Z, order=2, second=second).passed
    for factor, words in ((0, "It is zero"), (3, "is 3 times")):
        report = diagnosed(
            log_softmax,
            log_softmax_backward,
            Z,
            second=lambda z, g, v, c=factor: (c * second(z, g, v)[0], second(z, g, v)[1]),
        )
        assert report.diagnosis.code == "second-order"
        assert words in report.diagnosis.message


def test_cost_of_a_name():
    large = np.random.default_rng(0).normal(size=(40, 300))
    second = WRONG["zero in z"][0]
    small, wide = (diagnosed(softmax, softmax_backward, z, second=second).cost for z in (Z, large))
    assert wide.diagnosis_forward == small.diagnosis_forward <= 150
    assert wide.diagnosis_backward == small.diagnosis_backward


# --- PyTorch and JAX -----------------------------------------------


def softmax_function(torch, backward, once=False, kept=lambda p: p):
    """Return an autograd function of softmax with a backward of p and g."""

    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            p = torch.softmax(z, dim=-1)
            ctx.save_for_backward(kept(p))
            return p

        @staticmethod
        def backward(ctx, g):
            return backward(ctx.saved_tensors[0], g)

    if once:
        Softmax.backward = torch.autograd.function.once_differentiable(Softmax.backward)
    return Softmax.apply


def rule(p, g):
    return p * (g - (p * g).sum(-1, keepdims=True))


TORCH = {
    "p detached": ({"backward": lambda p, g: rule(p.detach(), g)}, "input 0", "It is zero"),
    "g detached": ({"backward": lambda p, g: rule(p, g.detach())}, "cotangent 0", "It is zero"),
    "once": ({"backward": rule, "once": True}, "input 0", "It is zero"),
    "kept": ({"backward": rule, "kept": lambda p: 1 * p}, "input 0", "neither an input nor"),
    "inner p detached": (
        {"backward": lambda p, g: p * (g - (p.detach() * g).sum(-1, keepdims=True))},
        "input 0",
        "inside ⟨g, s⟩",
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_second_derivatives_that_pytorch_loses(name):
    torch = pytest.importorskip("torch")
    how, part, words = TORCH[name]
    z = torch.from_numpy(Z)
    assert check(softmax_function(torch, **how), z).passed  # the first ones are right
    report = diagnosed(softmax_function(torch, **how), z)
    assert report.diagnosis.code == "second-order"
    assert f"derivative in {part} is not" in report.diagnosis.message
    assert words in report.diagnosis.message
    assert check(softmax_function(torch, rule), z, order=2).passed


def test_a_head_that_keeps_its_gradient_has_no_second_one():
    torch = pytest.importorskip("torch")

    class Head(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, labels):
            with torch.enable_grad():
                z = z.detach().requires_grad_()
                loss = torch.nn.functional.cross_entropy(z, labels)
            ctx.save_for_backward(*torch.autograd.grad(loss, z))
            return loss.detach()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0], None

    z, labels = torch.from_numpy(Z), torch.arange(4)
    assert check(Head.apply, z, labels).passed
    report = diagnosed(Head.apply, z, labels)
    assert report.diagnosis.code == "second-order"
    assert "It is zero" in report.diagnosis.message


def test_second_derivatives_that_jax_loses():
    jax = pytest.importorskip("jax")

    def function(backward):
        softmax = jax.custom_vjp(lambda z: jax.nn.softmax(z))
        softmax.defvjp(lambda z: (jax.nn.softmax(z),) * 2, lambda p, g: (backward(p, g),))
        return softmax

    z = jax.numpy.array(Z)
    stopped = function(lambda p, g: rule(jax.lax.stop_gradient(p), g))
    assert check(stopped, z).passed
    report = diagnosed(stopped, z)
    assert report.diagnosis.code == "second-order"
    assert "derivative in input 0 is not. It is zero" in report.diagnosis.message
    assert check(function(rule), z, order=2).passed
