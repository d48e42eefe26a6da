"""What a call costs beside PyTorch's own, at sizes where the numbers themselves cost little.

`python -m benchmarks.torch_overhead` prints microseconds a call, without and with its backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import softgrad.torch as st

SHAPES = ((8, 10), (64, 10), (256, 10), (32, 1000))
REPETITIONS, ROUNDS = 50, 7


def main() -> None:
    """Print a line for each function and shape."""
    torch.set_num_threads(1)
    print(f"{'function':21}  {'N × K':12}  PyTorch  softgrad  ratio   and backward:      ratio")
    for N, K in SHAPES:
        rng = np.random.default_rng(0)
        x = torch.tensor(rng.normal(size=(N, K)), dtype=torch.float32)
        labels = torch.tensor(rng.integers(K, size=N))
        W = torch.tensor(rng.normal(size=(K, 16)), dtype=torch.float32)
        for name, there, here in _pairs(x[:, :16].contiguous(), labels, W):
            given = x if "linear" not in name else x[:, :1].expand(N, 16).contiguous()
            forward = [_microseconds(partial(f, given)) for f in (there, here)]
            both = [_microseconds(partial(_backward, f, given)) for f in (there, here)]
            print(f"{name:21}  {f'{N} × {K}':12} {_row(forward)}   {_row(both)}")


def _pairs(
    x: torch.Tensor, labels: torch.Tensor, W: torch.Tensor
) -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """Yield a name, PyTorch's function of x, and softgrad's."""
    yield "softmax", partial(F.softmax, dim=-1), partial(st.softmax, dim=-1)
    yield "log_softmax", partial(F.log_softmax, dim=-1), partial(st.log_softmax, dim=-1)
    yield "cross_entropy", *(partial(f, target=labels) for f in (F.cross_entropy, st.cross_entropy))
    yield (
        "linear_cross_entropy",
        lambda x: F.cross_entropy(F.linear(x, W), labels),
        lambda x: st.linear_cross_entropy(x, W, labels),
    )


def _backward(f: Callable[..., torch.Tensor], x: torch.Tensor) -> None:
    x = x.detach().requires_grad_()
    y = f(x)
    y.backward(torch.ones_like(y))


def _microseconds(call: Callable[[], Any]) -> float:
    """Return the processor's time for a call, the best of several rounds."""
    times = []
    for _ in range(ROUNDS):
        start = process_time()
        for _ in range(REPETITIONS):
            call()
        times.append((process_time() - start) / REPETITIONS)
    return 1e6 * min(times)


def _row(times: list[float]) -> str:
    there, here = times
    return f"{there:8.1f} {here:9.1f} {here / there:6.1f}"


if __name__ == "__main__":
    main()
