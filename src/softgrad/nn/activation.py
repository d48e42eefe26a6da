"""Any map as a layer: ReLU, tanh, sigmoid, softmax and its relatives, hidden or last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from softgrad.arrays import Array
from softgrad.maps import AbstractMap
from softgrad.nn.arguments import check_kind
from softgrad.nn.layer import AbstractLayer, ParameterGradients, Pullback, numpy_array

__all__ = ["Activation", "as_layer"]


@final
@dataclass(eq=False, repr=False)
class Activation(AbstractLayer):
    """A layer without parameters, from a map of the last axis.

    Parameters
    ----------
    map : AbstractMap
        Such as ``softgrad.relu`` or ``softgrad.Softmax(temperature=2.0)``.

    Examples
    --------
    >>> import softgrad as sg
    >>> layer = Activation(sg.softmax)
    >>> layer.forward([[0.0, 0.0]])
    array([[0.5, 0.5]])
    >>> layer.backward([[1.0, 0.0]])  # not h(1 − h) alone: the other output moves too
    array([[ 0.25, -0.25]])
    """

    map: AbstractMap

    def __post_init__(self) -> None:
        check_kind("map", self.map, AbstractMap, "a map, such as softgrad.relu")

    @property
    def parameters(self) -> Mapping[str, Array]:
        return {}

    def linearize(self, x: Any) -> tuple[Array, Pullback]:
        y, jacobian = self.map.linearize(numpy_array("x", x))

        def pullback(y_bar: Any) -> tuple[Array, ParameterGradients]:
            return jacobian.rmv(y_bar), {}

        return y, pullback

    def __repr__(self) -> str:
        return repr(self.map)


def as_layer(name: str, layer: AbstractLayer | AbstractMap) -> AbstractLayer:
    """Return a layer as it is, and a map as one.

    Raises
    ------
    TypeError
        It is neither.
    """
    if isinstance(layer, AbstractLayer):
        return layer
    check_kind(name, layer, AbstractMap, "a layer or a map")
    return Activation(layer)
