"""Arrays that write down what is done with them, and the tape on which it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.graph.calls import filled, outlined
from softgrad.checker.diagnosis.graph.steps import Site, Step
from softgrad.checker.subject import AnyArray

__all__ = ["Tape", "Traced", "Untraceable"]

_MOST = 400
"""Steps beyond which a forward is not followed."""
_SMALL = 1e-4
"""The largest constant that is added for safety alone."""


class Untraceable(Exception):
    """What is done with an array cannot be written down."""


class Tape:
    """The steps of one run of a forward, in order. Inputs and constants are steps of nothing."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.is_writing = False
        """Whether the code that runs is ours, or NumPy's within a step."""
        self.spared: dict[str, float] | None = None
        """Where small constants that are added are to be 0: those that were, by expression."""

    def put(self, step: Step) -> int:
        """Write a step down and return its place."""
        if len(self.steps) >= _MOST:
            raise Untraceable
        self.steps.append(step)
        return len(self.steps) - 1

    def write(
        self,
        name: str,
        call: Callable[[Sequence[AnyArray]], AnyArray],
        given: Sequence[int | AnyArray],
        value: AnyArray,
        site: Site | None,
        elementwise: bool,
    ) -> int:
        """Write an operation on steps and constants down; `call` takes the values of them all."""
        known = [self.constant(it) if isinstance(it, np.ndarray) else it for it in given]
        operands = tuple(dict.fromkeys(known))  # x * x is a step of one operand

        def again(values: Sequence[AnyArray]) -> AnyArray:
            return call([values[operands.index(place)] for place in known])

        return self.put(Step(name, again, operands, value, site, elementwise))

    def constant(self, value: AnyArray) -> int:
        """Write down an array that comes from nowhere."""
        return self.put(Step("constant", None, (), np.array(value, np.float64), None))

    def array(self, value: AnyArray, place: int | None) -> Traced:
        """Return an array that goes on writing on this tape."""
        with self.writing():
            array = np.array(value).view(Traced)
        array.tape, array.place = self, place
        return array

    def place_of(self, leaf: Any) -> int | None:
        """Return the step that an array is the value of; None for a constant."""
        return leaf.place if isinstance(leaf, Traced) and leaf.tape is self else None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let the constructors of arrays be as they always are."""
        before, self.is_writing = self.is_writing, True
        try:
            yield
        finally:
            self.is_writing = before

    def apply(self, function: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """Call a function of arrays, and write it down if it depends on an input."""
        if self.spared is not None and function in (np.add, np.subtract):
            arguments = tuple(self._without_small(argument) for argument in arguments)
        with self.writing():
            out = options.pop("out", None)
            leaves: list[AnyArray] = []
            outline = outlined((arguments, options), leaves)
            plain, plain_options = filled(outline, [_plain(leaf) for leaf in leaves])
            result = function(*plain, **plain_options)
            if isinstance(result, (tuple, list)):
                parts = enumerate(result)
                return [self._written(function, outline, leaves, p, k) for k, p in parts]
            written = self._written(function, outline, leaves, result, None)
            return written if out is None else self.put_into(out, written)

    def _without_small(self, argument: Any) -> Any:
        """Return 0 for a small constant, and keep it in mind."""
        assert self.spared is not None
        is_number = isinstance(argument, (float, np.floating)) or (
            isinstance(argument, np.ndarray) and argument.ndim == 0 and type(argument) is np.ndarray
        )
        if not is_number or not 0 < abs(argument) <= _SMALL:
            return argument
        site = Site.of_caller()
        self.spared[site.text] = float(argument)
        return 0.0

    def assign(self, target: Traced, index: Any, value: Any) -> None:
        """Write down ``target[index] = value``."""
        if target.place is None:
            np.nan_to_num(_plain(target), copy=False)  # what np.empty finds is no number of ours
        self.put_into(target, self.apply(_assigned, (target, value, index), {}))

    def _written(
        self,
        function: Callable[..., Any],
        outline: Any,
        leaves: Sequence[AnyArray],
        result: Any,
        part: int | None,
    ) -> Any:
        if not isinstance(result, (np.ndarray, np.floating)) or result.dtype.kind != "f":
            return result
        places = [self.place_of(leaf) for leaf in leaves]
        if all(place is None for place in places):
            return self.array(np.asarray(result), None)
        if result.dtype != np.float64:
            raise Untraceable  # differences of it would show nothing but rounding

        def call(values: Sequence[AnyArray]) -> AnyArray:
            arguments, options = filled(outline, values)
            value = function(*arguments, **options)
            return np.asarray(value if part is None else value[part])

        name = getattr(function, "__name__", "step")
        elementwise = isinstance(function, np.ufunc) and function.signature is None
        given = [
            _plain(leaf) if place is None else place
            for place, leaf in zip(places, leaves, strict=True)
        ]
        value = np.array(result)
        place = self.write(name, call, given, value, Site.of_caller(), elementwise)
        return self.array(value, place)

    def put_into(self, out: Any, written: Any) -> Any:
        """Put a result where it shall go."""
        (target,) = out if isinstance(out, tuple) else (out,)
        if not isinstance(target, Traced):
            raise Untraceable
        _plain(target)[...] = _plain(written)
        target.tape, target.place = self, self.place_of(written)
        return target


class Traced(np.ndarray):
    """An array that writes every step on its tape."""

    tape: Tape | None = None
    place: int | None = None
    """The step that it is the value of; None for a constant."""

    def __array_finalize__(self, source: Any) -> None:
        # What is made of it in ways that are not followed here is a constant.
        self.tape, self.place = getattr(source, "tape", None), None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        tape = _tape_of((inputs, options))
        if method == "at":
            target, *rest = inputs
            tape.put_into(target, tape.apply(_at, (target, ufunc, *rest), {}))
            return None
        return tape.apply(
            ufunc if method == "__call__" else getattr(ufunc, method), inputs, options
        )

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        return _tape_of((arguments, options)).apply(function, arguments, dict(options))

    def __getitem__(self, index: Any) -> Any:
        return _tape_of(self).apply(_item, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        _tape_of(self).assign(self, index, value)

    @property
    def T(self) -> Any:
        """The transpose."""
        return self.transpose()


def _method(name: str) -> Callable[..., Any]:
    original = getattr(np.ndarray, name)

    def method(self: Traced, *arguments: Any, **options: Any) -> Any:
        return _tape_of(self).apply(original, (self, *arguments), options)

    return method


for _name in (
    "sum", "mean", "max", "min", "prod", "std", "var", "cumsum", "cumprod", "reshape", "transpose",
    "swapaxes", "squeeze", "ravel", "flatten", "repeat", "take", "diagonal", "trace", "clip",
    "copy", "astype", "dot", "round",
):  # fmt: skip
    setattr(Traced, _name, _method(_name))


def _tape_of(tree: Any) -> Tape:
    leaves: list[AnyArray] = []
    outlined(tree, leaves)
    for leaf in leaves:
        if isinstance(leaf, Traced) and leaf.tape is not None:
            return leaf.tape
    raise Untraceable


def _plain(array: Any) -> Any:
    """Return an array without its tape, in the same memory."""
    return array.view(np.ndarray) if isinstance(array, Traced) else array


def _item(array: AnyArray, index: Any) -> Any:
    return array[index]


def _assigned(array: AnyArray, part: Any, index: Any) -> AnyArray:
    array = np.array(array, np.result_type(array, part))
    array[index] = part
    return array


def _at(array: AnyArray, ufunc: np.ufunc, index: Any, *value: Any) -> AnyArray:
    array = np.array(array, np.result_type(array, *value))
    ufunc.at(array, index, *value)
    return array
