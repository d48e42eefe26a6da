"""The implementations that are shipped: one file each, loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module

from softgrad.errors import UsageError, mismatch
from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTERS", "Adapter", "load_adapter"]

ADAPTERS = {
    "softgrad": "softgrad",
    "softgrad-torch": "softgrad_torch",
    "softgrad-jax": "softgrad_jax",
    "torch": "torch",
    "torch-fused": "torch_fused",
    "jax": "jax",
    "optax": "optax",
    "scipy": "scipy",
}
"""Their names, and the files."""


def load_adapter(name: str) -> Adapter:
    """Load a shipped implementation.

    Raises
    ------
    ValueError
        There is none of this name.
    UsageError
        Its library is not installed.
    """
    if name not in ADAPTERS:
        raise ValueError(mismatch("implementation", f"among {', '.join(ADAPTERS)}", repr(name)))
    try:
        adapter: Adapter = import_module(f"softgrad.promises.adapters.{ADAPTERS[name]}").ADAPTER
        import_module(adapter.distribution)  # which is imported by the same name
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise UsageError(f"{missing} is needed for {name!r}: pip install {missing}") from error
    return adapter
