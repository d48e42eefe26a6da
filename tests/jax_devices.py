"""A head whose classes are on four devices; run by itself, since JAX counts devices once."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from softgrad.heads import LinearCrossEntropy
from softgrad.jax import sharded_linear_cross_entropy

N, D, K = 12, 8, 20
HEAD = LinearCrossEntropy(memory=2000, label_smoothing=0.1)
RNG = np.random.default_rng(0)
SHAPES = ((N, D), (K, D), (K,))
POINT, DOTS = ([RNG.normal(size=s).astype(np.float32) for s in SHAPES] for _ in range(2))
LABELS = RNG.integers(K, size=N)
MESH = Mesh(np.array(jax.devices()), ("vocabulary",))
OF_CLASSES = P("vocabulary")


def by_jit(x: Any, W: Any, b: Any) -> Any:
    return HEAD(x, W, jnp.asarray(LABELS), b)


@partial(jax.shard_map, mesh=MESH, in_specs=(P(), OF_CLASSES, OF_CLASSES), out_specs=P())
def by_shard_map(x: Any, W: Any, b: Any) -> Any:
    labels = jnp.asarray(LABELS)
    return sharded_linear_cross_entropy(x, W, labels, b, axis_name="vocabulary", head=HEAD)


def assert_near(given: Any, right: Any) -> None:
    assert np.allclose(given, right, rtol=0, atol=1e-6 * np.max(np.abs(right)))


def main(loss: Any) -> None:
    assert MESH.size == 4
    specs = (P(), OF_CLASSES, OF_CLASSES)
    point, dots = (
        [jax.device_put(v, NamedSharding(MESH, spec)) for v, spec in zip(vs, specs, strict=True)]
        for vs in (POINT, DOTS)
    )
    value, bars = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*point)
    here, expected = HEAD.value_and_gradient(*POINT[:2], LABELS, POINT[2])
    assert_near(value, here)
    for bar, right in zip(bars, expected, strict=True):
        assert_near(bar, right)
    assert bars[1].sharding.is_equivalent_to(NamedSharding(MESH, OF_CLASSES), 2)

    def along(x: Any, W: Any, b: Any) -> Any:
        return jax.jvp(jax.grad(loss, (0, 1, 2)), (x, W, b), tuple(dots))[1]

    named = dict(zip(("x_dot", "W_dot", "bias_dot"), DOTS, strict=True))
    products = HEAD.hvp(*POINT[:2], LABELS, POINT[2], **named)
    for product, right in zip(jax.jit(along)(*point), products, strict=True):
        assert_near(product, right)
    print("right")


if __name__ == "__main__":
    main({"jit": by_jit, "shard_map": by_shard_map}[sys.argv[1]])
