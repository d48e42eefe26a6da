"""Command lines run in this process, as `softgrad` runs them in its own."""

import contextlib
import io
import json
from dataclasses import dataclass
from typing import Any

from softgrad.cli.main import run


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one strict JSON document on stdout."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not strict JSON")


def softgrad(*args: object) -> Outcome:
    """Run one command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(arg) for arg in args])
    return Outcome(code, out.getvalue(), err.getvalue())


def assert_refused(outcome: Outcome, *words: str) -> None:
    """Raise unless the user was told in one line on stderr, with these words, what to mend."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("softgrad: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
