"""A seventh batch: everyday mistakes, as often as they are met, and heads that the others lack.

What people get wrong was read in some hundred and fifty public functions, as they came: those named
softmax_backward, softmax_gradient, softmax_prime, softmax_derivative, cross_entropy_derivative,
log_softmax_backward, back_prop, attention_backward, layernorm_backward or softmax_jvp; in solutions
of courses, in Q&A threads, and in a hundred issues and pull requests on wrong gradients.
Half of the subjects are what is written most often. A comment says where a mistake was met; one
without was met in an operation beside it. The code is ours. The batch was written by someone who
had not read how mistakes are named.
"""

from benchmarks.checker.seventh_batch import (
    attention,
    columns,
    heads,
    losses,
    policies,
    rows,
    sequences,
    softmaxes,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (columns, rows, softmaxes, losses, sequences, policies, attention, heads)
    for subject in room.SUBJECTS
}
