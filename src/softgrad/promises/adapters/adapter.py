"""What a shipped implementation says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from softgrad.promises.implementations.base import Threads

__all__ = ["Adapter"]


@dataclass(frozen=True)
class Adapter:
    """The functions of one library, by the suites that they are for."""

    framework: str
    distribution: str
    """What its version is asked of."""
    functions: Mapping[str, Any]
    threads: Threads | None = None
