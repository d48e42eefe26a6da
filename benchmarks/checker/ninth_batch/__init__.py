"""A ninth batch: everyday mistakes as often as they are met, and outputs that the others lack.

What people get wrong was read anew in some hundred and thirty look-ups, of about a thousand
excerpts: functions named softmax_prime, softmax_deriv, dsoftmax, grad_softmax, softmax_backward,
backward_softmax, cross_entropy_derivative, softmax_cost, nn_epoch or gradient_bandit; lines with
``delta3 = probs``, ``dZ3 = A3 -``, ``H[a] -= alpha``, ``dh_next = dh * (1 - z``; classes named
SoftmaxLayer, LogSoftmax or SoftmaxWithLoss; and in threads, issues and pull requests on wrong
gradients. What was met most often: the diagonal alone, in half of all slopes of softmax; what
arrives is ignored, or a loss is averaged and its gradient is not; a bias gets one sum; the slope at
what the activation returned; a mask of the gradient; one of several ways back, in gated networks;
the second output's gradient, in attention. Three fifths of the subjects are what is written most
often. A comment says where a mistake was met; one without was met in an operation beside it. The
code is ours. The batch was written by someone who had not read how mistakes are named.

Names are accepted by the rules of the eighth batch.
"""

from benchmarks.checker.ninth_batch import (
    attention,
    engines,
    functions,
    images,
    mixtures,
    networks,
    pairs,
    policies,
    sequences,
    trees,
)

__all__ = ["SUBJECTS"]

ROOMS = (
    networks, engines, functions, images, mixtures, sequences, attention, policies, pairs, trees,
)  # fmt: skip

SUBJECTS = {subject.name: subject for room in ROOMS for subject in room.SUBJECTS}
