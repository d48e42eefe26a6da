"""Losses: value, gradient and Hessian of predictions and targets."""

from softgrad.losses.base import AbstractLoss
from softgrad.losses.binary_cross_entropy import BinaryCrossEntropy, binary_cross_entropy
from softgrad.losses.cross_entropy import CrossEntropy, cross_entropy
from softgrad.losses.fenchel_young import FenchelYoung
from softgrad.losses.squared_error import SquaredError, squared_error
from softgrad.losses.targets import TopK

__all__ = [
    "AbstractLoss",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "FenchelYoung",
    "SquaredError",
    "TopK",
    "binary_cross_entropy",
    "cross_entropy",
    "squared_error",
]
