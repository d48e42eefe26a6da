"""What a fit tells while it runs: its history, the callbacks, and a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from softgrad.learn.team import ALONE, AbstractTeam

__all__ = ["Callback", "Watch", "watching"]

Callback = Callable[[Any], object]


class Watch:
    """Keeps records of epochs or steps, and passes them on."""

    def __init__(
        self,
        callbacks: Sequence[Callback],
        team: AbstractTeam = ALONE,
        show: Callback = lambda record: None,
    ) -> None:
        self.callbacks, self.team, self.show = callbacks, team, show
        self.records: list[Any] = []
        self.stopped = False
        """Whether a callback asked for the end."""

    def __call__(self, record: Any) -> bool:
        """Take a record; return whether to stop. Every callback hears of it, in all processes."""
        self.records.append(record)
        self.show(record)
        if not self.callbacks:
            return False
        with self.team.together():
            answers = [callback(record) for callback in self.callbacks]
        stop = any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)
        self.stopped = self.team.any(stop)
        return self.stopped


@contextmanager
def watching(
    callbacks: Sequence[Callback], total: int, name: str, bar: bool, team: AbstractTeam = ALONE
) -> Iterator[Watch]:
    """Watch a fit of so many epochs or steps at most, with a bar on stderr if that is wanted."""
    if not (bar and team.leads):
        yield Watch(callbacks, team)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    columns += [MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[said]}")]
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(name, total=total, said="")

        def show(record: Any) -> None:
            shown.update(task, completed=record.number, said=str(record))

        yield Watch(callbacks, team, show)
