"""Files of softgrad's own: safetensors whose header says in JSON what the tensors are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from softgrad.arrays import Array
from softgrad.errors import UsageError

__all__ = ["HEADER_KEY", "file_complaint", "read_tensors"]

HEADER_KEY = "softgrad"
"""Where the JSON stands among the header's texts: a dict with a "schema"."""


def read_tensors(
    path: str | os.PathLike[str], schema: str, what: str
) -> tuple[Any, dict[str, Array]]:
    """Return what a file's JSON has under a name, such as "model", and the tensors.

    Raises
    ------
    UsageError
        There is no such file, it is damaged, or it has another schema.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with Path(path).open("rb"):  # safe_open's own complaint has no errno
            pass
        with safe_open(path, framework="numpy") as file:
            header, names = file.metadata() or {}, list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise file_complaint(path, (error.strerror or str(error)).lower()) from error
    except (SafetensorError, TypeError, ValueError) as error:
        raise file_complaint(path, "damaged, cut short or not a safetensors file") from error
    if HEADER_KEY not in header:
        raise file_complaint(path, f"a safetensors file, but not a {what} of softgrad")
    try:
        tree = json.loads(header[HEADER_KEY])
        found = tree["schema"]
        content = tree[what] if found == schema else None
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        raise file_complaint(path, "the header is damaged") from error
    if found != schema:
        raise file_complaint(path, f"expected the schema {schema!r}, got {found!r}")
    return content, tensors


def file_complaint(path: str | os.PathLike[str], message: str) -> UsageError:
    """Return the error for a file, in one line."""
    line = " ".join(message.split())  # arrays print on several lines
    return UsageError(f"{path}: {line}")
