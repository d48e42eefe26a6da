"""Every mode of PyTorch's differentiation gives the library's own derivatives, nested ones too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from specs import Spec, each, probe

torch = pytest.importorskip("torch")
forward_ad = pytest.importorskip("torch.autograd.forward_ad")
func = pytest.importorskip("torch.func")

# PyTorch compiles its own decompositions on the way.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

K = 4
LOSSES = {
    "cross_entropy": (sg.cross_entropy, np.array(2)),
    "soft targets": (sg.cross_entropy, sg.softmax(probe((K,), 4))),
    "smoothed": (sg.CrossEntropy(label_smoothing=0.1, z_loss=0.01), np.array(1)),
    "ignored": (sg.CrossEntropy(ignore_index=1), np.array(0)),
    "binary_cross_entropy": (sg.BinaryCrossEntropy(), sg.softmax(probe((K,), 4))),
    "squared_error": (sg.SquaredError(reduction="sum"), probe((K,), 4)),
    "FenchelYoung of sparsemax": (sg.FenchelYoung(map=sg.sparsemax), np.array(3)),
}
each_loss = pytest.mark.parametrize("loss", LOSSES)


def tensor(x: Any, dtype: str = "float64") -> Any:
    x = np.asarray(x)
    return torch.tensor(x if x.dtype.kind in "bi" else x.astype(dtype))


def tangent_of(f: Callable[[Any], Any], x: Any, x_dot: Any) -> Any:
    """Return the tangent of f by dual numbers; x itself requires no gradient."""
    with forward_ad.dual_level():
        y = f(forward_ad.make_dual(x, x_dot))
        return forward_ad.unpack_dual(y).tangent


def scalar(spec: Spec, w: Any) -> Callable[[Any], Any]:
    """Return ⟨w, y(x)⟩²/2, whose second derivatives are J's own and those of the square."""
    return lambda x: (w * spec.map(x)).sum() ** 2 / 2


def hessian_of_scalar(spec: Spec, x: Any, w: Any) -> Any:
    inner = (w * spec.map(x)).sum()
    g = spec.map.vjp(x, w)
    units = torch.eye(len(x), dtype=x.dtype)
    return torch.stack([g * (g @ e) + inner * spec.map.hvp(x, w, e) for e in units])


# --- maps --------------------------------------------------------------------------------------


@each
def test_forward_mode_of_a_map_is_its_jvp(spec: Spec) -> None:
    x, v = tensor(probe((2, K), 1), "float32"), tensor(probe((2, K), 2), "float32")
    assert_same_bits(tangent_of(spec.map, x, v), spec.map.jvp(x, v))
    assert_same_bits(func.jvp(spec.map, (x,), (v,))[1], spec.map.jvp(x, v))


@each
def test_reverse_transforms_of_a_map_are_its_vjp(spec: Spec) -> None:
    x = tensor(probe((2, K), 1), "float32")
    w = tensor(probe(tuple(spec.map(x).shape), 2), "float32")
    (x_bar,) = func.vjp(spec.map, x)[1](w)
    assert_same_bits(x_bar, spec.map.vjp(x, w))
    assert_same_bits(func.grad(lambda x: (w * spec.map(x)).sum())(x), spec.map.vjp(x, w))


@each
@pytest.mark.parametrize("transform", ["jacrev", "jacfwd"])
def test_jacobian_transforms(spec: Spec, transform: str) -> None:
    x = tensor(0.4 * probe((K,), 1))
    jacobian = getattr(func, transform)(spec.map)(x)
    assert_close(jacobian, as_numpy(spec.map.jacobian(x)), u=16)


@each
@pytest.mark.parametrize("outer", ["jacrev", "jacfwd"])
@pytest.mark.parametrize("inner", ["jacrev", "jacfwd"])
def test_second_derivatives_by_any_two_modes(spec: Spec, outer: str, inner: str) -> None:
    x = tensor(0.4 * probe((K,), 1))
    w = tensor(probe(tuple(spec.map(x).shape), 2))
    twice = getattr(func, outer)(getattr(func, inner)(scalar(spec, w)))
    assert_close(twice(x), as_numpy(hessian_of_scalar(spec, x, w)), u=64)


