"""The threads that share the rows: forks, errors, interrupts, callers beside each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_same_bits
from softgrad.kernels import threads
from softgrad.kernels.numba.cache import KernelCache
from softgrad.kernels.numba.shapes import compiled
from softgrad.kernels.threads import over_rows
from specs import probe

SHAPE = (4096, 130)  # 9 pieces: enough for every thread of these tests
PATIENCE = 60  # seconds until a test that hangs is called one


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = sg.get_num_threads()
    sg.set_num_threads(3)
    yield
    sg.set_num_threads(before)


def softmax(x: np.ndarray) -> np.ndarray:
    return sg.softmax(x, impl="numba")


# --- sharing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 64, 65, 1000, 200_003])
@pytest.mark.parametrize("row_size", [0, 1, 10, 64, 65, 2**17, 2**23])
def test_ranges_cover_every_row_once(rows: int, row_size: int) -> None:
    ranges: list[tuple[int, int]] = []
    over_rows(lambda first, last: ranges.append((first, last)), rows, row_size)
    ranges.sort()
    ends = [0, *(last for _, last in ranges)]
    assert [first for first, _ in ranges] == ends[:-1]
    assert ends[-1] == rows
    assert all(first < last for first, last in ranges)
    if row_size < 65:  # blocks of 64 rows stay whole
        assert all(first % 64 == 0 for first, _ in ranges)


def test_no_range_takes_longer_than_an_interrupt_may_wait() -> None:
    sg.set_num_threads(1)
    ranges: list[tuple[int, int]] = []
    over_rows(lambda first, last: ranges.append((first, last)), 2**26, 2**10)
    assert max((last - first) * 2**10 for first, last in ranges) <= threads.MOST_PIECE


def test_several_threads_work() -> None:
    """Each waits until there are three of them."""
    together, names = threading.Barrier(3, timeout=PATIENCE), set()

    def work(first: int, last: int) -> None:
        if threading.current_thread().name not in names:
            names.add(threading.current_thread().name)
            together.wait()

    over_rows(work, *SHAPE)
    assert len(names) == 3


def test_a_caller_does_not_wait_for_threads_that_are_busy_elsewhere() -> None:
    """Both helpers are held up by one caller; another does its work alone, and comes back.

    The helpers still have its task on their list, but not the arrays that it worked on.
    """
    free, busy = threading.Event(), threading.Barrier(4, timeout=PATIENCE)

    def hold_up(first: int, last: int) -> None:
        if not free.is_set():
            busy.wait()
            free.wait(PATIENCE)

    other = threading.Thread(target=over_rows, args=(hold_up, *SHAPE))
    other.start()
    busy.wait()
    done: list[int] = []
    rows = np.ones(SHAPE[0])
    kept = weakref.ref(rows)
    over_rows(lambda first, last, rows=rows: done.append(rows[first:last].size), *SHAPE)
    del rows
    assert not free.is_set()
    assert kept() is None
    free.set()
    other.join()
    assert sum(done) == SHAPE[0]


def test_callers_beside_each_other_get_the_bits_that_each_gets_alone() -> None:
    inputs = [probe(SHAPE, seed, np.float32) for seed in range(4)]
    alone, found = [softmax(x) for x in inputs], [np.empty(0)] * 4

    def call(i: int) -> None:
        for _ in range(3):
            found[i] = softmax(inputs[i])

    callers = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    sg.set_num_threads(2)  # while they work
    for caller in callers:
        caller.join()
    for one, other in zip(found, alone, strict=True):
        assert_same_bits(one, other)


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["caller", "helper"])
def test_an_error_reaches_the_caller_and_stops_the_others(where: str) -> None:
    together, calls = threading.Barrier(3, timeout=PATIENCE), []

    def work(first: int, last: int) -> None:
        together.wait()
        calls.append(first)
        if (threading.current_thread() is threading.main_thread()) == (where == "caller"):
            raise MemoryError(f"in the {where}")
        time.sleep(0.1)

    with pytest.raises(MemoryError, match=f"in the {where}"):
        over_rows(work, *SHAPE)
    assert len(calls) == 3


def test_where_no_thread_can_be_started_the_caller_works_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    x = probe(SHAPE, 2, np.float32)
    expected = softmax(x)
    sg.set_num_threads(3)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert_same_bits(softmax(x), expected)
    assert_same_bits(softmax(x), expected)


@pytest.mark.parametrize("bad", [0, -1, -(10**9)])
def test_less_than_one_thread_is_a_value_error(bad: int) -> None:
    with pytest.raises(ValueError, match=f"`n` must be at least 1, got {bad}"):
        sg.set_num_threads(bad)
    assert sg.get_num_threads() == 3


@pytest.mark.parametrize("bad", [1.0, "2", None, True, [1]])
def test_a_number_of_threads_that_is_no_integer_is_a_type_error(bad: Any) -> None:
    with pytest.raises(TypeError, match="`n` must be an integer, got"):
        sg.set_num_threads(bad)
    assert sg.get_num_threads() == 3


def test_numpy_integers_are_numbers_of_threads() -> None:
    sg.set_num_threads(np.int64(2))
    assert sg.get_num_threads() == 2
    assert type(sg.get_num_threads()) is int


# --- processes -------------------------------------------------------------------------------


def run(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, for what would hang or end this one."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)


SETUP = """
import os, signal, sys, threading
import numpy as np
import softgrad as sg
sg.set_num_threads(3)
x = np.random.default_rng(0).normal(size=(4096, 130)).astype(np.float32)
expected = sg.softmax(x, impl="numba")
"""

FORK = """
child = os.fork()
if child == 0:
    again = sg.softmax(x, impl="numba")
    fine = np.array_equal(again, expected) and sg.get_num_threads() == 3
    helpers = [t for t in threading.enumerate() if t.name.startswith("softgrad")]
    os._exit(0 if fine and helpers else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert np.array_equal(sg.softmax(x, impl="numba"), expected)
"""

POOL = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    for result in pool.map(lambda_free, [x, x, x]):
        assert np.array_equal(result, expected)
"""

AT_EXIT = """
import atexit
def late():
    print("fine" if np.array_equal(sg.softmax(x, impl="numba"), expected) else "wrong")
atexit.register(late)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own() -> None:
    done = run(SETUP + FORK)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_workers_of_multiprocessing_get_the_same_bits() -> None:
    define = "def lambda_free(x): return sg.softmax(x, impl='numba')\n"
    done = run(SETUP + define + POOL)
    assert done.returncode == 0, done.stderr


def test_kernels_work_while_the_interpreter_ends() -> None:
    done = run(SETUP + AT_EXIT)
    assert (done.stdout.strip(), done.stderr) == ("fine", "")


INTERRUPTED = """
loss, labels = sg.CrossEntropy(reduction="sum"), np.zeros(2**18, np.int64)
big, out = np.zeros((2**18, 256), np.float32), np.zeros((2**18, 256), np.float32)
loss.value_and_gradient(big[:64], labels[:64], impl="numba")
print("ready", flush=True)
try:
    while True:
        loss.value_and_gradient(big, labels, impl="numba", out=out)
except KeyboardInterrupt:
    import time
    print("interrupted", flush=True)
    out[:] = 7
    time.sleep(0.2)
    assert (out == 7).all(), "a thread went on writing"
    print("silent", flush=True)
"""


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_is_answered_and_leaves_no_thread_writing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SETUP + INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert stdout.splitlines() == ["interrupted", "silent"], stderr


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_is_answered_while_a_kernel_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, ended, where = threading.Event(), threading.Event(), []

    def compile_for_long(*_: object) -> None:
        where.append(threading.current_thread())
        begun.set()
        ended.wait(PATIENCE)
        raise RuntimeError("nothing of this is kept")

    def interrupt() -> None:
        begun.wait(PATIENCE)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(KernelCache, "load_overload", compile_for_long)
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            compiled("never-compiled")(lambda x: None)(1.0)
    finally:
        ended.set()
        watcher.join()
    assert where[0] is not threading.main_thread(), "LLVM would not be interrupted"


def test_the_caller_hears_of_an_interrupt_when_every_helper_has_put_its_rows_down() -> None:
    together, running = threading.Barrier(3, timeout=PATIENCE), set()

    def work(first: int, last: int) -> None:
        running.add(first)
        together.wait()
        if threading.current_thread() is threading.main_thread():
            running.discard(first)
            raise KeyboardInterrupt
        time.sleep(0.1)
        running.discard(first)

    with pytest.raises(KeyboardInterrupt):
        over_rows(work, *SHAPE)
    assert not running
