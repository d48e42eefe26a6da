"""A fourth batch of wrong backwards, by someone who had not read how mistakes are named."""

from benchmarks.checker.fourth_batch import (
    attention,
    characters,
    classifiers,
    embeddings,
    features,
    layers,
    losses,
    networks,
    norms,
    outputs,
    pools,
    regressions,
    softmaxes,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (
        softmaxes,
        losses,
        classifiers,
        regressions,
        networks,
        characters,
        norms,
        attention,
        embeddings,
        layers,
        features,
        pools,
        outputs,
    )
    for subject in room.SUBJECTS
}
