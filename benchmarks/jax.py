"""`python -m benchmarks.jax`: what a call costs on JAX's arrays, beside JAX's and optax's own.

All ways of a table run in one process, by turns; the figure is the median of the turns. Both sides
are compiled by XLA for the processor, in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import softgrad as sg

TURNS = 7


def main() -> None:
    """Print both tables."""
    print("| call on 8 × 10 | softgrad, µs | own, µs | ratio |\n|---|---|---|---|")
    for name, (ours, theirs, arguments) in calls(8, 10).items():
        show(name, ours, theirs, arguments, repeat=300, unit=1e6)
    for shape in ((4096, 1000), (256, 32768), (256, 50257)):
        print(f"\n| compiled, {shape[0]} × {shape[1]} | softgrad, ms | own, ms | ratio |")
        print("|---|---|---|---|")
        for name, (ours, theirs, arguments) in calls(*shape).items():
            show(name, jax.jit(ours), jax.jit(theirs), arguments, repeat=1, unit=1e3)


def calls(rows: int, classes: int) -> dict[str, tuple[Any, Any, tuple[Any, ...]]]:
    """Return ours, theirs and the arguments, by name."""
    rng = np.random.default_rng(0)
    x, g = (jnp.asarray(5 * rng.normal(size=(rows, classes)), jnp.float32) for _ in range(2))
    y = jnp.asarray(rng.integers(classes, size=rows))

    def vjp_of(f: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda x, g: jax.vjp(f, x)[1](g)[0]

    def optax_mean(x: Any, y: Any) -> Any:
        return optax.losses.softmax_cross_entropy_with_integer_labels(x, y).mean()

    return {
        "softmax": (sg.softmax, jax.nn.softmax, (x,)),
        "log_softmax": (sg.log_softmax, jax.nn.log_softmax, (x,)),
        "softmax, vjp": (vjp_of(sg.softmax), vjp_of(jax.nn.softmax), (x, g)),
        "cross_entropy": (sg.cross_entropy, optax_mean, (x, y)),
        "cross_entropy, value and gradient": (
            jax.value_and_grad(sg.cross_entropy),
            jax.value_and_grad(optax_mean),
            (x, y),
        ),
    }


def show(
    name: str, ours: Any, theirs: Any, arguments: tuple[Any, ...], repeat: int, unit: float
) -> None:
    """Print a row."""
    times: tuple[list[float], list[float]] = ([], [])
    for f in (ours, theirs):
        jax.block_until_ready(f(*arguments))
    for _ in range(TURNS):
        for f, list_of in zip((ours, theirs), times, strict=True):
            start = perf_counter()
            for _ in range(repeat):
                last = f(*arguments)
            jax.block_until_ready(last)
            list_of.append((perf_counter() - start) / repeat * unit)
    a, b = map(median, times)
    print(f"| {name} | {a:.3g} | {b:.3g} | {a / b:.2f} |", flush=True)


if __name__ == "__main__":
    main()