@each
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("example_axis", [0, 2])
def test_vmap_of_a_map_is_the_map_of_every_example(
    spec: Spec, axis: int, example_axis: int
) -> None:
    x = tensor(probe((3, K, 2), 1), "float32").requires_grad_()
    examples = x.detach().unbind(example_axis)
    y = func.vmap(lambda x: spec.map(x, axis=axis), in_dims=example_axis)(x)
    assert_same_bits(y, torch.stack([spec.map(e, axis=axis) for e in examples]))
    w = tensor(probe(tuple(y.shape), 2), "float32")
    y.backward(w)
    expected = [spec.map.vjp(e, v, axis=axis) for e, v in zip(examples, w, strict=True)]
    assert_same_bits(x.grad, torch.stack(expected, dim=example_axis))


@each
def test_vmap_and_grad_in_any_order(spec: Spec) -> None:
    x = tensor(probe((3, 2, K), 1), "float32")
    w = tensor(probe(tuple(spec.map(x[0]).shape), 2), "float32")

    def f(x: Any) -> Any:
        return (w * spec.map(x)).sum()

    expected = torch.stack([spec.map.vjp(e, w) for e in x])
    assert_same_bits(func.vmap(func.grad(f))(x), expected)
    assert_same_bits(func.grad(lambda x: func.vmap(f)(x).sum())(x), expected)
    nested = func.vmap(func.vmap(spec.map))(x)
    assert_same_bits(nested, spec.map(x))


def test_vmap_over_masks_alone() -> None:
    x, where = tensor(probe((3, K), 1)), tensor(probe((5, K), 2) < 1)
    y = func.vmap(lambda where: sg.softmax(x, where=where))(where)
    assert_same_bits(y, torch.stack([sg.softmax(x, where=w) for w in where]))


# --- losses ------------------------------------------------------------------------------------


@each_loss
def test_first_derivatives_of_a_loss_by_transforms(loss: str) -> None:
    f, targets = LOSSES[loss]
    x, t, v = tensor(probe((K,), 1)), tensor(targets), tensor(probe((K,), 3))
    g = f.gradient(x, t)
    assert_same_bits(func.grad(f)(x, t), g)
    for x_dot in (v, 0.3 * v + 1):
        expected = float(as_numpy(g) @ as_numpy(x_dot))
        scale = float(np.abs(as_numpy(g)) @ np.abs(as_numpy(x_dot)))
        assert_close(tangent_of(lambda x: f(x, t), x, x_dot), expected, u=8, scale=scale)
        assert_close(func.jvp(lambda x: f(x, t), (x,), (x_dot,))[1], expected, u=8, scale=scale)


@each_loss
@pytest.mark.parametrize("outer", ["jacrev", "jacfwd"])
@pytest.mark.parametrize("inner", ["jacrev", "jacfwd"])
def test_hessians_of_a_loss_by_any_two_modes(loss: str, outer: str, inner: str) -> None:
    f, targets = LOSSES[loss]
    x, t = tensor(0.4 * probe((K,), 1)), tensor(targets)
    twice = getattr(func, outer)(getattr(func, inner)(f))(x, t)
    assert_close(twice, as_numpy(f.hessian(x, t).as_matrix()), u=32)


@each_loss
@pytest.mark.parametrize("example_axis", [0, 1])
def test_losses_and_gradients_of_every_example(loss: str, example_axis: int) -> None:
    f, targets = LOSSES[loss]
    x = tensor(probe((3, 2, K), 1), "float32")
    t = tensor(np.broadcast_to(targets, (3, 2, *targets.shape)).copy(), "float32")
    if t.dtype == torch.int64:
        t = (t + torch.arange(6).reshape(3, 2)) % K
    weights = tensor(np.exp(probe((3, 2), 5)), "float32")
    laid_out = x.movedim(0, example_axis)
    dims = (example_axis, 0, 0)

    def loss_of(x: Any, t: Any, weights: Any) -> Any:
        return f(x, t, row_weights=weights)

    each_one = list(zip(x, t, weights, strict=True))
    values = func.vmap(loss_of, in_dims=dims)(laid_out, t, weights)
    assert_same_bits(values, torch.stack([f(a, b, row_weights=c) for a, b, c in each_one]))
    gradients = func.vmap(func.grad(loss_of), in_dims=dims)(laid_out, t, weights)
    expected = torch.stack([f.gradient(a, b, row_weights=c) for a, b, c in each_one])
    assert_same_bits(gradients, expected)


