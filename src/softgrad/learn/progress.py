"""What a fit tells while it runs: its history, the callbacks, and a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["Callback", "Watch", "watching"]

Callback = Callable[[Any], object]


class Watch:
    """Keeps records of epochs or steps, and passes them on."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = callbacks
        self.records: list[Any] = []
        self.stopped = False
        """Whether a callback asked for the end."""

    def __call__(self, record: Any) -> bool:
        """Take a record; return whether to stop. Every callback hears of it."""
        self.records.append(record)
        answers = [callback(record) for callback in self.callbacks]
        self.stopped = any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)
        return self.stopped


@contextmanager
def watching(callbacks: Sequence[Callback], total: int, name: str, bar: bool) -> Iterator[Watch]:
    """Watch a fit of so many epochs or steps at most, with a bar on stderr if that is wanted."""
    if not bar:
        yield Watch(callbacks)
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

        yield Watch([show, *callbacks])
