"""`softgrad predict`: the class of every row of a table, and the probabilities of all classes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from softgrad.cli.command import Output, command
from softgrad.cli.parameters import file_to_write, refuse_overwriting, writing
from softgrad.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from softgrad.learn.model_file import Model


@command()
@click.argument("model")
@click.argument("data")
@click.option(
    "-o", "--output", "file", type=file_to_write, metavar="FILE", help="Write there, not to stdout."
)
def predict(output: Output, model: str, data: str, file: Path | None) -> None:
    """Print class and probabilities of every row of DATA.

    They are CSV; rows count from 1. MODEL is a file that `softgrad train` wrote. DATA holds at
    least the columns that it was trained on, or is digits, iris, wine or breast-cancer.
    """
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
        click.echo(_as_csv(trained.classes, predicted, p), nl=False)
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
