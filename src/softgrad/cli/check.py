"""`softgrad check`: your backward against the derivative of your forward."""

from __future__ import annotations

import inspect
import shlex
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.examples import Examples, example_arguments
from softgrad.cli.exit_codes import OF_VERDICT, OK
from softgrad.cli.inputs import draw_inputs, read_inputs
from softgrad.cli.parameters import file_to_write, positive, seed_option, sizes
from softgrad.cli.report_file import write_report
from softgrad.cli.user_code import load_object, output_to_stderr
from softgrad.errors import MissingExtraError, UsageError

_NAMES = {"torch": "PyTorch", "jax": "JAX"}
_OF_A_SUBJECT = ("forward", "backward", "torch", "jax", "shapes", "file", "dtype", "scale")


@command()
@click.argument("forward", required=False)
@click.argument("backward", required=False)
@click.option("--torch", is_flag=True, help="FORWARD takes tensors of PyTorch.")
@click.option("--jax", is_flag=True, help="FORWARD takes arrays of JAX.")
@click.option(
    "--shape",
    "shapes",
    type=sizes,
    multiple=True,
    help="Of the input; once for each input.  [default: 4,37]",
)
@click.option(
    "--input",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An npz file whose arrays are the inputs, in place of random numbers.",
)
@click.option(
    "--dtype",
    type=click.Choice(("float16", "bfloat16", "float32", "float64")),
    help="Of the inputs.  [default: float64, or as in the file]",
)
@click.option(
    "--scale", type=positive, default="1", show_default=True, help="Spread of random inputs."
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
    torch: bool,
    jax: bool,
    shapes: tuple[tuple[int, ...], ...],
    file: Path | None,
    dtype: str | None,
    scale: float,
    thorough: bool,
    seed: int,
    example: str | None,
    list_examples: bool,
    report: Path | None,
) -> int:
    """Check a backward against the derivative of its forward.

    FORWARD and BACKWARD are functions, FILE.py:NAME or MODULE:NAME: forward(x) returns an array,
    backward(x, cotangent) the gradient. FORWARD alone is a layer, or its class, with methods
    forward(x) and backward(cotangent); or what PyTorch or JAX differentiate: an autograd function,
    a module or its class, a jax.custom_vjp, or with --torch or --jax any function. Inputs are
    random numbers of the normal distribution.

    --example NAME checks a wrong backward that is built in, and shows what its mistake is called
    and why; --list-examples lists them.

    Exit code: 0 pass, 1 fail, 2 something for you to mend, 4 inconclusive.
    """
    from softgrad.checker import check as run_check

    if list_examples:
        output.result(Examples())
        return OK
    options: dict[str, Any] = {"seed": seed, "thorough": thorough}
    if example is not None:
        _refuse_beside_example(click.get_current_context())
        arguments, more = example_arguments(example, seed)
        options |= more
        words = ["--example", example]
    elif forward is not None:
        if torch and jax:
            raise UsageError("expected --torch or --jax, and not both")
        library = "torch" if torch else "jax" if jax else None
        given = _Given(forward, backward, library, shapes, file, dtype, scale)
        arguments, words = given.arguments(seed), given.words
        options["dtype"] = given.dtype
    else:
        raise UsageError("expected FORWARD, or --example NAME")
    with output_to_stderr(), bad_values_are_bad_usage():
        result = run_check(*arguments, **options)
    output.result(result)
    if report is not None:
        from softgrad.checker.jacobians import jacobians_of
        from softgrad.report.check import check_page

        with output_to_stderr():
            jacobians = jacobians_of(result, *arguments, **options)
        words = ["softgrad", "check", *words, f"--seed={seed}", *["--thorough"] * thorough]
        write_report(check_page(result, shlex.join(words), jacobians), report)
    return OF_VERDICT[result.verdict]


def _refuse_beside_example(context: click.Context) -> None:
    """Raise where something is given that an example has itself."""
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name in _OF_A_SUBJECT:
            word = parameter.opts[0] if isinstance(parameter, click.Option) else name.upper()
            raise UsageError(f"expected --example alone, without {word}: it has its own")


@dataclass(frozen=True)
class _Given:
    """What is to be checked, in the words of the command line."""

    forward: str
    backward: str | None
    library: str | None
    shapes: tuple[tuple[int, ...], ...]
    file: Path | None
    dtype: str | None
    scale: float

    def __post_init__(self) -> None:
        if self.file and self.shapes:
            raise UsageError("--shape goes with random inputs, not with --input")
        if not self.file:
            object.__setattr__(self, "shapes", self.shapes or ((4, 37),))
            object.__setattr__(self, "dtype", self.dtype or "float64")

    def arguments(self, seed: int) -> list[Any]:
        """Load the functions, and return them with the inputs."""
        alone = self.backward is None
        with output_to_stderr():
            first, tensors = _subject(self.forward, alone, self.library)
            inputs: list[Any] = self._inputs(seed)
            if tensors is not None:
                inputs = [tensors.to_tensor(x) for x in inputs]
            rest = inputs if self.backward is None else [load_object(self.backward), *inputs]
            return [first, *rest]

    @property
    def words(self) -> list[str]:
        """The arguments that say the same."""
        words = [self.forward, *filter(None, [self.backward])]
        words += [f"--{self.library}"] if self.library else []
        words += [f"--input={self.file}"] if self.file else []
        words += [f"--shape={','.join(map(str, shape))}" for shape in self.shapes]
        words += [f"--dtype={self.dtype}"] if self.dtype else []
        return words + ([] if self.file else [f"--scale={self.scale:g}"])

    def _inputs(self, seed: int) -> list[Any]:
        return read_inputs(self.file) if self.file else draw_inputs(self.shapes, self.scale, seed)


def _subject(place: str, alone: bool, library: str | None) -> tuple[Any, Any]:
    """Return the forward, and the checker's file on the library whose tensors it takes, or None.

    Where there is no backward the forward brings its own; a class is made.
    """
    from softgrad.checker.subjects.library import library_for

    found = load_object(place)
    tensors = _tensors_of(library) if library else library_for(found, ())
    if alone and inspect.isclass(found) and not (tensors and tensors.is_function(found)):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(f"{place} cannot be made without arguments: {reason}") from error
        tensors = tensors or library_for(found, ())
    if alone and not (tensors or (hasattr(found, "forward") and hasattr(found, "backward"))):
        expected = "a layer with forward and backward, or a BACKWARD too, or --torch or --jax"
        raise UsageError(f"{place}: expected {expected}")
    return found, tensors


def _tensors_of(library: str) -> Any:
    try:
        return import_module(f"softgrad.checker.subjects.{library}")
    except ImportError:
        raise MissingExtraError(_NAMES[library], library) from None
