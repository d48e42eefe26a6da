"""The command line: `softgrad COMMAND`, one file a command."""

try:
    from softgrad.cli.main import main
except KeyboardInterrupt:  # Ctrl-C while modules are still being loaded
    raise SystemExit(130) from None

__all__ = ["main"]
