"""Heads: a linear layer, softmax and a loss in one, without the logits ever being stored."""

from softgrad.heads.layer import Gradients
from softgrad.heads.linear_cross_entropy import LinearCrossEntropy, linear_cross_entropy
from softgrad.heads.predictions import TopClasses
from softgrad.heads.selected_log_probs import SelectedLogProbs, selected_log_probs
from softgrad.heads.selected_rows import Selected
from softgrad.heads.skipping import ErrorBound

__all__ = [
    "ErrorBound",
    "Gradients",
    "LinearCrossEntropy",
    "Selected",
    "SelectedLogProbs",
    "TopClasses",
    "linear_cross_entropy",
    "selected_log_probs",
]
