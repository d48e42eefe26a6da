"""What is ordinary: floats that kernels read as they are, and labels of which each one counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from softgrad.arrays import Array
from softgrad.frameworks.torch.modes import is_ordinary
from softgrad.kernels.choice import LEAST_TENSOR, works

__all__ = ["are_floats", "are_labels", "are_many", "wants_gradient"]


def are_floats(x: Any) -> bool:
    """Tell an array that is computed in its own dtype, in C order on the CPU; no single number."""
    return is_ordinary(x) and x.ndim > 0 and x.dtype in (torch.float32, torch.float64)


def are_many(size: int) -> bool:
    """Tell whether kernels are chosen for so many elements."""
    return size >= LEAST_TENSOR and works()


def are_labels(labels: Any, shape: torch.Size, classes: int, ignore_index: Any) -> bool:
    """Tell whether all labels are class indices, and count."""
    if not is_ordinary(labels) or labels.dtype != torch.int64 or labels.shape != shape:
        return False
    if ignore_index is not None and (type(ignore_index) is not int or 0 <= ignore_index < classes):
        return False
    # As a number without sign, a negative label is larger than all others.
    return bool(labels.numpy().view(np.uint64).max() < classes)


def wants_gradient(*arrays: Array | None) -> bool:
    """Tell whether a backward may follow."""
    if torch.is_grad_enabled():
        for a in arrays:
            if a is not None and a.requires_grad:
                return True
    return False
