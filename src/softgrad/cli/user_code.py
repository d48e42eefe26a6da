"""The user's own code: FILE.py:NAME or MODULE:NAME, loaded, with its errors as one line."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from softgrad.checker.calls import with_place
from softgrad.errors import UsageError

__all__ = ["load_object", "output_to_stderr", "their_errors_are_bad_usage"]


def output_to_stderr() -> contextlib.redirect_stdout[Any]:
    """Send what the user's code prints to stderr: stdout is for the result."""
    return contextlib.redirect_stdout(sys.stderr)


def their_errors_are_bad_usage(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the user's function; what it raises is theirs to mend, at the place that is named."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (Exception, SystemExit) as error:
            name = getattr(function, "__name__", type(function).__name__)
            raise UsageError(f"{name} raised {with_place(error, function)}") from error

    return call


def load_object(place: str) -> Any:
    """Load what `place` names, such as ``layers.py:softmax`` or ``package.layers:Softmax``.

    Raises
    ------
    UsageError
        There is no such file, module or name, or running it raised; with the place in the code.
    """
    source, _, name = place.rpartition(":")
    if not source or not name:
        raise UsageError(f"expected FILE.py:NAME or MODULE:NAME, got {place!r}")
    found: Any = _module_in(source)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            close = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"{source}: there is no {part!r}{hint}") from None
    return found


def _module_in(source: str) -> ModuleType:
    path = Path(source)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise UsageError(f"{source}: no such file")
    # What stands beside the code is importable for it, as when it is run itself.
    folder = str(path.resolve().parent if is_file else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _run_file(path) if is_file else importlib.import_module(source)
    except SyntaxError as error:
        raise UsageError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{_place(error)}{type(error).__name__}: {error}") from error


def _run_file(path: Path) -> ModuleType:
    """Run a file as a module of its own; a second request finds it there."""
    name = f"softgrad_user_code_{abs(hash(path.resolve())):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    # Dataclasses look their module up while it is being run.
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _place(error: BaseException) -> str:
    """Return the line of the user's own code that led to an error; "" where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _imports(frame.filename)]
    lines = [frame.lineno for frame in own if frame.filename == own[0].filename]
    return f"{own[0].filename}, line {lines[-1]}: " if own else ""


def _imports(filename: str) -> bool:
    """Tell whether a file only brings the user's code in."""
    return filename.startswith("<frozen") or filename in (__file__, importlib.__file__)
