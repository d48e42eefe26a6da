"""The output layer: cross-entropy of x Wᵀ + b, and its gradients in x, W and b."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

import softgrad as sg
from softgrad.bench.compiler import TORCH_COMPILE, torch_compile
from softgrad.bench.data import CONFIDENT, HeadInputs, row_blocks
from softgrad.bench.exact import Exact
from softgrad.bench.measurement import Role
from softgrad.bench.work import Answer, Run, Way

__all__ = ["NUMPY", "TORCH", "ways"]

NUMPY, TORCH = "softgrad, NumPy", "softgrad, PyTorch"
NUMPY_GEMMS, TORCH_GEMMS = "3 GEMMs, NumPy", "3 GEMMs, PyTorch"


def ways(given: HeadInputs) -> tuple[Way, ...]:
    """Return all ways; each answers (loss, x_bar, W_bar, b_bar)."""
    exact = cache(partial(in_float64, given))

    def way(
        name: str, role: Role, library: str, floor: str, by: Callable[[HeadInputs], Run]
    ) -> Way:
        return Way(name, role, library, partial(by, given), exact, floor)

    def chunked(name: str, **options: Any) -> Way:
        by = partial(by_pytorch_chunked, **options)
        return way(f"PyTorch chunked, {name}", "peer", "PyTorch", TORCH_GEMMS, by)

    return (
        way(NUMPY, "ours", "softgrad", NUMPY_GEMMS, by_softgrad),
        way(TORCH, "ours", "softgrad", TORCH_GEMMS, by_softgrad_torch),
        way("PyTorch", "peer", "PyTorch", TORCH_GEMMS, by_pytorch),
        chunked("as it comes"),
        chunked("512 rows", batch_chunk_size=512, chunking_method=None),
        chunked("1024 rows", batch_chunk_size=1024, chunking_method=None),
        way(TORCH_COMPILE, "peer", "PyTorch", TORCH_GEMMS, by_torch_compile),
        way("JAX jit", "peer", "JAX", TORCH_GEMMS, by_jax),
        Way(NUMPY_GEMMS, "floor", "NumPy", partial(three_products, given)),
        Way(TORCH_GEMMS, "floor", "PyTorch", partial(three_products_torch, given)),
    )


def in_float64(given: HeadInputs) -> Exact:
    """Compute the answer in float64 with logits, some rows at a time."""
    x, W, b = (array.astype(np.float64) for array in (given.x, given.W, given.b))
    at = sg.CrossEntropy(normalizer=float(len(x))).value_and_gradient
    loss, x_bar, W_bar, b_bar = 0.0, np.empty_like(x), np.zeros_like(W), np.zeros_like(b)
    for rows in row_blocks(len(x), len(W)):
        part, z_bar = at(x[rows] @ W.T + b, given.y[rows], impl="reference")
        loss += float(part)
        x_bar[rows] = z_bar @ W
        W_bar += z_bar.T @ x[rows]
        b_bar += z_bar.sum(axis=0)
    return Exact((np.array(loss), x_bar, W_bar, b_bar), confident_in=1, confident=CONFIDENT)


def by_softgrad(given: HeadInputs) -> Run:
    """Prepare softgrad's head on NumPy arrays."""
    return _by_softgrad(given.x, given.W, given.y, given.b)


def by_softgrad_torch(given: HeadInputs) -> Run:
    """Prepare the same head on PyTorch's tensors, whose products are PyTorch's."""
    import torch

    return _by_softgrad(*(torch.from_numpy(v) for v in (given.x, given.W, given.y, given.b)))


def _by_softgrad(x: Any, W: Any, y: Any, b: Any) -> Run:
    from softgrad.heads import linear_cross_entropy

    def run() -> Answer:
        loss, gradients = linear_cross_entropy.value_and_gradient(x, W, y, b)
        return loss, gradients.x, gradients.W, gradients.bias

    return run


def by_pytorch(given: HeadInputs) -> Run:
    """Prepare a linear layer and cross_entropy, which store the logits."""
    import torch.nn.functional as F

    return _by_autograd(given, lambda x, W, b, y: F.cross_entropy(F.linear(x, W, b), y))


def by_pytorch_chunked(given: HeadInputs, **options: Any) -> Run:
    """Prepare PyTorch's own head, which works through the rows in chunks."""
    import torch.nn.functional as F
    from torch.nn import LinearCrossEntropyOptions

    chosen = LinearCrossEntropyOptions(**options)

    def loss(x: Any, W: Any, b: Any, y: Any) -> Any:
        return F.linear_cross_entropy(x, W, y, linear_bias=b, options=chosen)

    return _by_autograd(given, loss)


def _by_autograd(given: HeadInputs, function: Callable[..., Any]) -> Run:
    import torch

    leaves = [torch.from_numpy(v).requires_grad_() for v in (given.x, given.W, given.b)]
    y = torch.from_numpy(given.y)

    def run() -> Answer:
        loss = function(*leaves, y)
        return loss.detach(), *torch.autograd.grad(loss, leaves)

    return run


def by_torch_compile(given: HeadInputs) -> Run:
    """Prepare forward and backward as one compiled graph."""
    import torch
    import torch.nn.functional as F

    x, W, b, y = (torch.from_numpy(v) for v in (given.x, given.W, given.b, given.y))

    def loss(x: Any, W: Any, b: Any) -> Any:
        return F.cross_entropy(F.linear(x, W, b), y)

    both = torch_compile(torch.func.grad_and_value(loss, argnums=(0, 1, 2)))

    def run() -> Answer:
        gradients, value = both(x, W, b)
        return value, *gradients

    return run


def by_jax(given: HeadInputs) -> Run:
    """Prepare JAX's compiled loss and gradients, which store the logits."""
    import jax
    import jax.numpy as jnp

    x, W, b, y = (jnp.asarray(v) for v in (given.x, given.W, given.b, given.y))

    def loss(x: jax.Array, W: jax.Array, b: jax.Array) -> jax.Array:
        z = x @ W.T + b
        chosen = jnp.take_along_axis(z, y[:, None], axis=-1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=-1) - chosen)

    both = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))

    def run() -> Answer:
        value, gradients = jax.block_until_ready(both(x, W, b))
        return value, *gradients

    return run


def three_products(given: HeadInputs) -> Run:
    """Prepare the matrix products that any way must do, with NumPy's BLAS."""
    x, W = given.x, given.W
    z, x_bar, W_bar = np.empty((len(x), len(W)), x.dtype), np.empty_like(x), np.empty_like(W)

    def run() -> Answer:
        np.matmul(x, W.T, out=z)
        np.matmul(z, W, out=x_bar)
        np.matmul(z.T, x, out=W_bar)
        return x_bar, W_bar

    return run


def three_products_torch(given: HeadInputs) -> Run:
    """Prepare the same products with PyTorch's BLAS."""
    import torch

    x, W = torch.from_numpy(given.x), torch.from_numpy(given.W)
    z, x_bar, W_bar = x.new_empty(len(x), len(W)), torch.empty_like(x), torch.empty_like(W)

    def run() -> Answer:
        torch.mm(x, W.T, out=z)
        torch.mm(z, W, out=x_bar)
        torch.mm(z.T, x, out=W_bar)
        return x_bar, W_bar

    return run
