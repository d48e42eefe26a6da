"""What a training run came to: accuracy, the confusion matrix, the verdicts before it began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from softgrad.explain.layer_checks import LayerCheck
from softgrad.nn import History
from softgrad.results import Block, Paragraph, Result, Table, counted, number

__all__ = ["Training", "confusion_counts"]

_WIDTH = 78
"""Of a confusion matrix in a terminal."""
_MISTAKES = 10
"""As many rows has the list that stands for a matrix without room."""


def confusion_counts(y: Any, predicted: Any, classes: int) -> NDArray[np.int64]:
    """Count how often class k (row) was taken for class j (column); [N], [N] -> [K, K].

    >>> confusion_counts([0, 0, 1], [0, 1, 1], classes=2)
    array([[1, 1],
           [0, 1]])
    """
    cells = np.asarray(y) * classes + np.asarray(predicted)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, eq=False)
class Training(Result):
    """A training run on a data set."""

    schema: ClassVar[str] = "softgrad.train/1"

    data: str
    source: str
    """The name or path that `data` was read from."""
    classes: tuple[str, ...]
    features: int
    rows: int
    """Those that were trained on."""
    validation_rows: int
    layers: tuple[str, ...]
    settings: Mapping[str, Any]
    """As on the command line, the seed among them."""
    checks: tuple[LayerCheck, ...]
    history: History
    validation_accuracy: float
    validation_loss: float
    confusion: NDArray[np.int64]  # [K, K]; row: true class, column: predicted class
    seconds: float

    def blocks(self) -> Iterable[Block]:
        """Yield the accuracy and the confusion matrix."""
        right = int(np.trace(self.confusion))
        yield Paragraph(
            f"Validation accuracy {100 * self.validation_accuracy:.1f} %: {right} of "
            f"{counted(self.validation_rows, 'row')} right; loss {number(self.validation_loss)}",
            "title",
        )
        yield Paragraph(
            f"{counted(len(self.history.epochs), 'epoch')} on {counted(self.rows, 'row')} "
            f"in {self.seconds:.1f} s, seed {self.settings['seed']}",
            "quiet",
        )
        table, caption = self._matrix(), "Rows: the true class. Columns: the predicted one."
        if _width(table) > _WIDTH:
            table, caption = self._mistakes(), "The most frequent mistakes:"
        yield Paragraph(caption)
        yield table

    def _matrix(self) -> Table:
        digits = len(str(self.confusion.max()))
        rows = (
            (f"{name} ({k})" if name != str(k) else name, *(_count(n, digits) for n in counts))
            for k, (name, counts) in enumerate(zip(self.classes, self.confusion, strict=True))
        )
        columns = ("true class", *(str(k).rjust(digits) for k in range(len(self.classes))))
        return Table(columns, tuple(rows))

    def _mistakes(self) -> Table:
        wrong = self.confusion * ~np.eye(len(self.classes), dtype=bool)
        order = np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]
        pairs = (divmod(int(cell), len(self.classes)) for cell in order)
        rows = tuple(
            (self.classes[k], self.classes[j], int(wrong[k, j])) for k, j in pairs if wrong[k, j]
        )
        return Table(("true class", "taken for", "rows"), rows)


def _count(count: int, digits: int) -> str:
    return (str(count) if count else "·").rjust(digits)


def _width(table: Table) -> int:
    """Return how wide a table is drawn: a border and a space on each side of its cells."""
    cells = zip(*([table.columns, *table.rows]), strict=True)
    return 1 + sum(3 + max(len(str(cell)) for cell in column) for column in cells)
