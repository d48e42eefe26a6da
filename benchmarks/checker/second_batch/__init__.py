"""A second batch of wrong backwards, written by someone who had not seen the hypotheses."""

from benchmarks.checker.second_batch import (
    activations,
    attention,
    classifiers,
    convolutions,
    distances,
    losses,
    mixtures,
    norms,
    pooling,
    recurrent,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (
        activations,
        recurrent,
        convolutions,
        norms,
        distances,
        losses,
        classifiers,
        pooling,
        attention,
        mixtures,
    )
    for subject in room.SUBJECTS
}
