"""The explorer as a widget, by anywidget: its page and the address that both ends keep."""

from __future__ import annotations

from importlib import resources
from typing import Any

import anywidget
import traitlets

__all__ = ["ExplorerWidget"]

_MIME = "application/vnd.jupyter.widget-view+json"


class ExplorerWidget(anywidget.AnyWidget):
    """The page in a frame; `address` is what is seen, in both directions."""

    _esm = resources.files(__package__).joinpath("explorer.js").read_text("utf-8")
    page = traitlets.Unicode().tag(sync=True)
    address = traitlets.Unicode().tag(sync=True)

    def as_output(self) -> dict[str, Any]:
        """Return what a notebook finds the widget by."""
        bundle = self._repr_mimebundle_()
        assert bundle is not None
        return {_MIME: bundle[0][_MIME]}
