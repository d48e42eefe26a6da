"""softgrad: the softmax layer and its gradient, computed, checked, shown and scaled.

PYTEST_DONT_REWRITE: pytest knows our plugin, and would warn where softgrad is imported already.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from softgrad.kernels import explain_impl, get_num_threads, set_num_threads
from softgrad.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    FenchelYoung,
    SquaredError,
    TopK,
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
    from softgrad import learn, nn, plot, testing, torch
    from softgrad.checker import check
    from softgrad.explain import compare, follow, shapes
    from softgrad.heads import (
        LinearCrossEntropy,
        SelectedLogProbs,
        linear_cross_entropy,
        selected_log_probs,
    )
    from softgrad.learn.classifier import SoftmaxClassifier
    from softgrad.learn.statistics import expected_calibration_error
    from softgrad.promises import conformance
    from softgrad.report.explorer import explore

__version__ = "0.1.0"

# What is not maths is imported when it is first used: `import softgrad` loads NumPy alone.
_ROOM_OF = {
    "check": "checker",
    "compare": "explain",
    "conformance": "promises",
    "LinearCrossEntropy": "heads",
    "SelectedLogProbs": "heads",
    "SoftmaxClassifier": "learn.classifier",
    "expected_calibration_error": "learn.statistics",
    "explore": "report.explorer",
    "follow": "explain",
    "linear_cross_entropy": "heads",
    "selected_log_probs": "heads",
    "shapes": "explain",
}
_ROOMS = ("learn", "nn", "plot", "testing", "torch")

__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Entmax",
    "FenchelYoung",
    "LinearCrossEntropy",
    "LogSigmoid",
    "LogSoftmax",
    "LogSumExp",
    "ReLU",
    "SelectedLogProbs",
    "Sigmoid",
    "Softmax",
    "SoftmaxClassifier",
    "Sparsemax",
    "SquaredError",
    "Tanh",
    "TopK",
    "binary_cross_entropy",
    "check",
    "compare",
    "conformance",
    "cross_entropy",
    "entmax15",
    "expected_calibration_error",
    "explain_impl",
    "explore",
    "follow",
    "get_num_threads",
    "learn",
    "linear_cross_entropy",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "nn",
    "plot",
    "relu",
    "selected_log_probs",
    "set_num_threads",
    "shapes",
    "sigmoid",
    "softmax",
    "sparsemax",
    "squared_error",
    "tanh",
    "testing",
    "torch",
]


def __getattr__(name: str) -> Any:
    if name in _ROOM_OF:
        return getattr(import_module(f"softgrad.{_ROOM_OF[name]}"), name)
    if name in _ROOMS:
        return import_module(f"softgrad.{name}")
    raise AttributeError(f"module 'softgrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
