"""torch.autograd.gradcheck around the same NumPy pair."""

from __future__ import annotations

import sys
import warnings
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.checker.cases import Case
from benchmarks.checker.peers.peer import Peer
from benchmarks.checker.subject import as_tuple

__all__ = ["TORCH_FAST", "TORCH_SLOW"]

SLOW_LARGEST = 800
"""Numbers that go in, for the mode that builds the whole Jacobian."""

_MESSAGE = "_run_slow_mode_and_get_error"
"""The fast mode builds the whole Jacobian for its message; the verdict stands without."""


def _function(case: Case) -> Any:
    """Return a torch.autograd.Function of the floating-point inputs."""
    pair, run = case.right, case.backward()

    def arguments(tensors: Any) -> list[Any]:
        inputs = list(pair.inputs)
        for place, tensor in zip(pair.floating, tensors, strict=True):
            inputs[place] = tensor.detach().numpy()
        return inputs

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            ctx.save_for_backward(*tensors)
            outputs = pair.forward(*arguments(tensors))
            # A copy, since PyTorch asks for memory that is not the input's.
            made = tuple(torch.from_numpy(np.array(y)) for y in as_tuple(outputs))
            return made if isinstance(outputs, tuple) else made[0]

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            g = tuple(c.detach().numpy() for c in cotangents)
            answers = as_tuple(run(*arguments(ctx.saved_tensors), g if len(g) > 1 else g[0]))
            if len(answers) == len(pair.inputs):
                answers = tuple(answers[place] for place in pair.floating)
            made = (a if a is None else torch.from_numpy(np.array(a)) for a in answers)
            return tuple(made)

    return Function.apply


def _gradcheck(case: Case, fast: bool) -> bool:
    tensors = tuple(torch.from_numpy(x.copy()).requires_grad_() for x in case.right.points)
    torch.set_num_threads(1)
    message = patch.object(sys.modules["torch.autograd.gradcheck"], _MESSAGE, return_value="")
    with message, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(torch.autograd.gradcheck(_function(case), tensors, fast_mode=fast))


def _is_double(case: Case) -> bool:
    return case.point.dtype == "float64"


def _is_small(case: Case) -> bool:
    return _is_double(case) and sum(x.size for x in case.right.points) <= SLOW_LARGEST


_CALLED = "a torch.autograd.Function around the pair, float64, default tolerances"
TORCH_SLOW = Peer(
    "torch gradcheck, slow",
    f"{_CALLED}; not run above {SLOW_LARGEST} numbers in",
    _is_small,
    lambda case: _gradcheck(case, fast=False),
)
TORCH_FAST = Peer(
    "torch gradcheck, fast",
    f"{_CALLED}, fast_mode=True, without the slow run for the message of a failure",
    _is_double,
    lambda case: _gradcheck(case, fast=True),
)
