"""`make bench`, or `python -m benchmarks [-o results.json]`."""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

import softgrad
from benchmarks.rows import cases
from benchmarks.timing import measure


def main() -> None:
    """Measure, print a table, and write JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="write the timings as JSON")
    output = parser.parse_args().output
    table = Table(title=f"softgrad {softgrad.__version__}, {platform.platform()}")
    table.add_column("work", no_wrap=True)
    table.add_column("way")
    for column in ("median ms", "ratio", "error"):
        table.add_column(column, justify="right")
    timings = []
    for case in cases():
        measured = measure(case)
        timings += measured
        ours = next(t.seconds for t in measured if t.way == "softgrad")
        for index, t in enumerate(measured):
            name = case.name if index == 0 else ""
            ratio, ms = t.seconds / ours, 1e3 * t.seconds
            table.add_row(name, t.way, f"{ms:.3f}", f"{ratio:.2f}", f"{t.error:.1e}")
    Console().print(table)
    if output is not None:
        output.write_text(json.dumps([asdict(t) for t in timings], indent=2))


if __name__ == "__main__":
    main()
