"""What is checked: two functions of NumPy arrays at one point, with their calls counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.calls import Ended, guarded
from softgrad.checker.formats import is_floating

__all__ = [
    "AnyArray",
    "Arrays",
    "Entries",
    "Layout",
    "Subject",
    "Vector",
    "expanded",
    "flat",
    "has_two_values",
    "is_floating",
    "moved",
    "shaped",
    "strided",
]

AnyArray = NDArray[Any]
Arrays = tuple[AnyArray, ...]
Entries = tuple[AnyArray | None, ...]
Vector = NDArray[np.float64]
_GROUPS = (dict, tuple, list)
RETURNS_DICT = (
    "The backward returns a dict: it must return an array, or a tuple with one entry for each "
    "floating-point input, in their order."
)
Layout = Callable[[AnyArray], AnyArray]
"""Copies a cotangent into memory of its own, in one order or another."""


@dataclass
class Subject:
    """The two functions under check and the point at which they are checked."""

    name: str
    forward: Callable[..., Any]
    vjp: Callable[..., Any]
    """``vjp(*inputs, cotangent)``."""
    values: tuple[Any, ...]
    """Every input; the floating-point ones are arrays."""
    floating: tuple[int, ...]
    """The places of the inputs that are differentiated."""
    masks: tuple[NDArray[np.bool_] | None, ...]
    """One a floating input: True where it is probed; None probes it everywhere."""
    kept_vjp: Callable[..., Any] | None = None
    """A backward alone, ``kept_vjp(cotangent)``: it needs what the last forward has kept."""
    forwards_per_vjp: int = 0
    """1 for a layer, whose forward is run before its backward."""
    names: tuple[str, ...] = ()
    """What to call each input in a sentence; "input 0", and so on, where none are given."""
    reference: Callable[..., Any] | None = None
    """A forward that is right in float64, to be differenced in place of the own one."""
    call: Callable[..., Any] = lambda function, arguments, *more: function(*arguments, *more)
    """Calls another function of the same kind: ``call(function, inputs, *cotangents)``."""
    reverse: Callable[..., Any] | None = None
    """Makes forward, VJP and kept VJP of the backward, by reverse mode; None for a pair."""
    remarks: list[str] = field(default_factory=list)
    """What the reader should know of how the functions were run."""
    doubts: list[str] = field(default_factory=list)
    """What leaves a check inconclusive, however it ends."""
    excuse: Callable[[], str | None] = lambda: None
    """Says why a gradient that is no slope of the forward is not wrong; None where it is."""
    aside: tuple[int, ...] = ()
    """The places of floating-point inputs that are constants, and are not differentiated."""
    calls_before: tuple[int, int] = (0, 0)
    """The forwards and backwards that it took to find a layer's weights."""
    forward_calls: int = 0
    forward_mode_calls: int = 0
    backward_calls: int = 0
    several_outputs: bool = False
    cotangents: int = 0
    """How many of the inputs, the last ones, are cotangents: of a backward taken as a forward."""
    damage: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.names = self.names or tuple(f"input {place}" for place in range(len(self.values)))

    @property
    def points(self) -> Arrays:
        """The floating-point inputs."""
        return tuple(self.values[place] for place in self.floating)

    @property
    def floating_names(self) -> tuple[str, ...]:
        """What to call each floating-point input."""
        return tuple(self.names[place] for place in self.floating)

    def first_outputs(self) -> Arrays:
        """Run the forward at the inputs as given; note whether it returns a tuple.

        Raises
        ------
        Ended
            The forward raised, or it does not return floating-point arrays.
        """
        arguments = self.arguments(self.points)
        self.forward_calls += 1
        result = guarded("The forward", "doubt", self.forward, arguments)
        self._note_damage("forward", arguments, self.points)
        self.several_outputs = isinstance(result, tuple)
        try:
            outputs = _as_arrays(result)
        except Ended as end:
            text = end.finding.message.removeprefix("it")
            raise Ended("doubt", f"The forward{text}") from None
        strange = _strange(result, outputs)
        if strange:
            what = "it must return an array of floating-point numbers, or a tuple with one"
            raise Ended("doubt", f"The forward returns {strange}: {what}.")
        return outputs

    def demand_inputs(self) -> None:
        """Raise `Ended` unless there is something to differentiate."""
        if not self.floating:
            pairs = zip(self.names, self.values, strict=True)
            groups = [f"{n} is a {type(v).__name__}" for n, v in pairs if _holds_arrays(v)]
            text = "No input is of floating-point numbers, and integers have no derivative"
            text += ": give floats, as in 1.0."
            if groups:
                text = f"No input is an array of floating-point numbers, and {groups[0]}: give its "
                text += 'arrays one by one, as in `lambda W, b: forward({"W": W, "b": b})`.'
            raise Ended("doubt", text)
        if not any(point.size for point in self.points):
            text = "The floating-point inputs are empty: there is nothing to differentiate."
            raise Ended("doubt", text)

    def evaluate(self, points: Arrays, function: Callable[..., Any] | None = None) -> Arrays:
        """Run the forward, or `function` in its place, at other floating-point inputs.

        Raises
        ------
        Ended
            It raised; the sentence begins with "it", for the caller knows which it was.
        """
        self.forward_calls += 1
        arguments = self.arguments(points)
        return _as_arrays(guarded("it", "doubt", function or self.forward, arguments))

    def pull_back(self, points: Arrays, cotangent: Arrays, layout: Layout = np.array) -> Entries:
        """Run the backward; return one entry for each floating-point input.

        Raises
        ------
        Ended
            It raised, or the number, shape or dtype of its entries is wrong.
        """
        self.backward_calls += 1
        self.forward_calls += self.forwards_per_vjp
        arguments = self.arguments(points)
        own = tuple(map(layout, cotangent))
        handed = self._handed(own)
        result = guarded(_WITH.get(layout, "The backward"), "fail", self.vjp, [*arguments, handed])
        self._note_damage("backward", arguments, points)
        if any(map(_differ, own, cotangent)):
            self.damage.add("The backward overwrites the cotangent that it is given.")
        return self._entries(result)

    def pull_back_again(self, cotangent: Arrays) -> Entries | None:
        """Run the backward once more, the forward not; None where that is not meant to be.

        What the forward kept may be used up by the first backward, which then raises.
        """
        if self.kept_vjp is None:
            return None
        self.backward_calls += 1
        own = tuple(np.array(c) for c in cotangent)
        try:
            return self._entries(guarded("it", "doubt", self.kept_vjp, [self._handed(own)]))
        except Ended:
            return None

    def vector(self, entries: Entries) -> Vector:
        """Lay the entries end to end in float64; None and what is not probed become zeros."""
        pieces = []
        for entry, point, mask in zip(entries, self.points, self.masks, strict=True):
            array = np.zeros(point.shape) if entry is None else entry
            pieces.append(array if mask is None else np.where(mask, array, 0.0))
        return flat(pieces)

    def arguments(self, points: Arrays) -> list[Any]:
        """Return all inputs, the floating-point ones replaced; every array is a fresh copy."""
        arguments = [np.array(v) if isinstance(v, np.ndarray) else v for v in self.values]
        for place, point in zip(self.floating, points, strict=True):
            arguments[place] = np.array(point)
        return arguments

    def _handed(self, cotangent: Arrays) -> Any:
        return cotangent if self.several_outputs else cotangent[0]

    def _note_damage(self, role: str, arguments: Sequence[Any], points: Arrays) -> None:
        originals = list(self.values)
        for place, point in zip(self.floating, points, strict=True):
            originals[place] = point
        for place, (now, before) in enumerate(zip(arguments, originals, strict=True)):
            text = "The {} overwrites its " + self.names[place] + "."
            # A backward that runs the forward again is not to blame for what that does.
            known = text.format("forward") in self.damage
            if isinstance(before, np.ndarray) and not known and _differ(now, before):
                self.damage.add(text.format(role))

    def set_aside(self, places: Sequence[int]) -> None:
        """Differentiate these inputs no more."""
        kept = [(p, m) for p, m in zip(self.floating, self.masks, strict=True) if p not in places]
        self.floating = tuple(place for place, _ in kept)
        self.masks = tuple(mask for _, mask in kept)
        self.aside = (*self.aside, *places)

    def listed(self, result: Any) -> list[Any]:
        """Return a backward's answer as a list, of one entry a floating input if it has so many."""
        wanted = len(self.floating)
        several = isinstance(result, tuple) or (isinstance(result, list) and len(self._floats) > 1)
        raw = list(result) if several else [result]
        # Another custom is one entry for every input, None at the integer ones.
        if len(raw) == len(self.values) != wanted:
            rest = [entry for place, entry in enumerate(raw) if place not in self._floats]
            if all(entry is None for entry in rest):
                return [raw[place] for place in self.floating]
        if len(raw) == len(self._floats) != wanted:
            pairs = zip(self._floats, raw, strict=True)
            return [entry for place, entry in pairs if place in self.floating]
        return raw

    @property
    def _floats(self) -> list[int]:
        return sorted((*self.floating, *self.aside))

    def _entries(self, result: Any) -> Entries:
        wanted, raw = len(self.floating), self.listed(result)
        if isinstance(result, dict):
            raise Ended("doubt", RETURNS_DICT)
        if len(raw) != wanted:
            # Labels and masks that are floats may be left out.
            open_yet = [p for p in self.floating if not has_two_values(self.values[p])]
            if len(raw) == len(open_yet) > 0:
                given = dict(zip(open_yet, raw, strict=True))
                raw = [given.get(place) for place in self.floating]
        if len(raw) != wanted:
            message = "The backward must return one entry for each floating-point input"
            raise Ended("fail", f"{message}, {wanted}, got {len(raw)}.")
        return tuple(map(_entry, self.floating_names, raw, self.points))


