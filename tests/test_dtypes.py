"""Results have the dtype of the input; half precision is the correctly rounded float32 result."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_same_bits
from specs import Spec, each, each_way, probe, sample

HALVES = pytest.mark.parametrize(
    "half", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"]
)
SHAPE = (3, 5)


def products(spec: Spec, x: Any, x_dot: Any, y_bar: Any) -> dict[str, Any]:
    f = spec.map
    return {
        "value": f(x),
        "jvp": f.jvp(x, x_dot),
        "vjp": f.vjp(x, y_bar),
        "mv": f.linearize(x)[1].mv(x_dot),
        "jacobian": f.jacobian(x),
        "hvp": f.hvp(x, y_bar, x_dot),
    }


@each
@HALVES
def test_half_precision_is_the_rounded_float32_result(spec: Spec, half: Any) -> None:
    """A-12: in and out; every product is rounded once, at its end. Kernels: test_kernels_half."""
    given = [(2 * probe(SHAPE, 1)), probe(SHAPE, 2), probe(spec.out_shape(SHAPE), 3)]
    narrow = [a.astype(half) for a in given]
    wide = [a.astype(np.float32) for a in narrow]
    exact = products(spec, *wide)
    for name, product in products(spec, *narrow).items():
        assert product.dtype == half, name
        assert exact[name].dtype == np.float32
        assert_same_bits(
            product.astype(np.float32), exact[name].astype(half).astype(np.float32), name
        )


@each_way
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_keep_the_dtype(spec: Spec, dtype: type) -> None:
    x, x_dot = probe(SHAPE, 1, dtype), probe(SHAPE, 2, dtype)
    for name, product in products(spec, x, x_dot, probe(spec.out_shape(SHAPE), 3, dtype)).items():
        assert product.dtype == dtype, name


@pytest.mark.parametrize("loss", [sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error])
@HALVES
def test_losses_of_half_precision_are_float32(loss: Any, half: Any) -> None:
    x, t = probe(SHAPE, 1).astype(half), sg.softmax(probe(SHAPE, 2)).astype(half)
    value, gradient = loss.value_and_gradient(x, t)
    wide = loss.value_and_gradient(x.astype(np.float32), t.astype(np.float32))
    assert value.dtype == np.float32
    assert gradient.dtype == half
    assert_same_bits(value, wide[0])
    assert_same_bits(gradient.astype(np.float32), wide[1].astype(half).astype(np.float32))
    rows = type(loss)(reduction="none")(x, t)
    assert rows.dtype == np.float32
    v = probe(SHAPE, 3).astype(half)
    product = loss.hessian(x, t).mv(v)
    wide_product = loss.hessian(x.astype(np.float32), t.astype(np.float32)).mv(v.astype(np.float32))
    assert product.dtype == half
    assert_same_bits(product.astype(np.float32), wide_product.astype(half).astype(np.float32))


def test_half_precision_saturates_no_sooner_than_its_range() -> None:
    """A sum of 4096 equal terms would stop at 2048 in float16, and at 256 in bfloat16."""
    for half in (np.float16, ml_dtypes.bfloat16):
        p = sg.softmax(np.zeros(4096, half))
        assert np.all(p.astype(np.float32) == np.float32(2.0**-12))
        assert float(sg.logsumexp(np.zeros(4096, half))) == float(half(12 * np.log(2)))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_tensors_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    half = getattr(torch, name)
    x, v = (torch.tensor(probe(SHAPE, seed)).to(half) for seed in (1, 2))
    for f in (sg.softmax, sg.log_softmax, sg.sparsemax, sg.tanh):
        for there, here in ((f(x), f(x.float())), (f.vjp(x, v), f.vjp(x.float(), v.float()))):
            assert there.dtype == half
            assert_same_bits(as_numpy(there), as_numpy(here.to(half)))
    assert sg.cross_entropy(x, torch.tensor([0, 1, 2])).dtype == torch.float32


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_arrays_of_jax(name: str) -> None:
    jnp = pytest.importorskip("jax").numpy
    half = getattr(jnp, name)
    x, v = (jnp.asarray(probe(SHAPE, seed, np.float32)).astype(half) for seed in (1, 2))
    wide_x, wide_v = x.astype(jnp.float32), v.astype(jnp.float32)
    for f in (sg.softmax, sg.log_softmax):
        for there, here in ((f(x), f(wide_x)), (f.vjp(x, v), f.vjp(wide_x, wide_v))):
            assert there.dtype == half
            assert_same_bits(as_numpy(there), as_numpy(here.astype(half)))


@pytest.mark.parametrize("targets", ["labels", "probabilities"])
def test_targets_and_weights_of_another_dtype_follow_the_logits(targets: str) -> None:
    x = probe(SHAPE, 1, np.float32)
    t = np.array([0, 1, 4], np.uint8) if targets == "labels" else sg.softmax(probe(SHAPE, 2))
    weights = np.array([1.0, 2.0, 0.5])
    loss, gradient = sg.cross_entropy.value_and_gradient(x, t, row_weights=weights)
    assert loss.dtype == gradient.dtype == np.float32
    same = t if targets == "labels" else t.astype(np.float32)
    assert_same_bits(loss, sg.cross_entropy(x, same, row_weights=weights.astype(np.float32)))


@pytest.mark.parametrize("axis", [0, -1])
def test_products_have_the_dtype_of_the_input(axis: int) -> None:
    x = sample("normal", 1.0, k=4).astype(np.float32)
    v = probe(x.shape)  # float64
    for product in (
        sg.softmax.jvp(x, v, axis=axis),
        sg.softmax.vjp(x, v, axis=axis),
        sg.softmax.hvp(x, v, v, axis=axis),
    ):
        assert product.dtype == np.float32
