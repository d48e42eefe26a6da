"""`softgrad compare`: the gradients that two heads send into the same last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.parameters import numbers, rows
from softgrad.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

# A positive input and positive weights, three classes, of which the second is right.
EXAMPLE_X = "0.6126858592,1.175353646,0.764649272,0.6665656567,0.7443659902"
EXAMPLE_W = (
    "0.6453173757,1.389027834,0.2729676068,0.9405987263,2.617669344;"
    "0.9511449337,0.2196484953,0.1677340716,0.005339541938,2.092828989;"
    "0.1805735081,0.02706185542,0.0441574119,0.2770507038,1.433632612"
)


@command()
@click.option("--x", type=numbers, help="The layer's input, such as 1,2.")
@click.option("--w", "W", type=rows, help="Its weights, a row a class: '1,2;3,4;5,6'.")
@click.option("--b", type=numbers, help="Its biases, one a class.")
@click.option("--target", type=int, default=1, show_default=True, help="The right class, from 0.")
@click.option(
    "--heads",
    default="softmax,sigmoid",
    show_default=True,
    help="Among softmax, sigmoid, sigmoid-all, softmax-squared.",
)
def compare(
    output: Output,
    x: npt.NDArray[Any] | None,
    W: npt.NDArray[Any] | None,
    b: npt.NDArray[Any] | None,
    target: int,
    heads: str,
) -> None:
    """Compare two heads' gradients in the last layer's weights.

    Without --x and --w: an example of three classes and five features.
    """
    from softgrad.explain import compare

    if (x is None) != (W is None):
        raise UsageError("expected --x and --w together, got one of them")
    if x is None:
        x, W = numbers(EXAMPLE_X), rows(EXAMPLE_W)
    with bad_values_are_bad_usage():
        result = compare(x, W, target, b, heads=heads.split(","))
    output.result(result)
