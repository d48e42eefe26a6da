"""Maps: softmax and its relatives, each with value, Jacobian, JVP, VJP and HVP."""

from softgrad.maps.base import AbstractMap
from softgrad.maps.elementwise import AbstractElementwiseMap
from softgrad.maps.entmax import Entmax, Sparsemax, entmax15, sparsemax
from softgrad.maps.log_softmax import LogSoftmax, log_softmax
from softgrad.maps.logsumexp import LogSumExp, logsumexp
from softgrad.maps.relu import ReLU, relu
from softgrad.maps.sigmoid import LogSigmoid, Sigmoid, log_sigmoid, sigmoid
from softgrad.maps.simplex import AbstractSimplexMap
from softgrad.maps.softmax import Softmax, softmax
from softgrad.maps.tanh import Tanh, tanh

__all__ = [
    "AbstractElementwiseMap",
    "AbstractMap",
    "AbstractSimplexMap",
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
