"""What Triton makes of the kernels for an H100, without one: a line of JSON for each of them.

A program of its own: where the interpreter is on, nothing is compiled.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from math import gcd
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from softgrad.kernels.triton import cross_entropy as losses
from softgrad.kernels.triton import launch, products
from softgrad.kernels.triton import softmax as maps
from softgrad.kernels.triton.arithmetic import two_diff
from softgrad.kernels.triton.launch import OPTIONS, Shape

NUMBERS = {"beta", "beta_low", "cap", "zeta", "zeta_low", "keep", "share"}
SINGLE = {"masses", "fixed", "class_weights", "factors", "losses"}
ARRAYS = {"x", "v", "out", "q", "q_dot", "p", "y_bar", "t"}
ALIGNED = [["tt.divisibility", 16]]
TOO_LONG = 65536
"""Classes of a row that the registers of a program cannot hold."""

PLAIN = {"TEMPERED": False, "CAPPED": False, "ALIASED": False}
ALIASED = {"ALIASED": True}
CAPPED = {"CAPPED": True}
SMOOTHED = {"SMOOTHED": True, "ONES": False}
FLAGS = {"ONES": True, "SMOOTHED": False, "WEIGHTED": False, "GRADIENT": True}
LABELS = FLAGS | {"Q": 1}
TOP_K = FLAGS | {"ONES": False}
EVERYTHING = dict.fromkeys((*PLAIN, *FLAGS), True) | {"Q": 1, "ONES": False}


def cases() -> Iterator[tuple[str, Any, int, str, str, dict[str, int]]]:
    """Yield a name, a kernel, classes, the dtypes of arguments and result, and constants."""
    for K in (16, 1000, 1024, 16384, 131072):
        for dtype in ("bf16", "fp32"):
            yield "softmax", maps.softmax, K, dtype, dtype, {"TEMPERED": False}
            yield "labels", losses.cross_entropy, K, dtype, dtype, PLAIN | LABELS
    head = PLAIN | LABELS | ALIASED
    yield "head", losses.cross_entropy, 131072, "fp32", "bf16", head
    yield "head", losses.cross_entropy, 50257, "fp32", "bf16", head
    yield "everything", losses.cross_entropy, 131072, "fp32", "bf16", EVERYTHING
    for K in (16, 1024, 131072):
        at_once = {"Q": launch.listed_at_a_time(64, K)}
        yield "top-k", losses.cross_entropy, K, "bf16", "bf16", PLAIN | TOP_K | at_once
    yield "smoothed", losses.cross_entropy, 131072, "bf16", "bf16", PLAIN | LABELS | SMOOTHED
    for dtype in ("bf16", "fp32"):
        yield "smoothed", losses.cross_entropy, 16384, dtype, dtype, PLAIN | LABELS | SMOOTHED
        yield "capped", losses.cross_entropy, 16384, dtype, dtype, PLAIN | LABELS | CAPPED
        yield "everything", losses.cross_entropy, 16384, dtype, "bf16", EVERYTHING
        plain = PLAIN | {"GRADIENT": True, "SMOOTHED": False, "WEIGHTED": False}
        yield "dense", losses.cross_entropy_dense, 16384, dtype, dtype, plain
        yield "log_softmax", maps.log_softmax, 16384, dtype, dtype, {"TEMPERED": True}
        yield "product", maps.softmax_product, 16384, dtype, dtype, {"TEMPERED": False}
    dense = PLAIN | {"GRADIENT": True, "SMOOTHED": True, "WEIGHTED": True}
    yield "dense", losses.cross_entropy_dense, 131072, "fp32", "fp32", dense
    yield "dense head", losses.cross_entropy_dense, 131072, "fp32", "bf16", dense | ALIASED
    yield "log_softmax", maps.log_softmax, 131072, "fp16", "fp16", {"TEMPERED": True}
    yield "logsumexp", maps.logsumexp, 131072, "bf16", "fp32", {}
    yield "product", maps.softmax_product, 131072, "bf16", "fp32", {"TEMPERED": True}
    for name in products.__all__:
        yield name, getattr(products, name), 131072, "fp32", "fp32", {}


def compiled(
    kernel: Any, K: int, dtype: str, result: str, flags: dict[str, int], pitch: int
) -> Any:
    """Compile for aligned arrays whose rows stand `pitch` numbers apart."""
    shape = Shape.of(K, launch.most_held(kernel, flags))
    step = gcd(launch.MOST, K, pitch)
    constants = flags | {"R": shape.R, "B": shape.B, "WHOLE": shape.whole, "STEP": step}
    signature, values, hints = {}, {}, {}
    for i, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name], values[(i,)] = "constexpr", constants[name]
        elif name in NUMBERS:
            signature[name] = "fp32"
        elif name in SINGLE | ARRAYS | {"ids"}:
            kind = "i64" if name == "ids" else "fp32" if name in SINGLE else dtype
            signature[name] = "*" + (result if name == "out" else kind)
            hints[(i,)] = ALIGNED
        else:
            signature[name] = "i32"
            number = K if name == "K" else pitch if name.endswith("stride") else 1
            if number % 16 == 0:  # Triton looks at what it is given
                hints[(i,)] = ALIGNED
    source = ASTSource(kernel, signature=signature, constexprs=values, attrs=hints)
    options = {"num_warps": shape.warps, **OPTIONS}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def disassembled(cubin: bytes) -> tuple[int, str]:
    """Return the bytes of a thread's stack, which are what registers do not hold, and its memory.

    That is a letter for each access as it stands in the code: L and S for loads and stores of 16
    bytes, l and s for shorter ones, B for a barrier.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        usage = _output(knobs.nvidia.cuobjdump.path, "-res-usage", str(file))
        code = _output(knobs.nvidia.nvdisasm.path, "-c", str(file))
    (stack,) = re.findall(r"STACK:(\d+)", usage)
    accesses = re.findall(r"\b(?:(LDG|STG)(\S*)|(BAR)\.SYNC)", code)
    letters = {("LDG", True): "L", ("LDG", False): "l", ("STG", True): "S", ("STG", False): "s"}
    return int(stack), "".join(
        "B" if barrier else letters[access, ".128" in width] for access, width, barrier in accesses
    )


