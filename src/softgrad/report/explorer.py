"""The explorer: one page that answers to the mouse, filled with somebody's logits."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import numpy as np

from softgrad.errors import mismatch
from softgrad.explain.arguments import class_index, finite
from softgrad.files import write_atomically

__all__ = ["Explorer", "explore"]

_VIEWS = ("forward", "heads", "jacobian", "follow", "hidden", "check")
_FEWEST, _MOST = 2, 8
_LARGEST = 1e6
_START = 'data-start=""'
_FRAME = (
    '<iframe title="softgrad explorer" sandbox="allow-scripts" width="100%" height="1000" '
    'style="border:0" srcdoc="{}"></iframe>'
)


@dataclass(frozen=True)
class Explorer:
    """The explorer at some logits: it shows itself in a notebook, and can be written to a file."""

    logits: tuple[float, ...]
    target: int
    view: str = "forward"

    @cached_property
    def page(self) -> str:
        """The whole page: one file of HTML that loads nothing."""
        built = resources.files(__package__).joinpath("explorer.html").read_text("utf-8")
        state = f"view={self.view}&z={','.join(map(repr, self.logits))}&t={self.target}"
        assert built.count(_START) == 1
        return built.replace(_START, f'data-start="{html.escape(state)}"')

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page to `path`, whole or not at all.

        Raises
        ------
        OSError
            The folder is missing or not writable, or the disk is full; `path` is then as it was.
        """
        write_atomically(path, self.page)

    def _repr_html_(self) -> str:
        # A frame that may run scripts and nothing else: it has no origin, no address, no cookies.
        return _FRAME.format(html.escape(self.page))


def explore(
    logits: Any = (2.0, 1.0, 0.0), target: Any = None, *, view: str = "forward"
) -> Explorer:
    """Show softmax and its gradient on a page that answers to the mouse.

    In a notebook the result is the page itself, inside a frame of its own, which stays when the
    notebook is exported. `write` makes a file of it. The page works without a network.

    Parameters
    ----------
    logits : array [K]
        From 2 to 8 numbers, none larger than 1e6.
    target : int
        The class that is meant, from 0; the least likely one where none is given.
    view : {"forward", "heads", "jacobian", "follow", "hidden", "check"}
        What is shown first; the others are a click away.

    Returns
    -------
    Explorer

    Raises
    ------
    TypeError
        The logits are not real numbers, or `target` is not an integer.
    ValueError
        There are too few logits or too many, one is too large or not finite, or there is no such
        view.
    IndexError
        `target` is not a class.

    Examples
    --------
    >>> import softgrad as sg
    >>> shown = sg.explore([2.0, 1.0, 0.0], target=0)
    >>> shown
    Explorer(logits=(2.0, 1.0, 0.0), target=0, view='forward')
    >>> shown.page.startswith("<!doctype html>")
    True
    """
    z = finite("logits", logits, 1, "(K,)")
    if not _FEWEST <= z.size <= _MOST:
        raise ValueError(mismatch("logits", f"{_FEWEST} to {_MOST} numbers", z.size))
    largest = float(np.abs(z).max())
    if largest > _LARGEST:
        raise ValueError(mismatch("logits", f"no larger than {_LARGEST:g}", f"{largest:g}"))
    if view not in _VIEWS:
        raise ValueError(mismatch("view", f"one of {', '.join(_VIEWS)}", repr(view)))
    t = int(z.argmin()) if target is None else class_index("target", target, z.size)
    return Explorer(tuple(z.tolist()), t, view)
