"""What tests may ask for or rely on: a generator, digits, Ctrl-C, errors that are heard."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import mpmath
import numpy as np
import pytest

import oracles
from softgrad.checker.diagnosis import explain, twins


def has_gpu() -> bool:
    """Tell whether there is a GPU that PyTorch, if it is installed, was built for."""
    if not Path("/dev/nvidiactl").exists() or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


# Before anything imports Triton: without a GPU its interpreter runs the kernels.
if not has_gpu():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Return a generator seeded by the test's own name: no test moves another's numbers."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    """Let mpmath compute with the digits that the oracles' differences need."""
    with mpmath.workdps(oracles.DIGITS):
        yield


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let Ctrl-C reach this process and its children: shells withhold it from background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let errors of the diagnosis itself fail the test, and not end as an evidence."""
    for module in (explain, twins):
        monkeypatch.setattr(module, "PASSED_OVER", module.PASSED_OVER[:1])
