"""`softgrad demo`: the tour, on real data, in well under a minute."""

from __future__ import annotations

from pathlib import Path

import click

from softgrad.cli.command import Output, command
from softgrad.cli.exit_codes import CHECK_FAILED, INTERRUPTED, OK
from softgrad.cli.parameters import file_to_write, seed_option
from softgrad.cli.report_file import write_report


@command()
@seed_option
@click.option(
    "-o",
    "--output",
    "file",
    type=file_to_write,
    metavar="FILE",
    default="softgrad-report.html",
    show_default=True,
    help="Where the report is written.",
)
def demo(output: Output, seed: int, file: Path) -> int:
    """Take the tour: train on digits, then five questions.

    All numbers are computed live, and a report with the same content is written.
    """
    from softgrad.cli.fitting import Fit, Settings
    from softgrad.cli.verdicts import check_and_show
    from softgrad.explain.tour import take_tour
    from softgrad.report.tour import tour_page

    fit = Fit("digits", Settings(seed=seed))
    if not check_and_show(output, fit):
        return CHECK_FAILED
    fit.train(output)
    if fit.interrupted:
        output.notice("softgrad: interrupted; nothing was written")
        return INTERRUPTED
    training = fit.result()
    output.print(training)
    X = fit.model.standardizer(fit.held_out.X)
    tour = take_tour(training, fit.model.network, X, fit.held_out.y)
    output.print(tour)
    output.document(tour.to_dict() | {"report": str(file)})
    write_report(tour_page(tour), file, "--output")
    output.print("", f"report  {file}")
    as_expected = tour.right.verdict == "pass" and tour.wrong.verdict == "fail"
    return OK if as_expected else CHECK_FAILED
