"""`softgrad follow`: gradient steps on an objective of a layer's outputs, with no loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.parameters import MAP_NAMES, named_map, numbers, rows
from softgrad.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

_WITH_INDEX = ("output", "log")
_MAPS = tuple(name for name in MAP_NAMES if name not in ("log_softmax", "logsumexp"))


@command()
@click.option(
    "--map",
    "name",
    type=click.Choice(_MAPS),
    metavar="NAME",
    default="softmax",
    show_default=True,
    help=f"One of {', '.join(_MAPS)}.",
)
@click.option("--temperature", type=float, help="T of softmax(z / T).  [default: 1]")
@click.option(
    "--objective",
    type=click.Choice(("output", "sum", "weighted", "log", "entropy")),
    default="output",
    show_default=True,
    help="One output, the sum of all, a weighted sum, the log of one, the entropy.",
)
@click.option(
    "--index", type=int, help="Which output, from 0, for 'output' and 'log'.  [default: 0]"
)
@click.option("--weights", type=numbers, help="One an output, for 'weighted'.")
@click.option("--logits", type=numbers, help="Where to begin.  [default: 0,1,2]")
@click.option("--x", type=numbers, help="In place of --logits: a layer's input, such as 1,2.")
@click.option("--w", "W", type=rows, help="Its weights, a row an output: '1,2;3,4;5,6'.")
@click.option("--b", type=numbers, help="Its biases, one an output.")
@click.option(
    "--steps", type=click.IntRange(1, 100_000), metavar="N", default=50, show_default=True
)
@click.option("--lr", type=float, default=1.0, show_default=True, help="Length of a step.")
@click.option("--descend", is_flag=True, help="Go down, not up.")
def follow(
    output: Output,
    name: str,
    temperature: float | None,
    objective: str,
    index: int | None,
    weights: npt.NDArray[Any] | None,
    logits: npt.NDArray[Any] | None,
    x: npt.NDArray[Any] | None,
    W: npt.NDArray[Any] | None,
    b: npt.NDArray[Any] | None,
    steps: int,
    lr: float,
    descend: bool,
) -> None:
    """Follow the gradient of a layer's output itself.

    There is no loss and no target. Beside softmax, the same is done with sigmoid outputs. The
    logits themselves are moved, or with --x and --w the weights and biases of a layer.
    """
    from softgrad.explain import follow

    if (x is None) != (W is None) or (b is not None and W is None):
        raise UsageError("expected --x and --w together, and --b with them alone")
    if x is not None and logits is not None:
        raise UsageError("expected --logits, or --x and --w, got both")
    if x is None and logits is None:
        logits = numbers("0,1,2")
    if index is None and objective in _WITH_INDEX:
        index = 0
    subject = named_map(name, temperature)
    with bad_values_are_bad_usage():
        result = follow(
            subject,
            objective,
            steps,
            lr,
            index=index,
            weights=weights,
            start=logits,
            x=x,
            W=W,
            b=b,
            ascend=not descend,
        )
    output.result(result)
