"""softgrad: the softmax layer and its gradient, computed, checked, shown and scaled."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from softgrad.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    FenchelYoung,
    SquaredError,
    binary_cross_entropy,
    cross_entropy,
    squared_error,
)
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

if TYPE_CHECKING:
    from softgrad import learn, nn, testing
    from softgrad.checker import check
    from softgrad.explain import compare, follow, shapes

__version__ = "0.1.0"

# What is not maths is imported when it is first used: `import softgrad` loads NumPy alone.
_ROOM_OF = {
    "check": "checker",
    "compare": "explain",
    "follow": "explain",
    "shapes": "explain",
}
_ROOMS = ("learn", "nn", "testing")

__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Entmax",
    "FenchelYoung",
    "LogSigmoid",
    "LogSoftmax",
    "LogSumExp",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Sparsemax",
    "SquaredError",
    "Tanh",
    "binary_cross_entropy",
    "check",
    "compare",
    "cross_entropy",
    "entmax15",
    "follow",
    "learn",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "nn",
    "relu",
    "shapes",
    "sigmoid",
    "softmax",
    "sparsemax",
    "squared_error",
    "tanh",
    "testing",
]


def __getattr__(name: str) -> Any:
    if name in _ROOM_OF:
        return getattr(import_module(f"softgrad.{_ROOM_OF[name]}"), name)
    if name in _ROOMS:
        return import_module(f"softgrad.{name}")
    raise AttributeError(f"module 'softgrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
