"""Ranks that stop together: who dies, or raises amid an exchange, is named by all that wait.

When a process dies, the kernel closes its connections. Gloo tells those that exchange with it, and
lets others wait for these. So whoever hears of it finds out which connections are closed, and
writes the reason to the group's store, where all that wait look twice a second. What a rank raises
amid an exchange is written there as well.
"""

from __future__ import annotations

import re
import time
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_process_group_store

from softgrad.errors import RankStoppedError

__all__ = ["Alarm"]

_LOOK = timedelta(seconds=0.5)
"""How long a rank waits before it looks whether another one has stopped."""

_LINGER = 1.5
"""Seconds for which one that stops gives the others time to read why: the store may be its own."""

_REASON, _READERS = "softgrad/stopped", "softgrad/readers"
_TAG = 0x5067
"""Of receives that nothing is ever sent to."""

_STOPPED: MutableMapping[Any, str] = WeakKeyDictionary()
"""The groups that have stopped, and why."""


@dataclass(frozen=True)
class Alarm:
    """What the ranks of a group tell each other outside of their exchanges."""

    group: Any

    @property
    def error(self) -> RankStoppedError | None:
        """What this rank has heard of another one that has stopped."""
        reason = _STOPPED.get(self.group)
        return None if reason is None else _stopped(reason)

    def wait(self, work: Any) -> None:
        """Wait for an exchange on gloo.

        Raises
        ------
        RankStoppedError
            Another rank has stopped.
        """
        while not _is_over(work):
            if (reason := self._written()) is not None:
                raise self.sound(reason)
        try:
            work.wait()
        except RuntimeError as error:
            raise self.sound(self._written() or self._lost(error) or _first(error)) from error

    def sound(self, reason: str) -> RankStoppedError:
        """Stop all ranks for a reason, unless they stop for another one; return the error."""
        deadline = time.monotonic() + _LINGER
        with suppress(RuntimeError):  # the store was that of a rank that has died
            store = self._store
            reason = store.compare_set(_REASON, "", reason).decode()
            store.add(_READERS, 1)
            while store.add(_READERS, 0) < self.group.size() and time.monotonic() < deadline:
                time.sleep(0.05)
        _STOPPED[self.group] = reason
        return _stopped(reason)

    def _written(self) -> str | None:
        """Return the reason that is written in the store."""
        try:
            store = self._store
            return store.get(_REASON).decode() if store.check([_REASON]) else None
        except RuntimeError as error:
            return self._lost(error)

    def _lost(self, error: RuntimeError) -> str | None:
        """Name the ranks to which connections are closed: no receive can be begun there."""
        lost = []
        for rank in range(self.group.size()):
            if rank == self.group.rank():
                continue
            try:
                source = dist.get_global_rank(self.group, rank)
                dist.irecv(torch.empty(1, dtype=torch.uint8), source, self.group, _TAG)
            except RuntimeError:
                lost.append(str(rank))
        if not lost:
            return None
        who = f"rank {lost[0]}" if len(lost) == 1 else f"ranks {', '.join(lost)}"
        return f"{who} of the group cannot be reached any more ({_first(error)})"

    @property
    def _store(self) -> Any:
        return _get_process_group_store(self.group)


def _stopped(reason: str) -> RankStoppedError:
    return RankStoppedError(f"{reason}; the group is out of step, and cannot be used any more")


def _is_over(work: Any) -> bool:
    """Wait for a while, and tell whether an exchange has ended, well or not."""
    with suppress(RuntimeError):  # for the time is over, too
        work.wait(_LOOK)
    return bool(work.is_completed())


def _first(error: RuntimeError) -> str:
    """Return the first sentence of what PyTorch says, without the line of its source."""
    return re.sub(r"^\[[^]]*\] ", "", str(error)).partition(". ")[0]
