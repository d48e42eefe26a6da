"""A command that torchrun has started in several processes: the first one shows and writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from softgrad.cli.command import Output
from softgrad.cli.exit_codes import USAGE
from softgrad.errors import MissingExtraError, UsageError

__all__ = ["in_all_processes", "several_processes"]

_BY_TORCHRUN = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
"""What torchrun, or who starts processes as it does, tells each of them."""


_PATIENCE = timedelta(seconds=5)
"""How long a process lets the first one say what is wrong."""


def several_processes() -> bool:
    """Tell whether torchrun has started this process together with others."""
    return os.environ.keys() >= _BY_TORCHRUN and int(os.environ["WORLD_SIZE"]) > 1


def in_all_processes(output: Output, work: Callable[[Output, Any], int]) -> int:
    """Return the exit code of a function of an output and a group; of one process it is None."""
    if not several_processes():
        return work(output, None)
    import torch.distributed as dist
    import torch.distributed.nn  # noqa: F401 -- later, its defaults would hold the group for ever

    dist.init_process_group("gloo")
    leads = dist.get_rank() == 0
    try:
        return work(output if leads else Output.silent(), dist.group.WORLD)
    except (UsageError, MissingExtraError):
        if leads:
            raise
        # The first process has heard of it, and says it: torchrun ends all as soon as one has.
        with suppress(RuntimeError):  # there is nobody to meet any more
            dist.barrier(async_op=True).wait(_PATIENCE)
        return USAGE
    finally:
        dist.destroy_process_group()
