"""The ranks of a process group of torch.distributed: the few collectives that a head needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh

from softgrad.arrays import Array, wider_dtype
from softgrad.errors import mismatch
from softgrad.frameworks.torch.alarm import Alarm
from softgrad.losses.spread.shards import AbstractRanks

__all__ = ["Ranks", "ranks_of"]


@dataclass(frozen=True)
class Ranks(AbstractRanks):
    """A group that this process belongs to."""

    group: Any

    @property
    def rank(self) -> int:
        return int(dist.get_rank(self.group))

    @property
    def size(self) -> int:
        return int(dist.get_world_size(self.group))

    def gathered(self, *columns: Array) -> tuple[Array, ...]:
        packed = [_bytes(column) for column in columns]
        everyone = self._gathered(torch.cat(packed))  # [ranks, bytes]
        parts = everyone.split([part.numel() for part in packed], dim=1)
        return tuple(
            part.clone(memory_format=torch.contiguous_format)
            .view(column.dtype)
            .reshape(self.size, *column.shape)
            for part, column in zip(parts, columns, strict=True)
        )

    def begin_sum(self, v: Array) -> Callable[[], Array]:
        """Begin the sum: every rank sums some rows for all, which costs what an all-reduce costs.

        The order of the ranks is the order of the sum, and it is rounded once.
        """
        ranks, n = self.size, v.shape[0]
        if ranks == 1:
            return lambda: v
        columns = v.numel() // max(1, n)
        block = -(-n // ranks)
        sent = v.new_zeros((ranks * block, columns))
        sent[:n] = v.reshape(n, columns)
        arrived = torch.empty_like(sent)
        work = dist.all_to_all_single(arrived, sent, group=self.group, async_op=True)

        def finish() -> Array:
            self._finish(work, sent)
            some = arrived.view(ranks, block, columns).to(wider_dtype(v) or v.dtype)
            total = some[0]
            for part in some[1:]:
                total = total + part
            everything = self._gathered(total.to(v.dtype).reshape(-1))
            return everything.view(ranks * block, columns)[:n].reshape(v.shape)

        return finish

    def gathered_numbers(self, *numbers: int) -> list[tuple[int, ...]]:
        own = torch.tensor(numbers, dtype=torch.int64, device=self._device)
        return [tuple(row) for row in self._gathered(own).tolist()]

    def gathered_texts(self, text: str) -> list[str]:
        own = torch.frombuffer(bytearray(text.encode() + b"\0"), dtype=torch.uint8)
        lengths = [length for (length,) in self.gathered_numbers(len(own))]
        padded = own.new_zeros(max(lengths))
        padded[: len(own)] = own
        everyone = self._gathered(padded.to(self._device)).cpu()
        return [bytes(row.tolist()).rstrip(b"\0").decode() for row in everyone]

    @property
    def has_stopped(self) -> bool:
        return Alarm(self.group).error is not None

    def stop(self, reason: str) -> None:
        if self.size > 1 and not self.has_stopped:
            Alarm(self.group).sound(reason)

    def _gathered(self, own: Array) -> Array:
        """Return the flat arrays of all ranks: [ranks, ...]."""
        everyone = own.new_empty((self.size, own.numel()))
        out = list(everyone.unbind(0))
        self._finish(dist.all_gather(out, own, group=self.group, async_op=True), own)
        return everyone

    def _finish(self, work: Any, sent: Array) -> None:
        """Wait for an exchange."""
        if f"{sent.device.type}:gloo" in dist.get_backend_config(self.group):
            Alarm(self.group).wait(work)
        else:  # NCCL has a watchdog of its own, and what follows on the device waits there
            work.wait()

    @property
    def _device(self) -> torch.device:
        """Where small messages are made."""
        if dist.get_backend(self.group) == "nccl":
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("cpu")


def ranks_of(group: Any) -> Ranks:
    """Return the ranks of a process group or of a mesh of one dimension.

    Raises
    ------
    TypeError, ValueError
        It is something else, or this process is none of them.
    RankStoppedError
        One of the ranks has stopped, and this one has heard of it before.
    """
    expected = "a process group of torch.distributed, or a DeviceMesh of one dimension"
    if isinstance(group, DeviceMesh):
        if group.ndim != 1:
            raise ValueError(mismatch("group", expected, f"one of {group.ndim} dimensions"))
        group = group.get_group()
    if not isinstance(group, dist.ProcessGroup):
        raise TypeError(mismatch("group", expected, type(group).__name__))
    if dist.get_rank(group) < 0:
        raise ValueError(mismatch("group", "one that this process is in", "another"))
    stopped = Alarm(group).error
    if stopped is not None:
        raise stopped
    return Ranks(group)


def _bytes(column: Array) -> Array:
    return column.contiguous().reshape(-1).view(torch.uint8)
