"""softgrad on JAX's arrays: the same functions, which JAX's transformations differentiate."""

from __future__ import annotations

from dataclasses import replace

from softgrad.promises.adapters.adapter import Adapter
from softgrad.promises.adapters.softgrad import ADAPTER as OF_NUMPY

__all__ = ["ADAPTER"]

# JAX does not change its threads in a running process.
ADAPTER: Adapter = replace(OF_NUMPY, framework="jax", threads=None)
