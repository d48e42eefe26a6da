"""SciPy's functions, which have values alone."""

from __future__ import annotations

from typing import Any

from scipy.special import log_softmax, softmax

from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]


def _softmax(z: Any) -> Any:
    return softmax(z, axis=-1)


def _log_softmax(z: Any) -> Any:
    return log_softmax(z, axis=-1)


ADAPTER = Adapter("numpy", "scipy", {"softmax": _softmax, "log_softmax": _log_softmax})
