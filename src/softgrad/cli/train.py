"""`softgrad train`: a network or a classifier on a table, or a language model on a corpus."""

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
    positive_or_infinite,
    refuse_overwriting,
    seed_option,
    sizes,
    writing,
)
from softgrad.cli.processes import in_all_processes, several_processes
from softgrad.cli.report_file import write_report
from softgrad.cli.settings import BatchSettings, CorpusSettings, Settings, default_of, names
from softgrad.errors import UsageError

if TYPE_CHECKING:
    from softgrad.cli.fitting import Fit


_COUNT = click.IntRange(min=1)
_CORPUS = "With --corpus: "
_BY_BATCHES = ("adam", "sgd")
"""The solvers of `SoftmaxClassifier` that take mini-batches."""

_ALWAYS = {"data", "corpus", "model_file", "as_json", "traceback"}
_SOLVER = {"target", "solver", "strength", "standardize", "checkpoint", "cache", "report"}
_OPTIONS = {
    "--corpus": {*names(CorpusSettings), "checkpoint", "report"},
    "--solver": _SOLVER,
    "--solver adam or sgd": _SOLVER | names(BatchSettings),
    "networks": {*names(Settings), "report"},
}
"""What may be said of each kind of training. What is not said is left to its settings."""

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
@click.argument("data", required=False)
@click.option(
    "--corpus",
    metavar="stdlib|FOLDER",
    help="Train a language model on Python's own source, or on a folder of text.",
)
@click.option(
    "--solver",
    type=click.Choice(("auto", "newton", "newton-cg", "lbfgs", *_BY_BATCHES)),
    help="Train a SoftmaxClassifier. A file may be larger than memory, and torchrun divides its "
    "rows among processes. auto, newton, newton-cg and lbfgs train softmax regression to its "
    "optimum; adam and sgd take mini-batches, with hidden layers too, and what is not said is as "
    "in SoftmaxClassifier.",
)
@click.option(
    "--C",
    "strength",
    type=positive_or_infinite,
    help="With --solver: inverse strength of the L2 penalty; inf for none.  [default: 1]",
)
@click.option(
    "--standardize/--no-standardize",
    default=None,
    help="With --solver: whether columns count in units of their standard deviation.  [default: "
    "with adam and sgd]",
)
@click.option(
    "--checkpoint",
    type=file_to_write,
    metavar="FILE",
    help="With --solver or --corpus: written every minute; a run that was killed goes on from it.",
)
@click.option(
    "--cache",
    type=click.Path(exists=True, file_okay=False, writable=True),
    metavar="FOLDER",
    help="With --solver: where a temporary file of all rows is.  [default: the system's]",
)
@click.option("--target", metavar="COLUMN", help="The column of labels.  [default: the last]")
@click.option(
    "--hidden",
    type=widths,
    help=f"Widths of the hidden layers; none for no hidden layer.  {default_of('hidden')}",
)
@click.option(
    "--activation",
    type=click.Choice(
        ("relu", "tanh", "sigmoid", "softmax", "log_softmax", "sparsemax", "entmax15")
    ),
    help=default_of("activation"),
)
@click.option("--head", type=click.Choice(("softmax", "sigmoid")), help=default_of("head"))
@click.option("--epochs", type=_COUNT, metavar="N", help=default_of("epochs"))
@click.option("--batch-size", type=_COUNT, metavar="N", help=default_of("batch_size"))
@click.option("--lr", type=positive, help=f"Learning rate.  {default_of('lr')}")
@click.option(
    "--optimizer",
    type=click.Choice(("adam", "sgd")),
    help=f"sgd has momentum 0.9.  {default_of('optimizer')}",
)
@click.option(
    "--validation",
    type=float,
    help=f"Share of rows, or of tokens in whole files, held out.  {default_of('validation')}",
)
@click.option(
    "--context",
    type=_COUNT,
    metavar="N",
    help=f"{_CORPUS}tokens that a prediction sees.  {default_of('context')}",
)
@click.option(
    "--dim",
    type=_COUNT,
    metavar="N",
    help=f"{_CORPUS}numbers that stand for a token.  {default_of('dim')}",
)
@click.option("--max-tokens", type=_COUNT, metavar="N", help=f"{_CORPUS}read no more.")
@click.option(
    "--min-count",
    type=_COUNT,
    metavar="N",
    help=f"{_CORPUS}rarer tokens are unknown.  {default_of('min_count')}",
)
@click.option(
    "--max-types",
    type=_COUNT,
    metavar="N",
    help=f"{_CORPUS}types of token at most.  {default_of('max_types')}",
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
    data: str | None,
    corpus: str | None,
    model_file: Path,
    report: Path | None,
    **settings: Any,
) -> int:
    """Train a network on DATA; first check its gradients.

    DATA is digits, iris, wine, breast-cancer, or a CSV or Parquet file: a column of labels, and
    features that are numbers. --solver trains a SoftmaxClassifier in the place of a network, and
    then a file may be larger than memory. --corpus in the place of DATA trains a language model,
    which `softgrad predict MODEL --prompt TEXT` lets go on with a text.
    """
    if data is None and corpus is None:
        raise click.UsageError("Missing argument 'DATA' or option '--corpus'")
    if data is not None and corpus is not None:
        raise click.UsageError(f"expected DATA or --corpus, got both: {data} and {corpus}")
    by_solver = settings["solver"] is not None
    if several_processes() and not by_solver:
        raise UsageError("several processes train together with --solver alone")
    kind = "--corpus" if data is None else _kind(settings["solver"])
    given = given_options()
    for name in sorted(given - _OPTIONS[kind] - _ALWAYS):
        where = " or ".join(other for other in _OPTIONS if name in _OPTIONS[other])
        where = "DATA" if name == "solver" else "--solver" if name in _SOLVER else where
        raise UsageError(f"{_option(name)} goes with {where}, not with {kind}")
    chosen = {_SETTING.get(name, name): value for name, value in settings.items() if name in given}
    if corpus is not None:
        from softgrad.cli.corpus import train_on_corpus
        from softgrad.learn.checkpoint import kept_until_saved

        checkpoint = chosen.pop("checkpoint", None)
        model = CorpusSettings(**chosen)
        with kept_until_saved():
            return train_on_corpus(output, corpus, model, model_file, checkpoint, report)
    assert data is not None
    refuse_overwriting(data, model_file, report, chosen.get("checkpoint"))
    if by_solver:
        from softgrad.cli.regression import train_regression
        from softgrad.learn.checkpoint import kept_until_saved

        target = chosen.pop("target", None)

        def work(output: Output, group: Any) -> int:
            with kept_until_saved():
                return train_regression(output, data, target, chosen, model_file, report, group)

        return in_all_processes(output, work)
    from softgrad.cli.fitting import Fit
    from softgrad.cli.verdicts import check_and_show

    fit = Fit(data, Settings(**chosen))
    if not check_and_show(output, fit):
        return CHECK_FAILED
    fit.train(output)
    if fit.interrupted:
        return _interrupted(output, fit, model_file)
    return _finish(output, fit, model_file, report)


def _kind(solver: str | None) -> str:
    """Return what takes options: networks, or a solver of a kind."""
    if solver is None:
        return "networks"
    return "--solver adam or sgd" if solver in _BY_BATCHES else "--solver"


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
        from softgrad.report.training import training_page

        write_report(training_page(training, fit.judged()), report)
        output.print(f"report  {report}")
    return OK


def _save(fit: Fit, model_file: Path) -> None:
    from softgrad.learn.model_file import save_model

    with writing(model_file):
        save_model(model_file, fit.model)
