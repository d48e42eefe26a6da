"""A small pool of threads that share the rows of a kernel.

Kernels release the interpreter's lock. OpenMP is not used: it hangs in a process that was forked.
Rows go out in pieces, each short enough that Ctrl-C is answered between two of them; which thread
takes which piece changes no bit of any row.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import count

from softgrad.arrays import as_integer
from softgrad.errors import mismatch

__all__ = ["LEAST_PIECE", "get_num_threads", "over_rows", "set_num_threads"]

LEAST_PIECE, MOST_PIECE = 2**16, 2**22
"""Elements in a piece: from what is worth waking a thread for, to a few hundredths of a second."""


class _Pool:
    """The threads beside the one that calls; made when they are first needed."""

    def __init__(self) -> None:
        self.size = _available()
        self.executor: ThreadPoolExecutor | None = None
        self.lock = threading.Lock()

    def submit(self, task: Callable[[], None], helpers: int, futures: list[Future[None]]) -> None:
        """Give a task to some helpers, to as many as there are; the list hears of each at once."""
        with self.lock:
            try:
                for _ in range(min(helpers, self.size - 1)):
                    if self.executor is None:
                        self.executor = ThreadPoolExecutor(self.size - 1, "softgrad")
                    futures.append(self.executor.submit(task))
            except RuntimeError:  # no more threads, or the interpreter is about to end
                self._let_go(cancel=True)

    def resize(self, size: int) -> None:
        with self.lock:
            self.size = size
            self._let_go(cancel=False)

    def _let_go(self, cancel: bool) -> None:
        old, self.executor = self.executor, None
        if old is not None:
            old.shutdown(wait=False, cancel_futures=cancel)


def _available() -> int:
    """Return the number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _renew() -> None:
    """Start without threads: a forked process has none of its parent's."""
    global _pool
    size, _pool = _pool.size, _Pool()
    _pool.size = size


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def set_num_threads(n: int) -> None:
    """Set the number of threads that compiled kernels use, in this process.

    Parameters
    ----------
    n : int
        At least 1. At the start it is the number of processors that the process may run on.

    Raises
    ------
    TypeError, ValueError
        `n` is not an integer, or less than 1.

    Examples
    --------
    >>> import softgrad as sg
    >>> before = sg.get_num_threads()
    >>> sg.set_num_threads(1)
    >>> sg.get_num_threads()
    1
    >>> sg.set_num_threads(before)
    """
    n = as_integer("n", n)
    if n < 1:
        raise ValueError(mismatch("n", "at least 1", n))
    _pool.resize(n)


def get_num_threads() -> int:
    """Return the number of threads that compiled kernels use."""
    return _pool.size


def over_rows(work: Callable[[int, int], object], rows: int, row_size: int) -> None:
    """Call ``work(first, last)`` for ranges that cover all rows, in this thread and its helpers.

    A KeyboardInterrupt, or any error of the work, stops all of them before it is raised.
    """
    pieces = _pieces(rows, row_size)
    helpers = min(_pool.size, len(pieces)) - 1
    numbers, stopped = count(), threading.Event()

    def take_turns() -> None:
        try:
            while not stopped.is_set() and (number := next(numbers)) < len(pieces):
                work(*pieces[number])
        except BaseException:
            stopped.set()
            raise

    if helpers < 1:
        take_turns()
        return
    futures: list[Future[None]] = []
    try:
        _pool.submit(take_turns, helpers, futures)
        take_turns()
        _let_finish(futures)
    except BaseException:  # no thread may go on writing once the caller hears of it
        stopped.set()
        _let_finish(futures)
        raise
    finally:
        work = _nothing  # a helper may forget its task late, but keeps no array alive with it
    for future in futures:
        if not future.cancelled():
            future.result()


def _nothing(_first: int, _last: int) -> None:
    """Work on no rows."""


def _let_finish(futures: list[Future[None]]) -> None:
    """Wait for the helpers that have begun; the others have nothing left to do.

    They may be busy with the rows of another caller, who must not be waited for.
    """
    wait([future for future in futures if not future.cancel()])


def _pieces(rows: int, row_size: int) -> list[tuple[int, int]]:
    """Cut the rows into ranges of whole blocks of 64 rows, or fewer where they are long."""
    size = max(row_size, 1)
    target = min(max(rows * size // (4 * _pool.size), LEAST_PIECE), MOST_PIECE)
    step = max(target // size, 1)
    if step > 64:
        step -= step % 64
    return [(first, min(first + step, rows)) for first in range(0, rows, step)]
