"""Classes that are spread over processes: what a rank knows of the others, and how they agree.

Whatever is exchanged is brought together in the order of the ranks, by each of them: results have
the same bits on all ranks, and do not depend on how a library moves bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from typing import Any, TypeVar
from zlib import crc32

import array_api_compat

from softgrad.arrays import Array, as_array, dtype_name, namespace
from softgrad.errors import mismatch
from softgrad.losses.spread.parts import Parts
from softgrad.losses.targets import TopK

__all__ = [
    "AbstractRanks",
    "Refused",
    "Shards",
    "all_or_none",
    "at_work",
    "content_of",
    "ranks_of",
    "together",
    "told",
]

T = TypeVar("T")


class Refused(ValueError):
    """A call that all ranks refuse at once."""


class AbstractRanks(ABC):
    """The processes that a matrix of weights is spread over, one of which is this one."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """The number of this process."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of processes."""

    @abstractmethod
    def gathered(self, *columns: Array) -> tuple[Array, ...]:
        """Return what every rank has given, in their order, from one message: [ranks, ...]."""

    @abstractmethod
    def begin_sum(self, v: Array) -> Callable[[], Array]:
        """Begin to sum arrays [n, ...] over the ranks; what is returned waits for the sum."""

    @abstractmethod
    def gathered_numbers(self, *numbers: int) -> list[tuple[int, ...]]:
        """Return the few numbers of every rank."""

    @abstractmethod
    def gathered_texts(self, text: str) -> list[str]:
        """Return the text of every rank."""

    @property
    @abstractmethod
    def has_stopped(self) -> bool:
        """Whether a rank has stopped amid an exchange: the others cannot meet any more."""

    @abstractmethod
    def stop(self, reason: str) -> None:
        """Stop all ranks amid their exchanges, unless they have stopped already."""


@dataclass(frozen=True, eq=False)
class Shards:
    """Which classes belong to which rank."""

    ranks: AbstractRanks
    sizes: tuple[int, ...]
    """How many classes each rank has, of which there may be none."""

    @property
    def start(self) -> int:
        """The first of the own classes."""
        return sum(self.sizes[: self.ranks.rank])

    @property
    def own(self) -> slice:
        """The own classes among all."""
        return slice(self.start, self.start + self.sizes[self.ranks.rank])

    @property
    def classes(self) -> int:
        return sum(self.sizes)

    def parts(self, m: Array, r: Array, total: Array, distance: Array) -> Parts:
        """Return what all ranks say of every row, for what this one says: [n] each."""
        wide = r.dtype
        gathered = self.ranks.gathered(m, total, r, distance)
        xp = namespace(r)
        m, total, r, distance = (xp.astype(v, wide, copy=False).T for v in gathered)
        return Parts(m, r, total, distance)

    def summed(self, v: Array) -> Array:
        """Sum arrays [n, ...] over the ranks."""
        return self.ranks.begin_sum(v)()

    def meet(self) -> None:
        """Wait until all ranks have come here, before an exchange amid the checks of a call.

        Raises
        ------
        Refused
            Another rank has raised.
        """
        _agree(self.ranks, 0, {})

    @classmethod
    def agreed(cls, ranks: AbstractRanks, classes: int, call: Mapping[str, str]) -> Shards:
        """Tell the others what is called, and how many classes there are here.

        Raises
        ------
        Refused
            Another rank calls something else, or has raised.
        """
        return cls(ranks, _agree(ranks, classes, dict(call)))


_FINE, _FAILED = 0, 1


@contextmanager
def together(group: Any, check: Callable[[AbstractRanks | None], T]) -> Iterator[T]:
    """Check arguments on all ranks, and work with what comes of them; both stop together."""
    if group is None:
        yield check(None)
        return
    with all_or_none(group) as ranks:
        checked = check(ranks)
    with at_work(ranks):
        yield checked


@contextmanager
def at_work(ranks: AbstractRanks) -> Iterator[None]:
    """Stop all ranks where one raises amid the exchanges that follow from a call.

    They would wait for it, and could not be brought in step again.
    """
    try:
        yield
    except BaseException as error:
        ranks.stop(_said_of(ranks.rank, _text(error)))
        raise


