"""The exit codes of every command."""

from __future__ import annotations

__all__ = [
    "CHECK_FAILED",
    "INCONCLUSIVE",
    "INTERNAL",
    "INTERRUPTED",
    "OF_VERDICT",
    "OK",
    "SUMMARY",
    "USAGE",
]

OK = 0
CHECK_FAILED = 1
USAGE = 2
"""The user has something to mend."""
INTERNAL = 3
"""An error of softgrad's own."""
INCONCLUSIVE = 4
INTERRUPTED = 130
"""Ctrl-C, as shells count signals; or another process of the same job has stopped."""

OF_VERDICT = {"pass": OK, "fail": CHECK_FAILED, "inconclusive": INCONCLUSIVE}

SUMMARY = (
    f"Exit codes: {OK} ok, {CHECK_FAILED} a check failed, {USAGE} something for you to mend, "
    f"{INTERNAL} an error of softgrad's own, {INCONCLUSIVE} a check was inconclusive, "
    f"{INTERRUPTED} interrupted."
)
