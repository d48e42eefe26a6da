"""The machine and the libraries that figures hold for."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import softgrad

__all__ = ["PEERS", "Machine"]

PEERS = {"PyTorch": "torch", "JAX": "jax", "SciPy": "scipy"}
"""The distributions that peers come from."""

_LIBRARIES = ("numpy", "numba", *PEERS.values())


@dataclass(frozen=True)
class Machine:
    """Where a benchmark ran."""

    processor: str
    cores: int
    """What this process may use."""
    system: str
    python: str
    versions: dict[str, str]
    """Of softgrad and of the libraries that are installed."""

    @classmethod
    def this(cls) -> Machine:
        """Return this machine."""
        affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
        found = {name: _version(name) for name in _LIBRARIES}
        return cls(
            processor=_processor(),
            cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            versions={"softgrad": softgrad.__version__}
            | {name: version for name, version in found.items() if version},
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """The peers that are not installed."""
        return tuple(name for name, package in PEERS.items() if package not in self.versions)

    def __str__(self) -> str:
        cores = "core" if self.cores == 1 else "cores"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        place = f"{self.processor}, {self.cores} {cores}, {self.system}"
        return f"{place}; Python {self.python}, {versions}"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's name; Linux alone tells it in a file."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
