"""The checker reads JAX: functions with rules of their own, plain functions and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from tensor_rules import RULES, right, total

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

DTYPES = ["float32", "bfloat16", "float16"]


def draw(*shape, dtype="float32", seed=0, scale=1.0):
    z = scale * np.random.default_rng([seed, *shape]).normal(size=shape)
    with jax.enable_x64(True):
        return jnp.asarray(z).astype(dtype)


def stable(z):
    e = jnp.exp(z - z.max(axis=-1, keepdims=True))
    return e / total(e)


def function(rule, body=stable):
    """Return the softmax function whose backward is ``rule(p, g)``."""

    def softmax(z):
        return body(z)

    made = jax.custom_vjp(softmax)
    made.defvjp(lambda z: (body(z),) * 2, lambda p, g: (rule(p, g),))
    return made


@pytest.mark.parametrize("dtype", ["float64", *DTYPES])
def test_right_function_passes(dtype):
    for seed, shape in enumerate([(1, 3), (4, 37), (2, 400)]):
        z = draw(*shape, dtype=dtype)
        report = check(function(right), z, seed=seed)
        # Slopes of few numbers may drown in the rounding of float16.
        assert report.passed or (dtype in DTYPES[1:] and shape != (4, 37)), str(report)
        assert report.verdict != "fail", str(report)
        assert report.dtype == dtype
        assert report.subject == "softmax"
        assert report.oracle == "float64 forward mode"


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", ["float64", *DTYPES])
def test_wrong_function_fails(name, dtype):
    report = check(function(RULES[name]), draw(4, 37, dtype=dtype))
    assert report.verdict == "fail", str(report)


def test_width_of_numbers_is_said_and_left_as_it_was():
    before = jax.config.jax_enable_x64
    report = check(function(right), draw(4, 9))
    assert report.cost.forward_mode == 3
    assert report.cost.forward <= 6
    assert report.cost.backward <= 9
    assert ("JAX's 64 bits are not enabled here" in said(report)) != before
    assert jax.config.jax_enable_x64 == before
    with jax.enable_x64(True):
        wide = check(function(right), draw(4, 9, dtype="float64"))
    assert wide.passed
    assert wide.dtype == "float64"
    assert "64 bits" not in said(wide)


def test_function_with_a_forward_mode_rule():
    def made(factor):
        @jax.custom_jvp
        def sine(x):
            return jnp.sin(x)

        @sine.defjvp
        def _(primals, tangents):
            return jnp.sin(*primals), factor * jnp.cos(*primals) * tangents[0]

        return sine

    x = draw(4, 9)
    assert check(made(1), x).passed
    assert check(jax.jit(made(1)), x).passed
    for wrong in (0.9, -1, 0):
        report = check(made(wrong), x)
        assert report.verdict == "fail"
        assert report.oracle == "float64 forward mode"
        assert check(jax.jit(made(wrong)), x).verdict == "fail"
    hidden = check(lambda x: made(0.9)(x) ** 2, x)
    assert hidden.verdict == "fail"
    assert "differs from the differences" in said(hidden)
    assert hidden.oracle == "float64 Richardson"


def test_function_within_a_function_has_no_forward_mode():
    inner, wrong = function(right), function(RULES["diagonal only"])
    report = check(lambda z: jnp.sin(inner(z)), draw(4, 9))
    assert report.passed, str(report)
    assert report.oracle == "float64 Richardson"
    assert "The forward-mode derivative is not used: it raised TypeError" in said(report)
    assert check(lambda z: jnp.sin(wrong(z)), draw(4, 9)).verdict == "fail"


def test_transformed_function_takes_arrays_of_numpy():
    z = np.random.default_rng(0).normal(size=(4, 9))
    for dtype in ("float64", "float32"):
        report = check(jax.jit(stable), z.astype(dtype))
        assert report.passed, str(report)
        assert report.dtype == dtype


def test_stopped_gradient_is_not_trusted():
    report = check(lambda x: x * jax.lax.stop_gradient(x), draw(4, 9))
    assert report.verdict == "fail"
    assert "differs from the differences" in said(report)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_several_inputs_and_outputs(dtype):
    def made(wrong):
        @jax.custom_vjp
        def product(x, labels, W, scale):
            y = scale * x @ W.T
            return {"y": y, "rest": (y[jnp.arange(len(x)), labels], labels)}

        def forward(*inputs):
            return product(*inputs), inputs

        def backward(kept, g):
            x, labels, W, scale = kept
            y_bar, (picked_bar, _) = g["y"], g["rest"]
            if wrong != "second output forgotten":
                y_bar = y_bar.at[jnp.arange(len(x)), labels].add(picked_bar)
            W_bar = y_bar.T @ x if wrong == "scale forgotten" else scale * y_bar.T @ x
            return scale * y_bar @ W, None, W_bar, jnp.zeros_like(scale)

        product.defvjp(forward, backward)
        return product

    inputs = draw(4, 9, dtype=dtype), jnp.array([0, 3, 1, 1]), draw(7, 9, dtype=dtype), 1.7
    report = check(made(None), *inputs)
    assert report.passed, str(report)
    for wrong in ("second output forgotten", "scale forgotten"):
        assert check(made(wrong), *inputs).verdict == "fail", wrong


def test_keys_and_masks_are_handed_on():
    def dropout(key, x, keep):
        return jnp.where(keep & jax.random.bernoulli(key, 0.7, x.shape), x**2, 0)

    report = check(dropout, jax.random.key(3), draw(4, 9), jnp.arange(9) % 4 > 0)
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("change", "level"),
    [
        (lambda p, g: g[:1, :2], "fail"),
        (lambda p, g: 1 / 0, "fail"),
        (lambda p, g: g + "a", "fail"),
    ],
)
def test_what_jax_refuses_is_a_sentence(change, level):
    report = check(function(change), draw(4, 9))
    assert report.verdict == level
    assert "The backward raised" in said(report)
    assert "test_checker_jax.py:" in said(report)
    assert max(len(finding.message) for finding in report.findings) < 400


def test_exception_in_the_forward_is_a_doubt():
    def broken(z):
        raise ValueError("odd")

    report = check(broken, draw(4, 9))
    assert report.verdict == "inconclusive"
    assert "The forward raised ValueError: odd (test_checker_jax.py:" in said(report)


def test_pair_of_functions_of_arrays():
    def backward(z, labels, g):
        assert isinstance(g, jax.Array)
        return right(stable(z), g), None

    def forward(z, labels):
        return stable(z)

    labels = jnp.arange(4)
    for dtype in DTYPES:
        z = draw(4, 37, dtype=dtype)
        assert check(forward, backward, z, labels).passed
        wrong = check(forward, lambda *a: 2 * backward(*a)[0], z, labels)
        assert wrong.verdict == "fail"


@pytest.mark.parametrize(
    ("right", "forward"),
    [
        (True, lambda x: (jnp.sin(x) * x).sum()),
        (True, lambda x: jax.nn.softmax(x)),
        (True, function(right)),
        (False, function(lambda p, g: right(jax.lax.stop_gradient(p), g))),
    ],
)
def test_second_order(right, forward):
    report = check(forward, draw(4, 5), order=2)
    assert report.verdict == ("pass" if right else "fail"), str(report)
    assert report.order == 2
    assert ("JAX's 64 bits are not enabled" in said(report)) != jax.config.jax_enable_x64


FUNCTIONS = {
    "softmax": lambda z: jax.nn.softmax(z),
    "log_softmax": lambda z: jax.nn.log_softmax(z),
    "logsumexp": lambda z: jax.nn.logsumexp(z, axis=-1),
    "gelu": lambda z: jax.nn.gelu(z),
    "relu": lambda z: jax.nn.relu(z),
    "standardize": lambda z: jax.nn.standardize(z),
    "gram": lambda z: z @ z.T,
    "own": function(right),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float64", *DTYPES])
def test_no_false_alarm(name, dtype):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        z = draw(4, 9, dtype=dtype, seed=seed, scale=0.1 * 10 ** rng.uniform(0, 2))
        report = check(FUNCTIONS[name], z, seed=seed)
        assert report.verdict != "fail", str(report)
        if dtype == "float64" and name != "relu":
            assert report.passed, str(report)


def test_tree_of_arrays_is_refused_by_name():
    tree = {"w": jnp.ones(3)}
    with pytest.raises(TypeError, match=r"`inputs\[0\]` must be an array, got arrays in a dict"):
        check(lambda p: p["w"] ** 2, tree)
    with pytest.raises(TypeError, match=r"`inputs\[0\]` must be an array, got arrays in a dict"):
        check(lambda p: p["w"] ** 2, lambda p, g: {"w": 2 * p["w"] * g}, tree)
