"""Autograd through maps and losses is their own vjp and gradient, to the bit, at any point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_not_uniform, assert_same_bits
from specs import Spec, each, probe, where_holds

torch = pytest.importorskip("torch")

SHAPE = (3, 4)
INF = float("inf")
POINTS = {
    "generic": 1.5 * probe(SHAPE, 1),
    "zero": np.zeros(SHAPE),
    "ties": np.array([[1, 1, 0, 0], [2, -1, 2, 2], [0.5, 0.5, 0.5, 0.5]]),
    "minus infinity": np.array([[-INF, 1, 0, -INF], [3, -INF, 2, 1], [-INF, -INF, -INF, 2]]),
    "saturated": np.array([[40.0, 0, -1, 2], [0, 800, 1, -5], [-1, 0, 300, -2]]),
}
LABELS = np.array([0, 1, 2])
SOFT = sg.softmax(probe(SHAPE, 4))
LOSSES = {
    "cross_entropy": (sg.cross_entropy, LABELS),
    "soft targets": (sg.cross_entropy, SOFT),
    "smoothed": (sg.CrossEntropy(label_smoothing=0.1, z_loss=0.01), LABELS),
    "ignored": (sg.CrossEntropy(ignore_index=1), LABELS),
    "binary_cross_entropy": (sg.BinaryCrossEntropy(pos_weight=2.0), SOFT),
    "squared_error": (sg.SquaredError(reduction="sum"), SOFT),
    "FenchelYoung of softmax": (sg.FenchelYoung(), LABELS),
    "FenchelYoung of sparsemax": (sg.FenchelYoung(map=sg.sparsemax), LABELS),
    "FenchelYoung of entmax": (sg.FenchelYoung(map=sg.Entmax(alpha=1.3)), SOFT),
}
at_each_point = pytest.mark.parametrize("point", POINTS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def tensor(x: Any, dtype: str = "float64", *, grad: bool = False) -> Any:
    """Return a tensor of a dtype; labels and masks keep their own."""
    x = np.asarray(x)
    given = torch.tensor(x if x.dtype.kind in "bi" else x.astype(dtype))
    return given.requires_grad_() if grad else given


def upstream(y: Any) -> Any:
    """Return an incoming gradient for y, no two entries alike."""
    y_bar = tensor(1 + 0.3 * probe(tuple(y.shape), 7), str(y.dtype).removeprefix("torch."))
    if y_bar.ndim:
        assert_not_uniform(y_bar)
    return y_bar


def with_reduction(name: str, reduction: str) -> tuple[Any, np.ndarray]:
    loss, targets = LOSSES[name]
    settings = {**vars(loss), "reduction": reduction}
    return type(loss)(**settings), targets


def product(y_bar: Any, gradient: Any, axis: int) -> np.ndarray:
    """Return upstream times gradient in NumPy: an upstream a row is put on the class axis."""
    y_bar, gradient = as_numpy(y_bar), as_numpy(gradient)
    if 0 < y_bar.ndim < gradient.ndim:
        y_bar = np.expand_dims(y_bar, axis)
    return y_bar * gradient


# --- first derivatives -----------------------------------------------------------------------


@each
@at_each_point
@each_dtype
def test_backward_of_a_map_is_its_vjp(spec: Spec, point: str, dtype: str) -> None:
    x = tensor(POINTS[point], dtype, grad=True)
    y = spec.map(x)
    y_bar = upstream(y)
    y.backward(y_bar)
    assert_same_bits(y, spec.map(x.detach()))
    assert_same_bits(x.grad, spec.map.vjp(x.detach(), y_bar))


@each
@each_dtype
def test_backward_of_a_map_on_another_axis_under_a_mask(spec: Spec, dtype: str) -> None:
    x = tensor(probe((2, 4, 3), 1), dtype, grad=True)
    options: dict[str, Any] = {"axis": 1}
    if not spec.elementwise:
        options["where"] = tensor(probe((2, 4, 3), 2) < 1)
    y = spec.map(x, **options)
    y_bar = upstream(y)
    y.backward(y_bar)
    assert_same_bits(x.grad, spec.map.vjp(x.detach(), y_bar, **options))


@each_loss
@at_each_point
@each_dtype
def test_backward_of_a_loss_is_its_gradient(loss: str, point: str, dtype: str) -> None:
    f, targets = with_reduction(loss, "none")
    x, t = tensor(POINTS[point], dtype, grad=True), tensor(targets, dtype)
    y = f(x, t)
    y_bar = upstream(y)
    y.backward(y_bar)
    assert_same_bits(y, f.value(x.detach(), t))
    assert_same_bits(x.grad, f.vjp(x.detach(), t, y_bar))


@each_loss
@each_reduction
@pytest.mark.parametrize("axis", [0, 1, -1])
@each_dtype
def test_backward_of_a_loss_with_weights_on_any_axis(
    loss: str, reduction: str, axis: int, dtype: str
) -> None:
    f, targets = with_reduction(loss, reduction)
    shape = tuple(np.insert((2, 3), axis % 3, 4))
    rows = np.moveaxis(np.empty(shape), axis, -1).shape[:-1]
    t = np.resize(targets, rows) if targets.ndim == 1 else sg.softmax(probe(shape, 4), axis=axis)
    options: dict[str, Any] = {"row_weights": np.exp(probe(rows, 5))}
    if not isinstance(f, sg.FenchelYoung):
        options |= {"class_weights": np.exp(probe((4,), 6)), "where": probe(shape, 8) < 1.5}
    options = {name: tensor(given, dtype) for name, given in options.items()} | {"axis": axis}
    x, t = tensor(probe(shape, 1), dtype, grad=True), tensor(t, dtype)
    y = f(x, t, **options)
    y_bar = upstream(y)
    y.backward(y_bar)
    x_bar = f.vjp(x.detach(), t, y_bar, **options)
    if reduction == "none":
        assert_same_bits(x.grad, x_bar)
    else:  # the gradient was made with the value, and is scaled
        assert_close(x.grad, as_numpy(x_bar), u=4)
    assert_close(x.grad, product(y_bar, f.gradient(x.detach(), t, **options), axis), u=8)


def test_saturated_rows_and_kinks_keep_their_digits() -> None:
    x = tensor([[40.0, 0.0]], "float32", grad=True)
    sg.cross_entropy(x, tensor([0])).backward()
    assert_close(x.grad, [[-4.248354255291589e-18, 4.248354255291589e-18]], u=4)
    x = tensor([[0.0, 5.0, 0.0]], grad=True)
    sg.FenchelYoung(map=sg.sparsemax)(x, tensor([0])).backward()
    assert_same_bits(x.grad, np.array([[-1.0, 1.0, 0.0]]))


def test_a_single_number() -> None:
    x, t = tensor(0.7, grad=True), tensor(0.2)
    sg.binary_cross_entropy(x, t).backward()
    assert_same_bits(x.grad, sg.binary_cross_entropy.value_and_gradient(x.detach(), t)[1])
    x.grad = None
    sg.tanh(x).backward()
    assert_close(x.grad, 1 - np.tanh(0.7) ** 2, u=4)


def test_half_precision_is_rounded_to_after_the_upstream_gradient() -> None:
    """What is below float16 comes back above it when the loss was scaled up."""
    x = torch.tensor([[19.0, 0.0]], dtype=torch.float16, requires_grad=True)
    (sg.cross_entropy(x, tensor([0])) * 2.0**20).backward()
    wide = sg.cross_entropy.gradient(x.detach().float(), tensor([0]))
    assert_same_bits(x.grad, (wide * 2.0**20).half())
    assert as_numpy(sg.cross_entropy.gradient(x.detach(), tensor([0])))[0, 1] < 1e-7


# --- second derivatives ----------------------------------------------------------------------


@each
def test_derivatives_of_a_map_by_differences(spec: Spec) -> None:
    x = tensor(0.4 * probe((2, 3, 2), 1), grad=True)
    assert torch.autograd.gradcheck(lambda x: spec.map(x, axis=1), x)
    assert torch.autograd.gradgradcheck(lambda x: spec.map(x, axis=1), x)


@each_loss
@each_reduction
def test_derivatives_of_a_loss_by_differences(loss: str, reduction: str) -> None:
    f, targets = with_reduction(loss, reduction)
    x, t = tensor(0.4 * POINTS["generic"], grad=True), tensor(targets)
    weights = tensor([1.0, 0.3, 2.0])
    assert torch.autograd.gradcheck(lambda x: f(x, t, row_weights=weights), x)
    assert torch.autograd.gradgradcheck(lambda x: f(x, t, row_weights=weights), x)


@each
@at_each_point
def test_double_backward_of_a_map_is_its_hvp_and_jvp(spec: Spec, point: str) -> None:
    x, v = tensor(POINTS[point], grad=True), tensor(probe(SHAPE, 3))
    y = spec.map(x)
    y_bar = upstream(y).requires_grad_()
    (x_bar,) = torch.autograd.grad(y, x, y_bar, create_graph=True)
    in_x, in_y_bar = torch.autograd.grad(x_bar, (x, y_bar), v)
    x, y_bar = x.detach(), y_bar.detach()
    assert_same_bits(in_x, spec.map.hvp(x, y_bar, v))
    assert_same_bits(in_y_bar, spec.map.jvp(x, v))


@each_loss
@at_each_point
def test_double_backward_of_a_loss_is_its_hessian(loss: str, point: str) -> None:
    f, targets = with_reduction(loss, "none")
    x, t, v = tensor(POINTS[point], grad=True), tensor(targets), tensor(probe(SHAPE, 3))
    y = f(x, t)
    y_bar = upstream(y)
    (x_bar,) = torch.autograd.grad(y, x, y_bar, create_graph=True)
    (in_x,) = torch.autograd.grad(x_bar, x, v)
    assert_same_bits(in_x, product(y_bar, f.hessian(x.detach(), t).mv(v), axis=-1))


@where_holds(lambda spec: not spec.elementwise)
def test_jacobians_by_transforms_of_functions(spec: Spec) -> None:
    x = tensor(0.4 * probe((4,), 1))
    assert_close(torch.func.jacrev(spec.map)(x), as_numpy(spec.map.jacobian(x)), u=16)


# PyTorch compiles its own decompositions on the way.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@each_loss
def test_hessians_by_transforms_of_functions(loss: str) -> None:
    """Forward over reverse, of ½f²: g gᵀ + f·H, so that the upstream gradient moves as well."""
    f, targets = with_reduction(loss, "mean")
    x, t = tensor(0.4 * POINTS["generic"]), tensor(targets)
    hessian = torch.func.hessian(lambda x: f(x, t) ** 2 / 2)(x)
    value, g = f.value_and_gradient(x, t)
    units = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *SHAPE)
    expected = [g * (g * e).sum() + value * f.hessian(x, t).mv(e) for e in units]
    assert_close(hessian.reshape(-1, *SHAPE), as_numpy(torch.stack(expected)), u=16)


# --- what autograd is not taken through ------------------------------------------------------


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", ["targets", "row_weights", "class_weights"])
def test_only_x_may_require_a_gradient(name: str, grad: bool) -> None:
    x = tensor(POINTS["generic"], grad=grad)
    given = {"targets": SOFT, "row_weights": [1, 0.5, 2], "class_weights": [1, 2, 3, 0.5]}
    options = {key: tensor(v, grad=key == name) for key, v in given.items()}
    with pytest.raises(TypeError, match=rf"`{name}` must be without requires_grad \(detach it"):
        sg.cross_entropy(x, **options)
    options[name] = options[name].detach()
    assert sg.cross_entropy(x, **options).requires_grad == grad


def test_nothing_is_recorded_without_grad() -> None:
    x = tensor(POINTS["generic"], grad=True)
    with torch.no_grad():
        assert not sg.softmax(x).requires_grad
        assert not sg.cross_entropy(x, tensor(LABELS)).requires_grad
    assert sg.softmax(x).requires_grad


@pytest.mark.parametrize("name", ["targets", "row_weights", "where"])
def test_a_change_in_place_before_backward_is_an_error(name: str) -> None:
    options = {"targets": LABELS, "row_weights": [1.0, 0.5, 2], "where": np.ones(SHAPE, bool)}
    options = {key: tensor(given) for key, given in options.items()}
    loss = sg.cross_entropy(tensor(POINTS["generic"], grad=True), **options)
    options[name].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_wrong_arguments_are_named_as_ever() -> None:
    x = tensor(POINTS["generic"], grad=True)
    with pytest.raises(ValueError, match="`axis` must be within"):
        sg.softmax(x, axis=5)
    with pytest.raises(TypeError, match=r"`options` must be one of .*, got 'weight'"):
        sg.cross_entropy(x, tensor(LABELS), weight=1)  # type: ignore[call-arg]


# --- JAX -------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["generic", "zero"])
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "cross_entropy"])
def test_grad_of_jax(name: str, point: str) -> None:
    jax = pytest.importorskip("jax")
    x, y_bar = POINTS[point].astype(np.float32), probe(SHAPE, 7, np.float32)
    if name == "cross_entropy":
        there = jax.grad(sg.cross_entropy)(jax.numpy.asarray(x), jax.numpy.asarray(LABELS))
        here = sg.cross_entropy.gradient(x, LABELS)
    else:
        f = getattr(sg, name)
        there = jax.grad(lambda x: (f(x) * y_bar).sum())(jax.numpy.asarray(x))
        here = f.vjp(x, y_bar)
    assert_close(there, here, u=32)


def test_jax_log_softmax_at_minus_infinity_hears_nothing() -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    x, g = jnp.asarray([1.0, -jnp.inf, 0.3]), jnp.asarray([1.0, 5.0, 2.0])
    [x_bar] = jax.vjp(sg.log_softmax, x)[1](g)
    assert_close(np.asarray(x_bar), np.asarray(sg.log_softmax.vjp(x, g)), u=16)
