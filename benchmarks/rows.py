"""softmax, its VJP and the cross-entropy of float32 rows, against PyTorch and SciPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.special
import torch

import softgrad as sg
from benchmarks.timing import Case

__all__ = ["cases"]

SHAPES = [(64, 10), (4096, 10), (512, 1000), (16, 32768)]


def cases() -> Iterator[Case]:
    """Yield the work at every shape: from what a small layer has to a vocabulary."""
    rng = np.random.default_rng(0)
    for N, K in SHAPES:
        z = (3 * rng.normal(size=(N, K))).astype(np.float32)
        g = rng.normal(size=(N, K)).astype(np.float32)
        y = rng.integers(0, K, N)
        yield softmax(z)
        yield softmax_vjp(z, g)
        yield cross_entropy(z, y)


def softmax(z: np.ndarray) -> Case:
    """Return the case of the value."""
    tensor = torch.from_numpy(z)
    ways = {
        "softgrad": lambda: sg.softmax(z),
        "PyTorch": lambda: torch.softmax(tensor, -1).numpy(),
        "SciPy": lambda: scipy.special.softmax(z, axis=-1),
    }
    return Case(f"softmax {z.shape}", ways, lambda: sg.softmax(z.astype(np.float64)))


def softmax_vjp(z: np.ndarray, g: np.ndarray) -> Case:
    """Return the case of value and VJP."""
    tensor, cotangent = torch.from_numpy(z), torch.from_numpy(g)

    def by_torch() -> np.ndarray:
        x = tensor.detach().requires_grad_()
        return torch.autograd.grad(torch.softmax(x, -1), x, cotangent)[0].numpy()

    ways = {"softgrad": lambda: sg.softmax.vjp(z, g), "PyTorch": by_torch}
    return Case(
        f"softmax VJP {z.shape}",
        ways,
        lambda: sg.softmax.vjp(z.astype(np.float64), g.astype(np.float64)),
    )


def cross_entropy(z: np.ndarray, y: np.ndarray) -> Case:
    """Return the case of loss and gradient; the gradient is compared."""
    tensor, labels = torch.from_numpy(z), torch.from_numpy(y)

    def by_torch() -> np.ndarray:
        x = tensor.detach().requires_grad_()
        return torch.autograd.grad(torch.nn.functional.cross_entropy(x, labels), x)[0].numpy()

    ways = {
        "softgrad": lambda: sg.cross_entropy.value_and_gradient(z, y)[1],
        "PyTorch": by_torch,
    }
    return Case(
        f"cross-entropy and gradient {z.shape}",
        ways,
        lambda: sg.cross_entropy.gradient(z.astype(np.float64), y),
    )
