"""The suites: which work, at which shapes, with which goals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from softgrad.bench.data import HeadInputs, Logits, head_inputs, logits
from softgrad.bench.goals import FasterThan, Goal, LinearCost, WithinFloor
from softgrad.bench.ways import cross_entropy, head, softmax, softmax_vjp
from softgrad.bench.work import Case, Way

__all__ = ["TIMED"]

LOGITS = ((65536, 10), (8192, 1000), (256, 32768), (512, 131072))
QUICK_LOGITS = ((2048, 10), (64, 1000))
HEADS = ((4096, 512, 32768), (2048, 256, 50257))  # N, D, K
QUICK_HEADS = ((256, 64, 1000),)
SIZES = ((512, 256, 8192), (1024, 256, 16384), (2048, 256, 32768))
QUICK_SIZES = ((128, 64, 500), (256, 64, 1000), (512, 64, 2000))


def cross_entropy_cases(quick: bool) -> Iterator[Case]:
    """Yield loss and gradient of logits."""
    goals: dict[tuple[int, int], tuple[Goal, ...]] = {
        (65536, 10): (FasterThan(1.5),),
        (8192, 1000): (FasterThan(3), WithinFloor(3)),
        (256, 32768): (FasterThan(3), WithinFloor(3)),
        (512, 131072): (FasterThan(3),),
    }
    yield from _of_logits("cross-entropy", cross_entropy.ways, quick, goals)


def softmax_cases(quick: bool) -> Iterator[Case]:
    """Yield values of softmax."""
    goal = FasterThan(1, library="PyTorch")
    yield from _of_logits("softmax", softmax.ways, quick, dict.fromkeys(LOGITS, (goal,)))


def softmax_vjp_cases(quick: bool) -> Iterator[Case]:
    """Yield softmax's VJP: of a value that is there, and together with the value."""
    goals = dict.fromkeys(LOGITS, (FasterThan(1, library="PyTorch"),))
    yield from _of_logits("softmax-vjp, given p", softmax_vjp.ways_given_p, quick, goals)
    yield from _of_logits("softmax-vjp, from logits", softmax_vjp.ways_from_logits, quick, goals)


def _of_logits(
    suite: str,
    ways: Callable[[Logits], tuple[Way, ...]],
    quick: bool,
    goals: Mapping[tuple[int, int], tuple[Goal, ...]],
) -> Iterator[Case]:
    for shape in QUICK_LOGITS if quick else LOGITS:
        yield Case(suite, _times(*shape), ways(logits(*shape)), goals.get(shape, ()))


def head_cases(quick: bool) -> Iterator[Case]:
    """Yield the output layer: loss and gradients from features and weights."""
    goals = () if quick else (FasterThan(1.4, library="PyTorch"), WithinFloor(1.25))
    for shape in QUICK_HEADS if quick else HEADS:
        yield Case("linear-cross-entropy", _times(*shape), head.ways(head_inputs(*shape)), goals)


def scaling_cases(quick: bool) -> Iterator[Case]:
    """Yield one case, whose ways are three sizes of the same work."""
    sizes = QUICK_SIZES if quick else SIZES
    ways = tuple(_sized(head_inputs(*size)) for size in sizes)
    goals = () if quick else (LinearCost(1.3),)
    yield Case("scaling", "N × D × K", ways, goals)


def _sized(given: HeadInputs) -> Way:
    (N, D), (K, _) = given.x.shape, given.W.shape
    way = next(way for way in head.ways(given) if way.name == head.NUMPY)
    return replace(way, name=_times(N, D, K), floor="", work=float(N * D * K))


def _times(*shape: int) -> str:
    return " × ".join(map(str, shape))


TIMED: dict[str, Callable[[bool], Iterator[Case]]] = {
    "cross-entropy": cross_entropy_cases,
    "softmax": softmax_cases,
    "softmax-vjp": softmax_vjp_cases,
    "linear-cross-entropy": head_cases,
    "scaling": scaling_cases,
}
