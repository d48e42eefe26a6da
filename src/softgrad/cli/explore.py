"""`softgrad explore`: the page that answers to the mouse."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from softgrad.cli.command import Output, bad_values_are_bad_usage, command
from softgrad.cli.local_page import LocalPage
from softgrad.cli.parameters import STDOUT, file_or_stdout, file_to_write, numbers, writing
from softgrad.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

_FILE = "softgrad-explorer.html"


@command()
@click.option("--logits", type=numbers, default="2,1,0", show_default=True, help="From 2 to 8.")
@click.option(
    "--target", type=int, help="The class that is meant, from 0.  [default: the least likely]"
)
@click.option(
    "--view",
    default="forward",
    show_default=True,
    help="What is shown first: forward, heads, jacobian, follow, hidden or check.",
)
@click.option(
    "-o",
    "--output",
    "file",
    type=file_or_stdout,
    metavar="FILE",
    help=f"Where the page is written, - for standard output.  "
    f"[default: {_FILE}; with --serve nowhere]",
)
@click.option("--no-open", is_flag=True, help="Open no browser.")
@click.option(
    "--serve",
    "port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve the page on 127.0.0.1 until Ctrl-C; 0 takes any free port.",
)
def explore(
    output: Output,
    logits: npt.NDArray[Any],
    target: int | None,
    view: str,
    file: Path | None,
    no_open: bool,
    port: int | None,
) -> None:
    """Explore softmax and its gradient with the mouse.

    The page is one file: it works offline, loads nothing and sends nothing.
    """
    from softgrad.report.explorer import explore

    with bad_values_are_bad_usage():
        explorer = explore(logits, target, view=view)
    if file == STDOUT:
        if output.as_json or port is not None:
            other = "--json" if output.as_json else "--serve"
            raise UsageError(f"-o - goes without {other}: standard output has the page")
        output.data(explorer.page)
        return
    if file is None and port is None:
        file = file_to_write(_FILE)
    url = ""
    if file is not None:
        with writing(file):
            explorer.write(file)
        output.print(f"page  {file}")
        url = file.resolve().as_uri()
    document = {
        "schema": "softgrad.explore/1",
        "logits": explorer.logits,
        "target": explorer.target,
        "view": explorer.view,
        "file": None if file is None else str(file),
        "url": None,
    }
    if port is None:
        output.document(document)
        _open(url, no_open or output.as_json)
        return
    with _server(explorer.page, port) as server:
        output.print(f"page  {server.url}", "Ctrl-C ends it.")
        output.document(document | {"url": server.url})
        _open(server.url, no_open or output.as_json)
        server.until_interrupted()


def _server(page: str, port: int) -> LocalPage:
    """Return the server of a page; a port that cannot be had is the user's to mend."""
    try:
        return LocalPage(page, port)
    except OSError as error:
        raise UsageError(f"--serve {port}: {str(error.strerror or error).lower()}") from error


def _open(url: str, stay: bool) -> None:
    if not stay:
        webbrowser.open(url)