def _output(*command: str) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout + run.stderr


def described(name: str, asm: Any) -> dict[str, Any]:
    """Return what there is to say of a kernel's code."""
    ptx, (stack, memory) = asm["ptx"], disassembled(asm["cubin"])
    approximate = r"(?:ex2|lg2|tanh|rcp|sqrt)\.approx\S*f32|div\.(?:full|approx)\S*"
    return {
        "kernel": name,
        "stack": stack,
        "memory": memory,
        "approximate": sorted(set(re.findall(approximate, ptx))),
        "products": len(re.findall(r"\bmul\S*\.f32", ptx)),
        "sums": len(re.findall(r"\b(?:add|sub)\S*\.f32", ptx)),
        "sums of float64": len(re.findall(r"\badd\S*\.f64", ptx)),
        "fused": len(re.findall(r"\bfma\S*\.f32", ptx)),
        "flushed": sorted(set(re.findall(r"\b(?:add|sub|mul|fma|div)\S*\.ftz\S*\.f32", ptx))),
        "short offsets": len(re.findall(r"\b(?:mul|mad)\.lo\.[su]32", ptx)),
        "long offsets": len(re.findall(r"\b(?:mul|mad)\.lo\.s64", ptx)),
    }


def main() -> None:
    assert hasattr(two_diff, "fn"), "compiled, not interpreted"
    for name, kernel, K, dtype, result, flags in cases():
        pitch = -(-K // 16) * 16 if "head" in name else K
        asm = compiled(kernel, K, dtype, result, flags, pitch).asm
        sys.stdout.write(json.dumps(described(f"{name} {dtype} {K}", asm)) + "\n")
    launch.WHOLE = TOO_LONG
    asm = compiled(maps.softmax, TOO_LONG, "bf16", "bf16", {"TEMPERED": False}, TOO_LONG).asm
    sys.stdout.write(json.dumps(described("too long", asm)) + "\n")


if __name__ == "__main__":
    main()
