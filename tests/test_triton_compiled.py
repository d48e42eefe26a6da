"""The kernels as Triton compiles them for an H100, which needs no GPU: what the code must not have.

Measured times are another matter: benchmarks/gpu.py.
"""

from __future__ import annotations

import json
import os
import re
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
    return {one.pop("kernel"): one for one in described}


def used() -> dict[str, dict[str, Any]]:
    """Return the kernels that softgrad compiles."""
    return {name: one for name, one in kernels().items() if name != "too long"}


def test_every_kernel_compiles() -> None:
    assert len(used()) == 48


def test_registers_hold_what_a_program_works_on() -> None:
    """Nothing is put into memory for a while; half a tile is 32 bytes of a thread at least."""
    assert not {name: one["stack"] for name, one in used().items() if one["stack"]}
    assert kernels()["too long"]["stack"] >= 32


def test_no_tile_is_made_by_every_thread() -> None:
    """Triton 3.7 gave each of 512 threads all 8,192 entries of a tile that is read from nowhere."""
    for name, one in used().items():
        assert one["sums of float64"] < 1000, name


def test_rows_are_read_and_written_16_bytes_at_a_time() -> None:
    """Those of 16 classes are not as long for every thread; 1,000 is a multiple of 8 alone."""
    for name, one in used().items():
        assert "L" in one["memory"], name
        assert "S" in one["memory"] or name.startswith("logsumexp"), name
        if name.startswith("softmax") and not name.endswith(" 16"):
            assert set(one["memory"]) == {"L", "B", "S"}, name


def test_a_row_of_the_head_s_buffer_is_cut_up_at_its_end_alone() -> None:
    """An odd number of classes: all tiles but the last are as those of an even one."""
    odd, even = (kernels()[f"head fp32 {K}"]["memory"] for K in (50257, 131072))
    assert even.count("L") < odd.count("l")
    assert odd.count("L") == even.count("L") // 2
    assert odd.count("S") == even.count("S") // 2


def test_no_function_is_approximated_and_no_small_number_flushed() -> None:
    for name, one in used().items():
        assert not one["approximate"], name
        assert not one["flushed"], name


def test_rows_begin_at_offsets_of_64_bits() -> None:
    for name, one in used().items():
        assert one["long offsets"] > 0, name
        assert one["short offsets"] == 0, name


def test_all_is_read_before_it_is_overwritten() -> None:
    """In all threads: a barrier stands between."""
    for name, one in used().items():
        if "head" in name or "everything" in name:  # a short number where a long one was
            assert not re.search("L[Ss]", one["memory"]), name
        if name.startswith(("labels", "head", "everything")) and not name.endswith(" 16"):
            # The entries that have a target are found, then all are written, then those.
            assert re.search(r"sB([Ll]+B?)?[Ss]+B[ls]+$", one["memory"]), name


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
@pytest.mark.parametrize(("K", "entries"), [(16, 8), (1000, 8), (1024, 8), (16384, 32)])
def test_no_product_is_contracted_with_a_sum(dtype: str, K: int, entries: int) -> None:
    """An fma that is not written would make the error of x − m, or of β(x − m), another one."""
    assert kernels()[f"softmax {dtype} {K}"]["fused"] == entries * (EXP + SCALED)


def test_products_have_no_fma_at_all() -> None:
    for name in ("diagonal_minus_outer", "identity_minus_outer_transpose"):
        assert kernels()[f"{name} fp32 131072"]["fused"] == 0
        assert kernels()[f"{name} fp32 131072"]["products"] > 0