@contextmanager
def all_or_none(group: Any) -> Iterator[AbstractRanks]:
    """Raise on every rank what one of them raises in here, before any work."""
    ranks = ranks_of(group)
    with _interruptible(ranks):
        with _telling(ranks):
            yield ranks
        _agree(ranks, 0, {})


def told(group: Any) -> AbstractContextManager[None]:
    """Tell the other ranks, where there are some, what is raised in here before `all_or_none`."""
    return nullcontext() if group is None else _told(ranks_of(group))


@contextmanager
def _told(ranks: AbstractRanks) -> Iterator[None]:
    with _interruptible(ranks), _telling(ranks):
        yield


@contextmanager
def _telling(ranks: AbstractRanks) -> Iterator[None]:
    """Tell what is raised in here when the other ranks want to agree on something."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, Refused) or ranks.has_stopped):
            ranks.gathered_numbers(_FAILED, 0, 0)
            ranks.gathered_texts(_text(error))
        raise


@contextmanager
def _interruptible(ranks: AbstractRanks) -> Iterator[None]:
    """Stop all ranks where one is interrupted: it waits for no agreement."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        ranks.stop(_said_of(ranks.rank, _text(error)))
        raise


def _agree(ranks: AbstractRanks, number: int, call: dict[str, str]) -> tuple[int, ...]:
    """Return every rank's number, or raise unless all ranks come here with the same call."""
    digest = blake2b(repr(sorted(call.items())).encode(), digest_size=7).digest()
    said = ranks.gathered_numbers(_FINE, int.from_bytes(digest), number)
    failed = [rank for rank, (state, *_) in enumerate(said) if state == _FAILED]
    if failed:
        text = ranks.gathered_texts("")[failed[0]]
        raise Refused(_said_of(failed[0], text))
    if len({word for _, word, _ in said}) > 1:
        raise Refused(_difference(ranks, call))
    return tuple(number for *_, number in said)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _said_of(rank: int, text: str) -> str:
    return f"rank {rank} of the group has raised {text}"


def _difference(ranks: AbstractRanks, call: dict[str, str]) -> str:
    """Say what ranks do not call alike."""
    texts = ranks.gathered_texts("\n".join(f"{name}\t{said}" for name, said in call.items()))
    calls = [dict(line.split("\t", 1) for line in text.splitlines()) for text in texts]
    for name in calls[0] | calls[-1]:
        for rank, other in enumerate(calls):
            if other.get(name) != calls[0].get(name):
                here, there = calls[0].get(name, "nothing"), other.get(name, "nothing")
                return mismatch(
                    name, "the same on every rank", f"{here} on rank 0 and {there} on rank {rank}"
                )
    return mismatch("group", "called alike on every rank", "different calls")


def content_of(name: str, x: Any, *, whole: bool = False) -> str:
    """Describe targets, or weights, such that others have another text.

    Targets that are numbers for each class may be a rank's own part: they are told by their rows
    alone, what is the same on all ranks is told whole.
    """
    if x is None:
        return "None"
    if isinstance(x, TopK):
        ids, probabilities = (content_of(name, part, whole=True) for part in x)
        return f"TopK of {ids} and {probabilities}"
    x = as_array(name, x)
    dtype, shape = dtype_name(x), tuple(x.shape)
    if not (whole or "int" in dtype):
        return f"{dtype} {(*shape[:-1], 'classes')}".replace("'", "")
    if array_api_compat.is_torch_array(x):
        x = x.detach().cpu().reshape(-1).contiguous().view(namespace(x).uint8).numpy()
    return f"{dtype} {shape} with checksum {crc32(x.tobytes()):08x}"


def ranks_of(group: Any) -> AbstractRanks:
    """Return the ranks of a process group of PyTorch.

    Raises
    ------
    TypeError
        It is something else.
    """
    ranks: AbstractRanks = import_module("softgrad.frameworks.torch.ranks").ranks_of(group)
    return ranks
