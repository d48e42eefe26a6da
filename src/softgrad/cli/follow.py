"""`softgrad follow`: gradient steps on an objective of a layer's outputs, with no loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.parameters import map_option, named_map, numbers, temperature_option

if TYPE_CHECKING:
    import numpy.typing as npt

_WITH_INDEX = ("output", "log")


@command()
@map_option
@temperature_option
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
@click.option("--logits", type=numbers, default="0,1,2", show_default=True, help="Where to begin.")
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
    logits: npt.NDArray[Any],
    steps: int,
    lr: float,
    descend: bool,
) -> None:
    """Follow the gradient of a layer's output itself.

    There is no loss and no target. Beside softmax, the same is done with sigmoid outputs.
    """
    from softgrad.explain import follow

    if index is None and objective in _WITH_INDEX:
        index = 0
    subject = named_map(name, temperature)
    with bad_values_are_bad_usage():
        result = follow(
            subject,
            objective,
            index=index,
            weights=weights,
            start=logits,
            steps=steps,
            lr=lr,
            ascend=not descend,
        )
    output.result(result)
