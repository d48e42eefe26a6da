"""The processes that have some of the rows each: what they tell each other, and how it is summed.

Sums are made in the order of the ranks, and are the same on all of them to the bit. So all take
the same decisions by themselves, and nobody has to be told what to do next.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import RankStoppedError, UsageError, mismatch
from softgrad.losses.spread.shards import AbstractRanks, at_work, ranks_of

__all__ = ["ALONE", "AbstractTeam", "Alone", "Share", "Team", "share_of", "team_of"]


class Share(NamedTuple):
    """Which of the rows of all processes the own ones are."""

    first: int
    """The number of the first, from 0."""

    N: int
    """How many all have."""


class AbstractTeam(ABC):
    """Processes, each with some of the rows, side by side in the order of the ranks."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """The number of this process."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of processes."""

    @abstractmethod
    def summed(self, *parts: Any) -> tuple[Array, ...]:
        """Return the sum over the ranks of each array; shapes and dtypes are the same on all."""

    @abstractmethod
    def gathered(self, own: Array) -> list[Array]:
        """Return every rank's array, of any length and dtype."""

    @abstractmethod
    def numbers(self, own: int) -> list[int]:
        """Return every rank's number."""

    @abstractmethod
    def texts(self, own: str) -> list[str]:
        """Return every rank's text."""

    @abstractmethod
    def at_work(self) -> AbstractContextManager[None]:
        """Stop all processes where this one raises what no other can know of."""

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Stop all processes where this one is interrupted, or has no memory left."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, MemoryError):
            with self.at_work():
                raise

    @property
    def leads(self) -> bool:
        """Whether this process writes and shows what all have found."""
        return self.rank == 0

    def share(self, n: int) -> Share:
        """Return which of all rows the own ones are, of which there are so many."""
        counts = self.numbers(n)
        return Share(sum(counts[: self.rank]), sum(counts))

    def least(self, own: Array) -> float:
        """Return the smallest number of all ranks' arrays."""
        each = self.gathered(np.array([own.min(initial=np.inf)]))
        return float(np.min(each))

    def any(self, flag: bool) -> bool:
        """Tell whether it is so on some rank."""
        return any(self.numbers(int(flag)))

    def from_first(self, own: Array | None) -> Array:
        """Return the array that rank 0 gives."""
        about = "" if own is None else json.dumps([own.dtype.str, own.shape])
        dtype, shape = json.loads(self.texts(about)[0])
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        numbers = np.zeros(size, np.uint8)
        if self.leads and own is not None:
            numbers[:] = np.ascontiguousarray(own).reshape(-1).view(np.uint8)
        (found,) = self.summed(numbers)  # of bytes that are 0 on all other ranks
        return found.view(dtype).reshape(shape)

    def agree(self, call: Mapping[str, str]) -> None:
        """Raise a ValueError on all ranks unless they come here with the same call."""
        calls = [json.loads(text) for text in self.texts(json.dumps(dict(call)))]
        for name, here in calls[0].items():
            for rank, other in enumerate(calls):
                if other[name] != here:
                    got = f"{here} on rank 0 and {other[name]} on rank {rank}"
                    raise ValueError(mismatch(name, "the same on every rank", got))

    @contextmanager
    def called(self, call: str, **asked: object) -> Iterator[None]:
        """Begin a method: all ranks call the same one, and check together what they have."""
        self.agree({"call": call, **{name: repr(value) for name, value in asked.items()}})
        with self.together():
            yield

    @contextmanager
    def together(self) -> Iterator[None]:
        """Raise on every rank what one of them raises in here, where none asks the others."""
        try:
            yield
        except RankStoppedError:
            raise
        except Exception as error:
            kind = "usage" if isinstance(error, UsageError) else type(error).__name__
            self.texts(json.dumps([kind, str(error)]))
            raise
        for rank, said in enumerate(self.texts("")):
            if said:
                kind, text = json.loads(said)
                message = f"rank {rank} of the group has raised {text}"
                raise UsageError(message) if kind == "usage" else ValueError(message)


@final
@dataclass(frozen=True)
class Alone(AbstractTeam):
    """This process, which has all rows."""

    rank: ClassVar[int] = 0
    size: ClassVar[int] = 1

    def summed(self, *parts: Any) -> tuple[Array, ...]:
        return tuple(map(np.asarray, parts))

    def gathered(self, own: Array) -> list[Array]:
        return [own]

    def numbers(self, own: int) -> list[int]:
        return [own]

    def texts(self, own: str) -> list[str]:
        return [own]

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def together(self) -> Iterator[None]:
        yield


@final
@dataclass(frozen=True)
class Team(AbstractTeam):
    """The processes of a group."""

    ranks: AbstractRanks

    @property
    def rank(self) -> int:
        return self.ranks.rank

    @property
    def size(self) -> int:
        return self.ranks.size

    def summed(self, *parts: Any) -> tuple[Array, ...]:
        """Sum the arrays of one dtype in one message."""
        arrays = [np.asarray(part) for part in parts]
        sums: dict[int, Array] = {}
        for dtype in dict.fromkeys(array.dtype for array in arrays):
            places = [i for i, array in enumerate(arrays) if array.dtype == dtype]
            packed = np.concatenate([arrays[i].reshape(-1) for i in places])
            total = self.ranks.begin_sum(_tensor(packed))().numpy() if packed.size else packed
            ends = np.cumsum([arrays[i].size for i in places])[:-1]
            for i, part in zip(places, np.split(total, ends), strict=True):
                sums[i] = part.reshape(arrays[i].shape)
        return tuple(sums[i] for i in range(len(arrays)))

    def gathered(self, own: Array) -> list[Array]:
        own = np.ascontiguousarray(own)
        about = [json.loads(text) for text in self.texts(json.dumps([own.dtype.str, own.shape]))]
        sizes = [int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape in about]
        padded = np.zeros(max(sizes), np.uint8)
        padded[: own.nbytes] = own.reshape(-1).view(np.uint8)
        (everyone,) = self.ranks.gathered(_tensor(padded))
        return [
            row[:size].numpy().copy().view(dtype).reshape(shape)
            for row, size, (dtype, shape) in zip(everyone, sizes, about, strict=True)
        ]

    def numbers(self, own: int) -> list[int]:
        return [number for (number,) in self.ranks.gathered_numbers(own)]

    def texts(self, own: str) -> list[str]:
        return self.ranks.gathered_texts(own)

    def at_work(self) -> AbstractContextManager[None]:
        return at_work(self.ranks)


ALONE = Alone()


def team_of(group: Any) -> AbstractTeam:
    """Return the processes of a group of torch.distributed; of None, this process alone.

    Raises
    ------
    TypeError, ValueError
        It is something else, or takes no arrays in the memory of the processor.
    """
    if group is None:
        return ALONE
    ranks = ranks_of(group)
    import torch.distributed as dist

    if dist.get_backend(ranks.group) == "nccl":  # type: ignore[attr-defined]
        raise ValueError(mismatch("group", "one for CPU arrays, such as gloo's", "NCCL"))
    return Team(ranks)


def share_of(N: int, team: AbstractTeam) -> slice:
    """Return the rows that a process takes of N that all of them could read."""
    return slice(N * team.rank // team.size, N * (team.rank + 1) // team.size)


def _tensor(array: Array) -> Any:
    import torch

    return torch.from_numpy(array)
