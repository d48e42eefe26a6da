"""Ordinary tensors on a short way: from their memory to the kernels, as one node of the graph.

On few rows a call costs what its Python costs, and nearly all calls are of one kind: floats in C
order on the CPU, the class axis last, labels, and nothing but one backward to come. One look tells
them apart. Whatever is of another kind gets None here, and goes the way that all kinds can go; the
numbers are the same on both.
"""

from softgrad.frameworks.torch.direct.heads import HeadWay, head_of_labels
from softgrad.frameworks.torch.direct.losses import LossWay, is_plain_loss, loss_of_labels
from softgrad.frameworks.torch.direct.maps import map_of_rows

__all__ = [
    "HeadWay",
    "LossWay",
    "head_of_labels",
    "is_plain_loss",
    "loss_of_labels",
    "map_of_rows",
]