def flat(arrays: Iterable[AnyArray]) -> Vector:
    """Lay arrays end to end in float64; integer ones, which have no derivative, as zeros."""
    pieces = [
        np.asarray(a if is_floating(a) else np.zeros(a.shape), np.float64).reshape(-1)
        for a in arrays
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def shaped(values: Vector, like: Arrays) -> list[Vector]:
    """Undo `flat`: return the parts in the shapes of the arrays."""
    ends = np.cumsum([array.size for array in like])[:-1]
    parts = np.split(values, ends)
    return [part.reshape(array.shape) for part, array in zip(parts, like, strict=True)]


def moved(points: Arrays, move: Vector) -> Arrays:
    """Return the points after a move [inputs], in their own dtypes."""
    parts = zip(points, shaped(move, points), strict=True)
    return tuple((point + part).astype(point.dtype) for point, part in parts)


def has_two_values(array: AnyArray) -> bool:
    """Whether there are two values alone in an array, as in labels and masks, and both of them."""
    if array.size < 3:  # which have two values by chance
        return False
    low, high = array.min(), array.max()
    return bool(low < high and ((array == low) | (array == high)).all())


def strided(array: AnyArray) -> AnyArray:
    """Return a copy with gaps between the numbers, and the axes in reverse order in memory."""
    buffer = np.zeros((*array.shape[::-1], 2), array.dtype)
    buffer[..., 0] = array.T
    return buffer[..., 0].T


def expanded(array: AnyArray) -> AnyArray:
    """Return an array of its first number alone, seen at every place."""
    # Who takes the memory for contiguous reads no further than it goes.
    buffer = np.full(array.shape, array.flat[0] if array.size else 0, array.dtype)
    return np.lib.stride_tricks.as_strided(buffer, strides=(0,) * array.ndim)


_WITH: dict[Layout, str] = {
    strided: "With a non-contiguous cotangent the backward",
    expanded: "With an expanded cotangent the backward",
}


_KEPT = "what is kept for the backward is no output: check lambda z: forward(z)[0]"


def _as_arrays(result: Any) -> Arrays:
    # Copies: who writes into the same memory in every call changes what it returned before.
    try:
        return tuple(map(np.array, result if isinstance(result, tuple) else (result,)))
    except Exception as error:
        if isinstance(result, tuple) and any(map(_holds_arrays, result)):
            group = type(next(filter(_holds_arrays, result))).__name__
            text = f"it returns a tuple with a {group} of arrays in it ({_KEPT})."
            raise Ended("doubt", text) from None
        raise Ended("doubt", f"it returns what is no array: {error}.") from None


def _holds_arrays(value: Any) -> bool:
    """Tell whether a dict, a tuple or a list has more than numbers in it."""
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, _GROUPS) and any(
        isinstance(part, _GROUPS) or hasattr(part, "shape") for part in parts
    )


