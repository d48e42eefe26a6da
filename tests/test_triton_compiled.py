"""The kernels as Triton compiles them for an H100, which needs no GPU: what the code must not have.

Measured times are another matter: benchmarks/gpu.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton_rows")

TESTS = Path(__file__).parent
EXP, SCALED = 8, 1
"""Every fma that is written for an entry: in an exponential, and in its product with 1/S."""


@cache
def kernels() -> dict[str, dict[str, Any]]:
    """Return what was compiled, by its name."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    run = subprocess.run(
        [sys.executable, str(TESTS / "triton_compiled.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    described = [json.loads(line) for line in run.stdout.splitlines()]
    return {one["kernel"]: one for one in described}


def test_every_kernel_compiles() -> None:
    assert len(kernels()) == 26


def test_registers_hold_what_a_program_works_on() -> None:
    assert not [name for name, one in kernels().items() if one["local"]]


def test_long_rows_are_read_and_written_16_bytes_at_a_time() -> None:
    for name, one in kernels().items():
        assert one["wide loads"] > 0, name
        assert one["wide stores"] > 0 or name.startswith("logsumexp"), name


def test_no_function_is_approximated_and_no_small_number_flushed() -> None:
    for name, one in kernels().items():
        assert not one["approximate"], name
        assert not one["flushed"], name


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
@pytest.mark.parametrize(("K", "entries"), [(16, 8), (1024, 8), (16384, 32)])
def test_no_product_is_contracted_with_a_sum(dtype: str, K: int, entries: int) -> None:
    """An fma that is not written would make the error of x − m, or of β(x − m), another one."""
    assert kernels()[f"softmax {dtype} {K}"]["fused"] == entries * (EXP + SCALED)


def test_products_have_no_fma_at_all() -> None:
    for name in ("diagonal_minus_outer", "identity_minus_outer_transpose"):
        assert kernels()[f"{name} fp32 131072"]["fused"] == 0
        assert kernels()[f"{name} fp32 131072"]["products"] > 0
