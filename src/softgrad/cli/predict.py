"""`softgrad predict`: the class of every row of a table; or how a text goes on."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from softgrad.cli.command import Output, command
from softgrad.cli.parameters import (
    file_to_write,
    given_options,
    refuse_overwriting,
    seed_option,
    writing,
)
from softgrad.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from softgrad.learn.model_file import Model


@command()
@click.argument("model")
@click.argument("data", required=False)
@click.option("--prompt", metavar="TEXT", help="Go on with a text; for a model of a corpus.")
@click.option(
    "--tokens", type=click.IntRange(min=1), metavar="N", help="Of the text at most.  [default: 100]"
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    metavar="T",
    help="Of the text: 0 takes the likeliest token.  [default: 0.7]",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of the text: draw from the likeliest only.",
)
@seed_option
@click.option(
    "-o", "--output", "file", type=file_to_write, metavar="FILE", help="Write there, not to stdout."
)
def predict(
    output: Output,
    model: str,
    data: str | None,
    prompt: str | None,
    file: Path | None,
    **settings: Any,
) -> None:
    """Print the class of every row of DATA, or go on with a text.

    MODEL is a file that `softgrad train` wrote. Classes and probabilities are CSV; rows count from
    1. DATA holds at least the columns that the model was trained on, or is digits, iris, wine or
    breast-cancer. --prompt in its place goes on with a text, if MODEL was trained on a corpus.
    """
    given = given_options()
    if prompt is not None:
        if data is not None:
            raise click.UsageError(f"expected DATA or --prompt, got both: {data} and {prompt!r}")
        from softgrad.cli.prompt import go_on

        refuse_overwriting(model, file)
        chosen = {name: value for name, value in settings.items() if name in given}
        go_on(output, model, prompt, chosen, file)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA' or option '--prompt'")
    for name in settings:
        if name in given:
            raise UsageError(f"--{name.replace('_', '-')} goes with --prompt, not with DATA")
    from softgrad.files import write_atomically
    from softgrad.learn import load_features
    from softgrad.learn.model_file import load_model

    for source in (model, data):
        refuse_overwriting(source, file)
    trained = load_model(model)
    p = _probabilities(trained, load_features(data, trained.features), data)  # [N, K]
    predicted = [trained.classes[k] for k in p.argmax(axis=-1)]
    if file is not None:
        with writing(file):
            write_atomically(file, _as_csv(trained.classes, predicted, p))
    elif not output.as_json:
        output.data(_as_csv(trained.classes, predicted, p))
    output.document(
        {
            "schema": "softgrad.predict/1",
            "classes": trained.classes,
            "predicted": predicted,
            "probabilities": p,
            "file": None if file is None else str(file),
        }
    )


def _probabilities(model: Model, X: npt.NDArray[np.float64], data: str) -> npt.NDArray[np.float64]:
    from softgrad.learn.model_file import predict

    with np.errstate(all="ignore"):
        p: npt.NDArray[np.float64] = predict(model, X)
    finite = np.isfinite(p).all(axis=-1)
    if not finite.all():
        row = int(np.argmin(finite)) + 1
        raise UsageError(f"{data}, row {row}: the features are too large for the model")
    return p


def _as_csv(classes: Sequence[str], predicted: Sequence[str], p: npt.NDArray[np.float64]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "class", *(f"p({name})" for name in classes)])
    for i, (name, row) in enumerate(zip(predicted, p.tolist(), strict=True), start=1):
        writer.writerow([i, name, *row])
    return text.getvalue()
