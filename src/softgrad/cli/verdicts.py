"""What the checker says of the layers of a network before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from softgrad.cli.command import Output
from softgrad.cli.fitting import Fit
from softgrad.explain.layer_checks import LayerCheck
from softgrad.results import counted, number

__all__ = ["check_and_show"]

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


def check_and_show(output: Output, fit: Fit) -> bool:
    """Check every layer and show what came of it; return whether none failed."""
    checks = fit.check()
    output.print(*_conditions(fit), _table(checks))
    failed = [at for at in checks if at.report.verdict == "fail"]
    for at in failed:
        output.print(f"{at.name}:", at.report)
    if failed:
        output.document({"schema": "softgrad.train/1", "checks": checks})
        output.notice("softgrad: a gradient is wrong; nothing was trained and nothing written")
    return not failed


def _conditions(fit: Fit) -> tuple[str, str]:
    """Return what the network is trained on, and what its gradients are checked on."""
    rows, held_out = len(fit.rows.y), len(fit.held_out.y)
    features, classes = len(fit.model.features), len(fit.model.classes)
    batch = counted(min(rows, fit.settings.batch_size), "row")
    data = (
        f"{fit.rows.name}: {counted(rows, 'row')} to train on, {held_out} to validate on; "
        f"{counted(features, 'feature')}, {counted(classes, 'class')}"
    )
    seed = f"Seed {fit.settings.seed}."
    return data, f"{seed} Gradients against differences, on a mini-batch of {batch}:"


def _table(checks: Sequence[LayerCheck]) -> Table:
    """Return one line a layer: its verdict, its error and the error bar."""
    table = Table()
    # What has no room is folded: a name or a number that is cut is another one.
    table.add_column("layer", overflow="fold")
    table.add_column("gradient", overflow="fold")
    table.add_column("relative error", justify="right", overflow="fold")
    for at in checks:
        report = at.report
        error = ""
        if report.relative_error is not None and report.error_bar is not None:
            error = f"{number(report.relative_error)} ± {report.error_bar:.2g}"
        table.add_row(at.name, Text(report.verdict, style=_STYLES[report.verdict]), error)
    return table
