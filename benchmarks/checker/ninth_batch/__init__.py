"""A ninth batch."""

from benchmarks.checker.ninth_batch import networks

__all__ = ["SUBJECTS"]

SUBJECTS = {subject.name: subject for room in (networks,) for subject in room.SUBJECTS}
