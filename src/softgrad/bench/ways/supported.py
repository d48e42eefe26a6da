"""The options of softgrad's verbs that are asked for where a verb has them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["supported"]


def supported(call: Callable[..., Any], **options: Any) -> dict[str, Any]:
    """Return those of the options that the call takes: not every verb has `out` and `impl`."""
    parameters = inspect.signature(call).parameters
    return {name: value for name, value in options.items() if name in parameters}
