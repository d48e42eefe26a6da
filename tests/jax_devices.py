"""A head whose classes are on four devices; run by itself, since JAX counts devices once."""

from __future__ import annotations

import os
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from softgrad.heads import LinearCrossEntropy

N, D, K = 12, 8, 20


def main() -> None:
    rng = np.random.default_rng(0)
    x, W, b = (rng.normal(size=s).astype(np.float32) for s in ((N, D), (K, D), (K,)))
    y = rng.integers(K, size=N)
    head = LinearCrossEntropy(memory=2000)
    mesh = Mesh(np.array(jax.devices()), ("vocabulary",))
    assert mesh.size == 4
    of_classes = NamedSharding(mesh, P("vocabulary"))
    everywhere = NamedSharding(mesh, P())
    spread = (jax.device_put(x, everywhere), *(jax.device_put(v, of_classes) for v in (W, b)))

    def loss(x: Any, W: Any, b: Any) -> Any:
        return head(x, W, jnp.asarray(y), b)

    value, bars = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*spread)
    here, expected = head.value_and_gradient(x, W, y, b)
    assert np.isclose(value, here, rtol=1e-6)
    for bar, right in zip(bars, expected, strict=True):
        assert np.allclose(bar, right, atol=1e-6 * np.abs(right).max()), np.abs(bar - right).max()
    assert bars[1].sharding.is_equivalent_to(of_classes, 2)
    print("right")


if __name__ == "__main__":
    main()
