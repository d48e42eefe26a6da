"""A third batch of wrong backwards, by someone who had not seen how a forward is followed."""

from benchmarks.checker.third_batch import (
    attention,
    divergences,
    embeddings,
    graphs,
    images,
    latent,
    layers,
    losses,
    networks,
    norms,
    ranks,
    sequences,
    softmaxes,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (
        softmaxes,
        losses,
        divergences,
        networks,
        embeddings,
        layers,
        norms,
        attention,
        sequences,
        graphs,
        images,
        ranks,
        latent,
    )
    for subject in room.SUBJECTS
}
