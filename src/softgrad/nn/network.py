"""A network: layers one after the other, a loss at the end, and backpropagation through both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.losses import AbstractLoss, cross_entropy
from softgrad.losses.targets import one_hot
from softgrad.maps import AbstractMap
from softgrad.nn.activation import as_layer
from softgrad.nn.arguments import check_flag, check_kind
from softgrad.nn.gradients import Gradients
from softgrad.nn.head import (
    Head,
    gives_log_probabilities,
    gives_probabilities,
    head_of,
    own_map,
)
from softgrad.nn.layer import AbstractLayer, ParameterGradients, Pullback, numpy_array

__all__ = ["Network"]


@final
@dataclass(init=False, eq=False)
class Network(AbstractLayer):
    """Layers one after the other, and the loss that they are trained with.

    A network is a layer itself, so ``softgrad.check(network, x)`` takes it.

    Parameters
    ----------
    layers : sequence of layers and maps
        At least one, softmax at any place. A map becomes an `Activation`, and a network is taken
        layer by layer. Each layer has parameters of its own: none stands at two places.
    loss : AbstractLoss
        With the reduction "mean" or "sum". A loss of logits meets a last layer that gives
        probabilities: softmax and cross-entropy, or sigmoid and binary cross-entropy, are fused.
        Otherwise −Σ t log p is taken of the probabilities; any other last layer gives logits.
    fuse : bool
        False goes through the last layer's Jacobian even where p − t would do.

    Raises
    ------
    TypeError
        `layers` holds something else, `loss` is no loss, or `fuse` is no bool.
    ValueError
        There are no layers, two places have a parameter in common, the loss is not reduced, or it
        does not go with the last layer.

    Examples
    --------
    >>> import softgrad as sg
    >>> from softgrad.nn import Linear
    >>> W = [[1.0, 0.0], [0.0, 1.0]]
    >>> network = Network([Linear.of(W), sg.tanh, Linear.of(W), sg.softmax])
    >>> gradients = network.gradients([[0.5, -0.5]], [1])
    >>> gradients.loss
    1.258...
    >>> gradients.outputs[2]  # p − t, at the output of the last linear layer
    array([[ 0.7159..., -0.7159...]])
    >>> gradients.parameters["2.W"].round(4)
    array([[ 0.3308, -0.3308],
           [-0.3308,  0.3308]])
    """

    layers: tuple[AbstractLayer, ...]
    loss: AbstractLoss
    fuse: bool

    def __init__(
        self,
        layers: Sequence[AbstractLayer | AbstractMap],
        loss: AbstractLoss = cross_entropy,
        fuse: bool = True,
    ) -> None:
        check_kind("layers", layers, Sequence, "a sequence of layers and maps")
        check_kind("loss", loss, AbstractLoss, "a loss, such as softgrad.cross_entropy")
        check_flag("fuse", fuse)
        given = [as_layer(f"layers[{i}]", layer) for i, layer in enumerate(layers)]
        self.layers = tuple(inner for layer in given for inner in _parts(layer))
        self.loss, self.fuse = loss, fuse
        if not self.layers:
            raise ValueError(mismatch("layers", "at least one layer", "none"))
        _check_unshared(self.parameters)
        if loss.reduction == "none":
            raise ValueError(mismatch("loss.reduction", "'mean' or 'sum'", "'none'"))
        self._head: Head = head_of(self.layers[-1], loss, fuse)

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Every layer's parameters, by names such as "0.W"."""
        return _by_place(layer.parameters for layer in self.layers)

    def linearize(self, x: Any) -> tuple[Array, Pullback]:
        outputs, pullbacks = _run(self.layers, x)

        def pullback(y_bar: Any) -> tuple[Array, ParameterGradients]:
            deltas, gradients = _run_back(pullbacks, y_bar)
            return deltas[0], gradients

        return outputs[-1], pullback

    def activations(self, x: Any) -> tuple[Array, ...]:
        """Return the input and every layer's output, L + 1 arrays."""
        return _run(self.layers, x)[0]

    def scores(self, x: Any) -> Array:
        """Return what the loss takes: logits where it is fused with the last layer."""
        return _run(self._before_loss, x)[0][-1]

    def probabilities(self, x: Any) -> Array:
        """Return the probability of each class [..., K], whichever layer is the last.

        Raises
        ------
        ValueError
            The outputs are no probabilities, and the loss has no map that makes them so.
        """
        y, last, to_probabilities = self(x), self.layers[-1], own_map(self.loss)
        if gives_probabilities(last):
            return y
        if gives_log_probabilities(last):
            return np.exp(y)
        if to_probabilities is None:
            expected = "one of logits, as no layer gives probabilities"
            raise ValueError(mismatch("loss", expected, repr(self.loss)))
        return to_probabilities(y)

    def loss_value(self, x: Any, targets: Any) -> float:
        """Return the loss of inputs x [..., D] and targets as in `gradients`."""
        return self.loss_of_scores(self.scores(x), targets)

    def loss_of_scores(self, scores: Array, targets: Any) -> float:
        """Return the loss of what `scores` returned."""
        return float(self._head.loss(scores, self._targets(targets, scores)))

    def gradients(self, x: Any, targets: Any) -> Gradients:
        """Return the loss and its gradients everywhere, by backpropagation.

        Parameters
        ----------
        x : array [..., D]
        targets : array
            Class indices [...] or values [..., K], such as probabilities.

        Returns
        -------
        Gradients
            δ at every layer's output and at the input, and every parameter's gradient by name.

        Raises
        ------
        TypeError, ValueError, IndexError
            `x` does not fit the layers, or `targets` the loss.
        """
        outputs, pullbacks = _run(self._before_loss, x)
        scores = outputs[-1]
        loss, delta = self._head.loss.value_and_gradient(scores, self._targets(targets, scores))
        deltas, parameters = _run_back(pullbacks, delta)
        fused_away = (None,) * (len(self.layers) - len(pullbacks))
        names = tuple(map(repr, self.layers))
        return Gradients(float(loss), names, deltas[0], (*deltas[1:], *fused_away), parameters)

    @property
    def _before_loss(self) -> tuple[AbstractLayer, ...]:
        return self.layers[:-1] if self._head.fused else self.layers

    def _targets(self, targets: Any, scores: Array) -> Array:
        """Return targets that the loss takes: values of the scores' dtype, or class indices."""
        t = np.asarray(targets)
        if t.dtype.kind not in "iu":
            return t
        if t.shape != scores.shape[:-1] or self._head.loss.takes_indices:
            return t
        return one_hot(t, scores)


