"""What implementations of softmax and its losses promise, and whether they keep it."""

from softgrad.promises.adapters import ADAPTERS, load_adapter
from softgrad.promises.guess import FRAMEWORKS
from softgrad.promises.result import Conformance, Conformances, Outcome
from softgrad.promises.run import conformance
from softgrad.promises.suites import SUITES

__all__ = [
    "ADAPTERS",
    "FRAMEWORKS",
    "SUITES",
    "Conformance",
    "Conformances",
    "Outcome",
    "conformance",
    "load_adapter",
]
