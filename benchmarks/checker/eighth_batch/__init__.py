"""An eighth batch: everyday mistakes as often as they are met, and losses that the others lack.

What people get wrong was read anew in some two hundred public functions, as they came: those named
softmax_grad, softmax_derivative, d_softmax, softmax_crossentropy_backward, cross_entropy_backward,
attention_backward, backward_propagation, backward_prop, grad_log_pi or naiveSoftmaxLossAndGradient,
lines with ``dZ2 = A2 - Y`` or ``d_out_d_t[i]``, classes named SoftmaxCrossEntropy or
CrossEntropyLoss, rules beside defvjp; in Q&A threads, and in some sixty issues and pull requests on
wrong gradients. Half of the subjects are what is written most often. A comment says where a mistake
was met; one without was met in an operation beside it. The code is ours. The batch was written by
someone who had not read how mistakes are named.

A name is accepted where it is literally true of the edit and leads its author to the line. Often
there are two: what is lost of a sum over classes is a term of the chain and, where that sum is an
inner product with the probabilities, the projection's; a sum that a norm's statistics need is both,
too; a mean in place of a sum is a factor, and where only one term has it, a term of the chain; an
input that takes a second path and loses it is a fan-in that was not summed; the gradient of softmax
and loss together, multiplied by softmax's slope once more, is a rule for another variable.
"""

from benchmarks.checker.eighth_batch import (
    functions,
    heads,
    layers,
    losses,
    networks,
    policies,
    sequences,
)

__all__ = ["SUBJECTS"]

SUBJECTS = {
    subject.name: subject
    for room in (networks, layers, functions, sequences, policies, heads, losses)
    for subject in room.SUBJECTS
}
