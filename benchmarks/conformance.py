"""`python -m benchmarks.conformance`: measure what is shipped, and rewrite docs/conformance.md."""

from __future__ import annotations

import sys
from pathlib import Path

from softgrad.bench.machine import Machine
from softgrad.errors import UsageError
from softgrad.files import rewrite_between
from softgrad.promises import ADAPTERS, Conformance, conformance, load_adapter
from softgrad.promises.page import END, START, markdown

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"


def main() -> None:
    """Measure every suite of every implementation that is installed."""
    results: list[Conformance] = []
    missing: list[str] = []
    for name in ADAPTERS:
        try:
            suites = load_adapter(name).functions
        except UsageError as absent:
            missing.append(name)
            print(absent, file=sys.stderr)
            continue
        for suite in suites:
            print(f"{suite} by {name} ...", file=sys.stderr)
            results.append(conformance(suite, name))
    versions = {"numpy": ""} | {k: v for result in results for k, v in result.versions.items()}
    machine = Machine.this()
    libraries = ", ".join(f"{library} {version}" for library, version in versions.items())
    where = f"{machine.processor}, {machine.cores} cores; Python {machine.python}, {libraries}"
    rewrite_between(PAGE, START, END, markdown(results, where, missing))


if __name__ == "__main__":
    main()
