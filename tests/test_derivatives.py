"""jvp, vjp, jacobian and hvp are derivatives: differences of mpmath's primal at 150 digits."""

from __future__ import annotations

from typing import Any

import numpy as np

import oracles
from asserts import assert_mpmath_close, assert_not_uniform
from specs import Spec, each, each_sample, probe, sample

ROWS = 2


def at_rows(spec: Spec, kind: str, scale: float) -> Any:
    """Yield a row, two directions, and mpmath's Jacobian there."""
    for i, x in enumerate(sample(kind, scale, k=4, rows=ROWS)):
        x_dot, y_bar = probe(x.shape, seed=i), probe(spec.out_shape(x.shape), seed=7 + i)
        assert_not_uniform(x_dot)
        yield x, x_dot, y_bar, oracles.jacobian(spec.oracle, oracles.row(x))


def size_of_terms(matrix: list[list[Any]], v: Any) -> list[Any]:
    """|J|·|v|: what a sum can be measured by."""
    return [sum(abs(a) * abs(b) for a, b in zip(line, v, strict=True)) for line in matrix]


@each
@each_sample
def test_jvp_is_the_difference_along_a_direction(spec: Spec, kind: str, scale: float) -> None:
    for x, x_dot, _, matrix in at_rows(spec, kind, scale):
        expected = oracles.jvp(spec.oracle, oracles.row(x), oracles.row(x_dot))
        assert_product(spec, spec.map.jvp(x, x_dot), expected, size_of_terms(matrix, x_dot))
        assert_product(
            spec, spec.map.linearize(x)[1].mv(x_dot), expected, size_of_terms(matrix, x_dot)
        )


@each
@each_sample
def test_vjp_is_the_difference_of_every_coordinate(spec: Spec, kind: str, scale: float) -> None:
    for x, _, y_bar, matrix in at_rows(spec, kind, scale):
        y_bar_row = oracles.row(np.ravel(y_bar))
        expected = oracles.vjp(spec.oracle, oracles.row(x), y_bar_row)
        transposed = [list(column) for column in zip(*matrix, strict=True)]
        terms = size_of_terms(transposed, y_bar_row)
        assert_product(spec, spec.map.vjp(x, y_bar), expected, terms)
        assert_product(spec, spec.map.linearize(x)[1].rmv(y_bar), expected, terms)


@each
@each_sample
def test_jacobian_is_the_matrix_of_differences(spec: Spec, kind: str, scale: float) -> None:
    for x, _, _, matrix in at_rows(spec, kind, scale):
        actual = spec.map.jacobian(x).reshape(len(matrix), len(x))
        entries = [value for line in matrix for value in line]
        assert_product(spec, actual.ravel(), entries, [abs(value) for value in entries])


@each
@each_sample
def test_hvp_is_the_difference_of_the_differences(spec: Spec, kind: str, scale: float) -> None:
    for i, x in enumerate(sample(kind, scale, k=4, rows=ROWS)):
        x_dot, y_bar = probe(x.shape, seed=i), probe(spec.out_shape(x.shape), seed=7 + i)
        expected = oracles.hvp(
            spec.oracle, oracles.row(x), oracles.row(np.ravel(y_bar)), oracles.row(x_dot)
        )
        actual = spec.map.hvp(x, y_bar, x_dot)
        bends = [abs(value) for value in expected]
        terms = (
            bends if spec.elementwise else [max(*bends, largest_term(spec, x, x_dot, y_bar))] * 4
        )
        if max(bends) < 1e-12 * max(terms):  # piecewise linear, or two equal maxima
            error = np.abs(actual - oracles.to_floats(expected))
            assert np.all(error <= 1e-15 * float(max(terms)) + 1e-45), spec.name
        else:
            assert_product(spec, actual, expected, [8 * term for term in terms], floor=1e-45)


def largest_term(spec: Spec, x: Any, x_dot: Any, y_bar: Any) -> Any:
    """Return the size of the products that an hvp adds up: what rounding is measured by."""
    slope = max(
        abs(value) for line in oracles.jacobian(spec.oracle, oracles.row(x)) for value in line
    )
    return slope * float(np.max(np.abs(x_dot)) * np.max(np.abs(y_bar)))


def assert_product(
    spec: Spec, actual: Any, expected: list[Any], terms: list[Any], floor: float = 1e-80
) -> None:
    """Compare what the differences resolve; beyond it the answer must be as small as they are."""
    actual = np.ravel(actual)
    resolved = [bool(size > floor) for size in terms]
    for value, keep in zip(actual, resolved, strict=True):
        assert keep or abs(value) <= 16 * floor, spec.name
    if any(resolved):
        assert_mpmath_close(
            actual[resolved],
            [y for y, keep in zip(expected, resolved, strict=True) if keep],
            u=spec.slope_u,
            scale=[size for size, keep in zip(terms, resolved, strict=True) if keep],
            what=spec.name,
        )
