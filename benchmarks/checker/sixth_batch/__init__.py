"""A sixth batch: hand-written gradients of softmax's own field, as they are found, in many styles.

What people get wrong was looked up anew: in functions named like softmax_prime, softmax_backward,
attention_backward, rmsnorm_backward or gru_backward, in layers whose text holds
attn * (1 − attn), in solutions of courses, in threads, and in a few hundred issues and pull
requests on wrong gradients.
A comment says where a mistake was met; one without was met in an operation beside it. The code is
ours. Subjects that earlier batches lack, or treat in another style: classes with caches, loops over
samples and classes, einsum, dictionaries. The batch was written by someone who had not read how
mistakes are named.
"""

from benchmarks.checker.sixth_batch import (
    attention,
    contrasts,
    divergences,
    heads,
    layers,
    losses,
    memory,
    policies,
    recurrent,
    regressions,
    routers,
    sequences,
    words,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (
        layers,
        regressions,
        recurrent,
        words,
        policies,
        contrasts,
        losses,
        divergences,
        routers,
        attention,
        memory,
        heads,
        sequences,
    )
    for subject in room.SUBJECTS
}
