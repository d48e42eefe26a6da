"""`softgrad shapes`: what the derivative of a map is, its shape, and how it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.parameters import (
    MAP_NAMES,
    NEGATIVE_NUMBERS,
    named_map,
    rows,
    temperature_option,
)
from softgrad.cli.user_code import load_object, output_to_stderr, their_errors_are_bad_usage
from softgrad.errors import UsageError
from softgrad.losses import AbstractLoss
from softgrad.maps import AbstractMap

if TYPE_CHECKING:
    import numpy.typing as npt


@command(context_settings=NEGATIVE_NUMBERS)
@click.argument("name", metavar="MAP")
@click.argument("logits", type=rows)
@temperature_option
def shapes(output: Output, name: str, logits: npt.NDArray[Any], temperature: float | None) -> None:
    """Explain what the derivative of MAP at LOGITS is.

    MAP is softmax, log_softmax, logsumexp, sparsemax, entmax15, sigmoid, log_sigmoid, relu or
    tanh, or a function of your own: FILE.py:FUNCTION. LOGITS are numbers with commas between
    them; semicolons part rows.
    """
    from softgrad.explain import shapes

    x = logits[0] if len(logits) == 1 else logits
    with output_to_stderr():
        if name in MAP_NAMES:
            subject: Any = named_map(name, temperature)
        elif ":" in name:
            subject = load_object(name)
            if callable(subject) and not isinstance(subject, (AbstractLoss, AbstractMap)):
                subject = their_errors_are_bad_usage(subject)
        else:
            raise UsageError(f"MAP: expected {', '.join(MAP_NAMES)} or FILE.py:NAME, got {name!r}")
        with bad_values_are_bad_usage():
            result = shapes(subject, x)
    output.result(result)
