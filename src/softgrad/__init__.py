"""softgrad: the softmax layer and its gradient, computed, checked, shown and scaled."""

from softgrad.maps import (
    Entmax,
    LogSigmoid,
    LogSoftmax,
    LogSumExp,
    ReLU,
    Sigmoid,
    Softmax,
    Sparsemax,
    Tanh,
    entmax15,
    log_sigmoid,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    softmax,
    sparsemax,
    tanh,
)

__version__ = "0.1.0"

__all__ = [
    "Entmax",
    "LogSigmoid",
    "LogSoftmax",
    "LogSumExp",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Sparsemax",
    "Tanh",
    "entmax15",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "relu",
    "sigmoid",
    "softmax",
    "sparsemax",
    "tanh",
]
