"""`python -m benchmarks.training`: run all of it, or a part by its name.

Every part has a process of its own, whose peak of memory is the part's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from benchmarks.training import language, many_classes, optimum
from benchmarks.training.outcome import Outcome
from benchmarks.training.watched import Clock
from softgrad.bench.machine import Machine
from softgrad.bench.markdown import table
from softgrad.bench.measurement import Measured
from softgrad.files import rewrite_between, write_atomically
from softgrad.kernels.threads import get_num_threads, set_num_threads
from softgrad.results import Paragraph, Table

PARTS: dict[str, Callable[[Clock], Measured]] = {
    **{name: partial(optimum.measure, name) for name in optimum.PROBLEMS},
    "many classes": many_classes.measure,
    "language model": language.measure,
}
START, END = "<!-- training:start -->", "<!-- training:end -->"
WIDTH = 130
"""Of the tables, also in a file."""


def main() -> None:
    """Measure, or read what was measured; print, and write what was asked for."""
    options = _parser().parse_args()
    outcome = _read(options.read) if options.read else _measured(options)
    Console(width=WIDTH).print(outcome)
    if options.output:
        write_atomically(options.output, outcome.to_json(indent=2) + "\n")
    if options.page:
        rewrite_between(options.page, START, END, "\n\n".join(markdown(outcome)))


def _read(files: list[Path]) -> Outcome:
    """Return the cases of all files, in the order of the parts; the machine is the first file's."""
    outcomes = [Outcome.from_dict(json.loads(file.read_text())) for file in files]
    cases = {case.suite: case for outcome in outcomes for case in outcome.cases}
    return replace(outcomes[0], cases=tuple(cases[name] for name in PARTS if name in cases))


def _measured(options: argparse.Namespace) -> Outcome:
    threads = 1 if options.processor else options.threads or get_num_threads()
    clock = time.process_time if options.processor else time.perf_counter
    told = "seconds of the processor" if options.processor else "seconds of the wall clock"
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of processes that are yet to begin
    cases = tuple(_by_itself(PARTS[name], threads, clock) for name in options.only or PARTS)
    return Outcome(Machine.this(), threads, told, cases)


def _by_itself(part: Callable[[Clock], Measured], threads: int, clock: Clock) -> Measured:
    with ProcessPoolExecutor(1, get_context("spawn"), set_num_threads, (threads,)) as executor:
        return executor.submit(part, clock).result()


def markdown(outcome: Outcome) -> Iterator[str]:
    """Yield the outcome's blocks as a page shows them."""
    for block in outcome.blocks():
        if isinstance(block, Paragraph):
            yield block.text
        elif isinstance(block, Table):
            yield table(block.columns, [tuple(map(str, row)) for row in block.rows])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part, or several")
    parser.add_argument("--threads", type=int, help="of softgrad and of the BLAS; all cores")
    parser.add_argument(
        "--processor",
        action="store_true",
        help="one thread, and its own time: for a machine that has other work",
    )
    parser.add_argument("--read", type=Path, nargs="+", metavar="JSON", help="measure nothing")
    parser.add_argument("--output", type=Path, metavar="JSON")
    parser.add_argument("--page", type=Path, help="a page whose block of tables is replaced")
    return parser


if __name__ == "__main__":
    main()
