"""Where a loss takes hold of a network: at its output, or in front of the last layer.

A loss of logits has a map of its own: cross-entropy has softmax, binary cross-entropy has sigmoid,
a Fenchel–Young loss its simplex map. Where the last layer is that very map, layer and loss are one,
and their gradient together is p − t.
"""

from __future__ import annotations

from dataclasses import dataclass

from softgrad.errors import mismatch
from softgrad.losses import AbstractLoss, BinaryCrossEntropy, CrossEntropy, FenchelYoung
from softgrad.maps import (
    AbstractMap,
    AbstractSimplexMap,
    LogSigmoid,
    LogSoftmax,
    Sigmoid,
    log_softmax,
    sigmoid,
    softmax,
)
from softgrad.nn.activation import Activation
from softgrad.nn.layer import AbstractLayer
from softgrad.nn.probability_losses import (
    OfLogProbabilities,
    OfProbabilities,
    OfProbabilitiesElementwise,
    settings_of,
)

__all__ = ["Head", "gives_log_probabilities", "gives_probabilities", "head_of", "own_map"]


@dataclass(frozen=True)
class Head:
    """A loss, and whether it stands for the last layer as well."""

    loss: AbstractLoss
    fused: bool


def own_map(loss: AbstractLoss) -> AbstractMap | None:
    """Return the map that makes probabilities of what the loss takes."""
    if isinstance(loss, CrossEntropy):
        return softmax
    if isinstance(loss, BinaryCrossEntropy):
        return sigmoid
    return loss.map if isinstance(loss, FenchelYoung) else None


def gives_probabilities(layer: AbstractLayer) -> bool:
    """Tell whether the outputs of a layer are probabilities."""
    return isinstance(layer, Activation) and isinstance(layer.map, (AbstractSimplexMap, Sigmoid))


def gives_log_probabilities(layer: AbstractLayer) -> bool:
    """Tell whether the outputs of a layer are logarithms of probabilities."""
    return isinstance(layer, Activation) and isinstance(layer.map, (LogSoftmax, LogSigmoid))


def head_of(last: AbstractLayer, loss: AbstractLoss, fuse: bool) -> Head:
    """Return how the loss meets the last layer.

    Raises
    ------
    ValueError
        The loss takes logits, and the last layer gives probabilities that it cannot do without.
    """
    probabilities, logarithms = gives_probabilities(last), gives_log_probabilities(last)
    if own_map(loss) is None or not (probabilities or logarithms):
        return Head(loss, fused=False)
    if fuse and _are_one(last, loss):
        return Head(loss, fused=True)
    if isinstance(loss, CrossEntropy):
        of_outputs = OfProbabilities if probabilities else OfLogProbabilities
        return Head(of_outputs(loss=loss, **settings_of(loss)), fused=False)
    if isinstance(loss, BinaryCrossEntropy) and probabilities:
        return Head(OfProbabilitiesElementwise(loss=loss, **settings_of(loss)), fused=False)
    expected = f"one that goes with a last layer {last}, fuse={fuse}"
    raise ValueError(mismatch("loss", expected, repr(loss)))


def _are_one(last: AbstractLayer, loss: AbstractLoss) -> bool:
    if not isinstance(last, Activation):
        return False
    # Cross-entropy undoes the logarithm.
    from_logarithms = isinstance(loss, CrossEntropy) and last.map == log_softmax
    return from_logarithms or last.map == own_map(loss)
