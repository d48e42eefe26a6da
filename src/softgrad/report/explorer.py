"""The explorer: one page that answers to the mouse, filled with somebody's logits."""

from __future__ import annotations

import html
import os
from functools import cached_property
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np

from softgrad.errors import MissingExtraError, mismatch
from softgrad.explain.arguments import class_index, finite
from softgrad.files import write_atomically

if TYPE_CHECKING:
    import numpy.typing as npt

    from softgrad.report.explorer_widget import ExplorerWidget

__all__ = ["Explorer", "explore"]

_VIEWS = ("forward", "heads", "jacobian", "follow", "hidden", "check")
_FEWEST, _MOST = 2, 8
_LARGEST = 1e6
_START = 'data-start=""'
_FRAME = (
    '<iframe title="softgrad explorer" sandbox="allow-scripts" width="100%" height="1240" '
    'style="border:0" srcdoc="{}"></iframe>'
)


class Explorer:
    """The explorer at some logits: it shows itself in a notebook, and can be written to a file.

    `explore` makes one. In a notebook with the extra `notebook` both ends hear of each other: what
    is dragged on the page can be read here, and what is set here is seen there. Without the extra
    the page stands in a frame by itself, and this is the state that it began with.
    """

    def __init__(self, logits: Any, target: Any = None, view: str = "forward") -> None:
        z = _row(logits)
        t = int(z.argmin()) if target is None else class_index("target", target, z.size)
        # As the page's address has it: the page reads numbers, and knows what else there is.
        self._state = {"view": _known(view), "z": _written(z), "t": str(t)}

    def __repr__(self) -> str:
        return f"Explorer(logits={self.logits}, target={self.target}, view={self.view!r})"

    @property
    def logits(self) -> tuple[float, ...]:
        """The logits, from 2 to 8; where classes go, the target is one of those that stay."""
        return _read(self._state["z"])

    @logits.setter
    def logits(self, values: Any) -> None:
        z = _row(values)
        self._show({"z": _written(z), "t": str(min(self.target, z.size - 1))})

    @property
    def target(self) -> int:
        """The class that is meant, from 0."""
        return int(self._state["t"])

    @target.setter
    def target(self, index: Any) -> None:
        self._show({"t": str(class_index("target", index, len(self.logits)))})

    @property
    def view(self) -> str:
        """The view that is shown."""
        return self._state["view"]

    @view.setter
    def view(self, name: str) -> None:
        self._show({"view": _known(name)})

    @property
    def address(self) -> str:
        """All that is seen, as in the page's address: ``view=heads&z=9.0,1.0,0.0&t=2``.

        What an address does not name stays as it is when one is set.
        """
        return "&".join(f"{key}={value}" for key, value in self._state.items())

    @address.setter
    def address(self, address: str) -> None:
        if not isinstance(address, str):
            raise TypeError(mismatch("address", "a string", repr(address)))
        self._show(self._at(address))

    @property
    def page(self) -> str:
        """The whole page: one file of HTML that loads nothing."""
        built = resources.files(__package__).joinpath("explorer.html").read_text("utf-8")
        assert built.count(_START) == 1
        return built.replace(_START, f'data-start="{html.escape(self.address)}"')

    @cached_property
    def widget(self) -> ExplorerWidget:
        """The widget of anywidget that a notebook shows, for `observe` and the boxes of ipywidgets.

        Raises
        ------
        MissingExtraError
            anywidget is not installed.
        """
        try:
            from softgrad.report.explorer_widget import ExplorerWidget
        except ImportError:
            raise MissingExtraError("anywidget", "notebook") from None
        widget = ExplorerWidget(page=self.page, address=self.address)
        widget.observe(self._hear, "address")
        return widget

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page to `path`, whole or not at all.

        Raises
        ------
        OSError
            The folder is missing or not writable, or the disk is full; `path` is then as it was.
        """
        write_atomically(path, self.page)

    def _at(self, address: str) -> dict[str, str]:
        """Return the state at an address; raise ValueError where it cannot be shown."""
        state = self._state | dict(parse_qsl(address))
        try:
            there = Explorer(_read(state["z"]), int(state["t"]), state["view"])
        except (ValueError, IndexError) as error:
            raise ValueError(mismatch("address", f"readable ({error})", repr(address))) from None
        return state | there._state

    def _show(self, state: dict[str, str]) -> None:
        """Make a change, and let the page know."""
        self._state |= state
        if "widget" in self.__dict__:
            self.widget.address = self.address

    def _hear(self, change: Any) -> None:
        try:
            self._at(change["new"])
        except ValueError:
            self.widget.address = self.address  # both ends go on as they were
            raise
        self._state |= dict(parse_qsl(change["new"]))  # numbers as the page writes them

    def _repr_html_(self) -> str:
        # A frame that may run scripts and nothing else: it has no origin, no address, no cookies.
        return _FRAME.format(html.escape(self.page))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        shown: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if find_spec("anywidget"):
            shown |= self.widget.as_output()
        return shown


def _read(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def _written(z: npt.NDArray[Any]) -> str:
    return ",".join(map(repr, z.tolist()))


def _row(logits: Any) -> npt.NDArray[Any]:
    """Return logits that the page can show."""
    z: npt.NDArray[Any] = finite("logits", logits, 1, "(K,)")
    if not _FEWEST <= z.size <= _MOST:
        raise ValueError(mismatch("logits", f"{_FEWEST} to {_MOST} numbers", z.size))
    largest = float(np.abs(z).max())
    if largest > _LARGEST:
        raise ValueError(mismatch("logits", f"no larger than {_LARGEST:g}", f"{largest:g}"))
    return z


def _known(view: str) -> str:
    if view not in _VIEWS:
        raise ValueError(mismatch("view", f"one of {', '.join(_VIEWS)}", repr(view)))
    return view


def explore(
    logits: Any = (2.0, 1.0, 0.0), target: Any = None, *, view: str = "forward"
) -> Explorer:
    """Show softmax and its gradient on a page that answers to the mouse.

    In a notebook the result is the page itself, inside a frame of its own, which stays when the
    notebook is exported. With the extra ``notebook``, `logits`, `target` and `view` of the result
    are what is seen there, to be read and to be set. `write` makes a file of it. The page works
    without a network.

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
    return Explorer(logits, target, view)
