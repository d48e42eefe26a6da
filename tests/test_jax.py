"""JAX's transformations through maps and losses: forward, reverse, twice, `vmap` and `jit`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close
from softgrad.arithmetic import accurate_sum
from specs import probe

jax = pytest.importorskip("jax")
jnp = jax.numpy
check_grads = pytest.importorskip("jax.test_util").check_grads
assert_every_derivative = pytest.importorskip("jax_derivatives").assert_every_derivative
product = pytest.importorskip("softgrad.frameworks.jax.products").product
_MapRule = pytest.importorskip("softgrad.frameworks.jax.rules")._MapRule

X = 1.5 * probe((2, 4), 1)
MAPS = {
    "softmax": sg.softmax,
    "softmax at T=0.7": sg.Softmax(temperature=0.7),
    "log_softmax": sg.log_softmax,
    "logsumexp": sg.logsumexp,
    "sigmoid": sg.sigmoid,
    "sparsemax": sg.sparsemax,
    "entmax15": sg.entmax15,
}
LABELS = np.array([3, 1])
SOFT = sg.softmax(probe((2, 4), 2))
LOSSES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "labels": (sg.cross_entropy, LABELS, {}),
    "options": (
        sg.CrossEntropy(label_smoothing=0.1, z_loss=0.05, soft_cap=4.0, ignore_index=1),
        LABELS,
        {"class_weights": np.array([1.0, 2.0, 0.5, 1.5]), "row_weights": np.array([2.0, 1.0])},
    ),
    "each": (sg.CrossEntropy(reduction="none", temperature=0.7), SOFT, {}),
    "binary": (sg.BinaryCrossEntropy(pos_weight=2.0), SOFT, {}),
    "each binary": (sg.BinaryCrossEntropy(reduction="none"), SOFT, {"axis": 0}),
    "sparsemax": (sg.FenchelYoung(map=sg.sparsemax), LABELS, {}),
    "squared": (sg.squared_error, SOFT, {}),
}


@pytest.fixture
def wide() -> Iterator[None]:
    """Let JAX have float64."""
    with jax.enable_x64(True):
        yield


def loss_of(name: str) -> Callable[[Any], Any]:
    """Return a loss as a function of x alone."""
    loss, targets, options = LOSSES[name]
    there = {k: jnp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return lambda x: loss(jnp.asarray(x), jnp.asarray(targets), **there)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("f", [sg.softmax, loss_of("labels")], ids=["softmax", "cross_entropy"])
def test_the_checks_of_jax_pass(f: Any) -> None:
    check_grads(lambda x: f(jnp.asarray(x)), (X,), order=2, modes=("fwd", "rev"))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", MAPS)
def test_every_derivative_of_maps_is_that_of_differences(name: str) -> None:
    assert_every_derivative(MAPS[name], X)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", LOSSES)
def test_every_derivative_of_losses_is_that_of_differences(name: str) -> None:
    assert_every_derivative(loss_of(name), X)


@pytest.mark.usefixtures("wide")
def test_third_derivatives_are_there() -> None:
    v = jnp.asarray(probe((4,), 3))

    def along(t: Any) -> Any:
        return sg.softmax(jnp.asarray(X[0]) + t * v)[1]

    third = jax.grad(jax.grad(jax.grad(along)))(0.0)
    h = 1e-4
    bend = jax.jit(jax.grad(jax.grad(along)))
    assert_close(third, as_numpy((bend(h) - bend(-h)) / (2 * h)), u=1e-7 / 2**-53)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "sigmoid"])
def test_every_mode_gives_one_hessian(name: str) -> None:
    weights = jnp.asarray(probe(MAPS[name](X[0]).shape, 4))

    def number(x: Any) -> Any:
        return jnp.sum(weights * MAPS[name](x))

    x = jnp.asarray(X[0])
    here = MAPS[name].hvp(X[0], as_numpy(weights), probe((4,), 5))
    for outer, inner in (
        (jax.jacfwd, jax.jacrev),
        (jax.jacrev, jax.jacrev),
        (jax.jacfwd, jax.jacfwd),
    ):
        hessian = jax.jit(outer(inner(number)))(x)
        assert_close(hessian @ probe((4,), 5), here, u=64, what=f"{outer} of {inner}")


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("kind", "slot"),
    [("push", 0), ("pull", 0), ("slope", 0), ("slope", 1), ("bend", 0), ("bend", 1)],
)
def test_every_product_has_its_transpose(kind: Any, slot: int) -> None:
    """Against columns by forward mode; the Jacobian of log_softmax is not symmetric."""
    rule = _MapRule(sg.log_softmax, -1, "auto")
    count = 1 if kind in ("push", "pull") else 2
    vectors = [jnp.asarray(probe((4,), seed)) for seed in (2, 3)][:count]

    def along(v: Any) -> Any:
        moved = [v if i == slot else other for i, other in enumerate(vectors)]
        return product(rule, kind, (jnp.asarray(X[0]),), {"where": None}, *((m,) for m in moved))[0]

    s = jnp.asarray(probe((4,), 5))
    [bar] = jax.vjp(along, vectors[slot])[1](s)
    assert_close(bar, as_numpy(s @ jax.jacfwd(along)(vectors[slot])), u=64)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "cross_entropy"])
def test_vmap_is_one_example_after_the_other(name: str) -> None:
    x, y_bar = (jnp.asarray(probe((3, 2, 5), seed, np.float32)) for seed in (1, 2))

    def pulled(x: Any, y_bar: Any) -> Any:
        if name == "cross_entropy":
            return jax.grad(sg.cross_entropy)(x, jnp.asarray(LABELS))
        y, pull = jax.vjp(MAPS[name], x)
        return pull(y_bar if y.ndim == 2 else y_bar[:, 0])[0]

    given = jax.vmap(pulled, in_axes=(0, 0))(x, y_bar)
    expected = np.stack([as_numpy(pulled(*each)) for each in zip(x, y_bar, strict=True)])
    assert_close(given, expected, u=4)
    turned = jax.vmap(pulled, in_axes=(2, 2), out_axes=2)(
        jnp.moveaxis(x, 0, 2), jnp.moveaxis(y_bar, 0, 2)
    )
    assert_close(turned, np.moveaxis(expected, 0, 2), u=4)


def test_vmap_over_directions_leaves_the_point_alone() -> None:
    """Only the vectors have examples: the point is not copied, and its gradient is summed."""
    x, vs = jnp.asarray(X, jnp.float32), jnp.asarray(probe((3, 2, 4), 6, np.float32))

    def pushed(x: Any, v: Any) -> Any:
        return jax.jvp(sg.softmax, (x,), (v,))[1]

    each = jax.vmap(pushed, in_axes=(None, 0))(x, vs)
    assert_close(each, np.stack([as_numpy(sg.softmax.jvp(x, v)) for v in vs]), u=8)
    weights = jnp.asarray(probe((3, 2, 4), 7, np.float32))
    total = jax.grad(lambda x: jnp.sum(weights * jax.vmap(pushed, (None, 0))(x, vs)))(x)
    parts = [as_numpy(sg.softmax.hvp(x, w, v)) for w, v in zip(weights, vs, strict=True)]
    assert_close(total, sum(parts), u=32)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_confident_rows_keep_their_digits_in_every_mode(transform: Any) -> None:
    x, g = jnp.asarray([40.0, 0.0]), jnp.asarray([1.0, 0.0])
    tiny = np.float32(4.248354255291589e-18)

    def agrees(given: Any, expected: list[float], u: float = 8) -> None:
        assert_close(given, tiny * np.array(expected), u=u, scale=np.abs(tiny * np.array(expected)))

    agrees(transform(lambda x, g: jax.vjp(sg.softmax, x)[1](g)[0])(x, g), [1, -1])
    agrees(transform(lambda x, g: jax.jvp(sg.softmax, (x,), (g,))[1])(x, g), [1, -1])
    agrees(transform(jax.grad(sg.cross_entropy))(x, jnp.asarray(0)), [-1, 1])
    agrees(transform(lambda x, g: jax.vjp(sg.log_softmax, x)[1](g)[0])(x, g), [1, -1])
    agrees(transform(jax.vmap(jax.grad(sg.cross_entropy)))(x[None], jnp.asarray([0]))[0], [-1, 1])
    hessian = transform(jax.hessian(sg.cross_entropy))(x, jnp.asarray(0))
    agrees(hessian[0], [1, -1])
    agrees(hessian[1], [-1, 1])


@pytest.mark.parametrize("temperature", [0.7, 3.0])
def test_the_compiler_keeps_the_rounding_errors_of_a_temperature(temperature: float) -> None:
    """Products with their errors, as sums: XLA may fuse, and must not lose them."""
    x = (30 * probe((8, 33), 3)).astype(np.float32)
    exact = sg.Softmax(temperature=temperature)(x.astype(np.float64))
    p = jax.jit(sg.Softmax(temperature=temperature))(jnp.asarray(x))
    normal = exact > 1e-37
    assert_close(as_numpy(p)[normal], exact[normal], u=8, scale=exact[normal])


def test_sums_of_constants_are_left_to_the_processor() -> None:
    """XLA would fold the weights of a mean itself, for seconds where the rows are many."""
    program = jax.jit(lambda: accurate_sum(jnp.ones(64))).lower().compile().as_text()
    assert "reduce" in program


def test_loops_and_checkpoints_of_jax() -> None:
    x = jnp.asarray(X, jnp.float32)

    def looped(x: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            return carry + sg.logsumexp(row), sg.softmax(row)

        total, p = jax.lax.scan(jax.checkpoint(step), jnp.float32(0), x)
        return total + jnp.sum(p[:, 1] * jnp.asarray([2.0, -1.0]))

    def plain(x: Any) -> Any:
        return jnp.sum(sg.logsumexp(x)) + jnp.sum(sg.softmax(x)[:, 1] * jnp.asarray([2.0, -1.0]))

    assert_close(jax.jit(jax.grad(looped))(x), as_numpy(jax.grad(plain)(x)), u=16)


def test_half_precision_is_rounded_once() -> None:
    x = jnp.asarray(probe((3, 5), 1), jnp.bfloat16)
    y_bar = jnp.asarray(probe((3, 5), 2), jnp.bfloat16)
    there = jax.vjp(sg.softmax, x)[1](y_bar)[0]
    assert there.dtype == jnp.bfloat16
    here = sg.softmax.vjp(*(np.asarray(v, np.float64) for v in (x, y_bar)))
    assert_close(there, here, u=2**16 * 1.01, scale=np.abs(here))
    loss = sg.cross_entropy(x, jnp.asarray([0, 4, 2]))
    assert loss.dtype == jnp.float32
    assert jax.grad(sg.cross_entropy)(x, jnp.asarray([0, 4, 2])).dtype == jnp.bfloat16


def test_masks_and_other_axes() -> None:
    x, y_bar, where = probe((4, 3), 1), probe((4, 3), 2), probe((4, 3), 3) < 0.8
    there = [jnp.asarray(v, v.dtype if v.dtype == bool else jnp.float32) for v in (x, y_bar, where)]
    pull = jax.vjp(partial(sg.softmax, axis=0, where=there[2]), there[0])[1]
    assert_close(pull(there[1])[0], sg.softmax.vjp(x, y_bar, axis=0, where=where), u=64)


# --- what is refused -------------------------------------------------------------------------


def test_targets_and_weights_have_no_derivative() -> None:
    x, t = jnp.asarray(X), jnp.asarray(SOFT)
    with pytest.raises(TypeError, match="`targets` must be without derivative"):
        jax.grad(lambda t: sg.cross_entropy(x, t))(t)
    with pytest.raises(TypeError, match="`row_weights` must be without derivative"):
        jax.jit(jax.grad(lambda w: sg.cross_entropy(x, t, row_weights=w)))(jnp.ones(2))
    stopped = jax.grad(lambda x: sg.cross_entropy(x, jax.lax.stop_gradient(sg.softmax(2 * x))))(x)
    assert_close(stopped, sg.cross_entropy.gradient(X, sg.softmax(2 * X)), u=64)


@pytest.mark.parametrize("f", [sg.softmax, sg.sparsemax])
def test_a_mask_of_another_library_is_refused(f: Any) -> None:
    with pytest.raises(TypeError, match=r"`where` must be of the same kind \(jaxlib\), got numpy"):
        f(jnp.asarray(X), where=X > 0)
    with pytest.raises(TypeError, match="must be of the same kind"):
        f(X, where=jnp.asarray(X > 0))


def test_targets_of_another_library_are_refused() -> None:
    with pytest.raises(
        TypeError, match=r"`targets` must be of the same kind \(jaxlib\), got numpy"
    ):
        sg.cross_entropy(jnp.asarray(X), LABELS)
    with pytest.raises(
        TypeError, match=r"`targets` must be of the same kind \(numpy\), got jaxlib"
    ):
        sg.cross_entropy(X, jnp.asarray(LABELS))


def test_what_numbers_show_raises_before_anything_is_compiled() -> None:
    x = jnp.asarray(X)
    with pytest.raises(IndexError, match=r"from 0 to 3, got 7 at position 1"):
        sg.cross_entropy(x, jnp.asarray([0, 7]))
    with pytest.raises(IndexError, match="got 7 at position 1"):
        jax.grad(sg.cross_entropy)(x, jnp.asarray([0, 7]))
    with pytest.raises(ValueError, match="`row_weights` must be not negative"):
        sg.cross_entropy(x, jnp.asarray([0, 1]), row_weights=jnp.asarray([1.0, -1.0]))
    with pytest.raises(ValueError, match="probabilities that sum to one"):
        sg.FenchelYoung(map=sg.sparsemax)(x, jnp.ones((2, 4)))
    with pytest.raises(ValueError, match="a row of −inf"):
        sg.Softmax(empty_row="raise")(jnp.full((1, 3), -jnp.inf))
    with pytest.raises(ValueError, match="`impl` must be 'auto' or 'reference' here"):
        sg.softmax(x, impl="numba")
    with pytest.raises(TypeError, match="`out` must be None"):
        sg.softmax(x, out=x)
