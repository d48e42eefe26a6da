"""softgrad under PyTorch's names: functions and modules that stand in for PyTorch's own.

They have PyTorch's arguments, defaults, class axis and dtypes, and softgrad's derivatives: the
digits of confident rows, and every mode of differentiation.

>>> import torch
>>> import softgrad.torch
>>> loss = softgrad.torch.CrossEntropyLoss()
>>> logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
>>> loss(logits, torch.tensor([0])).backward()
>>> logits.grad  # torch.nn.CrossEntropyLoss gives [0, 4.2484e-18]
tensor([[-4.2484e-18,  4.2484e-18]])
"""

from softgrad.torch.causal_lm import patch_causal_lm, unpatch_causal_lm
from softgrad.torch.cross_entropy import CrossEntropyLoss, cross_entropy
from softgrad.torch.linear_cross_entropy import LinearCrossEntropyLoss, linear_cross_entropy
from softgrad.torch.maps import Entmax, LogSoftmax, Softmax, Sparsemax
from softgrad.torch.softmax import log_softmax, softmax
from softgrad.torch.softmax_head import SoftmaxHead

__all__ = [
    "CrossEntropyLoss",
    "Entmax",
    "LinearCrossEntropyLoss",
    "LogSoftmax",
    "Softmax",
    "SoftmaxHead",
    "Sparsemax",
    "cross_entropy",
    "linear_cross_entropy",
    "log_softmax",
    "patch_causal_lm",
    "softmax",
    "unpatch_causal_lm",
]
