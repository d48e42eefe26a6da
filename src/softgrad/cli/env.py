"""`softgrad env`: what runs here, for a report of a problem."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import ClassVar

import softgrad
from softgrad.cli.command import Output, command
from softgrad.results import Block, Result, Table

_NEEDED = ("numpy", "array-api-compat", "numba", "click", "rich", "jinja2", "safetensors")
_OPTIONAL = {
    "scikit-learn": "learn",
    "pyarrow": "learn",
    "torch": "torch",
    "triton": "gpu",
    "jax": "jax",
}


@dataclass(frozen=True)
class Environment(Result):
    """Versions; None for what is absent."""

    schema: ClassVar[str] = "softgrad.env/1"

    softgrad: str
    python: str
    platform: str
    cpus: int
    needed: dict[str, str | None]
    optional: dict[str, str | None]

    def blocks(self) -> Iterable[Block]:
        """Yield one table."""
        rows = [
            ("softgrad", self.softgrad),
            ("Python", self.python),
            ("platform", self.platform),
            ("CPUs", str(self.cpus)),
            *((name, version or "absent") for name, version in self.needed.items()),
            *((name, version or _install(name)) for name, version in self.optional.items()),
        ]
        yield Table(("what", "version"), tuple(rows))


@command()
def env(output: Output) -> None:
    """Print versions and what optional libraries are there."""
    affinity = getattr(os, "sched_getaffinity", None)  # what this process may use, on Linux
    output.result(
        Environment(
            softgrad=softgrad.__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            cpus=len(affinity(0)) if affinity else os.cpu_count() or 1,
            needed={name: _version(name) for name in _NEEDED},
            optional={name: _version(name) for name in _OPTIONAL},
        )
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _install(name: str) -> str:
    return f"absent; pip install 'softgrad[{_OPTIONAL[name]}]'"
