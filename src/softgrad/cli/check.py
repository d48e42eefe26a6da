"""`softgrad check`: your backward against differences of your forward."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
import numpy as np
from numpy.typing import NDArray

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.exit_codes import OF_VERDICT, OK
from softgrad.cli.parameters import file_to_write, positive, seed_option, sizes, writing
from softgrad.cli.user_code import load_object, output_to_stderr
from softgrad.errors import UsageError
from softgrad.results import Block, Result, Table

if TYPE_CHECKING:
    from softgrad.checker import Report


@command()
@click.argument("forward", required=False)
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
@click.option("--example", metavar="NAME", help="Check a built-in example of a mistake.")
@click.option("--list-examples", is_flag=True, help="List the built-in examples.")
@click.option("--report", type=file_to_write, metavar="FILE", help="Write an HTML page, too.")
def check(
    output: Output,
    forward: str | None,
    backward: str | None,
    example: str | None,
    list_examples: bool,
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

    --example NAME checks a wrong backward that is built in, and shows what its mistake is called
    and why; --list-examples lists them.

    Exit code: 0 pass, 1 fail, 4 inconclusive.
    """
    if list_examples:
        output.result(_Examples())
        return OK
    if (forward is None) == (example is None):
        raise UsageError("expected FORWARD, or --example NAME, and not both")
    options: dict[str, Any] = {"seed": seed, "thorough": thorough}
    if example is not None:
        result, words = _check_example(example, options), ["--example", example]
    else:
        assert forward is not None
        result = _check_code(forward, backward, _inputs(shapes, dtype, scale, seed), options)
        words = [forward, *filter(None, [backward])]
        words += [f"--shape={','.join(map(str, shape))}" for shape in shapes]
        words += [f"--dtype={dtype}", f"--scale={scale:g}"]
    output.result(result)
    if report is not None:
        from softgrad.report.check import check_page
        from softgrad.report.page import write

        words = ["softgrad", "check", *words, f"--seed={seed}", *["--thorough"] * thorough]
        with writing(report):
            write(check_page(result, shlex.join(words)), report)
    return OF_VERDICT[result.verdict]


def _titles() -> tuple[tuple[str, str], ...]:
    from softgrad.checker.diagnosis.examples import EXAMPLES

    return tuple((example.code, example.title) for example in EXAMPLES.values())


@dataclass(frozen=True)
class _Examples(Result):
    """The built-in examples of mistakes."""

    schema: ClassVar[str] = "softgrad.check-examples/1"

    examples: tuple[tuple[str, str], ...] = field(default_factory=_titles)

    def blocks(self) -> Iterable[Block]:
        yield Table(("name", "what is wrong"), self.examples)


def _inputs(
    shapes: tuple[tuple[int, ...], ...], dtype: str, scale: float, seed: int
) -> list[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):  # the checker says that an input is infinite
        return [(scale * rng.standard_normal(shape)).astype(dtype) for shape in shapes]


def _check_code(
    forward: str, backward: str | None, inputs: list[NDArray[Any]], options: dict[str, Any]
) -> Report:
    from softgrad.checker import check

    with output_to_stderr():
        first = _subject(forward, alone=backward is None)
        rest = inputs if backward is None else [load_object(backward), *inputs]
        with bad_values_are_bad_usage():
            return check(first, *rest, **options)


def _check_example(name: str, options: dict[str, Any]) -> Report:
    from softgrad.checker import check
    from softgrad.checker.diagnosis.examples import EXAMPLES

    if name not in EXAMPLES:
        raise UsageError(f"--example: expected {', '.join(EXAMPLES)}, got {name!r}")
    example = EXAMPLES[name]
    return check(example.forward, example.backward, *example.inputs(options["seed"]), **options)


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
