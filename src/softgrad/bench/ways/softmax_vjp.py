"""softmax's VJP: from probabilities that are there, as backpropagation has it, and from logits."""

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
from softgrad.bench.work import Answer, Run, Way

__all__ = ["ways_from_logits", "ways_given_p"]


def ways_given_p(given: Logits) -> tuple[Way, ...]:
    """Return the ways that have the value already; each answers (z_bar,)."""
    way = partial(_way, given, cache(partial(in_float64, given)))
    return (
        way("softgrad J.rmv", "ours", "softgrad", by_softgrad_rmv),
        way("PyTorch", "peer", "PyTorch", by_pytorch_given_p),
        copy_way(given.z),
    )


def ways_from_logits(given: Logits) -> tuple[Way, ...]:
    """Return the ways that take the value as well; each answers (z_bar,)."""
    way = partial(_way, given, cache(partial(in_float64, given)))
    return (
        way("softgrad", "ours", "softgrad", by_softgrad),
        way("PyTorch", "peer", "PyTorch", by_pytorch),
        way(TORCH_COMPILE, "peer", "PyTorch", by_torch_compile),
        way("JAX jit", "peer", "JAX", by_jax),
        copy_way(given.z),
    )


def _way(
    given: Logits,
    exact: Callable[[], Exact],
    name: str,
    role: Role,
    library: str,
    by: Callable[[Logits], Run],
) -> Way:
    return Way(name, role, library, partial(by, given), exact, COPY)


def in_float64(given: Logits) -> Exact:
    """Compute the answer in float64."""
    N, K = given.z.shape
    z_bar = np.empty((N, K))
    for rows in row_blocks(N, K):
        z, p_bar = (array[rows].astype(np.float64) for array in (given.z, given.p_bar))
        z_bar[rows] = sg.softmax.vjp(z, p_bar, impl="reference")
    return Exact((z_bar,), confident_in=0, confident=CONFIDENT)


def by_softgrad_rmv(given: Logits) -> Run:
    """Prepare the Jacobian that was taken with the value."""
    _, J = sg.softmax.linearize(given.z)
    out = np.empty_like(given.z)
    return lambda: (J.rmv(given.p_bar, out=out),)


def by_softgrad(given: Logits) -> Run:
    """Prepare value and VJP in one call."""
    out = np.empty_like(given.z)
    return lambda: (sg.softmax.vjp(given.z, given.p_bar, out=out),)


def by_pytorch_given_p(given: Logits) -> Run:
    """Prepare the operator that PyTorch's backward calls, with one buffer for all answers."""
    import torch

    z, p_bar = torch.from_numpy(given.z), torch.from_numpy(given.p_bar)
    p, z_bar = torch.softmax(z, -1), torch.empty_like(z)
    backward = torch.ops.aten._softmax_backward_data.out
    return lambda: (backward(p_bar, p, -1, z.dtype, grad_input=z_bar),)


def by_pytorch(given: Logits) -> Run:
    """Prepare PyTorch's autograd, forward and backward."""
    import torch

    z, p_bar = torch.from_numpy(given.z).requires_grad_(), torch.from_numpy(given.p_bar)

    def run() -> Answer:
        return (torch.autograd.grad(torch.softmax(z, -1), z, p_bar)[0],)

    return run


def by_torch_compile(given: Logits) -> Run:
    """Prepare forward and backward as one compiled graph."""
    import torch

    z, p_bar = torch.from_numpy(given.z), torch.from_numpy(given.p_bar)

    @torch_compile
    def compiled(z: torch.Tensor, p_bar: torch.Tensor) -> torch.Tensor:
        _, pullback = torch.func.vjp(lambda z: torch.softmax(z, -1), z)
        return pullback(p_bar)[0]

    return lambda: (compiled(z, p_bar),)


def by_jax(given: Logits) -> Run:
    """Prepare JAX's compiled VJP."""
    import jax
    import jax.numpy as jnp

    z, p_bar = jnp.asarray(given.z), jnp.asarray(given.p_bar)
    compiled = jax.jit(lambda z, p_bar: jax.vjp(jax.nn.softmax, z)[1](p_bar))
    return lambda: tuple(jax.block_until_ready(compiled(z, p_bar)))
