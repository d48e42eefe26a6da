"""`softgrad check`: your backward against differences of your forward."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.exit_codes import OF_VERDICT
from softgrad.cli.parameters import file_to_write, positive, seed_option, sizes, writing
from softgrad.cli.user_code import load_object, output_to_stderr
from softgrad.errors import UsageError


@command()
@click.argument("forward")
@click.argument("backward", required=False)
@click.option(
    "--shape",
    "shapes",
    type=sizes,
    multiple=True,
    default=["4,37"],
    show_default=True,
    help="Of the input; once for each input.",
)
@click.option(
    "--dtype",
    type=click.Choice(("float16", "float32", "float64")),
    default="float64",
    show_default=True,
)
@click.option(
    "--scale", type=positive, default="1", show_default=True, help="Spread of the inputs."
)
@click.option("--thorough", is_flag=True, help="More probes.")
@seed_option
@click.option("--report", type=file_to_write, metavar="FILE", help="Write an HTML page, too.")
def check(
    output: Output,
    forward: str,
    backward: str | None,
    shapes: tuple[tuple[int, ...], ...],
    dtype: str,
    scale: float,
    thorough: bool,
    seed: int,
    report: Path | None,
) -> int:
    """Check a backward against differences of its forward.

    FORWARD and BACKWARD are functions, FILE.py:NAME or MODULE:NAME: forward(x) returns an array,
    backward(x, cotangent) the gradient. FORWARD alone is a layer, or its class, with methods
    forward(x) and backward(cotangent). Inputs are random numbers of the normal distribution.

    Exit code: 0 pass, 1 fail, 4 inconclusive.
    """
    from softgrad.checker import check

    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):  # the checker says that an input is infinite
        inputs = [(scale * rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    with output_to_stderr():
        first = _subject(forward, alone=backward is None)
        rest = inputs if backward is None else [load_object(backward), *inputs]
        with bad_values_are_bad_usage():
            result = check(first, *rest, seed=seed, thorough=thorough)
    output.result(result)
    if report is not None:
        from softgrad.report.check import check_page
        from softgrad.report.page import write

        words = ["softgrad", "check", forward, *filter(None, [backward])]
        words += [f"--shape={','.join(map(str, shape))}" for shape in shapes]
        words += [f"--dtype={dtype}", f"--scale={scale:g}", f"--seed={seed}"]
        words += ["--thorough"] * thorough
        with writing(report):
            write(check_page(result, shlex.join(words)), report)
    return OF_VERDICT[result.verdict]


def _subject(place: str, alone: bool) -> Any:
    """Return the forward, or, where there is no backward, a layer, made if a class is named."""
    found = load_object(place)
    if not alone:
        return found
    if inspect.isclass(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(f"{place} cannot be made without arguments: {reason}") from error
    if not (hasattr(found, "forward") and hasattr(found, "backward")):
        raise UsageError(f"{place}: expected a layer with forward and backward, or a BACKWARD too")
    return found
