"""The ladder of oracles: which is taken, when it is not trusted, and what it costs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from wrong_rules import (
    OPERATIONS,
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

Z = np.random.default_rng(0).normal(size=(4, 9))


def first_row(g):
    return np.concatenate([g[None], np.zeros((3, 9))])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "sigmoid"])
def test_complex_step_is_taken_for_analytic_functions(name, dtype):
    operation = OPERATIONS[name]
    inputs = operation.sample(np.random.default_rng(0), (4, 37), 1, dtype)
    report = check(operation.forward, operation.backward, *inputs)
    assert report.passed, str(report)
    assert report.oracle == "float64 complex step"
    assert report.cost.forward <= 9
    assert report.cost.backward <= 9
    assert report.error_bar < (1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (np.abs, lambda x, g: g * np.sign(x)),
        (lambda x: np.abs(x) * x, lambda x, g: 2 * g * np.abs(x)),
        (lambda x: np.sqrt(x.real**2 + 1), lambda x, g: g * x / np.sqrt(x**2 + 1)),
        (lambda x: np.hypot(x, 1.0), lambda x, g: g * x / np.hypot(x, 1.0)),
        (lambda x: x.astype(np.float64) ** 2, lambda x, g: 2 * g * x),
        (lambda x: np.array([float(v) for v in x[0]]) ** 2, lambda x, g: 2 * x * first_row(g)),
        (lambda x: (x * np.conj(x)).sum(), lambda x, g: 2 * g * x),
        (lambda x: np.linalg.norm(x), lambda x, g: g * x / np.linalg.norm(x)),
    ],
)  # fmt: skip
def test_what_is_not_analytic_falls_through(forward, backward):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check(forward, backward, Z)
        assert report.passed, str(report)
        assert report.oracle == "float64 Richardson"
        assert check(forward, lambda x, g: 1.01 * backward(x, g), Z).verdict == "fail"


@pytest.mark.parametrize("other", [lambda x: x**3, lambda x: x**2 + 5])
def test_branch_that_complex_numbers_take_otherwise_falls_through(other):
    def forward(x):
        return other(x) if np.iscomplexobj(x) else x**2

    report = check(forward, lambda x, g: 2 * x * g, Z)
    assert report.passed, str(report)
    assert report.oracle == "float64 Richardson"


def test_same_value_with_another_slope_falls_through():
    def forward(x):
        return x.real**2 + 3j * x.imag * x.real if np.iscomplexobj(x) else x**2

    report = check(forward, lambda x, g: 2 * x * g, Z)
    assert report.passed, str(report)
    assert report.oracle == "float64 Richardson"
    assert check(forward, lambda x, g: 3 * x * g, Z).verdict == "fail"


def test_layer_never_sees_complex_numbers():
    seen = []

    class Layer:
        def forward(self, z):
            seen.append(z.dtype.kind)
            self.p = softmax(z)
            return self.p

        def backward(self, g):
            return self.p * (g - (g * self.p).sum(axis=-1, keepdims=True))

    assert check(Layer(), Z).oracle == "float64 Richardson"
    assert set(seen) == {"f"}


def test_own_dtype_is_the_last_oracle():
    def narrow(z):
        return softmax(z.astype(np.float32))

    report = check(narrow, softmax_backward, Z.astype(np.float32))
    assert report.passed
    assert report.oracle == "float32 Richardson"


def test_small_error_beyond_differences_is_seen_by_the_error_bar():
    for factor in (1 + 1e-9, 1 - 1e-9):
        report = check(softmax, lambda z, g, c=factor: c * softmax_backward(z, g), Z)
        assert report.verdict == "fail"
        assert report.relative_error == pytest.approx(1e-9, rel=0.1)


def test_kink_further_away_than_the_small_steps_does_not_matter():
    def relu(x):
        return np.where(x.real > 0, x, 0)

    x = np.array([1e-2, -5e-3, 1.0, -2.0])
    report = check(relu, lambda x, g: g * (x > 0), x)
    assert report.passed, str(report)
    assert report.oracle == "float64 complex step"
    for near in (1e-4, 1e-6, 1e-9):
        # Moved over its own size, no entry crosses the kink.
        report = check(relu, lambda x, g: g * (x > 0), np.array([near, 1.0, -2.0]))
        assert report.passed, str(report)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_no_false_alarm_with_any_oracle(dtype):
    pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(7)
    for seed in range(60):
        name = str(rng.choice(list(OPERATIONS)))
        shape = int(rng.integers(1, 6)), int(rng.integers(2, 60))
        inputs = OPERATIONS[name].sample(rng, shape, 0.02 * 300 ** rng.random(), "float64")
        report = check(
            OPERATIONS[name].forward, OPERATIONS[name].backward, *inputs, dtype=dtype, seed=seed
        )
        assert report.verdict != "fail", f"{name} {shape}: {report}"
        assert report.cost.forward <= 37
        assert report.cost.backward <= 9
        if dtype in ("float64", "float32"):
            assert report.passed, f"{name} {shape}: {report}"


@pytest.mark.parametrize("mistake", ["diagonal only", "doubled", "sign", "zero", "axis 0"])
def test_bfloat16_of_numpy(mistake):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    z = Z.astype(ml_dtypes.bfloat16)
    right = check(softmax, softmax_backward, z)
    assert right.passed, str(right)
    assert right.dtype == "bfloat16"
    wrong = check(softmax, OPERATIONS["softmax"].wrong[mistake](), z)
    assert wrong.verdict == "fail", str(wrong)


def softmax_second(z, g, v):
    """Return the gradients of ⟨softmax_backward(z, g), v⟩ in z and g."""
    p = softmax(z)
    mean = (p * g).sum(axis=-1, keepdims=True)
    # The scalar is Σ p·g·v − Σ p·v · Σ p·g: its gradient in p, then through softmax.
    p_bar = v * (g - mean) - (p * v).sum(axis=-1, keepdims=True) * g
    return softmax_backward(z, p_bar), softmax_backward(z, v)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_second_order_of_a_pair(dtype):
    z = Z.astype(dtype)
    report = check(softmax, softmax_backward, z, order=2, second=softmax_second)
    assert report.passed, str(report)
    assert report.order == 2
    assert report.subject == "softmax_backward, second order"
    assert report.oracle == "float64 complex step"

    def term_missing(z, g, v):
        return 0 * z, softmax_second(z, g, v)[1]

    def swapped(z, g, v):
        return softmax_second(z, g, v)[::-1]

    def doubled(z, g, v):
        z_bar, g_bar = softmax_second(z, g, v)
        return z_bar, 2 * g_bar

    for wrong in (term_missing, swapped, doubled):
        report = check(softmax, softmax_backward, z, order=2, second=wrong)
        assert report.verdict == "fail", str(report)
        assert said(report).startswith("Second order: ")


def test_second_order_of_several_inputs_and_outputs():
    def forward(x, n, y):
        return x**n * y, x + y

    def backward(x, n, y, g):
        return g[0] * n * x ** (n - 1) * y + g[1], None, g[0] * x**n + g[1]

    def second(x, n, y, g, v):
        x_bar = g[0] * (n * (n - 1) * x ** (n - 2) * y * v[0] + n * x ** (n - 1) * v[1])
        y_bar = g[0] * n * x ** (n - 1) * v[0]
        return x_bar, y_bar, (n * x ** (n - 1) * y * v[0] + x**n * v[1], v[0] + v[1])

    x, y = Z, np.cos(Z)
    assert check(forward, backward, x, 3, y).passed
    report = check(forward, backward, x, 3, y, order=2, second=second)
    assert report.passed, str(report)

    def wrong(*arguments):
        x_bar, y_bar, (g_bar, h_bar) = second(*arguments)
        return x_bar, y_bar, (g_bar, 0.9 * h_bar)

    assert check(forward, backward, x, 3, y, order=2, second=wrong).verdict == "fail"


def test_second_order_needs_the_second_backward():
    class Layer:
        forward = backward = staticmethod(np.sin)

    with pytest.raises(TypeError, match="`second` must be the derivative of `backward`"):
        check(log_softmax, log_softmax_backward, Z, order=2)
    with pytest.raises(TypeError, match="no layer where `order` is 2"):
        check(Layer(), Z, order=2)
    with pytest.raises(ValueError, match="`reference` must be left out"):
        check(softmax, softmax_backward, Z, order=2, second=softmax_second, reference=softmax)
    with pytest.raises(TypeError, match="`second` must be callable"):
        check(softmax, softmax_backward, Z, order=2, second=3)


def test_exception_in_the_first_forward_of_second_order():
    def broken(z):
        raise ValueError("odd")

    report = check(broken, softmax_backward, Z, order=2, second=softmax_second)
    assert report.verdict == "inconclusive"
    assert "Second order: The forward raised ValueError: odd" in said(report)


def test_none_is_named_as_severed_where_the_forward_depends_on_it():
    def backward(x, y, g):
        return g * y, None

    report = check(lambda x, y: x * y, backward, Z, np.cos(Z))
    assert report.verdict == "fail"
    assert "No gradient reaches input 1: the chain is severed" in said(report)
    harmless = check(lambda x, y: x * 2, lambda x, y, g: (2 * g, None), Z, Z)
    assert harmless.passed
    assert "severed" not in said(harmless)


def test_labels_survive_every_oracle():
    labels = np.array([0, 3, 8, 1])
    before = labels.copy()
    assert check(cross_entropy, cross_entropy_backward, Z, labels).passed
    np.testing.assert_array_equal(labels, before)
