"""A head whose classes are spread over processes, beside the local head on a rank's own classes.

    python -m benchmarks.distributed [--ranks 1 2 4] [--rows 2048] [--features 256]
                                     [--classes 50257] [--page docs/distributed.md]

Every rank has one thread. Its step, value and gradients, is taken in turns with and without the
others, so that what disturbs the machine disturbs both; while one is measured alone, all are at
work. The messages of a step are taken by themselves as well: with the step alone they are the
model. What a rank sends is counted where it is handed to torch.distributed. Prints JSON, or writes
a table into a page.
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
from softgrad.bench.markdown import table
from softgrad.bench.resident import peak_resident
from softgrad.files import rewrite_between
from softgrad.frameworks.torch.ranks import ranks_of
from softgrad.heads import linear_cross_entropy
from softgrad.kernels.threads import set_num_threads

GOALS = {"overhead": 0.15, "forward_bytes_a_row": 24}
START, END = "<!-- distributed:start -->", "<!-- distributed:end -->"
_ROUNDS = 7


def main() -> None:
    """Measure, and print JSON or write the table of a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--classes", type=int, default=50257)
    parser.add_argument("--page", type=Path, help="a page whose block of tables is replaced")
    given = parser.parse_args()
    size = (given.rows, given.features, given.classes)
    cases = [measure(ranks, *size) for ranks in given.ranks]
    found = {"machine": str(Machine.this()), "goals": GOALS, "size": size, "cases": cases}
    print(json.dumps(found, indent=2))
    if given.page:
        rewrite_between(given.page, START, END, markdown(found))


def markdown(found: dict[str, Any]) -> str:
    """Return what was measured beside the model, as a page shows it."""
    columns = (
        "processes", "classes each", "step alone", "messages", "model", "measured", "overhead",
        "sent", "formula", "W and gradient",
    )  # fmt: skip
    rows = []
    for case in found["cases"]:
        seconds, sent = case["seconds"], case["sent"]
        alone, messages, together = (seconds[name] for name in ("alone", "messages", "together"))
        times = (alone, messages, alone + messages, together)
        rows.append(
            (
                str(case["ranks"]),
                f"{case['classes_a_rank']:,}",
                *(f"{1e3 * t:.0f} ms" for t in times),
                f"{case['overhead']:+.0%}",
                *(f"{sent[name] / 1e6:.2f} MB" for name in ("measured", "formula")),
                f"{2 * case['megabytes']['W']:.1f} MB",
            )
        )
    N, D, K = found["size"]
    return f"{found['machine']}; N = {N}, D = {D}, K = {K:,}, float32.\n\n{table(columns, rows)}"


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

    def messages() -> None:
        finish = ranks_of(group).begin_sum(x)
        ranks_of(group).gathered(*x[:, :4].T.contiguous())
        finish()

    together()
    memory = peak_resident() - before
    alone()
    ways = {"alone": alone, "together": together, "messages": messages}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, step in ways.items():
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
            "sent": {"measured": both["sent"], "formula": sent_in_a_step(ranks, N, D)},
            "megabytes": {"W": W.nbytes / 1e6, "beyond_arguments": memory / 1e6},
        }
        (Path(folder) / "found.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def sent_in_a_step(ranks: int, N: int, D: int) -> float:
    """Return the bytes that a rank sends to others: its record of every row, and sums of x_bar."""
    return 24 * N * (ranks - 1) + 8 * N * D * (ranks - 1) / ranks


def _seconds(step: Callable[[], None]) -> float:
    """Return the time of a step that all ranks begin together and end together."""
    dist.barrier()
    started = time.perf_counter()
    step()
    dist.barrier()
    return time.perf_counter() - started


@contextmanager
def _counted() -> Iterator[dict[str, int]]:
    """Count the messages of this rank, the bytes that it hands over, and what others get."""
    count, ranks = {"messages": 0, "bytes": 0, "sent": 0}, dist.get_world_size()
    gather, exchange = dist.all_gather, dist.all_to_all_single

    def counting_gather(out: Any, own: Any, **options: Any) -> Any:
        count["messages"] += 1
        count["bytes"] += own.nbytes
        count["sent"] += own.nbytes * (ranks - 1)
        return gather(out, own, **options)

    def counting_exchange(out: Any, own: Any, **options: Any) -> Any:
        count["messages"] += 1
        count["bytes"] += own.nbytes
        count["sent"] += own.nbytes * (ranks - 1) // ranks
        return exchange(out, own, **options)

    dist.all_gather, dist.all_to_all_single = counting_gather, counting_exchange
    try:
        yield count
    finally:
        dist.all_gather, dist.all_to_all_single = gather, exchange


if __name__ == "__main__":
    main()
