"""`softgrad train`: a network trained on a table, its gradients checked first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from softgrad.cli.command import Output, command
from softgrad.cli.exit_codes import CHECK_FAILED, INTERRUPTED, OK
from softgrad.cli.parameters import (
    file_to_write,
    given_options,
    positive,
    refuse_overwriting,
    seed_option,
    sizes,
    writing,
)
from softgrad.errors import UsageError

if TYPE_CHECKING:
    from softgrad.cli.fitting import Fit


_BY_SOLVER = {"solver", "strength", "checkpoint"}
"""Options of softmax regression."""

_ALWAYS = {"data", "target", "model_file", "as_json", "traceback"}
"""Options of all training."""

_SETTING = {"strength": "C"}
"""What a parameter is called that cannot have its own name: click wants small letters."""


def widths(text: str) -> tuple[int, ...]:
    """Read the widths of hidden layers: ``64,32``; ``none`` for no hidden layer."""
    if text == "none":
        return ()
    try:
        return sizes(text)
    except click.BadParameter:
        expected = "positive integers with commas between them, such as 64,32, or none"
        raise click.BadParameter(f"expected {expected}, got {text!r}") from None


@command()
@click.argument("data")
@click.option(
    "--solver",
    type=click.Choice(("auto", "newton", "newton-cg", "lbfgs")),
    help="No network: softmax regression to its optimum. A file may be larger than memory.",
)
@click.option(
    "--C",
    "strength",
    type=positive,
    help="With --solver: inverse strength of the L2 penalty.  [default: 1]",
)
@click.option(
    "--checkpoint",
    type=file_to_write,
    metavar="FILE",
    help="With --solver: written every minute; a run that was killed goes on from it.",
)
@click.option("--target", metavar="COLUMN", help="The column of labels.  [default: the last]")
@click.option(
    "--hidden",
    type=widths,
    default="64,32",
    show_default=True,
    help="Widths of the hidden layers; none for no hidden layer.",
)
@click.option(
    "--activation",
    type=click.Choice(
        ("relu", "tanh", "sigmoid", "softmax", "log_softmax", "sparsemax", "entmax15")
    ),
    default="relu",
    show_default=True,
)
@click.option(
    "--head", type=click.Choice(("softmax", "sigmoid")), default="softmax", show_default=True
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", default=40, show_default=True)
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", default=32, show_default=True
)
@click.option("--lr", type=positive, help="Learning rate.  [default: 0.003 for adam, 0.05 for sgd]")
@click.option(
    "--optimizer",
    type=click.Choice(("adam", "sgd")),
    default="adam",
    show_default=True,
    help="sgd has momentum 0.9.",
)
@click.option(
    "--validation", type=float, default=0.2, show_default=True, help="Share of rows held out."
)
@seed_option
@click.option(
    "-o",
    "--output",
    "model_file",
    type=file_to_write,
    metavar="FILE",
    default="softgrad-model.safetensors",
    show_default=True,
    help="Where the model is written.",
)
@click.option("--report", type=file_to_write, metavar="FILE", help="Write an HTML report, too.")
def train(
    output: Output,
    data: str,
    model_file: Path,
    report: Path | None,
    **settings: Any,
) -> int:
    """Train a network on DATA; first check its gradients.

    DATA is digits, iris, wine, breast-cancer, or a CSV or Parquet file: a column of labels, and
    features that are numbers. --solver trains softmax regression in the place of a network, and
    then a file may be larger than memory.
    """
    by_solver = {name: settings.pop(name) for name in _BY_SOLVER}
    if by_solver["solver"] is not None:
        return _regression(output, data, model_file, settings["target"], by_solver)
    for name in _BY_SOLVER & given_options():
        raise UsageError(f"{_option(name)} goes with --solver")
    from softgrad.cli.fitting import Fit, Settings
    from softgrad.cli.verdicts import check_and_show

    refuse_overwriting(data, model_file, report)
    fit = Fit(data, Settings(**settings))
    if not check_and_show(output, fit):
        return CHECK_FAILED
    fit.train(output)
    if fit.interrupted:
        return _interrupted(output, fit, model_file)
    return _finish(output, fit, model_file, report)


def _regression(
    output: Output, data: str, model_file: Path, target: str | None, by_solver: dict[str, Any]
) -> int:
    """Train softmax regression; options of networks have no meaning there."""
    for name in sorted(given_options() - _BY_SOLVER - _ALWAYS):
        raise UsageError(f"{_option(name)} goes with networks, not with --solver")
    refuse_overwriting(data, model_file, by_solver["checkpoint"])
    from softgrad.cli.regression import train_regression

    settings = {_SETTING.get(name, name): v for name, v in by_solver.items() if v is not None}
    return train_regression(output, data, target, settings, model_file)


def _option(name: str) -> str:
    """Return how a parameter is written on the command line."""
    return f"--{_SETTING.get(name, name).replace('_', '-')}"


def _interrupted(output: Output, fit: Fit, model_file: Path) -> int:
    if not fit.epochs:
        output.notice("softgrad: interrupted before the first epoch ended; nothing was written")
        return INTERRUPTED
    _save(fit, model_file)
    done, epochs = len(fit.epochs), fit.settings.epochs
    output.notice(f"softgrad: interrupted; {model_file} is the model of epoch {done} of {epochs}")
    return INTERRUPTED


def _finish(output: Output, fit: Fit, model_file: Path, report: Path | None) -> int:
    training = fit.result()
    files = {"model": str(model_file), "report": None if report is None else str(report)}
    try:
        output.print(training)
        output.document(training.to_dict() | files)
    finally:  # what cannot be shown is saved, and what cannot be saved was shown
        _save(fit, model_file)
    output.print(f"model   {model_file}")
    if report is not None:
        from softgrad.report.page import write
        from softgrad.report.training import training_page

        with writing(report):
            write(training_page(training), report)
        output.print(f"report  {report}")
    return OK


def _save(fit: Fit, model_file: Path) -> None:
    from softgrad.learn.model_file import save_model

    with writing(model_file):
        save_model(model_file, fit.model)
