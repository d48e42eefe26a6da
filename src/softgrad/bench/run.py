"""Run suites, one case after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from softgrad.bench.compiler import TORCH_COMPILE
from softgrad.bench.machine import Machine
from softgrad.bench.measure import measure
from softgrad.bench.measurement import Measured
from softgrad.bench.memory import memory_cases
from softgrad.bench.result import Benchmark
from softgrad.bench.suites import TIMED
from softgrad.bench.timing import FULL, QUICK
from softgrad.bench.work import Case
from softgrad.errors import mismatch

__all__ = ["SUITES", "bench"]

SUITES = (*TIMED, "memory")
"""The names of the suites, in the order in which they run."""


def bench(
    suites: Iterable[str] = SUITES,
    quick: bool = False,
    watch: Callable[[Measured], None] = lambda case: None,
) -> Benchmark:
    """Measure softgrad and what else is installed on this machine.

    Every answer is compared with one in float64 before it is timed. The ways of a case take turns,
    and the figures are medians.

    Parameters
    ----------
    suites : names among `SUITES`
    quick : bool
        Small shapes, few rounds, no torch.compile: it shows that all is well, and no figures.
    watch : callable, optional
        Is called with every case when it is done.

    Returns
    -------
    Benchmark
        With a terminal, a notebook and a JSON face.

    Raises
    ------
    ValueError
        There is no such suite.
    """
    names = tuple(suites)
    for name in names:
        if name not in SUITES:
            raise ValueError(mismatch("suites", f"among {', '.join(SUITES)}", repr(name)))
    machine, cases = Machine.this(), []
    for name in SUITES:
        for case in _cases(name, quick) if name in names else ():
            watch(case)
            cases.append(case)
    return Benchmark(machine, quick, tuple(_notes(machine, quick)), tuple(cases))


def _cases(name: str, quick: bool) -> Iterator[Measured]:
    if name == "memory":
        yield from memory_cases(quick)
        return
    for case in TIMED[name](quick):
        yield measure(_without_compiler(case), QUICK) if quick else measure(case, FULL)


def _without_compiler(case: Case) -> Case:
    ways = tuple(way for way in case.ways if not way.name.startswith(TORCH_COMPILE))
    return replace(case, ways=ways)


def _notes(machine: Machine, quick: bool) -> Iterator[str]:
    for peer in machine.missing:
        yield f"{peer} is not installed, and not compared."
    if quick:
        yield f"Quick: small shapes, few rounds, no {TORCH_COMPILE}, no goals."
    yield (
        "Errors are relative to the largest entry; those of confident rows, where 1 − p is 1e-9, "
        "to the largest entry of the row."
    )
