"""`softgrad conformance`: which promises an implementation of softmax or its losses keeps."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.exit_codes import CHECK_FAILED, INCONCLUSIVE, OK
from softgrad.cli.parameters import file_to_write
from softgrad.cli.report_file import write_report
from softgrad.cli.user_code import load_object, output_to_stderr
from softgrad.errors import UsageError
from softgrad.promises import ADAPTERS, FRAMEWORKS, SUITES, Conformances, load_adapter

if TYPE_CHECKING:
    from softgrad.promises.result import Verdict

_CODES: dict[Verdict, int] = {
    "broken": CHECK_FAILED,
    "could not run": INCONCLUSIVE,
    "not offered": INCONCLUSIVE,
    "kept": OK,
}
"""The worst first."""


@command()
@click.argument("target")
@click.option(
    "--suite",
    "suites",
    type=click.Choice(tuple(SUITES)),
    metavar="NAME",
    multiple=True,
    help=f"One of {', '.join(SUITES)}.  [default: all that a shipped one has]",
)
@click.option(
    "--framework",
    type=click.Choice(tuple(FRAMEWORKS)),
    help="Whose arrays FUNCTION takes.  [default: it is called to find out]",
)
@click.option("--report", type=file_to_write, metavar="FILE", help="Write an HTML page, too.")
def conformance(
    output: Output,
    target: str,
    suites: tuple[str, ...],
    framework: str | None,
    report: Path | None,
) -> int:
    """Measure which promises an implementation keeps.

    TARGET is shipped: softgrad, softgrad-torch, softgrad-jax, torch, torch-fused, jax, optax or
    scipy. Or it is a function of your own, FILE.py:FUNCTION or MODULE:FUNCTION, of which --suite
    says what it is:
    f(z), f(logits, targets) or f(x, W, targets), of arrays of NumPy, PyTorch or JAX. NumPy has no
    derivatives: there FUNCTION is a pair (f, vjp), or an object with methods vjp, jvp and hvp.

    Exit code: 0 if no promise is broken, 1 if one is, 4 if one could not be measured.
    """
    from softgrad.promises import conformance

    asked = suites or _all_suites(target)
    with output_to_stderr(), bad_values_are_bad_usage():
        given: Any = target if target in ADAPTERS else load_object(target)
        results = tuple(conformance(suite, given, framework=framework) for suite in asked)
    output.result(Conformances(results))
    if report is not None:
        from softgrad.report.conformance import conformance_page

        words = ["softgrad", "conformance", target, *(f"--suite={suite}" for suite in suites)]
        words += [f"--framework={framework}"] if framework else []
        write_report(conformance_page(results, shlex.join(words)), report)
    found = {result.verdict for result in results}
    return next(code for verdict, code in _CODES.items() if verdict in found)


def _all_suites(target: str) -> tuple[str, ...]:
    """Return the suites of a shipped implementation."""
    if target in ADAPTERS:
        return tuple(load_adapter(target).functions)
    if ":" not in target:
        raise UsageError(f"expected {', '.join(ADAPTERS)}, or FILE.py:FUNCTION, got {target!r}")
    raise UsageError(f"--suite: expected {', '.join(SUITES)}: what {target} is to be")
