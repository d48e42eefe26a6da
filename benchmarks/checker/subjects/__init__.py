"""What is checked, by name."""

from benchmarks.checker.subjects import (
    compositions,
    elementwise,
    layers,
    losses,
    norms,
    softmaxes,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (softmaxes, elementwise, losses, layers, norms, compositions)
    for subject in room.SUBJECTS
}