def test_vmap_over_options_that_examples_have_of_their_own() -> None:
    x, t = tensor(probe((3, 2, K), 1)), tensor([1, 3])
    where, classes = tensor(probe((3, 2, K), 2) < 1.2), tensor(np.exp(probe((3, K), 3)))
    where[..., [1, 3]] = True

    def f(x: Any, where: Any, classes: Any) -> Any:
        return sg.cross_entropy(x, t, where=where, class_weights=classes)

    values = func.vmap(f)(x, where, classes)
    expected = [f(*example) for example in zip(x, where, classes, strict=True)]
    assert_same_bits(values, torch.stack(expected))


OWN_WEIGHTS = tensor(np.exp(probe((5, 3, K), 3)))
WEIGHED: dict[str, tuple[Any, Any]] = {
    "labels": (sg.cross_entropy, torch.tensor([1, 3])),
    "smoothed": (sg.CrossEntropy(label_smoothing=0.1, soft_cap=2.0), torch.tensor([1, 3])),
    "none": (sg.CrossEntropy(reduction="none", ignore_index=3), torch.tensor([1, 3])),
    "probabilities": (sg.cross_entropy, tensor(sg.softmax(probe((2, K), 4)))),
    "top-k": (
        sg.CrossEntropy(rest="spread"),
        sg.TopK(torch.tensor([[1, 3], [0, 0]]), tensor([[0.5, 0.2], [0.3, 0.1]])),
    ),
    "squared_error": (sg.squared_error, tensor(probe((2, K), 4))),
}


