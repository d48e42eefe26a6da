"""The settings of `softgrad train`, with their defaults: what its options say, and its help tells.

A training takes those options that are fields here. NumPy is not needed to read the help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["BatchSettings", "CorpusSettings", "Settings", "default_of", "names"]

_LEARNING_RATE = {"adam": 3e-3, "sgd": 0.05}


@dataclass(frozen=True)
class Settings:
    """Of a network on a table."""

    target: str | None = None
    """None: the last column of a file."""
    hidden: tuple[int, ...] = (64, 32)
    activation: str = "relu"
    head: str = "softmax"
    epochs: int = 40
    batch_size: int = 32
    lr: float | None = None
    """None: what suits the optimiser."""
    optimizer: str = "adam"
    validation: float = 0.2
    seed: int = 0

    @property
    def rate(self) -> float:
        """The learning rate."""
        return _LEARNING_RATE[self.optimizer] if self.lr is None else self.lr


@dataclass(frozen=True)
class BatchSettings:
    """Of a classifier that is trained by mini-batches; None is what `SoftmaxClassifier` takes."""

    hidden: tuple[int, ...] = ()
    activation: str = "relu"
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    validation: float | None = None
    """The share of rows that say when to stop."""
    seed: int = 0


@dataclass(frozen=True)
class CorpusSettings:
    """Of a language model on a corpus."""

    context: int = 16
    dim: int = 64
    epochs: int = 1
    batch_size: int = 1024
    lr: float = 7e-3
    max_tokens: int | None = None
    """None: all of them."""
    min_count: int = 2
    max_types: int = 50_000
    validation: float = 0.05
    seed: int = 0


def names(settings: type) -> set[str]:
    """Return the names of the fields."""
    return {field.name for field in fields(settings)}


def default_of(name: str) -> str:
    """Return what the help says of an option that is not given.

    >>> default_of("epochs"), default_of("dim"), default_of("hidden")
    ('[default: 40; of a corpus 1]', '[default: 64]', '[default: 64,32]')
    """
    return f"[default: {'; of a corpus '.join(_defaults(name))}]"


def _defaults(name: str) -> Iterator[str]:
    if name == "lr":
        yield ", ".join(f"{rate:g} for {rule}" for rule, rate in _LEARNING_RATE.items())
    for settings in (Settings, CorpusSettings):
        value: Any = getattr(settings, name, None)
        if value is not None:
            yield ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
