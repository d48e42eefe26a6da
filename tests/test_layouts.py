"""However an array lies in memory, the bits are those of its copy; and none is written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_same_bits
from specs import Compiled, Spec, each_way, probe

SHAPE = (4, 6)


def strided(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((*x.shape[:-1], 3 * x.shape[-1]), x.dtype)
    wide[..., ::3] = x
    return wide[..., ::3]


def backwards(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


def read_only(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def unaligned(x: np.ndarray) -> np.ndarray:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    assert not view.flags.aligned
    return view


def big_endian(x: np.ndarray) -> np.ndarray:
    return x.astype(x.dtype.newbyteorder(">"))


def a_slice_of_more(x: np.ndarray) -> np.ndarray:
    frame = np.full((x.shape[0] + 2, x.shape[1] + 3), np.nan, x.dtype)
    frame[1:-1, 2:-1] = x
    return frame[1:-1, 2:-1]


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "strided": strided,
    "backwards": backwards,
    "read-only": read_only,
    "unaligned": unaligned,
    "fortran": np.asfortranarray,
    "big-endian": big_endian,
    "slice": a_slice_of_more,
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)

LOSSES = {
    "cross_entropy": sg.cross_entropy,
    "cross_entropy compiled": Compiled(sg.cross_entropy),
    "binary_cross_entropy": sg.binary_cross_entropy,
    "squared_error": sg.squared_error,
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def products(spec: Spec, x: Any, x_dot: Any, y_bar: Any) -> list[Any]:
    f = spec.map
    return [
        f(x),
        f.jvp(x, x_dot),
        f.vjp(x, y_bar),
        f.jacobian(x),
        f.hvp(x, y_bar, x_dot),
    ]


@each_way
@each_layout
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layout_does_not_change_a_bit(spec: Spec, layout: Any, dtype: type) -> None:
    x, x_dot = 2 * probe(SHAPE, 1, dtype), probe(SHAPE, 2, dtype)
    y_bar = probe(spec.out_shape(SHAPE), 3, dtype)
    y_bar_there = layout(y_bar) if y_bar.ndim == 2 else y_bar
    laid_out = products(spec, layout(x), layout(x_dot), y_bar_there)
    for there, here in zip(laid_out, products(spec, x, x_dot, y_bar), strict=True):
        assert there.dtype.isnative
        assert_same_bits(there, here)


@each_way
def test_broadcast_array_is_its_copy(spec: Spec) -> None:
    """Stride 0: one row seen four times."""
    x = np.broadcast_to(2 * probe((6,), 1), SHAPE)
    x_dot = np.broadcast_to(probe((6,), 2), SHAPE)
    y_bar = probe(spec.out_shape(SHAPE), 3)
    copies = products(spec, x.copy(), x_dot.copy(), y_bar)
    for seen, copied in zip(products(spec, x, x_dot, y_bar), copies, strict=True):
        assert_same_bits(seen, copied)


@each_layout
@each_loss
def test_layout_does_not_change_a_loss(loss: Any, layout: Any) -> None:
    x, t = 2 * probe(SHAPE, 1), sg.softmax(probe(SHAPE, 2))
    here = loss.value_and_gradient(x, t)
    there = loss.value_and_gradient(layout(x), layout(t))
    assert_same_bits(there[0], here[0])
    assert_same_bits(there[1], here[1])
    v = probe(SHAPE, 3)
    assert_same_bits(loss.hessian(layout(x), layout(t)).mv(layout(v)), loss.hessian(x, t).mv(v))


@each_way
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_of_a_row_do_not_depend_on_its_batch(spec: Spec, dtype: type) -> None:
    """Alone, first, last, at an odd offset, among NaN: always the same row."""
    x, x_dot = 3 * probe((9, 37), 1, dtype), probe((9, 37), 2, dtype)
    y_bar = probe(spec.out_shape(x.shape), 3, dtype)
    together = products(spec, x, x_dot, y_bar)
    for i in range(9):
        alone = products(spec, x[i], x_dot[i], y_bar[i])
        for row, one in zip(together, alone, strict=True):
            assert_same_bits(row[i], one)
    order = np.array([8, 3, 0, 5, 1, 7, 2, 6, 4])
    for moved, row in zip(
        products(spec, x[order], x_dot[order], y_bar[order]), together, strict=True
    ):
        assert_same_bits(moved, row[order])


@each_way
def test_two_runs_give_the_same_bits(spec: Spec) -> None:
    x, x_dot = 3 * probe((5, 300), 1), probe((5, 300), 2)
    y_bar = probe(spec.out_shape(x.shape), 3)
    first, second = products(spec, x, x_dot, y_bar), products(spec, x, x_dot, y_bar)
    for one, other in zip(first, second, strict=True):
        assert_same_bits(one, other)


@each_way
def test_inputs_of_maps_are_never_modified(spec: Spec) -> None:
    x, x_dot, y_bar = 2 * probe(SHAPE, 1), probe(SHAPE, 2), probe(spec.out_shape(SHAPE), 3)
    kept = [a.copy() for a in (x, x_dot, y_bar)]
    results = products(spec, x, x_dot, y_bar)
    for array in results:  # nor is a result a view of an input
        assert not any(np.shares_memory(array, given) for given in (x, x_dot, y_bar))
    for array, copy in zip((x, x_dot, y_bar), kept, strict=True):
        assert_same_bits(array, copy)


@each_loss
def test_inputs_of_losses_are_never_modified(loss: Any) -> None:
    x, t, w = 2 * probe(SHAPE, 1), sg.softmax(probe(SHAPE, 2)), np.array([1.0, 0.0, 2.0, 0.5])
    c, where = np.linspace(0.1, 2, 6), np.ones(SHAPE, bool)
    kept = [a.copy() for a in (x, t, w, c, where)]
    options = {"row_weights": w, "class_weights": c, "where": where}
    value, gradient = loss.value_and_gradient(x, t, **options)
    loss.hessian(x, t, **options).mv(probe(SHAPE, 3))
    assert not any(np.shares_memory(gradient, given) for given in (x, t))
    for array, copy in zip((x, t, w, c, where), kept, strict=True):
        assert np.array_equal(array, copy)
    assert np.isfinite(value)
