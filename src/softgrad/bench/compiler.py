"""torch.compile, where it works within a time limit."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from softgrad.bench.work import UnavailableError

__all__ = ["TORCH_COMPILE", "torch_compile"]

TORCH_COMPILE = "torch.compile"
_LIMIT = 180  # seconds: the first use of a fresh install compiles headers, too
_TRIAL = "import torch; torch.compile(torch.sin)(torch.ones(3))"


def torch_compile(function: Callable[..., Any]) -> Any:
    """Return the compiled function, which is specialised to the shapes of its first call.

    Raises
    ------
    UnavailableError
        The compiler does not work here, or not in time.
    """
    import torch

    problem = _problem()
    if problem:
        raise UnavailableError(problem)
    torch._dynamo.reset()  # it stops compiling after some shapes
    return torch.compile(function, dynamic=False)


@functools.cache
def _problem() -> str:
    """Compile something small in a process of its own, which can be stopped; say what failed."""
    try:
        subprocess.run(
            [sys.executable, "-c", _TRIAL],
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return f"it did not compile within {_LIMIT} s"
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "Error" in line]
        return lines[-1].strip() if lines else "it fails"
    return ""
