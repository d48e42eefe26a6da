"""Checkpoints: all that decides how a fit goes on, in one file that is always whole.

A checkpoint changes nothing in the fit that writes it, and a fit that begins with one takes the
same steps, to the last bit. It says which fit it is of, and no other one takes it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import UsageError, mismatch
from softgrad.files import remove_leftovers, write_atomically
from softgrad.heads.plan import cuts
from softgrad.learn.affine import is_sparse
from softgrad.learn.team import ALONE, AbstractTeam
from softgrad.learn.tensor_file import HEADER_KEY, file_complaint, read_tensors
from softgrad.learn.training_set import TrainingSet

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Arrays",
    "Checkpoint",
    "Numbers",
    "State",
    "data_fingerprint",
    "digest",
    "kept_until_saved",
    "locked",
]

Arrays: TypeAlias = Mapping[str, Array]
Numbers: TypeAlias = Mapping[str, Any]
"""Integers, floats and text: what JSON writes and reads exactly."""

State: TypeAlias = tuple[Arrays, Numbers]

_THEN = "then."
_SCHEMA = "softgrad.checkpoint/1"
_DIGESTS = {
    "X": "numbers in `X`",
    "classes": "classes",
    "labels": "labels",
    "start": "coefficients to start from",
    "tokens": "tokens",
    "weights": "weights",
}
"""What a fingerprint has digests of."""

_BLOCK = 2**24
"""Bytes of the rows that are digested at a time."""


class Checkpoint:
    """A file that a fit writes from time to time, and begins with if it is there.

    Parameters
    ----------
    path : str or path
    every : float
        Seconds between two; 0 writes one whenever there is something new.
    fingerprint : dict of integers, floats and text
        What makes a fit the same fit: its data, and the settings that decide its steps.
    team : AbstractTeam
        The processes of the fit. The first of them alone sees the file, and tells the others.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: float,
        fingerprint: Numbers,
        team: AbstractTeam = ALONE,
    ) -> None:
        self.path, self.every, self.fingerprint = Path(path), every, dict(fingerprint)
        self.team = team
        self._last = time.monotonic()
        self._before: State | None = None

    def then(self, arrays: Arrays, numbers: Numbers) -> Checkpoint:
        """Return the checkpoint of what comes after a part of the fit that has this last state."""
        later = Checkpoint(self.path, self.every, self.fingerprint, self.team)
        later._before = (arrays, numbers)
        return later

    def read(self) -> State | None:
        """Return what the file holds; None if there is none.

        Raises
        ------
        UsageError
            The file is damaged or no checkpoint, or its folder is not there.
        ValueError
            It is of another fit; the message says what differs.
        """
        with self.team.together():
            state = self._read() if self.team.leads else None
        return state if self.team.size == 1 else _told(state, self.team)

    def _read(self) -> State | None:
        _check_folder(self.path)
        remove_leftovers(self.path)
        if not self.path.exists():
            return None
        content, arrays = read_tensors(self.path, _SCHEMA, "checkpoint")
        if content["sum"] != _sum_of(arrays, content["numbers"]):
            raise file_complaint(self.path, "damaged: its numbers are not those that were written")
        self._check(content["of"])
        if self._before is None:
            return arrays, content["numbers"]
        arrays, numbers = _later(arrays), _later(content["numbers"])
        return (arrays, numbers) if numbers else None

    def due(self) -> bool:
        """Say whether it is time to write, which is for one process to do."""
        return self.team.leads and time.monotonic() - self._last >= self.every

    def write(self, arrays: Arrays, numbers: Numbers) -> None:
        """Replace the file; where that fails it is as it was before.

        Raises
        ------
        UsageError
            The disk is full, or the folder cannot be written to.
        """
        from safetensors.numpy import save

        if self._before is not None:
            arrays = {**self._before[0], **{_THEN + name: a for name, a in arrays.items()}}
            numbers = {**self._before[1], **{_THEN + name: n for name, n in numbers.items()}}
        tensors = {name: np.asarray(a, order="C") for name, a in arrays.items()}
        found = _sum_of(tensors, numbers)
        content = {"of": self.fingerprint, "numbers": dict(numbers), "sum": found}
        header = {HEADER_KEY: json.dumps({"schema": _SCHEMA, "checkpoint": content})}
        try:
            with self.team.at_work():
                write_atomically(self.path, save(tensors, metadata=header))
        except OSError as error:
            before = "; the one before is whole" if self.path.exists() else ""
            reason = (error.strerror or str(error)).lower()
            message = f"{self.path}: the checkpoint was not written: {reason}{before}"
            raise UsageError(message) from error
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the fit is done."""
        if not self.team.leads:
            return
        waiting = _over.get()
        if waiting is None:
            self.path.unlink(missing_ok=True)
        else:
            waiting.append(self.path)

    def _check(self, found: Numbers) -> None:
        """Raise unless a fingerprint is that of this fit."""
        names = [*self.fingerprint, *(name for name in found if name not in self.fingerprint)]
        if found.get("solver") != self.fingerprint.get("solver"):  # each has settings of its own
            names = [name for name in names if name in found and name in self.fingerprint]
        pairs = {name: (found.get(name), self.fingerprint.get(name)) for name in names}
        differing = [_difference(name, a, b) for name, (a, b) in pairs.items() if a != b]
        if differing:
            got = f"one of another fit in {self.path}: {'; '.join(differing)}"
            expected = "a file of the same model and data, or one that is not there"
            raise ValueError(mismatch("checkpoint", expected, got))


_over: ContextVar[list[Path] | None] = ContextVar("_over", default=None)
"""The checkpoints of fits that are done, where what they made is still to be saved."""


@contextmanager
def kept_until_saved() -> Iterator[None]:
    """Keep the checkpoints of fits in here until the end: a model that cannot be saved is lost."""
    waiting: list[Path] = []
    before = _over.set(waiting)
    try:
        yield
    finally:
        _over.reset(before)
    for path in waiting:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keep a checkpoint for one fit alone: two would overwrite each other's.

    The lock is the system's, on a file beside it. It dies with its process; the file may stay then,
    and is no lock. Where a system has no such locks, nothing is kept.

    Raises
    ------
    ValueError
        Another fit has it.
    UsageError
        Its folder is not there, or cannot be written to.
    """
    if path is None or fcntl is None:
        yield
        return
    _check_folder(Path(path))
    target = Path(path).resolve()
    beside = target.with_name(f".{target.name}.lock")
    with ExitStack() as stack:
        while True:
            try:
                file = stack.enter_context(beside.open("wb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                expected, got = "a file of this fit alone", f"{path}, which another fit has"
                raise ValueError(mismatch("checkpoint", expected, got)) from None
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise UsageError(f"{path}: the checkpoint cannot be locked: {reason}") from error
            if beside.exists() and os.path.samestat(beside.stat(), os.fstat(file.fileno())):
                break  # else it was removed by a fit that ended just now
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)


def _told(state: State | None, team: AbstractTeam) -> State | None:
    """Return the state that the first process has."""
    about = None if state is None else [list(state[0]), dict(state[1])]
    about = json.loads(team.texts(json.dumps(about))[0])
    if about is None:
        return None
    names, numbers = about
    return {name: team.from_first(state[0][name] if state else None) for name in names}, numbers


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder for the checkpoint")


def _difference(name: str, before: Any, now: Any) -> str:
    """Say in what another fit differs: by values, and where those are digests, by their name."""
    return f"{name} {before}, not {now}" if name not in _DIGESTS else f"other {_DIGESTS[name]}"


def _later(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what belongs to the part of a fit that comes after another."""
    return {name.removeprefix(_THEN): x for name, x in state.items() if name.startswith(_THEN)}


def data_fingerprint(rows: TrainingSet) -> dict[str, Any]:
    """Return what tells data sets apart: sizes, dtype, and digests of all numbers and labels.

    It also tells how the rows are divided: sums over other parts have other bits.
    """
    team = rows.team
    return {
        "ranks": team.size,
        "rows": team.share(len(rows.y)).N,
        "columns": rows.X.shape[1],
        "dtype": str(rows.X.dtype),
        "classes": digest(_as_bytes(repr(rows.classes.tolist()))),
        "labels": _everyones(digest(rows.y), team),
        "weights": _everyones(digest(rows.weights), team),
        "X": _everyones(digest(rows.X), team),
    }


def _everyones(own: str, team: AbstractTeam) -> str:
    """Return a digest of all processes' digests."""
    return own if team.size == 1 else digest(_as_bytes(" ".join(team.texts(own))))


def _sum_of(arrays: Arrays, numbers: Numbers) -> str:
    """Return a digest of all that decides how a fit goes on."""
    parts = [f"{name} {digest(np.atleast_1d(arrays[name]))}" for name in sorted(arrays)]
    return digest(_as_bytes(" ".join([*parts, json.dumps(dict(numbers), sort_keys=True)])))


def _as_bytes(text: str) -> Array:
    return np.frombuffer(text.encode(), np.uint8)


def digest(rows: Any) -> str:
    """Return a hash of all numbers of an array, a CSR matrix or rows in a file."""
    found = blake2b(digest_size=16)
    parts = (rows.indptr, rows.indices, rows.data) if is_sparse(rows) else (rows,)
    for part in parts:
        row_bytes = part.dtype.itemsize * int(np.prod(part.shape[1:]))
        for block in cuts(part.shape[0], max(1, _BLOCK // max(1, row_bytes))):
            found.update(np.ascontiguousarray(part[block]).data)
    return found.hexdigest()
