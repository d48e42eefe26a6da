"""What every Jacobian obeys as a linear map: adjoint, symmetry, null space, matrix, composition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_close, assert_not_uniform, assert_same_bits, assert_zero
from softgrad.linear import (
    Composed,
    Diagonal,
    Identity,
    Outer,
    Scaled,
    Sum,
    Transposed,
)
from specs import Spec, each_sample, each_way, probe, sample, where_holds

SHAPE = (3, 5)


def at(spec: Spec, kind: str = "normal", scale: float = 1.0) -> tuple[Any, Any, Any, Any]:
    """Return x, its Jacobian, a tangent and a cotangent."""
    x = sample(kind, scale)
    x_dot, y_bar = probe(x.shape, seed=1), probe(spec.out_shape(x.shape), seed=2)
    assert_not_uniform(x_dot)
    return x, spec.map.linearize(x)[1], x_dot, y_bar


@each_way
@each_sample
def test_jvp_and_vjp_are_adjoint(spec: Spec, kind: str, scale: float) -> None:
    """⟨J v, g⟩ = ⟨v, Jᵀ g⟩."""
    _, jacobian, x_dot, y_bar = at(spec, kind, scale)
    forward, backward = np.vdot(jacobian.mv(x_dot), y_bar), np.vdot(x_dot, jacobian.rmv(y_bar))
    terms = np.sum(np.abs(jacobian.mv(x_dot) * y_bar)) + np.sum(np.abs(x_dot * jacobian.rmv(y_bar)))
    if terms == 0:  # saturated, or at a vertex of the simplex: the Jacobian is 0 itself
        assert not np.any(jacobian.as_matrix())
        return
    assert_close(forward, backward, u=32, scale=terms, what=spec.name)


@where_holds(lambda spec: spec.symmetric, compiled=True)
@each_sample
def test_jacobian_is_symmetric(spec: Spec, kind: str, scale: float) -> None:
    x, jacobian, x_dot, _ = at(spec, kind, scale)
    matrix = spec.map.jacobian(x)
    np.testing.assert_allclose(matrix, np.swapaxes(matrix, -1, -2), rtol=1e-15, atol=0)
    assert_same_bits(jacobian.mv(x_dot), jacobian.rmv(x_dot))


@where_holds(lambda spec: spec.simplex, compiled=True)
@each_sample
def test_jacobian_is_positive_semi_definite(spec: Spec, kind: str, scale: float) -> None:
    """⟨v, J v⟩ ≥ 0, and every row of J·v sums to zero."""
    for seed in range(4):
        _, jacobian, _, _ = at(spec, kind, scale)
        v = probe(SHAPE, seed=seed)
        product = jacobian.mv(v)
        assert np.all(np.sum(v * product, axis=-1) >= -1e-15 * np.sum(np.abs(v * product), axis=-1))
        terms = np.sum(np.abs(product), axis=-1)
        if np.any(terms):
            assert_zero(np.sum(product, axis=-1), u=16, scale=terms, what=spec.name)


@where_holds(lambda spec: spec.constants_to_zero, compiled=True)
@each_sample
def test_jacobian_takes_constants_to_zero(spec: Spec, kind: str, scale: float) -> None:
    """J·1 = 0, exactly: centring makes every term zero."""
    _, jacobian, x_dot, _ = at(spec, kind, scale)
    constant = np.full(SHAPE, 0.7)
    assert not np.any(jacobian.mv(constant))
    moved, still = jacobian.mv(x_dot + 2.0), jacobian.mv(x_dot)
    if np.any(still):
        assert_close(
            moved, still, u=64, scale=np.max(np.abs(jacobian.as_matrix()), (-1, -2))[:, None] * 3
        )


@where_holds(lambda spec: spec.simplex, compiled=True)
@each_sample
def test_columns_of_the_matrix_sum_to_zero(spec: Spec, kind: str, scale: float) -> None:
    """1ᵀJ = 0, in the matrix itself."""
    matrix = spec.map.jacobian(sample(kind, scale))
    terms = np.sum(np.abs(matrix), axis=-2)
    if np.any(terms):
        assert_zero(np.sum(matrix, axis=-2), u=8, scale=terms, what=spec.name)


@where_holds(lambda spec: spec.name.startswith("log_softmax"), compiled=True)
@each_sample
def test_log_softmax_cotangents_map_to_sums_of_zero(spec: Spec, kind: str, scale: float) -> None:
    """Jᵀ g = g − p·Σg sums to zero; each of its columns does."""
    _, jacobian, _, y_bar = at(spec, kind, scale)
    x_bar = jacobian.rmv(y_bar)
    assert_zero(np.sum(x_bar, axis=-1), u=16, scale=np.sum(np.abs(y_bar), axis=-1) * 3)


@each_way
@each_sample
def test_matrix_acts_as_the_map_does(spec: Spec, kind: str, scale: float) -> None:
    x, jacobian, x_dot, y_bar = at(spec, kind, scale)
    matrix = spec.map.jacobian(x)
    assert_same_bits(matrix, jacobian.as_matrix())
    if spec.to_number:
        forward, backward = np.sum(matrix * x_dot, axis=-1), matrix * y_bar[..., None]
    else:
        forward = np.einsum("nij,nj->ni", matrix, x_dot)
        backward = np.einsum("nij,ni->nj", matrix, y_bar)
    size = np.max(np.abs(matrix)) * 3
    if size:
        assert_close(jacobian.mv(x_dot), forward, u=32, scale=size, what=spec.name)
        assert_close(jacobian.rmv(y_bar), backward, u=32, scale=size, what=spec.name)
    assert_same_bits(jacobian.T.mv(y_bar), jacobian.rmv(y_bar))
    assert_same_bits(jacobian.T.rmv(x_dot), jacobian.mv(x_dot))
    assert_same_bits(jacobian.T.T.mv(x_dot), jacobian.mv(x_dot))


@each_way
def test_shapes_of_the_jacobian(spec: Spec) -> None:
    x, jacobian, x_dot, y_bar = at(spec)
    assert jacobian.in_shape == x.shape
    assert jacobian.out_shape == spec.out_shape(x.shape)
    assert jacobian.T.in_shape == jacobian.out_shape
    assert jacobian.T.out_shape == jacobian.in_shape
    assert jacobian.mv(x_dot).shape == jacobian.out_shape
    assert jacobian.rmv(y_bar).shape == jacobian.in_shape
    expected = x.shape if spec.to_number else (*x.shape, x.shape[-1])
    assert jacobian.as_matrix().shape == expected
    assert str(x.shape) in repr(jacobian)


@each_way
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_equals_the_last_axis_of_moved_arrays(spec: Spec, axis: int) -> None:
    x, x_dot = probe((2, 3, 4), seed=3) * 2, probe((2, 3, 4), seed=4)
    rows, rows_dot = np.moveaxis(x, axis, -1), np.moveaxis(x_dot, axis, -1)
    y_bar_rows = probe(spec.out_shape(rows.shape), seed=5)
    y_bar = y_bar_rows if spec.to_number else np.moveaxis(y_bar_rows, -1, axis)

    def back(y: Any) -> Any:
        return y if spec.to_number else np.moveaxis(y, -1, axis)

    f = spec.map
    assert_same_bits(f(x, axis=axis), back(f(rows)))
    assert_same_bits(f.jvp(x, x_dot, axis=axis), back(f.jvp(rows, rows_dot)))
    assert_same_bits(f.vjp(x, y_bar, axis=axis), np.moveaxis(f.vjp(rows, y_bar_rows), -1, axis))
    matrix = f.jacobian(rows)  # [*batch, K, K] for any axis; the gradient of a number is like x
    assert_same_bits(
        f.jacobian(x, axis=axis), np.moveaxis(matrix, -1, axis) if spec.to_number else matrix
    )
    hvp = f.hvp(x, y_bar, x_dot, axis=axis)
    assert_same_bits(hvp, np.moveaxis(f.hvp(rows, y_bar_rows, rows_dot), -1, axis))
    jacobian = f.linearize(x, axis=axis)[1]
    assert jacobian.in_shape == x.shape
    assert jacobian.mv(x_dot).shape == jacobian.out_shape


@where_holds(lambda spec: not spec.to_number)
def test_hvp_is_symmetric_in_tangent_and_differentiates_vjp(spec: Spec) -> None:
    """⟨a, H b⟩ = ⟨b, H a⟩ for the Hessian H of ⟨y_bar, y(x)⟩."""
    x, _, a, y_bar = at(spec)
    b = probe(SHAPE, seed=9)
    left, right = a * spec.map.hvp(x, y_bar, b), b * spec.map.hvp(x, y_bar, a)
    terms = np.sum(np.abs(left)) + np.sum(np.abs(right))
    if spec.name in ("relu", "sparsemax"):
        assert terms == 0
        return
    assert_close(np.sum(left), np.sum(right), u=64, scale=terms)


def test_composition_is_the_chain_rule() -> None:
    x = sample("normal", 1.0)
    h, inner = sg.tanh.linearize(x)
    _, outer = sg.softmax.linearize(h)
    x_dot, y_bar = probe(SHAPE, seed=1), probe(SHAPE, seed=2)
    both = outer @ inner
    assert isinstance(both, Composed)
    assert_same_bits(both.mv(x_dot), outer.mv(inner.mv(x_dot)))
    assert_same_bits(both.rmv(y_bar), inner.rmv(outer.rmv(y_bar)))
    assert_same_bits(both.T.mv(y_bar), both.rmv(y_bar))
    matrix = outer.as_matrix() @ inner.as_matrix()
    assert_same_bits(both.as_matrix(), matrix)
    assert_close(both.mv(x_dot), np.einsum("nij,nj->ni", matrix, x_dot), u=32)


@pytest.mark.parametrize(
    "linear_map",
    [
        Identity(probe(SHAPE)),
        Outer(probe(SHAPE, 1), probe(SHAPE, 2)),
        Scaled(2.5, Diagonal(probe(SHAPE, 3))),
        Scaled(probe((3, 1), 3), Outer(probe(SHAPE, 1), probe(SHAPE, 2))),
        Sum(Diagonal(probe(SHAPE, 3)), Outer(probe(SHAPE, 1), probe(SHAPE, 2))),
        Composed(Outer(probe(SHAPE, 1), probe(SHAPE, 2)), Diagonal(probe(SHAPE, 3))),
        Transposed(Outer(probe(SHAPE, 1), probe(SHAPE, 2))),
    ],
    ids=lambda linear_map: type(linear_map).__name__,
)
def test_linear_maps_act_as_their_matrices(linear_map: Any) -> None:
    v, matrix = probe(SHAPE, seed=5), linear_map.as_matrix()
    assert matrix.shape == (3, 5, 5)
    assert_close(linear_map.mv(v), np.einsum("nij,nj->ni", matrix, v), u=32)
    assert_close(linear_map.rmv(v), np.einsum("nij,ni->nj", matrix, v), u=32)
    assert_same_bits(linear_map.T.as_matrix(), np.swapaxes(matrix, -1, -2))
    assert linear_map.in_shape == linear_map.out_shape == SHAPE
