"""Layer objects: `forward` and `backward` of a copy, with its weights as inputs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended, guarded, is_of_the_call, misfit_of
from softgrad.checker.subject import AnyArray, Arrays, flat, is_floating
from softgrad.checker.subjects.weights import (
    Path,
    Weight,
    array_at,
    arrays_of,
    in_words,
    named_weights,
    put,
)

__all__ = ["Layer"]

OUTPUTS = ("output", "outputs", "out")
"""Where a forward that returns nothing leaves its value."""
GRADIENTS = ("dinputs", "dinput", "d_inputs", "d_input", "grad_input", "grad_inputs")
"""Where a backward that returns nothing leaves the gradient of the input."""
_STEP = 2.0**-10
_NEAR = 2.0**-8
"""How near one difference comes to a slope, as a part of it."""


class Layer:
    """A layer whose weights are inputs like any other; they follow those that its forward takes.

    A weight is an array that is there before the first call, that the forward depends on and leaves
    alone, and beside which the backward leaves an array that is named as its gradient. No other is
    guessed. The user's own layer stays as it is: a copy is called.
    """

    def __init__(self, layer: Any) -> None:
        self.remarks: list[str] = []
        self.doubts: list[str] = []
        self.weights: list[Weight] = []
        self.values: Arrays = ()
        """The weights as they are kept."""
        self.forward_calls = self.backward_calls = 0
        """Those that it took to find the weights."""
        self._given: Arrays = ()
        self._fixed: dict[Path, AnyArray] = {}
        self._written: set[Weight] = set()
        self._count = 0
        self._factor = 1.0
        try:
            self._layer = deepcopy(layer)
        except Exception:  # whatever it keeps
            self._layer = layer
            self.remarks.append("The layer cannot be copied: what is changed in it stays so.")

    @property
    def names(self) -> tuple[str, ...]:
        """What to call the weights in a sentence."""
        return tuple(f"weight {weight.name}" for weight in self.weights)

    def forward(self, *arguments: Any) -> Any:
        """Run the forward at inputs and weights."""
        count = len(arguments) - len(self.weights)
        self._given = arguments[count:]
        self._put_back()
        return self._called("forward", arguments[:count], OUTPUTS)

    def vjp(self, *arguments: Any) -> Any:
        """Return the gradients of inputs and weights."""
        self.forward(*arguments[:-1])
        return self.kept_vjp(arguments[-1])

    def kept_vjp(self, cotangent: Any) -> Any:
        """Run the backward alone, and once more if need be."""
        self._put_back()
        cleared = {}
        for weight, value in zip(self.weights, self._given, strict=True):
            if array_at(self._layer, weight.gradient[0]) is not None:  # it may be added to
                cleared[weight] = np.zeros_like(value)
                self._put(weight.gradient, cleared[weight])
        result = self._called("backward", (cotangent,), GRADIENTS)
        if not self.weights:
            return result
        for weight, value in zip(self.weights, self._given, strict=True):
            if not self._is_still(weight.places[0], value):
                self._say_changed([weight.name])
            if array_at(self._layer, weight.gradient[0]) is not cleared.get(weight):
                self._written.add(weight)
        return (*self._entries(result), *map(self._gradient_of, self.weights, self._given))

    def _called(self, method: str, arguments: tuple[Any, ...], left: tuple[str, ...]) -> Any:
        """Call a method; of one that returns nothing, take what it leaves under a known name."""
        function = getattr(self._layer, method)
        try:
            result = function(*arguments)
        except TypeError as error:
            misfit = misfit_of(function, arguments) if is_of_the_call(error) else None
            if misfit is None:
                raise
            raise Ended("doubt", f"The layer's {method} {misfit}") from None
        if result is not None:
            return result
        name = next((n for n in left if array_at(self._layer, (n,)) is not None), None)
        if name is None:
            return None
        self._remark(f"The layer's {method} returns nothing: its `{name}` was taken.")
        return array_at(self._layer, (name,))

    def _gradient_of(self, weight: Weight, value: AnyArray) -> AnyArray | None:
        """Return what the backward has left for a weight, in its shape where it has its size."""
        G = array_at(self._layer, weight.gradient[0])
        if G is None:
            return None
        if G.shape != value.shape and G.size == value.size:
            text = f"The gradient of {weight.name} is kept with shape {G.shape}, and it has "
            self._remark(f"{text}{value.shape}: only its numbers were checked.")
            G = G.reshape(value.shape)
        return np.asarray(G * self._factor, G.dtype)

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def find_weights(self, inputs: tuple[Any, ...]) -> None:
        """Run the layer a few times to see which of its arrays are weights."""
        kept = arrays_of(self._layer)
        if not kept:
            return
        self._count = sum(isinstance(v, np.ndarray) and is_floating(v) for v in inputs)
        left: dict[Path, AnyArray] = {}
        try:
            with np.errstate(all="ignore"):
                left = self._pair(inputs, kept)
        except Ended:  # it will be heard of again
            self.weights = []
        pairs = [f"{w.name} (in {in_words(w.gradient[0])})" for w in self.weights]
        if pairs:
            self.remarks.append(f"The gradients of these weights were checked: {', '.join(pairs)}.")
        known = {path for w in self.weights for path in (*w.places, *w.gradient)}
        others = ", ".join(in_words(path) for path in left if path not in known)
        if others:
            self.remarks.append(
                f"Weights' gradients were not checked for {others}: the backward writes no array "
                "that is named as the gradient, as dW is that of W, and is zero where no gradient "
                "comes in."
            )

    def _pair(self, inputs: tuple[Any, ...], kept: dict[Path, AnyArray]) -> dict[Path, AnyArray]:
        """Find the weights; return the arrays that the forward leaves alone, as they were."""
        before = {path: array.copy() for path, array in kept.items()}
        rng = np.random.default_rng(0)
        left = before
        for point in (tuple(_moved(rng, value) for value in inputs), inputs):
            outputs, several = self._run(point)
            left = {path: value for path, value in left.items() if self._is_still(path, value)}
        g = tuple(rng.standard_normal(y.shape).astype(y.dtype) for y in outputs)
        if len(self._pull_back(inputs, g, several)) not in (self._count, len(inputs)):
            return left
        weights = named_weights({path: kept[path] for path in left}, arrays_of(self._layer))
        gradients = {path for weight in weights for path in weight.gradient}
        left = {path: value for path, value in left.items() if path not in gradients}
        self._look_for_steps(inputs, outputs, left)
        if not weights:
            return left
        values = [left[weight.places[0]] for weight in weights]
        for path in (path for weight in weights for path in weight.places):
            self._fixed.pop(path, None)
        self.weights = weights
        found = self._pull_back((*inputs, *values), g, several)[-len(weights) :]
        none = self._pull_back((*inputs, *values), tuple(0 * v for v in g), several)[
            -len(weights) :
        ]
        factors = []
        for place, (weight, G, rest) in enumerate(zip(weights, found, none, strict=True)):
            factor = self._factor_of(place, G, (inputs, values, flat(g)))
            written = weight in self._written or np.any(G)
            if factor is not None and written and not np.any(rest):
                factors.append((weight, factor))
        for weight, value in zip(weights, values, strict=True):
            self._put(weight.places, np.array(value))
        self.weights = [weight for weight, _ in factors]
        self.values = tuple(left[weight.places[0]] for weight in self.weights)
        self._look_for_mean(inputs, [factor for _, factor in factors])
        return left

    def _factor_of(self, place: int, G: Any, at: tuple[Any, Any, Any]) -> float | None:
        """Return what a gradient is, as a multiple of the slope; None if there is none of either.

        The forward may keep another copy of the weight, and not move with this one.
        """
        inputs, values, g = at
        if G is None or not np.isfinite(G).all():
            return None
        fits = G.size == values[place].size  # what is not summed has no factor
        signs = np.where(G, np.sign(G), 1.0) if fits else np.ones(values[place].shape)
        uneven = np.random.default_rng(0).uniform(0.5, 1.5, signs.shape)  # softmax's slope is not 0
        u = signs * uneven * max(float(np.abs(values[place]).max()), _STEP)
        ends = []
        for step in (_STEP, -_STEP):
            moved = list(values)
            moved[place] = (values[place] + step * u).astype(values[place].dtype)
            ends.append(float(g @ flat(self._run((*inputs, *moved))[0])))
        slope = (ends[0] - ends[1]) / (2 * _STEP)
        return (float(np.vdot(G, u)) / slope if fits else 1.0) if slope else None

    def _look_for_steps(
        self, inputs: tuple[Any, ...], outputs: Arrays, left: dict[Path, AnyArray]
    ) -> None:
        """Find what a backward changes that the forward depends on, and keep it as it was."""
        changed = {path: value for path, value in left.items() if not self._is_still(path, value)}
        if not changed:
            return
        again, _ = self._run(inputs)
        self._fixed = changed
        if not np.array_equal(flat(again), flat(outputs)):
            self._say_changed(map(in_words, changed))

    def _say_changed(self, names: Any) -> None:
        text = f"The backward changes the layer's weights ({', '.join(names)})"
        if not self.doubts:
            self.doubts.append(f"{text}: take the step of training out of it, and check again.")

    def _look_for_mean(self, inputs: tuple[Any, ...], factors: list[float]) -> None:
        """Find gradients that are means over the rows, which goes with the gradient of a sum."""
        arrays = [v for v in inputs if isinstance(v, np.ndarray) and v.ndim > 1 and v.size]
        rows = {n for v in arrays for n in (len(v), v.size // v.shape[-1])}
        for N in sorted(rows - {1}):
            if factors and all(abs(N * factor - 1) < _NEAR for factor in factors):
                self._factor = float(N)
                self.doubts.append(
                    f"The gradients of the layer's weights are 1/{N} of what they must be for the "
                    f"gradient that comes in, {N} being the number of rows. That is right where "
                    "what comes in is the gradient of a sum and the loss is the mean, and a factor "
                    "too much elsewhere."
                )

    def _put_back(self) -> None:
        """Give the layer its weights, and what the backward changes besides."""
        for weight, value in zip(self.weights, self._given, strict=True):
            self._put(weight.places, np.array(value))
        for path, value in self._fixed.items():
            put(self._layer, path, np.array(value))

    def _put(self, paths: tuple[Path, ...], value: AnyArray) -> None:
        for path in paths:
            put(self._layer, path, value)

    def _is_still(self, path: Path, value: AnyArray) -> bool:
        now = array_at(self._layer, path)
        return now is not None and np.array_equal(now, value, equal_nan=True)

    def _entries(self, result: Any) -> tuple[Any, ...]:
        several = isinstance(result, tuple) or (isinstance(result, list) and self._count > 1)
        return tuple(result) if several else (result,)

    def _run(self, arguments: tuple[Any, ...]) -> tuple[Arrays, bool]:
        """Run the forward for what it shows; return its outputs, and whether they are a tuple."""
        self.forward_calls += 1
        result = guarded("it", "doubt", self.forward, [_copy(value) for value in arguments])
        several = isinstance(result, tuple)
        try:
            outputs = tuple(np.array(y, np.float64) for y in (result if several else (result,)))
        except (TypeError, ValueError):
            raise Ended("doubt", "it returns what is no array.") from None
        return outputs, several

    def _pull_back(self, arguments: tuple[Any, ...], g: Arrays, several: bool) -> tuple[Any, ...]:
        self.forward_calls += 1
        self.backward_calls += 1
        handed = [*map(_copy, arguments), tuple(map(_copy, g)) if several else _copy(g[0])]
        return self._entries(guarded("it", "doubt", self.vjp, handed))


def _copy(value: Any) -> Any:
    return np.array(value) if isinstance(value, np.ndarray) else value


def _moved(rng: np.random.Generator, value: Any) -> Any:
    """Return an input next to another: what the forward keeps of it is no weight."""
    if not (isinstance(value, np.ndarray) and is_floating(value)):
        return value
    near = value * (1 + rng.uniform(0.1, 0.2, value.shape)) + 0.01 * rng.uniform(size=value.shape)
    return near.astype(value.dtype)
