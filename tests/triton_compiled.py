"""What Triton makes of the kernels for an H100, without one: a line of JSON for each of them.

A program of its own: where the interpreter is on, nothing is compiled.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from softgrad.kernels.triton import cross_entropy as losses
from softgrad.kernels.triton import products
from softgrad.kernels.triton import softmax as maps
from softgrad.kernels.triton.arithmetic import two_diff
from softgrad.kernels.triton.launch import OPTIONS, Shape

NUMBERS = {"beta", "beta_low", "cap", "zeta", "zeta_low", "share"}
SINGLE = {"masses", "fixed", "class_weights", "factors", "losses"}
ARRAYS = {"x", "v", "out", "q", "q_dot", "p", "y_bar", "t"}
ALIGNED = [["tt.divisibility", 16]]

PLAIN = {"TEMPERED": False, "CAPPED": False, "ALIASED": False}
LABELS = {"ONES": True, "SMOOTHED": False, "WEIGHTED": False, "GRADIENT": True}
EVERYTHING = dict.fromkeys(("TEMPERED", "CAPPED", "ALIASED", *LABELS), True) | {"ONES": False}


def cases() -> Iterator[tuple[str, Any, int, str, str, dict[str, bool]]]:
    """Yield a name, a kernel, classes, the dtypes of arguments and result, and constants."""
    for K in (16, 1024, 16384, 131072):
        for dtype in ("bf16", "fp32"):
            yield "softmax", maps.softmax, K, dtype, dtype, {"TEMPERED": False}
            yield "labels", losses.cross_entropy, K, dtype, dtype, PLAIN | LABELS
    head = PLAIN | LABELS | {"ALIASED": True}
    yield "head", losses.cross_entropy, 131072, "fp32", "bf16", head
    yield "everything", losses.cross_entropy, 131072, "fp32", "bf16", EVERYTHING
    yield "dense", losses.cross_entropy_dense, 131072, "fp32", "fp32", PLAIN | {"GRADIENT": True}
    yield "log_softmax", maps.log_softmax, 131072, "fp16", "fp16", {"TEMPERED": True}
    yield "logsumexp", maps.logsumexp, 131072, "bf16", "fp32", {}
    yield "product", maps.softmax_product, 131072, "bf16", "fp32", {"TEMPERED": True}
    for name in products.__all__:
        yield name, getattr(products, name), 131072, "fp32", "fp32", {}


def compiled(kernel: Any, K: int, dtype: str, result: str, flags: dict[str, bool]) -> Any:
    """Compile for arrays in C order whose rows are aligned."""
    shape = Shape.of(K)
    constants = flags | {"R": shape.R, "B": shape.B, "WHOLE": shape.whole}
    signature, values, hints = {}, {}, {}
    for i, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name], values[(i,)] = "constexpr", constants[name]
        elif name in NUMBERS:
            signature[name] = "fp32"
        elif name in SINGLE | ARRAYS | {"ids"}:
            number = "i64" if name == "ids" else "fp32" if name in SINGLE else dtype
            signature[name] = "*" + (result if name == "out" else number)
            hints[(i,)] = ALIGNED
        else:
            signature[name] = "i32"
            if name == "K" or name.endswith("stride"):
                hints[(i,)] = ALIGNED
    source = ASTSource(kernel, signature=signature, constexprs=values, attrs=hints)
    options = {"num_warps": shape.warps, **OPTIONS}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def main() -> None:
    assert hasattr(two_diff, "fn"), "compiled, not interpreted"
    for name, kernel, K, dtype, result, flags in cases():
        ptx = compiled(kernel, K, dtype, result, flags).asm["ptx"]
        loads, stores = (re.findall(rf"{op}\.global\S*", ptx) for op in ("ld", "st"))
        described = {
            "kernel": f"{name} {dtype} {K}",
            "local": ".local" in ptx,
            "wide loads": sum(".v4." in load for load in loads),
            "wide stores": sum(".v4." in store for store in stores),
            "approximate": sorted(set(re.findall(r"(?:ex2|lg2|tanh)\.approx\S*", ptx))),
            "products": len(re.findall(r"\bmul\S*\.f32", ptx)),
            "sums": len(re.findall(r"\b(?:add|sub)\S*\.f32", ptx)),
            "fused": len(re.findall(r"\bfma\S*\.f32", ptx)),
            "flushed": sorted(set(re.findall(r"\b(?:add|sub|mul|fma)\S*\.ftz\S*\.f32", ptx))),
        }
        sys.stdout.write(json.dumps(described) + "\n")


if __name__ == "__main__":
    main()
