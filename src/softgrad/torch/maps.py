"""Maps of rows as modules: PyTorch's Softmax and LogSoftmax, and the sparse ones."""

# ruff: noqa: A002  `input` is PyTorch's name for it
from __future__ import annotations

import torch

import softgrad.maps as maps
from softgrad.torch.softmax import along

__all__ = ["Entmax", "LogSoftmax", "Softmax", "Sparsemax"]


class _MapModule(torch.nn.Module):  # type: ignore[misc]
    """A map along an axis."""

    def __init__(self, f: maps.AbstractMap, dim: int) -> None:
        super().__init__()
        self.map = f
        self.dim = dim

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the value of the map, shaped like `input`."""
        return along(self.map, input, self.dim)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"map={self.map}, dim={self.dim}"


class Softmax(_MapModule):
    """softmax along an axis, in the place of `torch.nn.Softmax`.

    Examples
    --------
    >>> Softmax(dim=-1)(torch.tensor([[0.0, 0.0]]))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__(maps.softmax, dim)


class LogSoftmax(_MapModule):
    """The logarithm of softmax along an axis, in the place of `torch.nn.LogSoftmax`.

    Examples
    --------
    >>> LogSoftmax(dim=-1)(torch.tensor([[40.0, 0.0]]))
    tensor([[-4.2484e-18, -4.0000e+01]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__(maps.log_softmax, dim)


class Sparsemax(_MapModule):
    """The probabilities that are nearest to the logits, many of them 0: `softgrad.sparsemax`.

    Examples
    --------
    >>> Sparsemax()(torch.tensor([[2.0, 1.5, 0.0]]))
    tensor([[0.7500, 0.2500, 0.0000]])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__(maps.sparsemax, dim)


class Entmax(_MapModule):
    """What lies between softmax, α = 1, and sparsemax, α = 2: `softgrad.Entmax`.

    Examples
    --------
    >>> Entmax(alpha=1.5)(torch.tensor([[2.0, 0.0, -1.0]]))
    tensor([[1., 0., 0.]])
    """

    def __init__(self, alpha: float = 1.5, dim: int = -1) -> None:
        super().__init__(maps.Entmax(alpha=alpha), dim)
