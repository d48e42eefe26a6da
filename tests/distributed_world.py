"""Four processes that wait for work: ranks on the loopback interface, started once a module."""

from __future__ import annotations

import datetime
import faulthandler
import multiprocessing
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["World", "at_rank_0", "in_folder", "started_world"]

RANKS = 4
SECONDS = 120
"""After which a collective gives up: a test that hangs is a test that fails."""

Work = Callable[..., Any]
"""A function of a group and arguments, of a module that can be imported; it runs on every rank."""


class World:
    """The processes; a group of the first R of them stands for a world of R."""

    def __init__(self, pipes: list[Any]) -> None:
        self.pipes = pipes

    def run(self, ranks: int, work: Work, *args: Any) -> list[Any]:
        """Return what the work returns on every rank, or the exception that it raises there.

        A rank that has died has None.
        """
        for pipe in self.pipes[:ranks]:
            with suppress(BrokenPipeError):
                pipe.send((ranks, work, args))
        return [self._answer(rank) for rank in range(ranks)]

    def _answer(self, rank: int) -> Any:
        assert self.pipes[rank].poll(3 * SECONDS), f"rank {rank} says nothing"
        try:
            return self.pipes[rank].recv()
        except EOFError:
            return None

    def results(self, ranks: int, work: Work, *args: Any) -> list[Any]:
        """Return what the work returns on every rank; no rank may raise."""
        answers = self.run(ranks, work, *args)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


@contextmanager
def started_world(store: str) -> Iterator[World]:
    """Start the processes, which meet at a store, such as that of `in_folder` or `at_rank_0`."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(RANKS)]
    processes = [
        context.Process(target=_serve, args=(rank, store, there), daemon=True)
        for rank, (_, there) in enumerate(pairs)
    ]
    for process, (_, there) in zip(processes, pairs, strict=True):
        process.start()
        there.close()  # the other end is the process's alone, and closes with it
    try:
        yield World([here for here, _ in pairs])
    finally:
        for here, _ in pairs:
            with suppress(BrokenPipeError):
                here.send(None)
        for process in processes:
            process.join(10)
            process.kill()


def in_folder(folder: Path) -> str:
    """Return a store that is a file."""
    return f"file://{folder}/store"


def at_rank_0() -> str:
    """Return a store that is a part of rank 0, as without torchrun."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def _serve(rank: int, store: str, pipe: Any) -> None:
    """Do what comes through the pipe, until None comes."""
    import torch
    import torch.distributed as dist
    import torch.distributed.nn  # before there is a group: its defaults would hold it for ever

    faulthandler.enable()
    warnings.simplefilter("error")
    # PyTorch compiles its own decompositions on the way.
    warnings.filterwarnings("ignore", ".*torch.jit.script", DeprecationWarning)
    torch.set_num_threads(1)
    patience = datetime.timedelta(seconds=SECONDS)
    dist.init_process_group(
        "gloo", init_method=store, rank=rank, world_size=RANKS, timeout=patience
    )
    groups = {n: dist.new_group(range(n), timeout=patience) for n in range(1, RANKS + 1)}
    while (task := pipe.recv()) is not None:
        ranks, work, args = task
        try:
            answer = work(groups[ranks], *args)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = error
        pipe.send(answer)
    dist.destroy_process_group()
    sys.stdout.flush()