@pytest.mark.parametrize("case", WEIGHED)
@pytest.mark.parametrize("derivative", ["value", "gradient"])
def test_class_weights_of_every_example_are_no_loop(
    case: str, derivative: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    f, targets = WEIGHED[case]
    x, bar = tensor(probe((3, 2, K), 1)), tensor([0.7, -1.2])

    def value(x: Any, classes: Any) -> Any:
        return (bar * f(x, targets, class_weights=classes)).sum()

    of = func.grad(value) if derivative == "gradient" else value
    expected = torch.stack(
        [torch.stack([of(*two) for two in zip(x, c, strict=True)]) for c in OWN_WEIGHTS]
    )
    shared = torch.stack([torch.stack([of(two, c[0]) for two in x]) for c in OWN_WEIGHTS])
    calls: list[Any] = []
    reduced = type(f).reduced

    def spy(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(args)
        return reduced(self, *args, **options)

    monkeypatch.setattr(type(f), "reduced", spy)
    nested = func.vmap(func.vmap(of), in_dims=(None, 0))(x, OWN_WEIGHTS)
    assert_close(nested, as_numpy(expected), u=16)
    outside = func.vmap(func.vmap(of, in_dims=(0, None)), in_dims=(None, 0))(x, OWN_WEIGHTS[:, 0])
    assert_close(outside, as_numpy(shared), u=16)
    assert len(calls) <= 4


EXAMPLES = tensor(probe((5, 3, K), 1), "float32")
COUNTED = tensor([[0, 1, 2], [3, -1, 0], [-1, -1, -1], [1, 1, -1], [2, 0, 3]])


@pytest.mark.parametrize("normalizer", ["weight", "count", 2.5])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("on_empty", ["zero", "nan"])
def test_every_example_has_its_own_mean(reduction: str, normalizer: Any, on_empty: str) -> None:
    f = sg.CrossEntropy(
        reduction=reduction, normalizer=normalizer, on_empty=on_empty, ignore_index=-1
    )
    classes = tensor(np.exp(probe((K,), 3)), "float32")

    def loss_of(x: Any, t: Any) -> Any:
        return f(x, t, class_weights=classes)

    values = func.vmap(loss_of)(EXAMPLES, COUNTED)
    assert_same_bits(
        values, torch.stack([loss_of(x, t) for x, t in zip(EXAMPLES, COUNTED, strict=True)])
    )
    if reduction == "none":
        return
    gradients = func.vmap(func.grad(loss_of))(EXAMPLES, COUNTED)
    expected = [
        f.gradient(x, t, class_weights=classes) for x, t in zip(EXAMPLES, COUNTED, strict=True)
    ]
    assert_same_bits(gradients, torch.stack(expected))


def test_an_example_over_nothing_is_refused_where_that_is_asked_for() -> None:
    f = sg.CrossEntropy(on_empty="raise", ignore_index=-1)
    with pytest.raises(ValueError, match="at least one row that counts"):
        func.vmap(f)(EXAMPLES, COUNTED)


def test_examples_of_examples() -> None:
    x, t = EXAMPLES.unflatten(0, (5, 1)).expand(5, 2, 3, K), COUNTED.clamp(min=0)
    nested = func.vmap(lambda x, t: func.vmap(sg.cross_entropy, in_dims=(0, None))(x, t))(x, t)
    alone = torch.stack([sg.cross_entropy(x, t) for x, t in zip(EXAMPLES, t, strict=True)])
    # Together they are enough for a kernel.
    assert_close(nested, as_numpy(alone[:, None].expand(5, 2)), u=4)


@each_loss
def test_examples_are_rows_and_no_loop(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    f, targets = LOSSES[loss]
    x = tensor(probe((50, 2, K), 1), "float32")
    t = tensor(np.broadcast_to(targets, (2, *targets.shape)).copy(), "float32")
    calls: list[tuple[int, ...]] = []
    reduced = type(f).reduced

    def spy(self: Any, x: Any, *args: Any, **options: Any) -> Any:
        calls.append(tuple(x.shape))
        return reduced(self, x, *args, **options)

    monkeypatch.setattr(type(f), "reduced", spy)
    func.vmap(func.grad(f), in_dims=(0, None))(x, t)
    assert len(calls) <= 2
    assert set(calls) == {(50, 2, K)}


def test_a_mask_that_is_wider_than_an_example_is_refused() -> None:
    where = torch.ones((5, 3, K), dtype=torch.bool)
    with pytest.raises(ValueError, match="`where` must be broadcastable to shape"):
        func.vmap(lambda x, t: sg.cross_entropy(x, t, where=where))(EXAMPLES, COUNTED.clamp(min=0))


# --- digits, shapes, refusals ------------------------------------------------------------------

SATURATED = tensor([40.0, 0.0], "float32")
FIRST = tensor([1.0, 0.0], "float32")
TAIL = 4.248354255291589e-18


def first_of_softmax(z: Any) -> Any:
    return (FIRST * sg.softmax(z)).sum()


def backward_of(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def gradient(z: Any) -> Any:
        z = z.clone().requires_grad_()
        f(z).backward()
        return z.grad

    return gradient


MODES: dict[str, Callable[[Any], Any]] = {
    "backward": backward_of(first_of_softmax),
    "forward": lambda z: tangent_of(sg.softmax, z, FIRST),
    "func.jvp": lambda z: func.jvp(sg.softmax, (z,), (FIRST,))[1],
    "func.grad": func.grad(first_of_softmax),
    "func.vjp": lambda z: func.vjp(sg.softmax, z)[1](FIRST)[0],
    "jacrev": lambda z: func.jacrev(sg.softmax)(z)[0],
    "jacfwd": lambda z: func.jacfwd(sg.softmax)(z)[0],
    "vmap of grad": lambda z: func.vmap(func.grad(first_of_softmax))(z[None])[0],
    "grad of vmap": lambda z: func.grad(lambda z: func.vmap(first_of_softmax)(z).sum())(z[None])[0],
    "hessian": lambda z: -func.hessian(first_of_softmax)(z)[0],
    "jacfwd twice": lambda z: -func.jacfwd(func.jacfwd(first_of_softmax))(z)[0],
    "cross_entropy": lambda z: -func.grad(sg.cross_entropy)(z, tensor(0)),
    "cross_entropy, vmap": lambda z: (
        -func.vmap(func.grad(sg.cross_entropy))(z[None], tensor([0]))[0]
    ),
    "cross_entropy, hessian": lambda z: func.hessian(sg.cross_entropy)(z, tensor(0))[0],
    "cross_entropy, jacfwd": lambda z: -func.jacfwd(sg.cross_entropy)(z, tensor(0)),
    "functional.hvp": lambda z: -torch.autograd.functional.hvp(first_of_softmax, z, FIRST)[1],
    "functional.vhp": lambda z: -torch.autograd.functional.vhp(first_of_softmax, z, FIRST)[1],
    "vectorised jacobian": lambda z: torch.autograd.functional.jacobian(
        sg.softmax, z, vectorize=True
    )[0],
    "vectorised hessian": lambda z: (
        -torch.autograd.functional.hessian(first_of_softmax, z, vectorize=True)[0]
    ),
    "forward jacobian": lambda z: torch.autograd.functional.jacobian(
        sg.softmax, z, vectorize=True, strategy="forward-mode"
    )[0],
}


@pytest.mark.parametrize("mode", MODES)
def test_saturated_rows_keep_their_digits_in_every_mode(mode: str) -> None:
    derivative = MODES[mode](SATURATED)
    assert_close(derivative, [TAIL, -TAIL], u=8)


def third_backward(x: Any) -> Any:
    x.requires_grad_()
    (g,) = torch.autograd.grad(sg.softmax(x)[0], x, create_graph=True)
    (h,) = torch.autograd.grad(g[0], x, create_graph=True)
    return torch.autograd.grad(h[1], x)


THIRD: dict[str, Callable[[Any], Any]] = {
    "reverse": func.jacrev(func.hessian(sg.logsumexp)),
    "forward": func.jacfwd(func.hessian(sg.logsumexp)),
    "backward": third_backward,
}


@pytest.mark.parametrize("mode", THIRD)
def test_a_third_derivative_is_refused(mode: str) -> None:
    with pytest.raises(NotImplementedError, match="first and second derivatives"):
        THIRD[mode](tensor(probe((K,), 1)))


def test_derivatives_in_targets_are_refused_where_they_hide() -> None:
    x, t = tensor(probe((3, K), 1)), tensor(sg.softmax(probe((3, K), 4)))

    def of_targets(t: Any) -> Any:
        return func.vmap(sg.cross_entropy)(x, t).sum()

    with pytest.raises(TypeError, match="`targets` must be without requires_grad"):
        func.grad(of_targets)(t)
    with pytest.raises(TypeError, match="`targets` must be without requires_grad"):
        func.jvp(of_targets, (t,), (t,))
    with pytest.raises(TypeError, match="`targets` must be without requires_grad"):
        tangent_of(lambda t: sg.cross_entropy(x, t), t, x)


def test_errors_inside_vmap_are_those_of_one_example() -> None:
    x = tensor(probe((3, K), 1))
    with pytest.raises(ValueError, match="`x` must be an array with a class axis"):
        func.vmap(sg.softmax)(x[:, 0])
    with pytest.raises(ValueError, match="`axis` must be within the 1 axes"):
        func.vmap(lambda x: sg.softmax(x, axis=-2))(x)
    with pytest.raises(IndexError, match="class indices from 0 to 3, got 4"):
        func.vmap(sg.cross_entropy)(x, tensor([0, 4, 1]))


WEIGHTS, LABELS = tensor(probe((K, 3), 2)), torch.tensor([2, 0, 1, 1, 3])
FROM_OUTSIDE: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: sg.softmax(x)[:, 0].sum(),
    "log_softmax": lambda x: sg.log_softmax(x)[:, 0].sum(),
    "entmax": lambda x: sg.Entmax(alpha=1.5)(x)[:, 0].sum(),
    "cross_entropy": lambda x: sg.cross_entropy(x, LABELS),
    "smoothed": lambda x: sg.CrossEntropy(label_smoothing=0.1)(x, LABELS),
    "linear_cross_entropy": lambda x: sg.linear_cross_entropy(x[:, :3], WEIGHTS, LABELS),
    "tiles": lambda x: sg.LinearCrossEntropy(z_loss=0.1)(x[:, :3], WEIGHTS, LABELS),
}


@pytest.mark.parametrize("call", FROM_OUTSIDE)
def test_a_parameter_from_outside_of_a_transform_has_its_gradient(call: str) -> None:
    f, factors = FROM_OUTSIDE[call], tensor([0.5, -2.0, 4.0])
    parameter = tensor(probe((5, K), 1)).requires_grad_()
    value = f(parameter)
    (gradient,) = torch.autograd.grad(value, parameter)
    scaled = func.vmap(lambda a: a * f(parameter))(factors)
    assert_close(scaled, as_numpy(factors * value), u=4)
    (summed,) = torch.autograd.grad(scaled.sum(), parameter)
    assert_close(summed, 2.5 * as_numpy(gradient), u=8)
    slopes = func.grad(lambda a: (a * f(parameter)).sum())(factors)
    assert_close(slopes, as_numpy(value.expand(3)), u=4)


def awkward_layouts() -> dict[str, Any]:
    wide = tensor(probe((2, 6, 2 * K), 1))
    return {
        "every other": wide[:, ::2, ::2],
        "transposed": tensor(probe((K, 3, 2), 1)).permute(2, 1, 0),
        "expanded rows": tensor(probe((1, 1, K), 1)).expand(2, 3, K),
        "expanded classes": tensor(probe((2, 3, 1), 1)).expand(2, 3, K),
    }


@pytest.mark.parametrize("layout", awkward_layouts())
def test_strides_do_not_matter(layout: str) -> None:
    given = awkward_layouts()[layout]
    t, w = tensor([[0, 1, 2], [3, 0, 1]]), tensor(probe((2, 3, K), 2))
    x, plain = given.detach().requires_grad_(), given.contiguous().requires_grad_()
    for leaf in (x, plain):
        loss = sg.cross_entropy(leaf, t) * 0.7
        loss.backward(retain_graph=True)
        loss.backward(tensor(3.0))
        sg.softmax(leaf).backward(w.expand(2, 3, K))
    assert_same_bits(x.grad, plain.grad)


@pytest.mark.parametrize("shape", [(0, K), (2, 0, K)])
def test_no_rows_have_no_derivatives(shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape, requires_grad=True)
    sg.softmax(x).sum().backward()
    assert tuple(x.grad.shape) == shape
    loss = sg.cross_entropy(x, torch.zeros(shape[:-1], dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == 0
    assert func.vmap(sg.softmax)(torch.zeros(2, *shape)).shape == (2, *shape)


def test_backward_twice_adds_up_with_its_factors() -> None:
    x, t = tensor(probe((3, K), 1)).requires_grad_(), tensor([0, 2, 1])
    loss = sg.cross_entropy(x, t)
    loss.backward(tensor(0.5), retain_graph=True)
    loss.backward(tensor(-3.0))
    assert_close(x.grad, -2.5 * as_numpy(sg.cross_entropy.gradient(x.detach(), t)), u=4)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_mkldnn"])
def test_tensors_that_are_not_dense_are_refused(layout: str) -> None:
    x = getattr(tensor(probe((3, K), 1), "float32"), layout)()
    with pytest.raises(
        TypeError, match=r"`x` must be a dense tensor .* got torch\.(sparse|_mkldnn)"
    ):
        sg.softmax(x)
    with pytest.raises(TypeError, match="`x` must be a dense tensor"):
        sg.cross_entropy(x, tensor([0, 1, 2]))
    with pytest.raises(TypeError, match="`W` must be a dense tensor"):
        sg.linear_cross_entropy(tensor(probe((2, K), 2), "float32"), x, tensor([0, 1]))
