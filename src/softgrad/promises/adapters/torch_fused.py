"""PyTorch's own head, which works through the rows in chunks; it is there from 2.13 on."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional as F

from softgrad.errors import UsageError
from softgrad.promises.adapters.adapter import Adapter, linear_head

__all__ = ["ADAPTER"]

if not hasattr(F, "linear_cross_entropy"):
    raise UsageError(f"PyTorch 2.13 is needed for 'torch-fused', got {torch.__version__}")


_chunked = partial(F.linear_cross_entropy, options=torch.nn.LinearCrossEntropyOptions())

ADAPTER = Adapter("torch", "torch", {"linear_cross_entropy": linear_head(_chunked)})
