"""PyTorch's differentiation, taught the derivatives of maps, losses and heads.

Differentiating the arithmetic of a formula would lose what the formula keeps: the digits of a
saturated row, the limits at −inf. So PyTorch is handed J itself, and its derivative, in every mode:
backward, forward, `torch.func`, and any of them inside another.
"""

from softgrad.frameworks.torch.head import head_value
from softgrad.frameworks.torch.modes import wants_derivatives
from softgrad.frameworks.torch.rules import loss_value, map_value
from softgrad.frameworks.torch.selected import selected_value

__all__ = [
    "head_value",
    "loss_value",
    "map_value",
    "selected_value",
    "wants_derivatives",
]
