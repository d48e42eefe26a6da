"""Ctrl-C is answered soon, in the midst of kernels and products."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time, numpy as np
from softgrad.heads import LinearCrossEntropy
rows, features, classes = {shape}
rng = np.random.default_rng(0)
x = rng.standard_normal((rows, features), dtype=np.float32)
W = rng.standard_normal((classes, features), dtype=np.float32)
labels = rng.integers(0, classes, rows)
head = LinearCrossEntropy(reduction="sum")
head.value_and_gradient(x[:64], W, labels[:64])
print("ready", flush=True)
try:
    while True:
        head.value_and_gradient(x, W, labels)
except KeyboardInterrupt:
    print(time.time())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")
@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("shape", [(20_000, 64, 20_000), (2_000, 64, 300_000)])
def test_an_interrupt_is_answered(shape: tuple[int, int, int]) -> None:
    """Each run takes far longer than the limit, which leaves room for a machine that is busy."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(shape=shape)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.7)  # it is at work now
        os.kill(child.pid, signal.SIGINT)
        output, _ = child.communicate(timeout=20)
        assert float(output) > 0
        assert child.returncode == 0
    finally:
        child.kill()
        child.wait()
