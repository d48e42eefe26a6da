"""JAX's transformations, taught the derivatives of maps, losses and heads.

Differentiating the arithmetic of a formula would lose what the formula keeps: the digits of a
saturated row. So JAX is handed J itself, and its derivative: forward, reverse, `vmap` and `jit`,
and any of them inside another.
"""

from softgrad.frameworks.jax.head import head_value
from softgrad.frameworks.jax.rules import loss_value, map_value
from softgrad.frameworks.jax.selected import selected_value

__all__ = ["head_value", "loss_value", "map_value", "selected_value", "wants_derivatives"]


def wants_derivatives(*arrays: object) -> bool:
    """Tell that JAX may always differentiate, batch or compile what is done to its arrays."""
    return True
