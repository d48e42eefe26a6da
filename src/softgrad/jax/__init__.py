"""softgrad under the names that JAX's users know: the losses of optax.

They have optax's arguments, defaults and shapes, and softgrad's digits and derivatives. The maps,
losses and heads of softgrad take JAX's arrays without any of this.

>>> import jax, jax.numpy as jnp
>>> from softgrad.jax import losses
>>> logits = jnp.array([[40.0, 0.0]])
>>> def mean(logits):
...     return losses.softmax_cross_entropy_with_integer_labels(logits, jnp.array([0])).mean()
>>> print(jax.grad(mean)(logits))  # optax gives [0, 4.2484e-18]
[[-4.24835...e-18  4.24835...e-18]]
"""

from softgrad.jax import losses
from softgrad.jax.sharded import sharded_linear_cross_entropy

__all__ = ["losses", "sharded_linear_cross_entropy"]
