"""What is said about wrong arguments: the argument's name, what was expected, what was got."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_same_bits
from softgrad.arrays import quiet
from specs import Spec, each, probe, where_holds

REAL = "real numbers (float16, bfloat16, float32, float64 or integers)"
X, LABELS = np.zeros((3, 4)), np.array([0, 1, 2])
BOTH = "integers of shape (3,) or probabilities of shape (3, 4)"


def assert_says(kind: type[Exception], message: str, call: Callable[[], Any]) -> None:
    """Raise unless the call raises exactly this kind with exactly this message."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == message


# --- maps ------------------------------------------------------------------------------------

BAD_INPUTS = {
    "text": ("abc", TypeError, f"`x` must be {REAL}, got str96 ()"),
    "none": (None, TypeError, f"`x` must be {REAL}, got object ()"),
    "complex": (np.zeros(3, complex), TypeError, f"`x` must be {REAL}, got complex128 (3,)"),
    "object": ([1, None], TypeError, f"`x` must be {REAL}, got object (2,)"),
    "bool": ([True, False], TypeError, f"`x` must be {REAL}, got bool (2,)"),
    "date": (
        np.zeros(2, "datetime64[s]"),
        TypeError,
        f"`x` must be {REAL}, got datetime64[s] (2,)",
    ),
    "ragged": (
        [[1, 2], [3]],
        ValueError,
        "`x` must be an array, got sequences of different lengths",
    ),
}