def _parts(layer: AbstractLayer) -> tuple[AbstractLayer, ...]:
    return layer.layers if isinstance(layer, Network) else (layer,)


def _by_place(of_layers: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """Join what the layers have by name, under names such as "0.W"."""
    return {
        f"{i}.{name}": array
        for i, of_layer in enumerate(of_layers)
        for name, array in of_layer.items()
    }


def _check_unshared(parameters: Mapping[str, Array]) -> None:
    """Raise where one array has two names: its gradient would be in parts, each stepped alone."""
    names: dict[int, str] = {}
    for name, array in parameters.items():
        first = names.setdefault(id(array), name)
        if first != name:
            expected = "layers with parameters of their own"
            raise ValueError(mismatch("layers", expected, f"one array as {first} and {name}"))


def _run(layers: Sequence[AbstractLayer], x: Any) -> tuple[tuple[Array, ...], list[Pullback]]:
    """Go forward: return the input with every layer's output, and every layer's pullback."""
    outputs, pullbacks = [numpy_array("x", x)], []
    for layer in layers:
        y, pullback = layer.linearize(outputs[-1])
        outputs.append(y)
        pullbacks.append(pullback)
    return tuple(outputs), pullbacks


def _run_back(pullbacks: Sequence[Pullback], y_bar: Any) -> tuple[list[Array], ParameterGradients]:
    """Go backward: return δ at the input and at every output, and the parameters' gradients."""
    deltas: list[Array] = [y_bar]
    of_layers: list[ParameterGradients] = []
    for pullback in reversed(pullbacks):
        x_bar, of_layer = pullback(deltas[-1])
        deltas.append(x_bar)
        of_layers.append(of_layer)
    return deltas[::-1], _by_place(reversed(of_layers))
