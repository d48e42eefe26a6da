"""A head on four devices, by classes or by rows; run by itself: JAX counts devices once."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from softgrad.heads import LinearCrossEntropy
from softgrad.jax import sharded_linear_cross_entropy
from softgrad.losses import CrossEntropy

N, D, K = 12, 8, 20
HEAD = LinearCrossEntropy(memory=2000, label_smoothing=0.1)
EACH = LinearCrossEntropy(memory=2000, label_smoothing=0.1, reduction="none")
RNG = np.random.default_rng(0)
SHAPES = ((N, D), (K, D), (K,))
POINT, DOTS = ([RNG.normal(size=s).astype(np.float32) for s in SHAPES] for _ in range(2))
LABELS = RNG.integers(K, size=N)
CLASSES = Mesh(np.array(jax.devices()), ("vocabulary",))
ROWS = Mesh(np.array(jax.devices()), ("rows",))
BOTH = Mesh(np.array(jax.devices()).reshape(2, 2), ("rows", "vocabulary"))
OF_CLASSES, OF_ROWS = P("vocabulary"), P("rows")
SPREAD = (P(), OF_CLASSES, OF_CLASSES)


def by_jit(x: Any, W: Any, b: Any) -> Any:
    return HEAD(x, W, jnp.asarray(LABELS), b)


@partial(jax.shard_map, mesh=CLASSES, in_specs=SPREAD, out_specs=P())
def of_classes(x: Any, W: Any, b: Any) -> Any:
    labels = jnp.asarray(LABELS)
    return sharded_linear_cross_entropy(x, W, labels, b, axis_name="vocabulary", head=HEAD)


def of_rows(x: Any, W: Any, b: Any) -> Any:
    @partial(jax.shard_map, mesh=ROWS, in_specs=(OF_ROWS, P(), P(), OF_ROWS), out_specs=P())
    def mean(x: Any, W: Any, b: Any, labels: Any) -> Any:
        return lax.pmean(HEAD(x, W, labels, b), "rows")

    return mean(x, W, b, jnp.asarray(LABELS))


def of_both(x: Any, W: Any, b: Any) -> Any:
    specs = (OF_ROWS, OF_CLASSES, OF_CLASSES, OF_ROWS)

    @partial(jax.shard_map, mesh=BOTH, in_specs=specs, out_specs=P())
    def mean(x: Any, W: Any, b: Any, labels: Any) -> Any:
        axis = "vocabulary"
        losses = sharded_linear_cross_entropy(x, W, labels, b, axis_name=axis, head=EACH)
        return lax.pmean(jnp.mean(losses), "rows")

    return mean(x, W, b, jnp.asarray(LABELS))


def of_weights(x: Any, W: Any, b: Any) -> Any:
    """Let every device have all logits, and the weights of some rows."""
    total = CrossEntropy(reduction="sum", label_smoothing=0.1)

    @partial(jax.shard_map, mesh=ROWS, in_specs=(P(), OF_ROWS), out_specs=P())
    def mean(z: Any, weights: Any) -> Any:
        own = total(z, jnp.asarray(LABELS), row_weights=weights[0])
        return lax.psum(own, "rows") / N

    weights = np.repeat(np.eye(4, dtype=np.float32), N // 4, axis=1)  # [devices, N]
    return mean(x @ W.T + b, jnp.asarray(weights))


WAYS = {
    "jit": (by_jit, CLASSES, SPREAD),
    "classes": (of_classes, CLASSES, SPREAD),
    "rows": (of_rows, ROWS, (OF_ROWS, P(), P())),
    "both": (of_both, BOTH, (OF_ROWS, OF_CLASSES, OF_CLASSES)),
    "weights": (of_weights, ROWS, (P(), P(), P())),
}


def assert_near(given: Any, right: Any) -> None:
    assert np.allclose(given, right, rtol=0, atol=1e-6 * np.max(np.abs(right)))


def main(loss: Any, mesh: Mesh, specs: Any) -> None:
    assert mesh.size == 4
    point, dots = (
        [jax.device_put(v, NamedSharding(mesh, spec)) for v, spec in zip(vs, specs, strict=True)]
        for vs in (POINT, DOTS)
    )
    value, bars = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*point)
    here, expected = HEAD.value_and_gradient(*POINT[:2], LABELS, POINT[2])
    assert_near(value, here)
    for bar, right in zip(bars, expected, strict=True):
        assert_near(bar, right)
    assert bars[1].sharding.is_equivalent_to(NamedSharding(mesh, specs[1]), 2)

    def along(x: Any, W: Any, b: Any) -> Any:
        return jax.jvp(jax.grad(loss, (0, 1, 2)), (x, W, b), tuple(dots))[1]

    named = dict(zip(("x_dot", "W_dot", "bias_dot"), DOTS, strict=True))
    products = HEAD.hvp(*POINT[:2], LABELS, POINT[2], **named)
    for product, right in zip(jax.jit(along)(*point), products, strict=True):
        assert_near(product, right)
    print("right")


if __name__ == "__main__":
    main(*WAYS[sys.argv[1]])
