"""PyTorch's differentiation, taught the derivatives of maps, losses and heads.

Differentiating the arithmetic of a formula would lose what the formula keeps: the digits of a
saturated row, the limits at −inf. So PyTorch is handed J itself, and its derivative, in every mode:
backward, forward, `torch.func`, and any of them inside another.
"""

from softgrad.frameworks.torch import entries, selected
from softgrad.frameworks.torch.graph import one_node
from softgrad.frameworks.torch.modes import has_numbers, is_autocast, may_vary, wants_derivatives

__all__ = [
    "has_numbers",
    "head_value",
    "is_autocast",
    "loss_value",
    "map_value",
    "may_vary",
    "selected_value",
    "wants_derivatives",
]

head_value = one_node(entries.head_value)
loss_value = one_node(entries.loss_value)
map_value = one_node(entries.map_value)
selected_value = one_node(selected.selected_value)
