"""What the ranks do in the tests of faults: one of them dies, raises or is late."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist

from softgrad.frameworks.torch.ranks import Ranks
from softgrad.heads import LinearCrossEntropy
from softgrad.losses import CrossEntropy

__all__ = ["died", "interrupted", "late", "made", "raised"]

Found = tuple[float, BaseException | float]
"""After how many seconds a call ended, and how."""


_GROUPS: list[Any] = []


def made(_: Any, *members: list[int]) -> None:
    """Make groups while all are alive, as a group must be made."""
    _GROUPS[:] = map(dist.new_group, members)


def died(_: Any, group: int, victim: int, exchanges: int) -> list[Found]:
    """Let one rank of a group die after a few exchanges; the others call the head twice."""
    group = _GROUPS[group]
    if dist.get_rank(group) < 0:
        return []
    _step(group)  # all that is loaded at the first call is here
    if dist.get_rank(group) == victim:
        with mock.patch.object(Ranks, "_gathered", _few(exchanges, Ranks._gathered, _die)):
            _step(group)
    return [_timed(_step, group), _timed(_step, group)]


def raised(_: Any, ranks: int, victim: int, phase: str) -> list[Found] | None:
    """Let one rank raise in a phase of a call; all call again."""
    group = dist.new_group(range(ranks))
    if dist.get_rank() >= ranks:
        return None
    error, head_module = (
        MemoryError("there is no room"),
        import_module(LinearCrossEntropy.__module__),
    )
    step = _loss if phase.startswith("loss") else _step
    patches = {
        "before the ranks have met": mock.patch.object(
            head_module, "linear_layer", side_effect=error
        ),
        "at work": mock.patch.object(head_module, "Cotangents", side_effect=error),
        "loss at work": mock.patch(
            "softgrad.losses.spread.rows.ShardedRows._visit_some", side_effect=error
        ),
    }
    step(group)
    if dist.get_rank(group) != victim:
        return [_timed(step, group), _timed(step, group)]
    with patches[phase]:
        first = _timed(step, group)
    return [first, _timed(step, group)]


def interrupted(_: Any) -> list[Found] | None:
    """Interrupt rank 1 while it waits for rank 0, which comes later."""
    rank, group = dist.get_rank(), dist.new_group([0, 1])
    if rank > 1:
        return None
    _step(group)
    if rank == 1:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        time.sleep(4)
    return [_timed(_step, group)]


def late(group: Any) -> Found:
    """Keep the others waiting for longer than it takes them to look."""
    _step(group)
    if dist.get_rank(group) == 1:
        time.sleep(2.5)
    return _timed(_step, group)


def _step(group: Any) -> float:
    """Return the loss of a head, whose gradients are taken as well."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    x, W = torch.linspace(-1, 1, 12).reshape(4, 3), torch.linspace(1, 2, 3 * (rank + 1))
    targets = torch.arange(4) % ranks
    found = LinearCrossEntropy().value_and_gradient(x, W.reshape(-1, 3), targets, group=group)
    return float(found[0])


def _loss(group: Any) -> float:
    z = torch.linspace(-1, 1, 12).reshape(4, 3)
    return float(CrossEntropy().value_and_gradient(z, torch.arange(4), group=group)[0])


def _timed(call: Callable[[Any], float], group: Any) -> Found:
    started = time.monotonic()
    try:
        found: BaseException | float = call(group)
    except BaseException as error:  # an interrupt as well
        found = error
    return time.monotonic() - started, found


def _few(count: int, function: Callable[..., Any], end: Callable[[], None]) -> Callable[..., Any]:
    """Return a function that may be called a few times, and then does something else."""
    left = iter(range(count))

    def call(*args: Any) -> Any:
        if next(left, None) is None:
            end()
        return function(*args)

    return call


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
