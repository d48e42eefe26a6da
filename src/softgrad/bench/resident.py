"""The most memory that this process has had."""

from __future__ import annotations

from pathlib import Path

__all__ = ["peak_resident"]


def peak_resident() -> int:
    """Return the peak of the resident memory of this process in bytes.

    Raises
    ------
    ImportError
        The system does not tell it.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        import resource  # Windows has none

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes, on macOS
    # Not ru_maxrss: on Linux a child begins with that of its parent.
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])
