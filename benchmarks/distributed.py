"""A head whose classes are spread over processes, beside the local head on a rank's own classes.

    python -m benchmarks.distributed [--ranks 1 2] [--rows 2048] [--features 256] [--classes 50257]

Every rank has one thread. Its step, value and gradients, is taken in turns with and without the
others, so that what disturbs the machine disturbs both; while one is measured alone, all are at
work. What a rank sends is counted where it is handed to torch.distributed. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from softgrad.bench.machine import Machine
from softgrad.bench.resident import peak_resident
from softgrad.heads import linear_cross_entropy
from softgrad.kernels.threads import set_num_threads

GOALS = {"overhead": 0.15, "forward_bytes_a_row": 24}
_ROUNDS = 7


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--classes", type=int, default=50257)
    given = parser.parse_args()
    size = (given.rows, given.features, given.classes)
    print(json.dumps({"machine": str(Machine.this()), "goals": GOALS, "size": size}, indent=2))
    for ranks in given.ranks:
        print(json.dumps(measure(ranks, *size), indent=2))


def measure(ranks: int, N: int, D: int, K: int) -> dict[str, Any]:
    """Start processes, and return what rank 0 has measured."""
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(_rank, (ranks, N, D, K, folder), ranks)
        found: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text())
    return found


def _rank(rank: int, ranks: int, N: int, D: int, K: int, folder: str) -> None:
    torch.set_num_threads(1)
    set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=ranks)
    own = slice(rank * K // ranks, (rank + 1) * K // ranks)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=random)
    targets = torch.randint(K, (N,), generator=random)
    W = torch.randn(own.stop - own.start, D, generator=torch.Generator().manual_seed(rank))
    head, group = linear_cross_entropy, dist.group.WORLD
    head.value_and_gradient(x[:8], W, targets[:8], group=group)  # kernels are compiled
    before = peak_resident()

    def alone() -> None:
        head.value_and_gradient(x, W, targets % len(W))

    def together() -> None:
        head.value_and_gradient(x, W, targets, group=group)

    together()
    memory = peak_resident() - before
    alone()
    seconds: dict[str, list[float]] = {"alone": [], "together": []}
    for _ in range(_ROUNDS):
        for name, step in (("alone", alone), ("together", together)):
            seconds[name].append(_seconds(step))
    with _counted() as forward:
        head.value(x, W, targets, group=group)
    with _counted() as both:
        together()
    if rank == 0:
        best = {name: min(times) for name, times in seconds.items()}
        found = {
            "ranks": ranks,
            "classes_a_rank": len(W),
            "seconds": best,
            "overhead": best["together"] / best["alone"] - 1,
            "forward_bytes_a_row": forward["bytes"] / N,
            "messages": both["messages"],
            "bytes_a_step": both["bytes"],
            "megabytes": {"W": W.nbytes / 1e6, "beyond_arguments": memory / 1e6},
        }
        (Path(folder) / "found.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def _seconds(step: Callable[[], None]) -> float:
    """Return the time of a step that all ranks begin together and end together."""
    dist.barrier()
    started = time.perf_counter()
    step()
    dist.barrier()
    return time.perf_counter() - started


@contextmanager
def _counted() -> Iterator[dict[str, int]]:
    """Count the messages of this rank, and the bytes that it hands over."""
    count = {"messages": 0, "bytes": 0}
    gather, exchange = dist.all_gather, dist.all_to_all_single

    def counting_gather(out: Any, own: Any, **options: Any) -> Any:
        count["messages"] += 1
        count["bytes"] += own.nbytes
        return gather(out, own, **options)

    def counting_exchange(out: Any, own: Any, **options: Any) -> Any:
        count["messages"] += 1
        count["bytes"] += own.nbytes
        return exchange(out, own, **options)

    dist.all_gather, dist.all_to_all_single = counting_gather, counting_exchange
    try:
        yield count
    finally:
        dist.all_gather, dist.all_to_all_single = gather, exchange


if __name__ == "__main__":
    main()
