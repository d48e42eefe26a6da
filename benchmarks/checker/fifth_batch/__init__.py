"""A fifth batch: mistakes that were found in public repositories, threads and issues.

What people get wrong was looked up in functions named like softmax_derivative, softmax_backward,
cross_entropy_derivative, layernorm_backward or focal_loss_grad, in solutions of courses, in Q&A
threads, and in issues and pull requests about wrong gradients. Most mistakes here were met there;
the others are what the same slip looks like in an operation beside it. A comment above a group says
where its kind is met. The code is ours. The batch was written by someone who had not read how
mistakes are named.
"""

from benchmarks.checker.fifth_batch import (
    attention,
    binary,
    chains,
    divergences,
    entropies,
    networks,
    norms,
    operations,
    pairs,
    policies,
    regressions,
    relatives,
    routers,
    softmaxes,
    words,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (
        softmaxes,
        relatives,
        entropies,
        divergences,
        binary,
        networks,
        operations,
        regressions,
        attention,
        norms,
        words,
        policies,
        routers,
        chains,
        pairs,
    )
    for subject in room.SUBJECTS
}
