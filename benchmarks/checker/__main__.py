"""`python -m benchmarks.checker`: run all cases, or one by its name."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks.checker.batches import BATCHES
from benchmarks.checker.cases import named
from benchmarks.checker.outcome import Outcome
from benchmarks.checker.page import rewrite
from benchmarks.checker.row import Row, report_of
from benchmarks.checker.run import run
from benchmarks.checker.truth import truth_of
from softgrad.files import write_atomically

WIDTH = 130
"""Of the tables, also in a file."""


def main(args: list[str]) -> int:
    """Run the benchmark; print its tables and write what was asked for."""
    options = _parser().parse_args(args)
    if options.case:
        return _one(options.case)
    outcome = (
        Outcome.from_dict(json.loads(options.read.read_text())) if options.read else _ran(options)
    )
    Console(width=WIDTH).print(outcome)
    if options.list:
        print(*outcome.failures(), sep="\n")
    if options.json:
        write_atomically(options.json, outcome.to_json(indent=1))
    if options.page:
        rewrite(options.page, options.block, outcome)
    return 0


def _ran(options: argparse.Namespace) -> Outcome:
    peers = []
    if not options.alone:
        from benchmarks.checker.peers.every import PEERS

        peers = list(PEERS.values())
    with threadpool_limits(1):
        batches = [b for b in BATCHES if options.batch in (None, b.name)]
        outcome = run(peers, options.quick, _watch, batches)
    print(file=sys.stderr)
    return outcome


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checker")
    parser.add_argument("--quick", action="store_true", help="some 200 of the cases")
    names = [batch.name for batch in BATCHES]
    parser.add_argument("--batch", choices=names, help="the cases of one batch alone")
    parser.add_argument("--alone", action="store_true", help="softgrad without other checkers")
    parser.add_argument("--case", help="one case by its name: print its report")
    parser.add_argument("--list", action="store_true", help="list every case that went wrong")
    parser.add_argument("--json", type=Path, help="write every row to this file")
    parser.add_argument("--read", type=Path, help="show a file of --json, and run nothing")
    parser.add_argument("--page", type=Path, help="write the tables between a page's markers")
    parser.add_argument("--block", default="results", help="the name in the markers")
    return parser


def _one(name: str) -> int:
    case = named(name)
    truth = truth_of(case)
    print(f"{case.name}: {truth.kind}, wrong by {truth.error:.3g}; accepted: {sorted(case.codes)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Console().print(report_of(case))
    return 0


_seen = 0


def _watch(row: Row) -> None:
    global _seen
    _seen += 1
    if _seen % 100 == 0:
        print(f"\r{_seen} cases, now {row.case:100.100}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