@each
@pytest.mark.parametrize(("x", "kind", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_inputs_of_maps_are_real_arrays(spec: Spec, x: Any, kind: Any, message: str) -> None:
    assert_says(kind, message, lambda: spec.map(x))
    assert_says(kind, message, lambda: spec.map.linearize(x))
    assert_says(kind, message, lambda: spec.map.vjp(x, [1.0, 2.0]))


BAD_AXES = {
    "text": ("rows", TypeError, "`axis` must be an integer, got 'rows'"),
    "float": (1.0, TypeError, "`axis` must be an integer, got 1.0"),
    "none": (None, TypeError, "`axis` must be an integer, got None"),
    "tuple": ((0, 1), TypeError, "`axis` must be an integer, got (0, 1)"),
    "bool": (True, TypeError, "`axis` must be an integer, got True"),
    "beyond": (2, ValueError, "`axis` must be within the 2 axes of shape (3, 4), got 2"),
    "before": (-3, ValueError, "`axis` must be within the 2 axes of shape (3, 4), got -3"),
}


@each
@pytest.mark.parametrize(("axis", "kind", "message"), BAD_AXES.values(), ids=BAD_AXES)
def test_axis_is_one_of_the_axes(spec: Spec, axis: Any, kind: Any, message: str) -> None:
    y_bar = probe(spec.out_shape(X.shape))
    assert_says(kind, message, lambda: spec.map(X, axis=axis))
    assert_says(kind, message, lambda: spec.map.jvp(X, probe(X.shape), axis=axis))
    assert_says(kind, message, lambda: spec.map.vjp(X, y_bar, axis=axis))
    assert_says(kind, message, lambda: spec.map.jacobian(X, axis=axis))
    assert_says(kind, message, lambda: spec.map.hvp(X, y_bar, probe(X.shape), axis=axis))
    assert_says(kind, message, lambda: spec.map.linearize(X, axis=axis))


@each
def test_directions_have_the_shapes_of_input_and_output(spec: Spec) -> None:
    f, out = spec.map, spec.out_shape(X.shape)
    x_dot, y_bar, odd = probe(X.shape), probe(out), probe((4, 3))
    at_x, at_y = f"of shape {X.shape}, got float64 (4, 3)", f"of shape {out}, got float64 (4, 3)"
    jacobian = f.linearize(X)[1]
    assert_says(ValueError, f"`x_dot` must be {at_x}", lambda: f.jvp(X, odd))
    assert_says(ValueError, f"`x_dot` must be {at_x}", lambda: jacobian.mv(odd))
    assert_says(ValueError, f"`x_dot` must be {at_x}", lambda: f.hvp(X, y_bar, odd))
    assert_says(ValueError, f"`y_bar` must be {at_y}", lambda: f.vjp(X, odd))
    assert_says(ValueError, f"`y_bar` must be {at_y}", lambda: jacobian.rmv(odd))
    assert_says(ValueError, f"`y_bar` must be {at_y}", lambda: f.hvp(X, odd, x_dot))
    assert_says(TypeError, f"`x_dot` must be {REAL}, got bool (3, 4)", lambda: f.jvp(X, X == 0))


@where_holds(lambda spec: not spec.elementwise)
def test_masks_are_boolean_and_broadcast(spec: Spec) -> None:
    f = spec.map
    assert_says(
        TypeError,
        "`where` must be boolean, got int64 (4,)",
        lambda: f(X, where=np.array([1, 0, 1, 1])),
    )
    expected = "`where` must be broadcastable to shape (3, 4), got "
    assert_says(ValueError, expected + "(5,)", lambda: f(X, where=np.ones(5, bool)))
    assert_says(ValueError, expected + "(2, 3, 4)", lambda: f(X, where=np.ones((2, 3, 4), bool)))


@where_holds(lambda spec: not spec.elementwise)
def test_a_single_number_has_no_classes(spec: Spec) -> None:
    message = "`x` must be an array with a class axis, got a single number"
    assert_says(ValueError, message, lambda: spec.map(3.0))


@where_holds(lambda spec: spec.elementwise)
def test_elementwise_maps_take_no_mask(spec: Spec) -> None:
    message = "`where` must be None for an elementwise map, got a mask"
    assert_says(TypeError, message, lambda: spec.map(X, where=np.ones(4, bool)))


@where_holds(lambda spec: bool(spec.settings))
def test_settings_of_maps_are_checked_when_they_are_made(spec: Spec) -> None:
    for name, values in spec.settings.items():
        for value in values:
            with pytest.raises((TypeError, ValueError), match=f"`{name}` must be a finite number"):
                type(spec.map)(**{name: value})


def test_settings_by_their_exact_words() -> None:
    assert_says(
        ValueError,
        "`empty_row` must be 'nan' or 'zero' or 'uniform' or 'raise', got 'one'",
        lambda: sg.Softmax(empty_row="one"),
    )
    for value, kind in ((0.0, ValueError), (float("nan"), ValueError), ("hot", TypeError)):
        message = f"`temperature` must be a finite number from 1e-30 to 1e+30, got {value!r}"
        assert_says(kind, message, lambda value=value: sg.Softmax(temperature=value))
        assert_says(kind, message, lambda value=value: sg.LogSoftmax(temperature=value))
    for value in (1.0, 0.0, float("inf")):
        message = f"`alpha` must be a finite number above 1, at most 100, got {value!r}"
        assert_says(ValueError, message, lambda value=value: sg.Entmax(alpha=value))


def test_maps_are_applied_by_mv_and_composed_by_at() -> None:
    jacobian = sg.softmax.linearize(X)[1]
    message = "`other` must be a linear map, got ndarray (a map is applied to an array by `mv`)"
    assert_says(TypeError, message, lambda: jacobian @ X)
    other = sg.softmax.linearize(np.zeros((4, 3)))[1]
    message = "`inner` must be a linear map to shape (3, 4), got one to (4, 3)"
    assert_says(ValueError, message, lambda: jacobian @ other)


# --- losses ----------------------------------------------------------------------------------

BAD_TARGETS = {
    "shape": (np.zeros((3, 5)), ValueError, f"{BOTH}, got float64 (3, 5)"),
    "length": (np.array([0, 1]), ValueError, f"{BOTH}, got int64 (2,)"),
    "float labels": (np.array([0.0, 1, 2]), ValueError, f"{BOTH}, got float64 (3,)"),
    "bool": (np.array([True, False, True]), TypeError, f"{BOTH}, got bool (3,)"),
    "bool rows": (X == 0, TypeError, f"{BOTH}, got bool (3, 4)"),
    "text": (["a", "b", "c"], ValueError, f"{BOTH}, got str32 (3,)"),
    "none": (None, ValueError, f"{BOTH}, got object ()"),
    "complex": (np.zeros((3, 4), complex), TypeError, f"{REAL}, got complex128 (3, 4)"),
    "masked": (
        np.ma.masked_array(X),
        TypeError,
        "a plain array; give the mask as `where=`, got a numpy.ma.MaskedArray",
    ),
}


@pytest.mark.parametrize(("targets", "kind", "said"), BAD_TARGETS.values(), ids=BAD_TARGETS)
@pytest.mark.parametrize("loss", [sg.cross_entropy, sg.FenchelYoung()])
def test_targets_are_labels_or_probabilities(loss: Any, targets: Any, kind: Any, said: str) -> None:
    for call in (loss, loss.value, loss.gradient, loss.value_and_gradient, loss.hessian):
        assert_says(kind, f"`targets` must be {said}", lambda call=call: call(X, targets))


@pytest.mark.parametrize(
    ("loss", "targets", "shape"),
    [
        (sg.cross_entropy, LABELS, ()),
        (sg.CrossEntropy(reduction="none"), LABELS, (3,)),
        (sg.BinaryCrossEntropy(reduction="none"), np.zeros((3, 4)), (3, 4)),
    ],
)
def test_an_incoming_gradient_is_shaped_like_the_loss(loss: Any, targets: Any, shape: Any) -> None:
    said = f"`value_bar` must be of shape {shape}, got float64 (7,)"
    assert_says(ValueError, said, lambda: loss.vjp(X, targets, np.zeros(7)))
    said = f"`value_bar` must be {REAL}, got bool {shape}"
    assert_says(TypeError, said, lambda: loss.vjp(X, targets, np.full(shape, True)))


@pytest.mark.parametrize("loss", [sg.binary_cross_entropy, sg.squared_error])
def test_targets_of_elementwise_losses_have_the_shape_of_x(loss: Any) -> None:
    expected = "`targets` must be numbers of shape (3, 4), got "
    assert_says(ValueError, expected + "int64 (3,)", lambda: loss(X, LABELS))
    assert_says(ValueError, expected + "float64 (4,)", lambda: loss(X, np.zeros(4)))
    assert_says(TypeError, expected + "bool (3, 4)", lambda: loss(X, X == 0))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([0, 4, 2]), "4 at position 1"),
        (np.array([-1, 4, 2]), "-1 at position 0"),
        (np.array([0, 1, 2**40]), f"{2**40} at position 2"),
        (np.array([0, 1, 2**63], np.uint64), f"{2**63} at position 2"),
        (np.array([255, 0, 0], np.uint8), "255 at position 0"),
    ],
)
def test_labels_name_the_first_bad_position_and_value(labels: Any, said: str) -> None:
    message = f"`targets` must be class indices from 0 to 3, got {said}"
    for loss in (sg.cross_entropy, sg.CrossEntropy(ignore_index=-100), sg.FenchelYoung()):
        assert_says(IndexError, message, lambda loss=loss: loss(X, labels))
        assert_says(IndexError, message, lambda loss=loss: loss.hessian(X, labels))


