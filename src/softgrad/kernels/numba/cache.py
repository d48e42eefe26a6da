"""Compiled kernels on disk: a kernel is compiled once for each kind of arguments and each machine.

One file holds one compiled function, named by everything that it depends on: the sources of this
folder, the versions of Numba and Python, the processor and the types of the arguments. So processes
that write at the same time write the same, and a file that cannot be read is compiled anew.
"""

from __future__ import annotations

import pickle
import sys
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import user_cache_dir

from softgrad.files import write_atomically

__all__ = ["KernelCache", "cache_folder"]


@cache
def cache_folder() -> Path:
    """Return the folder of the compiled kernels that belong to these sources."""
    digest = sha256(f"{numba.__version__} {sys.version}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    root = numba.config.CACHE_DIR or user_cache_dir("softgrad", appauthor=False)
    return Path(root) / f"kernels-{digest.hexdigest()[:16]}"


class KernelCache(_Cache):  # type: ignore[misc]
    """The compiled forms of one kernel, as a dispatcher of Numba asks for them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = cache_folder().parts[0] != "~"  # a user without a home

    @property
    def cache_path(self) -> str:
        return str(cache_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function for a signature, or None."""
        target_context.refresh()
        if self.enabled:
            with suppress(Exception):  # whatever is wrong with a file, compiling mends it
                payload = pickle.loads(self._path(sig, target_context.codegen()).read_bytes())
                return CompileResult._rebuild(target_context, *payload)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, where the disk lets us."""
        if self.enabled:
            with suppress(Exception):  # the function works, kept or not
                path = self._path(sig, data.codegen)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(path, dumps(data._reduce()))

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def flush(self) -> None:
        """Forget what was compiled."""
        for path in cache_folder().glob(f"{self.name}-*"):
            path.unlink(missing_ok=True)

    def _path(self, sig: Any, codegen: Any) -> Path:
        key = sha256(repr((sig, codegen.magic_tuple())).encode()).hexdigest()[:32]
        return cache_folder() / f"{self.name}-{key}.bin"
