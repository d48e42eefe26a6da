"""Four processes that wait for work: ranks on the loopback interface, started once a module."""

from __future__ import annotations

import datetime
import faulthandler
import multiprocessing
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["World", "started_world"]

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
        """Return what the work returns on every rank, or the exception that it raises there."""
        for pipe in self.pipes[:ranks]:
            pipe.send((ranks, work, args))
        answers = []
        for rank, pipe in enumerate(self.pipes[:ranks]):
            assert pipe.poll(3 * SECONDS), f"rank {rank} says nothing"
            answers.append(pipe.recv())
        return answers

    def results(self, ranks: int, work: Work, *args: Any) -> list[Any]:
        """Return what the work returns on every rank; no rank may raise."""
        answers = self.run(ranks, work, *args)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


@contextmanager
def started_world(folder: Path) -> Iterator[World]:
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(RANKS)]
    processes = [
        context.Process(target=_serve, args=(rank, str(folder / "store"), there), daemon=True)
        for rank, (_, there) in enumerate(pairs)
    ]
    for process in processes:
        process.start()
    try:
        yield World([here for here, _ in pairs])
    finally:
        for here, _ in pairs:
            here.send(None)
        for process in processes:
            process.join(10)
            process.kill()


def _serve(rank: int, store: str, pipe: Any) -> None:
    """Do what comes through the pipe, until None comes."""
    import torch
    import torch.distributed as dist

    faulthandler.enable()
    warnings.simplefilter("error")
    # PyTorch compiles its own decompositions on the way.
    warnings.filterwarnings("ignore", ".*torch.jit.script", DeprecationWarning)
    torch.set_num_threads(1)
    patience = datetime.timedelta(seconds=SECONDS)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS, timeout=patience
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
