"""`python -m benchmarks` is `softgrad bench`; `--readme RESULTS` writes the README's table."""

from __future__ import annotations

import sys
from pathlib import Path

from softgrad.bench.markdown import rewrite
from softgrad.cli.main import run

README = Path(__file__).parents[1] / "README.md"


def main(args: list[str]) -> int:
    """Measure, or put the table of a JSON file between the markers of the README."""
    if args[:1] != ["--readme"]:
        return run(["bench", *args])
    if len(args) != 2:
        sys.exit("usage: python -m benchmarks --readme RESULTS.json")
    rewrite(README, Path(args[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
