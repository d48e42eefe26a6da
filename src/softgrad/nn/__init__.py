"""Networks trained by backpropagation, in NumPy; softmax stands at any place, hidden or last.

A layer is a map with parameters. Maps such as ``softgrad.softmax`` are layers as they are.
"""

from softgrad.maps import Entmax, LogSoftmax, ReLU, Sigmoid, Softmax, Sparsemax, Tanh
from softgrad.nn.activation import Activation
from softgrad.nn.functions import as_functions
from softgrad.nn.gradients import Gradients
from softgrad.nn.history import Epoch, History
from softgrad.nn.initialisers import (
    Initialiser,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    zeros,
)
from softgrad.nn.layer import AbstractLayer
from softgrad.nn.linear import Linear
from softgrad.nn.mlp import ACTIVATIONS, HEADS, build_mlp
from softgrad.nn.network import Network
from softgrad.nn.optimisers import SGD, AbstractOptimiser, Adam
from softgrad.nn.training import evaluate, train

__all__ = [
    "ACTIVATIONS",
    "HEADS",
    "SGD",
    "AbstractLayer",
    "AbstractOptimiser",
    "Activation",
    "Adam",
    "Entmax",
    "Epoch",
    "Gradients",
    "History",
    "Initialiser",
    "Linear",
    "LogSoftmax",
    "Network",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Sparsemax",
    "Tanh",
    "as_functions",
    "build_mlp",
    "evaluate",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "train",
    "zeros",
]
