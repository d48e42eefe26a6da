"""What the verbs of heads take by name, beside x, W, the targets or ids, and the bias."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from softgrad.errors import mismatch
from softgrad.kernels import Impl

__all__ = [
    "OF_LOSSES",
    "OF_SELECTED",
    "Directions",
    "GradientOptions",
    "JvpOptions",
    "LossOptions",
    "Options",
    "ProductOptions",
    "SelectedJvpOptions",
    "SelectedProductOptions",
    "SelectedVjpOptions",
    "check_options",
    "check_other",
]


class Options(TypedDict, total=False):
    """Of every verb."""

    impl: Impl
    group: Any


class Directions(TypedDict, total=False):
    """How the arguments move; None, or what is not given, does not move."""

    x_dot: Any  # [..., D]
    W_dot: Any  # [K, D]
    bias_dot: Any  # [K]


class LossOptions(Options, total=False):
    """Of every verb of a loss."""

    class_weights: Any  # [K]
    row_weights: Any  # [...]


class GradientOptions(LossOptions, total=False):
    """Of a verb that returns gradients of a loss."""

    loss_bar: Any  # a number, or [...] for the reduction "none"
    frozen: Collection[str]


class JvpOptions(LossOptions, Directions, total=False):
    """Of a loss along a direction."""


class ProductOptions(GradientOptions, Directions, total=False):
    """Of a product of second derivatives of a loss."""


class SelectedJvpOptions(Options, Directions, total=False):
    """Of selected log-probabilities along a direction."""


class SelectedVjpOptions(Options, total=False):
    """Of gradients of selected log-probabilities; a bar that is not given is 0."""

    log_probs_bar: Any  # shaped like the ids
    logsumexp_bar: Any  # [...]
    entropy_bar: Any  # [...]
    frozen: Collection[str]


class SelectedProductOptions(SelectedVjpOptions, Directions, total=False):
    """Of the change of those gradients along a direction."""


OF_LOSSES: Mapping[str, type] = {
    "value": LossOptions,
    "value_and_gradient": GradientOptions,
    "jvp": JvpOptions,
    "second_derivative": JvpOptions,
    "hvp": ProductOptions,
    "ggn": ProductOptions,
}
"""What each verb of a loss takes by name."""

OF_SELECTED: Mapping[str, type] = {
    "value": Options,
    "vjp": SelectedVjpOptions,
    "jvp": SelectedJvpOptions,
    "second_derivative": SelectedJvpOptions,
    "hvp": SelectedProductOptions,
}
"""What each verb of selected log-probabilities takes by name."""


def check_options(options: Mapping[str, Any], kind: type, name: str = "options") -> None:
    """Raise TypeError for a key that is none of a kind of options."""
    for key in options.keys() - kind.__annotations__.keys():
        expected = f"one of {', '.join(kind.__annotations__)}"
        raise TypeError(mismatch(name, expected, repr(key)))


def check_other(other: Any) -> None:
    """Raise TypeError for what is no dict of directions."""
    if not isinstance(other, Mapping):
        raise TypeError(mismatch("other", "a dict of directions", repr(other)))
    check_options(other, Directions, "other")
