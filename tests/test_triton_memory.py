"""The memory of the head on a GPU, counted on tensors without numbers: sizes of language models."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

pytest.importorskip("meta_gpu")

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import softgrad as sg
from meta_gpu import empty, take_meta_for_a_gpu
from softgrad.frameworks.torch import modes

MIB = 2**20
SHAPES = ((8192, 4096, 131072), (8192, 2304, 256000), (16384, 2048, 248320), (4096, 4096, 32000))

shapes = pytest.mark.parametrize(("N", "D", "K"), SHAPES)


class Allocated(TorchDispatchMode):
    """Counts the bytes of all tensors that were made in it and are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.alive: dict[int, Any] = {}

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), named: Any = None) -> Any:
        made = call(*args, **(named or {}))
        given = {id_of(v) for v in tree_leaves((args, named)) if isinstance(v, torch.Tensor)}
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and id_of(tensor) not in given:
                self.count(tensor.untyped_storage())
        return made

    def count(self, memory: Any) -> None:
        key, size = memory._cdata, memory.nbytes()
        if key in self.alive:
            return

        def freed() -> None:
            del self.alive[key]
            self.now -= size

        self.alive[key] = weakref.finalize(memory, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def id_of(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def peak(head: Any, N: int, D: int, K: int, dtype: torch.dtype = torch.bfloat16) -> tuple[int, int]:
    """Return the bytes of the peak beyond the arguments, and of what is left."""
    x, W, y = empty(N, D, dtype=dtype), empty(K, D, dtype=dtype), empty(N, dtype=torch.int64)
    with Allocated() as allocated:
        _, bars = head.value_and_gradient(x, W, y)
    assert bars.W.shape == W.shape
    assert bars.W.dtype == dtype
    return allocated.peak, allocated.now


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the kernels that run."""
    names: set[str] = set()
    take_meta_for_a_gpu(monkeypatch, lambda launch: names.add(launch.kernel))
    monkeypatch.setattr(modes, "is_recorded", lambda: False)  # who counts sees every tensor
    return names


@shapes
def test_the_sums_of_W_become_its_gradient(N: int, D: int, K: int, kernels: set[str]) -> None:
    """Nothing stands beside the float32 sums but x_bar and the buffers."""
    most, left = peak(sg.linear_cross_entropy, N, D, K)
    assert kernels
    assert most <= 2 * N * D + 4 * K * D + 512 * MIB
    assert left <= 2 * N * D + 2 * K * D + MIB
