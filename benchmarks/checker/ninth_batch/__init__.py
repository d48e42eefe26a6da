"""A ninth batch."""

from benchmarks.checker.ninth_batch import (
    functions,
    images,
    mixtures,
    networks,
    policies,
    sequences,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (networks, functions, images, mixtures, sequences, policies)
    for subject in room.SUBJECTS
}