def test_bad_labels_raise_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-6: not a row is centred before all labels were looked at."""

    def no_work(*_: Any) -> Any:
        raise AssertionError("work before the labels were checked")

    monkeypatch.setattr(import_module("softgrad.losses.cross_entropy"), "centre", no_work)
    with pytest.raises(AssertionError):
        sg.cross_entropy(X, LABELS)
    with pytest.raises(IndexError, match="got 7 at position 2"):
        sg.cross_entropy(X, np.array([0, 1, 7]))


@pytest.mark.parametrize("loss", [sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error])
def test_weights_are_finite_and_not_negative(loss: Any) -> None:
    t = np.full((3, 4), 0.25)
    for name, fine in (("class_weights", [1.0, 1, 1, 1]), ("row_weights", [1.0, 1, 1])):
        for bad in (-1.0, float("nan"), float("inf")):
            weights = [*fine[:1], bad, *fine[2:]]
            message = f"`{name}` must be not negative and finite in float64, got {bad} at 1"
            assert_says(ValueError, message, lambda n=name, w=weights: loss(X, t, **{n: w}))
        large = [*fine[:1], 1e300, *fine[2:]]
        message = f"`{name}` must be not negative and finite in float32, got 1e+300 at 1"
        assert_says(ValueError, message, lambda n=name, w=large: loss(np.float32(X), t, **{n: w}))
        shape = (len(fine),)
        message = f"`{name}` must be of shape {shape}, got float64 (5,)"
        assert_says(ValueError, message, lambda n=name: loss(X, t, **{n: np.ones(5)}))
        message = f"`{name}` must be {REAL}, got bool (2,)"
        assert_says(TypeError, message, lambda n=name: loss(X, t, **{n: [True, True]}))


@pytest.mark.parametrize(("axis", "kind", "message"), BAD_AXES.values(), ids=BAD_AXES)
def test_axis_of_losses_is_one_of_the_axes(axis: Any, kind: Any, message: str) -> None:
    for loss in (sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error):
        assert_says(kind, message, lambda loss=loss: loss(X, X, axis=axis))


@pytest.mark.parametrize(("x", "kind", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_inputs_of_losses_are_real_arrays(x: Any, kind: Any, message: str) -> None:
    for loss in (sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error, sg.FenchelYoung()):
        assert_says(kind, message, lambda loss=loss: loss(x, X))


@pytest.mark.parametrize(
    "make", [sg.CrossEntropy, sg.BinaryCrossEntropy, sg.SquaredError, sg.FenchelYoung]
)
def test_settings_of_every_loss(make: Any) -> None:
    words = {
        "reduction": ("avg", "'mean' or 'sum' or 'none', got 'avg'"),
        "on_empty": ("one", "'zero' or 'nan' or 'raise', got 'one'"),
        "normalizer": ("rows", "'weight' or 'count', got 'rows'"),
    }
    for name, (word, said) in words.items():
        assert_says(ValueError, f"`{name}` must be {said}", lambda n=name, w=word: make(**{n: w}))
    for number in (0, -1.0, float("inf"), float("nan")):
        message = f"`normalizer` must be positive and finite, got {number}"
        assert_says(ValueError, message, lambda number=number: make(normalizer=number))
    for neither in (None, True):
        message = f"`normalizer` must be 'weight' or 'count', got {neither}"
        assert_says(ValueError, message, lambda n=neither: make(normalizer=n))


def test_settings_of_cross_entropy() -> None:
    for smoothing in (-0.1, 1.5, float("nan")):
        with pytest.raises(
            ValueError, match=r"`label_smoothing` must be a finite number from 0 to 1, got"
        ):
            sg.CrossEntropy(label_smoothing=smoothing)
    for z_loss in (-1.0, float("inf")):
        with pytest.raises(ValueError, match=r"`z_loss` must be a finite number .*, got"):
            sg.CrossEntropy(z_loss=z_loss)
    for index, said in ((1.5, "1.5"), ("a", "'a'"), (True, "True")):
        message = f"`ignore_index` must be an integer, got {said}"
        assert_says(TypeError, message, lambda i=index: sg.CrossEntropy(ignore_index=i))
    with pytest.raises(ValueError, match="`pos_weight` must be a finite number above 0, got 0"):
        sg.BinaryCrossEntropy(pos_weight=0)


def test_what_fenchel_young_does_not_take() -> None:
    loss = sg.FenchelYoung()
    for name, value in (("class_weights", np.ones(4)), ("where", np.ones(4, bool))):
        message = f"`{name}` must be None for a Fenchel–Young loss, got an array"
        assert_says(TypeError, message, lambda n=name, v=value: loss(X, LABELS, **{n: v}))
    message = "`map` must be a simplex map, got Tanh"
    assert_says(TypeError, message, lambda: sg.FenchelYoung(map=sg.tanh))


def test_setting_given_as_an_option_of_a_loss_is_refused_with_a_hint() -> None:
    message = r"`options` must be one of axis, where, .* got 'reduction' .*CrossEntropy\(reduction"
    with pytest.raises(TypeError, match=message):
        sg.cross_entropy([[1.0, 2.0]], [0], reduction="sum")


@pytest.mark.parametrize("half", [np.float32(0.5), Fraction(1, 2)])
def test_temperature_is_any_real_number(half: object) -> None:
    z = np.array([0.3, -1.0, 2.0])
    by_type, by_float = sg.Softmax(temperature=half), sg.Softmax(temperature=0.5)
    assert_same_bits(by_type(z), by_float(z))
    assert_same_bits(by_type.hvp(z, z[::-1], z**2), by_float.hvp(z, z[::-1], z**2))


# --- memory ----------------------------------------------------------------------------------

TOO_LARGE: dict[str, Callable[[Any], Any]] = {
    "softmax": sg.softmax,
    "its product": lambda x: sg.softmax.vjp(x, x),
    "sigmoid": sg.sigmoid,
    "sparsemax": sg.sparsemax,
    "cross_entropy": lambda x: sg.cross_entropy.value_and_gradient(x, x),
    "binary_cross_entropy": lambda x: sg.binary_cross_entropy(x, x),
}


@pytest.mark.parametrize("name", TOO_LARGE)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_no_memory_is_a_memory_error_whoever_says_it(name: str, library: str) -> None:
    x: Any = np.zeros((), np.float32)
    if library == "torch":
        x = pytest.importorskip("torch").zeros(()).expand(2**50, 1)
    else:
        x = np.broadcast_to(x, (2**50, 1))  # four bytes that look like 4 PiB
    with pytest.raises(MemoryError):
        TOO_LARGE[name](x)


def test_no_memory_of_a_gpu_is_a_memory_error_as_well() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(MemoryError, match="Tried to allocate 2 GiB"), quiet():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")


def test_another_error_of_a_library_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="a device that failed") as caught, quiet():
        raise RuntimeError("a device that failed")
    assert caught.value.__cause__ is None
