"""One implementation for every promise that breaks it: softgrad's own, with one fault."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.promises.adapters.softgrad import ADAPTER

__all__ = ["BREAKERS", "Breaker", "Changed", "one_thread"]

GOOD = ADAPTER.functions


class Changed:
    """An implementation with some of its functions changed; its signature stays."""

    def __init__(self, base: Any, value: Any = None, **derivatives: Callable[..., Any]) -> None:
        self.__wrapped__ = base
        self.value = value or base
        for name in ("vjp", "jvp", "hvp"):
            setattr(self, name, derivatives.get(name, getattr(base, name)))

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.value(*arguments, **options)


@dataclass(frozen=True)
class Breaker:
    suite: str
    implementation: Any


def changed(suite: str, value: Any = None, **derivatives: Callable[..., Any]) -> Breaker:
    return Breaker(suite, Changed(GOOD[suite], value, **derivatives))


softmax, log_softmax = GOOD["softmax"], GOOD["log_softmax"]
loss, head = GOOD["cross_entropy"], GOOD["linear_cross_entropy"]


def usual_softmax(z: Any) -> Any:
    E = np.exp(z - z.max(axis=-1, keepdims=True))
    return E / E.sum(axis=-1, keepdims=True)


def diagonal_only(z: Any, g: Any) -> Any:
    p = softmax(z)
    return g * p * (1 - p)


def p_minus_t(z: Any, t: Any, bar: Any, **options: Any) -> Any:
    return bar[..., None] * (softmax(z) - np.eye(z.shape[-1], dtype=z.dtype)[t])


def logsumexp_minus_logit(z: Any, t: Any, **options: Any) -> Any:
    m = z.max(axis=-1)
    lse = m + np.log(np.exp(z - m[:, None]).sum(axis=-1))
    return lse - z[np.arange(len(z)), t]


def large_negative(z: Any) -> Any:
    return softmax(np.where(np.isneginf(z), z.dtype.type(-20), z))


def largest_of_all(z: Any) -> Any:
    E = np.exp(z - z.max())
    return E / E.sum(axis=-1, keepdims=True)


def mean_over_all(z: Any, t: Any, *, reduction: str = "mean", **options: Any) -> Any:
    losses = loss(z, t, reduction="none", **options)
    return losses.mean() if reduction == "mean" else losses


def masked_by_a_product(
    z: Any, t: Any, bar: Any, *, ignore_index: int = -100, **options: Any
) -> Any:
    used = (t != ignore_index).astype(z.dtype)
    gradient = p_minus_t(z, np.where(used, t, 0), bar) * used[:, None]
    return gradient / used.sum() if options["reduction"] == "mean" else gradient


def labels_wrap_round(z: Any, t: Any, **options: Any) -> Any:
    return loss(z, t % z.shape[-1], **options)


def smoothing_over_others(z: Any, t: Any, *, label_smoothing: float = 0.0, **options: Any) -> Any:
    K = z.shape[-1]
    return loss(z, t, label_smoothing=min(1.0, label_smoothing * K / (K - 1)), **options)


def without_upstream(z: Any, t: Any, bar: Any, **options: Any) -> Any:
    return loss.vjp(z, t, np.full(bar.shape, 1, bar.dtype), **options)


def as_if_contiguous(z: Any) -> Any:
    N, K = z.shape
    return softmax(np.lib.stride_tricks.as_strided(z, (N, K), (K * z.itemsize, z.itemsize)))


def in_place(z: Any) -> Any:
    z -= z.max(axis=-1, keepdims=True)
    return softmax(z)


def whole_blocks_alone(z: Any) -> Any:
    K = z.shape[-1]
    seen = K - K % 16 if K > 16 else K
    return np.concatenate([softmax(z[:, :seen]), 0 * z[:, seen:]], axis=-1)


def almost_one(z: Any) -> Any:
    return softmax(z) * z.dtype.type(1 - 2**-20) if z.shape[-1] == 1 else softmax(z)


def sum_in_order(z: Any) -> Any:
    E = np.exp(z - z.max(axis=-1, keepdims=True))
    return E / np.cumsum(E, axis=-1)[:, -1:]


def one_ulp(p: Any, condition: bool) -> Any:
    return p * p.dtype.type(1 + 2**-22) if condition else p


def alone_is_different(z: Any) -> Any:
    return one_ulp(softmax(z), len(z) == 1)


_THREADS = [1]


@contextlib.contextmanager
def one_thread(n: int) -> Iterator[None]:
    """Pretend to have n threads."""
    _THREADS[0] = n
    yield
    _THREADS[0] = 1


def threads_show(z: Any) -> Any:
    return one_ulp(softmax(z), _THREADS[0] > 1)


class _Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, z: Any) -> Any:
        self.calls += 1
        return one_ulp(softmax(z), self.calls % 2 == 0)


def a_percent_missing(*arguments: Any, **options: Any) -> Any:
    x_bar, W_bar, *bias_bar = head.vjp(*arguments, **options)
    return x_bar, W_bar * W_bar.dtype.type(0.99), *bias_bar


def no_tangent(z: Any, t: Any, z_dot: Any, **options: Any) -> Any:
    return 0 * loss(z, t, **options)


def no_bend(z: Any, t: Any, bar: Any, z_dot: Any, **options: Any) -> Any:
    return 0 * z


def sum_of_16_bits(z: Any) -> Any:
    E = np.exp(z - z.max(axis=-1, keepdims=True))
    return E / np.cumsum(E, axis=-1, dtype=z.dtype)[:, -1:]


def cut_off(z: Any) -> Any:
    p = softmax(z)
    if p.dtype.name != "bfloat16":
        return p
    bits = softmax(z.astype(np.float32)).view(np.uint32) & np.uint32(0xFFFE0000)
    return bits.view(np.float32).astype(p.dtype)


BREAKERS = {
    "ordinary-rows": changed("softmax", vjp=diagonal_only),
    "confident-values": changed("log_softmax", lambda z: np.log(softmax(z))),
    "confident-gradients": changed("cross_entropy", vjp=p_minus_t),
    "common-offset": changed("cross_entropy", logsumexp_minus_logit),
    "wide-range": changed("softmax", usual_softmax),
    "masked-classes": changed("softmax", large_negative),
    "spoilt-row": changed("softmax", largest_of_all),
    "ignored-rows": changed("cross_entropy", mean_over_all),
    "ignored-garbage": changed("cross_entropy", vjp=masked_by_a_product),
    "label-range": changed("cross_entropy", labels_wrap_round),
    "label-smoothing": changed("cross_entropy", smoothing_over_others),
    "class-weights": changed("cross_entropy", mean_over_all),
    "upstream-of-rows": changed("cross_entropy", vjp=without_upstream),
    "upstream-of-the-mean": changed("cross_entropy", vjp=without_upstream),
    "strided-input": changed("softmax", as_if_contiguous),
    "inputs-unchanged": changed("softmax", in_place),
    "tails": changed("softmax", whole_blocks_alone),
    "one-class": changed("softmax", almost_one),
    "many-classes": changed("softmax", sum_in_order),
    "batch-invariance": changed("softmax", alone_is_different),
    "thread-invariance": changed("softmax", threads_show),
    "repeatable": changed("softmax", _Counter()),
    "layer-gradients": changed("linear_cross_entropy", vjp=a_percent_missing),
    "forward-mode": changed("cross_entropy", jvp=no_tangent),
    "second-order": changed("cross_entropy", hvp=no_bend),
    "float16": changed("softmax", sum_of_16_bits),
    "bfloat16": changed("softmax", cut_off),
}
