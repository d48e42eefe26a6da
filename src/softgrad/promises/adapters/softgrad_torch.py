"""softgrad on PyTorch's tensors, under PyTorch's names."""

from __future__ import annotations

from typing import Any

import softgrad.torch as st
from softgrad.promises.adapters.adapter import Adapter, linear_head

__all__ = ["ADAPTER"]


def _softmax(z: Any) -> Any:
    return st.softmax(z, dim=-1)


def _log_softmax(z: Any) -> Any:
    return st.log_softmax(z, dim=-1)


ADAPTER = Adapter(
    "torch",
    "softgrad",
    {
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "cross_entropy": st.cross_entropy,
        "linear_cross_entropy": linear_head(st.linear_cross_entropy),
    },
)
