"""The command line: `softgrad COMMAND`, one file a command."""

from softgrad.cli.main import main

__all__ = ["main"]