def _strange(result: Any, outputs: Arrays) -> str | None:
    """Say what a forward returns that cannot be differentiated, None where it can."""
    parts = result if isinstance(result, tuple) else (result,)
    for part, output in zip(parts, outputs, strict=True):
        if not (is_floating(output) or output.dtype.kind in "iub"):
            kind = type(part).__name__
            numbers = f"{output.dtype} numbers" if output.dtype.kind in "fc" else f"a {kind}"
            if isinstance(result, tuple):
                return f"a tuple with {numbers if part is not None else 'None'} in it ({_KEPT})"
            return "None (is a `return` missing?)" if part is None else numbers
    if any(map(is_floating, outputs)):
        return None
    return f"{outputs[0].dtype} numbers alone" if outputs else "an empty tuple"


def _entry(name: str, entry: Any, point: AnyArray) -> AnyArray | None:
    if entry is None:
        return None
    what = f"The gradient of {name} must have"
    try:
        array = np.array(entry)  # a copy, as of the outputs
    except Exception as error:
        raise Ended("fail", f"The gradient of {name} is no array: {error}.") from None
    if array.dtype.kind not in "fiubc" and not is_floating(array):
        kind = type(entry).__name__
        raise Ended("fail", f"The gradient of {name} must be an array of numbers, got a {kind}.")
    if array.shape != point.shape:
        raise Ended("fail", f"{what} the input's shape {point.shape}, got {array.shape}.")
    # A wider dtype loses nothing: NumPy widens easily, so it is noted and not refused.
    if not is_floating(array) or array.dtype.itemsize < point.dtype.itemsize:
        raise Ended("fail", f"{what} the input's dtype {point.dtype}, got {array.dtype}.")
    return array


def _differ(now: AnyArray, before: AnyArray) -> bool:
    # Bit for bit, so that NaN in an excluded entry equals itself.
    return now.shape != before.shape or now.tobytes() != before.tobytes()
