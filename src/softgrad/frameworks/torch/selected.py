"""Selected log-probabilities as a rule: three outputs, differentiated in x, W and bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from softgrad.arrays import compute_dtype, is_spread, real_array, same_kind
from softgrad.frameworks.torch.head import directions, unwanted
from softgrad.frameworks.torch.node import AbstractNode, Dims, Flags, one_by_one
from softgrad.frameworks.torch.operator import Arrays, empty
from softgrad.frameworks.torch.products import AbstractRule, Value
from softgrad.heads.options import Options
from softgrad.heads.selected_log_probs import SelectedLogProbs
from softgrad.heads.selected_rows import Selected
from softgrad.losses.spread.shards import told

__all__ = ["selected_value"]


def selected_value(
    head: SelectedLogProbs, x: Any, W: Any, ids: Any, bias: Any, options: Mapping[str, Any]
) -> Selected:
    """Return the outputs of a head, through which PyTorch differentiates in x, W and bias."""
    if any(map(is_spread, (x, W, bias, ids))):  # inside a compiled call
        return head.value(x, W, ids, bias, **cast(Options, options))
    with told(options.get("group")):
        x, named = real_array("x", x), (("W", W), ("bias", bias), ("ids", ids))
        arrays = [v if v is None else same_kind(name, v, x) for name, v in named]
    return Selected(*Value(_SelectedRule(head, options))(x, *arrays))


@dataclass(frozen=True, eq=False)
class _SelectedRule(AbstractRule):
    """The head; its constant is the ids."""

    head: SelectedLogProbs
    options: Mapping[str, Any]

    parts: ClassVar[int] = 3
    outputs: ClassVar[int] = 3

    def value(self, x: Arrays, constants: Arrays) -> Arrays:
        return self.head.value(**self._arguments(x, constants))

    def like(self, x: Arrays, constants: Arrays) -> Arrays:
        (ids,), batch = constants, x[0].shape[:-1]
        return tuple(empty(x[0], shape, compute_dtype(x[0])) for shape in (ids.shape, batch, batch))

    def jvp(self, x: Arrays, u: Arrays, constants: Arrays) -> Arrays:
        return self.head.jvp(**self._arguments(x, constants), **directions(u))

    def vjp(self, x: Arrays, w: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        frozen = unwanted(wanted)
        return self.head.vjp(**self._arguments(x, constants), **_bars(w), frozen=frozen)

    def hvp(self, x: Arrays, w: Arrays, v: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        named = directions(v) | _bars(w)
        return self.head.hvp(**self._arguments(x, constants), **named, frozen=unwanted(wanted))

    def bend(self, x: Arrays, u: Arrays, v: Arrays, constants: Arrays) -> Arrays:
        arguments = self._arguments(x, constants) | directions(u)
        return self.head.second_derivative(**arguments, other=directions(v))

    def refuse_derivatives(self, wanted: Flags) -> None:
        """Ids are never differentiated."""

    def over_examples(self, node: AbstractNode, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        return one_by_one(node, arrays, dims, size)

    def _arguments(self, x: Arrays, constants: Arrays) -> dict[str, Any]:
        given = zip(("x", "W", "bias", "ids"), (*x, *constants), strict=True)
        return {**dict(given), **self.options}


def _bars(w: Arrays) -> dict[str, Any]:
    return {f"{name}_bar": bar for name, bar in zip(Selected._fields, w, strict=True)}
