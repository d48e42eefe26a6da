"""Ranks that die, raise or are late: the others stop at once, and name them, or wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("PyTorch was built without torch.distributed", allow_module_level=True)

import distributed_faults as faults  # noqa: E402
from distributed_world import RANKS, World, at_rank_0, in_folder, started_world  # noqa: E402
from softgrad.errors import RankStoppedError  # noqa: E402

STATED = 5.0
"""Seconds after which all ranks have stopped, as the documentation says."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with started_world(in_folder(tmp_path_factory.mktemp("world"))) as world:
        yield world


def assert_stopped(found: Any, reason: str) -> None:
    """Raise unless a call has ended with an error that begins so, in time."""
    seconds, error = found
    assert isinstance(error, RankStoppedError), error
    assert str(error).startswith(reason), error
    assert seconds < STATED


def test_a_rank_that_is_killed_is_named_by_all() -> None:
    """Before a call, amid its exchanges, and with the store in which others would be told."""
    deaths = [([0, 1, 2, 3], 2, 0), ([0, 1, 3], 2, 3), ([0, 1], 0, 2)]
    with started_world(at_rank_0()) as world:
        world.results(RANKS, faults.made, *(members for members, *_ in deaths))
        for group, (members, victim, exchanges) in enumerate(deaths):
            answers = world.run(RANKS, faults.died, group, victim, exchanges)
            assert answers[members.pop(victim)] is None  # dead
            for rank in members:
                first, again = answers[rank]
                assert_stopped(first, f"rank {victim} of the group cannot be reached any more (")
                assert str(again[1]) == str(first[1])  # which nobody has to wait for
                assert again[0] < 0.5


@pytest.mark.parametrize("phase", ["at work", "loss at work"])
def test_what_a_rank_raises_amid_exchanges_stops_all(world: World, phase: str) -> None:
    answers = world.results(RANKS, faults.raised, 3, 1, phase)
    (_, own), (_, own_again) = answers.pop(1)
    assert isinstance(own, MemoryError)
    reason = "rank 1 of the group has raised MemoryError: there is no room; the group is out of"
    assert str(own_again).startswith(reason)
    for first, again in answers[:2]:
        assert_stopped(first, reason)
        assert_stopped(again, reason)


def test_what_a_rank_raises_before_is_told_and_the_next_call_is_in_step(world: World) -> None:
    answers = world.results(RANKS, faults.raised, 3, 1, "before the ranks have met")[:3]
    assert isinstance(answers[1][0][1], MemoryError)
    for (seconds, error), _ in (answers[0], answers[2]):
        assert str(error) == "rank 1 of the group has raised MemoryError: there is no room"
        assert seconds < STATED
    (loss,) = {again for _, (_, again) in answers}
    assert 0 < loss < 10


def test_a_rank_that_is_interrupted_waits_for_nobody(world: World) -> None:
    (theirs,), (own,) = world.results(RANKS, faults.interrupted)[:2]
    assert isinstance(own[1], KeyboardInterrupt)
    assert own[0] < STATED - 1  # the other has not come yet
    assert_stopped(theirs, "rank 1 of the group has raised KeyboardInterrupt")


def test_a_rank_that_is_late_is_waited_for(world: World) -> None:
    answers = world.results(RANKS, faults.late)
    (loss,) = {loss for _, loss in answers}
    assert 0 < loss < 10
    assert max(seconds for seconds, _ in answers) > 2
