"""softmax: the probabilities of rows, into a buffer that is there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

import softgrad as sg
from softgrad.bench.compiler import TORCH_COMPILE, torch_compile
from softgrad.bench.data import CONFIDENT, Logits, row_blocks
from softgrad.bench.exact import Exact
from softgrad.bench.measurement import Role
from softgrad.bench.ways.copy import COPY, copy_way
from softgrad.bench.work import Run, Way

__all__ = ["ways"]


def ways(given: Logits) -> tuple[Way, ...]:
    """Return all ways; each answers (p,)."""
    exact = cache(partial(in_float64, given))

    def way(name: str, role: Role, library: str, by: Callable[[Logits], Run]) -> Way:
        return Way(name, role, library, partial(by, given), exact, COPY)

    return (
        way("softgrad", "ours", "softgrad", by_softgrad),
        way("PyTorch", "peer", "PyTorch", by_pytorch),
        way(TORCH_COMPILE, "peer", "PyTorch", by_torch_compile),
        way("JAX jit", "peer", "JAX", by_jax),
        way("SciPy", "peer", "SciPy", by_scipy),
        copy_way(given.z),
    )


def in_float64(given: Logits) -> Exact:
    """Compute the answer in float64."""
    N, K = given.z.shape
    p = np.empty((N, K))
    for rows in row_blocks(N, K):
        p[rows] = sg.softmax(given.z[rows].astype(np.float64), impl="reference")
    return Exact((p,), confident_in=0, confident=CONFIDENT)


def by_softgrad(given: Logits) -> Run:
    """Prepare softgrad, with one buffer for all values."""
    out = np.empty_like(given.z)
    return lambda: (sg.softmax(given.z, out=out),)


def by_pytorch(given: Logits) -> Run:
    """Prepare PyTorch, with one buffer for all values."""
    import torch

    z = torch.from_numpy(given.z)
    out = torch.empty_like(z)
    return lambda: (torch.softmax(z, -1, out=out),)


def by_torch_compile(given: Logits) -> Run:
    """Prepare PyTorch's compiled softmax, which has no buffer of its caller's."""
    import torch

    z, compiled = torch.from_numpy(given.z), torch_compile(torch.softmax)
    return lambda: (compiled(z, -1),)


def by_jax(given: Logits) -> Run:
    """Prepare JAX's compiled softmax."""
    import jax
    import jax.numpy as jnp

    z, compiled = jnp.asarray(given.z), jax.jit(jax.nn.softmax)
    return lambda: (jax.block_until_ready(compiled(z)),)


def by_scipy(given: Logits) -> Run:
    """Prepare SciPy's softmax."""
    from scipy.special import softmax

    return lambda: (softmax(given.z, axis=-1),)
