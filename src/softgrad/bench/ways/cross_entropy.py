"""Cross-entropy from logits: the mean loss and its gradient."""

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

__all__ = ["ways"]


def ways(given: Logits) -> tuple[Way, ...]:
    """Return all ways; each answers (loss, gradient)."""
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
    """Compute the answer in float64, some rows at a time."""
    N, K = given.z.shape
    at = sg.CrossEntropy(normalizer=float(N)).value_and_gradient
    gradient, loss = np.empty((N, K)), 0.0
    for rows in row_blocks(N, K):
        part, gradient[rows] = at(given.z[rows].astype(np.float64), given.y[rows], impl="reference")
        loss += float(part)
    return Exact((np.array(loss), gradient), confident_in=1, confident=CONFIDENT)


def by_softgrad(given: Logits) -> Run:
    """Prepare softgrad, with one buffer for all gradients."""
    at = sg.cross_entropy.value_and_gradient
    out = np.empty_like(given.z)
    return lambda: at(given.z, given.y, out=out)


def by_pytorch(given: Logits) -> Run:
    """Prepare PyTorch's autograd."""
    import torch

    z, y = torch.from_numpy(given.z).requires_grad_(), torch.from_numpy(given.y)

    def run() -> Answer:
        loss = torch.nn.functional.cross_entropy(z, y)
        return loss.detach(), torch.autograd.grad(loss, z)[0]

    return run


def by_torch_compile(given: Logits) -> Run:
    """Prepare forward and backward as one compiled graph."""
    import torch

    z, y = torch.from_numpy(given.z), torch.from_numpy(given.y)
    both = torch_compile(torch.func.grad_and_value(torch.nn.functional.cross_entropy))

    def run() -> Answer:
        gradient, loss = both(z, y)
        return loss, gradient

    return run


def by_jax(given: Logits) -> Run:
    """Prepare the form that XLA makes the fastest: logsumexp minus the label's logit."""
    import jax
    import jax.numpy as jnp

    z, y = jnp.asarray(given.z), jnp.asarray(given.y)

    def loss(z: jax.Array) -> jax.Array:
        chosen = jnp.take_along_axis(z, y[:, None], axis=-1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=-1) - chosen)

    both = jax.jit(jax.value_and_grad(loss))
    return lambda: tuple(jax.block_until_ready(both(z)))


def by_scipy(given: Logits) -> Run:
    """Prepare SciPy's log_softmax; the gradient is p − t."""
    from scipy.special import log_softmax

    (N, _), rows = given.z.shape, np.arange(len(given.z))

    def run() -> Answer:
        log_p = log_softmax(given.z, axis=-1)
        loss = -log_p[rows, given.y].mean()
        gradient = np.exp(log_p, out=log_p)
        gradient[rows, given.y] -= 1
        gradient /= N
        return loss, gradient

    return run
