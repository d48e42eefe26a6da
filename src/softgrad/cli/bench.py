"""`softgrad bench`: speed, accuracy and memory beside other libraries, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from softgrad.bench import SUITES
from softgrad.cli.command import Output, command
from softgrad.cli.exit_codes import CHECK_FAILED, OK
from softgrad.cli.parameters import file_to_write, writing
from softgrad.files import write_atomically


@command()
@click.option(
    "--suite",
    "suites",
    type=click.Choice(SUITES),
    metavar="NAME",
    multiple=True,
    help=f"Once for each of {', '.join(SUITES)}.  [default: all]",
)
@click.option("--quick", is_flag=True, help="Small shapes and few rounds: seconds, not minutes.")
@click.option("--output", "file", type=file_to_write, metavar="FILE", help="Write the JSON, too.")
def bench(output: Output, suites: tuple[str, ...], quick: bool, file: Path | None) -> int:
    """Measure softgrad and what else is installed.

    Every answer is compared with one in float64 before it is timed; ways take turns, and the
    figures are medians. Compared are PyTorch, torch.compile, JAX and SciPy, as far as they are
    there. All suites take some minutes and 4 GB of memory.

    Exit code: 0, or 1 if an answer of softgrad's is wrong; a goal that is missed changes nothing.
    """
    from softgrad.bench import bench

    with output.stderr.status("measuring ...") as status:
        result = bench(
            suites or SUITES,
            quick,
            watch=lambda case: status.update(f"measured {case.suite}, {case.shape} ..."),
        )
    output.result(result)
    if file is not None:
        with writing(file):
            write_atomically(file, result.to_json(indent=2) + "\n")
    return CHECK_FAILED if result.wrong else OK
