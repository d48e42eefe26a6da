"""A GPU of tensors without numbers: PyTorch's device meta stands for one.

Whatever looks at a number raises, and so does a kernel that is handed a tensor of another device.
No kernel runs: what they compute is tested by Triton's interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("triton_rows")

import torch

from softgrad import arrays
from softgrad.frameworks.torch import modes, operator, shortcut
from softgrad.heads import products
from softgrad.kernels import choice
from softgrad.kernels.triton import operations

__all__ = ["Launch", "empty", "take_meta_for_a_gpu"]


@dataclass(frozen=True)
class Launch:
    """A kernel that would have run."""

    kernel: str
    programs: int
    arguments: dict[str, Any]


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a tensor without numbers."""
    return torch.empty(shape, dtype=dtype, device="meta")


def take_meta_for_a_gpu(
    monkeypatch: pytest.MonkeyPatch, seen: Callable[[Launch], None] | None = None
) -> list[Launch]:
    """Take tensors of the device meta for a GPU's; return the launches, as they come.

    Who is `seen` instead gets them one by one, and nothing keeps their arguments.
    """
    monkeypatch.setattr(arrays, "_GPUS", {"meta"})
    monkeypatch.setattr(products, "_sums_in_float32", lambda *_: True)
    monkeypatch.setattr(choice, "works", lambda *_: True)
    for module in (modes, operator, shortcut):
        # They are no shapes of a graph that is traced: formulas are to see them.
        monkeypatch.setattr(module, "is_shape_alone", lambda _: False)
    launches: list[Launch] = []
    for room in (operations.maps, operations.products, operations.losses):
        for name in room.__all__:
            monkeypatch.setattr(room, name, _Kernel(getattr(room, name), seen or launches.append))
    return launches


class _Kernel:
    """Stands for a kernel of Triton's, and looks at what it is given."""

    def __init__(self, kernel: Any, seen: Callable[[Launch], None]) -> None:
        self.__name__ = self.name = kernel.__name__
        self.arg_names, self.seen = kernel.arg_names, seen

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*given: Any, **constants: Any) -> None:
            arguments = dict(zip(self.arg_names, given, strict=False)) | constants
            for name, one in arguments.items():
                if isinstance(one, torch.Tensor):
                    assert one.device.type == "meta", f"{name} of {self.name} is on {one.device}"
            assert arguments.keys() >= set(self.arg_names), self.name
            self.seen(Launch(self.name, grid[0], arguments))

        return launch
