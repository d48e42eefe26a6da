"""The checker rejects wrong backwards and accepts right ones, in every form of subject."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from wrong_rules import (
    OPERATIONS,
    cross_entropy,
    cross_entropy_backward,
    linear,
    linear_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

SHAPES = [(3, 5), (4, 37), (2, 400), (2, 5000)]
SCALES = [0.02, 1, 30]
DTYPES = ["float64", "float32"]
WRONG = [(name, mistake) for name, op in OPERATIONS.items() for mistake in op.wrong]


def draw(name, shape, scale, dtype, seed=0):
    return OPERATIONS[name].sample(np.random.default_rng([seed, *shape]), shape, scale, dtype)


@pytest.mark.parametrize(("name", "mistake"), WRONG)
def test_wrong_backwards_are_rejected(name, mistake):
    operation = OPERATIONS[name]
    for seed, (shape, scale, dtype) in enumerate(
        (shape, scale, dtype) for shape in SHAPES for scale in SCALES for dtype in DTYPES
    ):
        inputs = draw(name, shape, scale, dtype)
        report = check(operation.forward, operation.wrong[mistake](), *inputs, seed=seed)
        assert report.verdict == "fail", f"{shape} {scale} {dtype}: {report}"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mistake"), WRONG)
@pytest.mark.parametrize("seed", range(1, 7))
def test_wrong_backwards_are_rejected_with_other_seeds(name, mistake, seed):
    operation = OPERATIONS[name]
    for shape in SHAPES:
        for scale in SCALES:
            if shape == (3, 5) and scale == 30:
                continue  # saturated rows, whose gradients are rounding next to the others
            for dtype in DTYPES:
                inputs = draw(name, shape, scale, dtype, seed)
                report = check(operation.forward, operation.wrong[mistake](), *inputs, seed=seed)
                assert report.verdict == "fail", f"{shape} {scale} {dtype}: {report}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.02, 1, 30])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_right_backwards_pass(name, shape, scale, dtype):
    for seed in range(3):
        inputs = draw(name, shape, scale, dtype, seed)
        report = check(OPERATIONS[name].forward, OPERATIONS[name].backward, *inputs, seed=seed)
        # In float32 a saturated row's gradient can be mere rounding; that may be left open.
        allowed = ["pass"] if scale < 30 or dtype == "float64" else ["pass", "inconclusive"]
        assert report.verdict in allowed, str(report)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_verdict_is_the_error_and_the_bar_that_are_shown(name, dtype):
    operation = OPERATIONS[name]
    for seed in range(3):
        inputs = operation.sample(np.random.default_rng(seed), (4, 9), 1, dtype)
        for factor in 1 + np.array([0, 2.0**-22, 2.0**-20, 2.0**-18, 2.0**-14, 2.0**-10, 0.1]):

            def backward(*arguments, c=factor):
                answer = operation.backward(*arguments)
                several = answer if isinstance(answer, tuple) else (answer,)
                return tuple((c * entry).astype(entry.dtype) for entry in several)

            report = check(operation.forward, backward, *inputs, seed=seed)
            within = report.relative_error <= report.error_bar
            assert report.verdict == ("pass" if within else "fail"), str(report)


def test_no_false_alarm_in_random_checks():
    false_alarms(400, seed=1)


@pytest.mark.slow
def test_no_false_alarm_in_many_random_checks():
    false_alarms(30_000, seed=2)


def false_alarms(count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        name = str(rng.choice(list(OPERATIONS)))
        dtype = str(rng.choice(DTYPES))
        shape = (int(rng.integers(1, 6)), int(2 * 200 ** rng.random()))
        scale = 0.01 * 1e6 ** rng.random()  # 0.01 to 1e4: saturated rows among them
        inputs = OPERATIONS[name].sample(rng, shape, scale, dtype)
        report = check(OPERATIONS[name].forward, OPERATIONS[name].backward, *inputs)
        assert report.verdict != "fail", f"{name} {shape} {scale} {dtype}: {report}"
        if scale < 1:
            assert report.passed, f"{name} {shape} {scale} {dtype}: {report}"


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_saturated_rows_are_no_false_alarm(name, dtype):
    scale = 30 if dtype == "float16" and name == "linear" else 1e4
    for seed in range(10):
        inputs = draw(name, (3, 7), scale, dtype, seed)
        report = check(OPERATIONS[name].forward, OPERATIONS[name].backward, *inputs, seed=seed)
        assert report.verdict != "fail", str(report)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(1, 3), (2, 10), (10, 100), (10, 1000), (1, 100_000), (1000, 100)]
)
def test_zero_backward_is_rejected_at_every_size(shape, dtype):
    for scale in (0.02, 1):
        report = check(softmax, lambda z, g: 0 * g, *draw("softmax", shape, scale, dtype))
        assert report.verdict == "fail"
        assert report.relative_error == 1


def test_diagonal_only_is_rejected_where_standard_checkers_accept_it():
    def diagonal_only(z, g):
        p = softmax(z)
        return g * p * (1 - p)

    for seed in range(20):
        z = draw("softmax", (2, 400), 0.02, "float64", seed)
        assert check(softmax, diagonal_only, *z, seed=seed).verdict == "fail"


def test_verdict_does_not_depend_on_units():
    z = np.random.default_rng(0).normal(size=(4, 9))
    for unit in (1e-300, 1e-165, 1e-90, 1e-30, 1e30, 1e90, 1e155, 1e300):

        def scaled(z, unit=unit):
            return unit * softmax(z)

        def right(z, g, unit=unit):
            return unit * softmax_backward(z, g)

        assert check(scaled, right, z).verdict == "pass"
        for wrong in (0, -1, 2):

            def backward(z, g, wrong=wrong, right=right):
                return wrong * right(z, g)

            assert check(scaled, backward, z).verdict == "fail"
    micro = 2.0**-20
    report = check(
        lambda x: softmax(x / micro), lambda x, g: softmax_backward(x / micro, g) / micro, micro * z
    )
    assert report.passed, str(report)


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_outputs(dtype):
    def both(z):
        return softmax(z), log_softmax(z).sum()

    def backward(z, g):
        assert isinstance(g, tuple)
        ones = np.full(z.shape, g[1], z.dtype)
        return softmax_backward(z, g[0]) + log_softmax_backward(z, ones)

    def second_forgotten(z, g):
        return softmax_backward(z, g[0])

    z = draw("softmax", (4, 9), 1, dtype)[0]
    assert check(both, backward, z).passed
    assert check(both, second_forgotten, z).verdict == "fail"


def test_integer_outputs_are_not_differentiated():
    def value_and_place(z):
        return z.max(axis=-1), z.argmax(axis=-1)

    def backward(z, g):
        return np.eye(z.shape[-1])[z.argmax(axis=-1)] * g[0][:, None]

    assert check(value_and_place, backward, draw("softmax", (4, 9), 1, "float64")[0]).passed


def test_integer_inputs_are_not_differentiated():
    z, labels = draw("cross_entropy", (4, 9), 1, "float64")
    assert check(cross_entropy, cross_entropy_backward, z, labels).passed
    assert check(cross_entropy, cross_entropy_backward, z, labels.tolist()).passed

    def with_none(z, labels, g):
        return cross_entropy_backward(z, labels, g), None

    assert check(cross_entropy, with_none, z, labels).passed


def test_python_numbers():
    assert check(lambda x, n: x**n, lambda x, n, g: g * n * x ** (n - 1), 1.3, 3).passed
    assert check(lambda x: [2 * x[0], x[1]], lambda x, g: g * [2, 1], [0.5, 0.25]).passed


def test_layer_object():
    class Layer:
        def forward(self, x, W, b):
            self.kept = x, W, b
            return linear(x, W, b)

        def backward(self, g):
            kept, self.kept = self.kept, None  # what is kept is used once
            return linear_backward(*kept, g)

    class Flipped(Layer):
        def backward(self, g):
            x_bar, W_bar, b_bar = super().backward(g)
            return x_bar, -W_bar, b_bar

    for dtype in DTYPES:
        inputs = draw("linear", (4, 9), 1, dtype)
        right = check(Layer(), *inputs)
        assert right.passed, str(right)
        assert right.subject == "Layer"
        wrong = check(Flipped(), *inputs)
        assert wrong.verdict == "fail"
        for report in (right, wrong):
            assert report.cost.forward <= 37
            assert report.cost.backward <= 9


def test_layer_whose_backward_changes_what_it_saved_is_rejected():
    class Layer:
        def forward(self, z):
            self.p = softmax(z)
            return self.p.copy()

        def backward(self, g):
            return softmax_from_output(self.p, g)

    class Careless(Layer):
        def backward(self, g):
            answer = super().backward(g)
            self.p *= g
            return answer

    def softmax_from_output(p, g):
        return p * (g - (g * p).sum(axis=-1, keepdims=True))

    for dtype in DTYPES:
        z = draw("softmax", (4, 9), 1, dtype)[0]
        assert check(Layer(), z).passed
        report = check(Careless(), z)
        assert report.verdict == "fail"
        assert "changes what the forward saved" in said(report)


def test_where_leaves_entries_alone():
    z = np.array([[0.3, -np.inf, 1.2, 0.1], [0.5, 0.2, -np.inf, -0.7]])
    seen = np.isfinite(z)

    def backward(z, g):
        return np.where(np.isfinite(z), softmax_backward(z, g), np.nan)

    assert check(softmax, backward, z, where=seen).passed
    wrong = check(softmax, lambda z, g: 2 * backward(z, g), z, where=seen)
    assert wrong.verdict == "fail"
    # An error outside the mask is not looked at.
    fine = np.array([True, False])
    square = (lambda x: x**2, lambda x, g: 2 * x * g * [1, 5])
    assert check(*square, np.array([1.0, 2.0]), where=fine).passed
    assert check(*square, np.array([1.0, 2.0])).verdict == "fail"


def test_where_takes_one_mask_an_input():
    x, W, b = draw("linear", (4, 9), 1, "float64")

    def wrong_bias(x, W, b, g):
        x_bar, W_bar, b_bar = linear_backward(x, W, b, g)
        return x_bar, W_bar, 3 * b_bar

    assert check(linear, wrong_bias, x, W, b).verdict == "fail"
    nowhere = np.zeros(b.shape, bool)
    assert check(linear, wrong_bias, x, W, b, where=(None, None, nowhere)).passed


def test_dtype_casts_the_inputs():
    z = draw("softmax", (4, 9), 1, "float64")[0]
    report = check(softmax, softmax_backward, z, dtype="float32")
    assert report.dtype == "float32"
    assert report.passed
    assert report.oracle == "float64 complex step"


def test_forward_that_stays_in_its_own_dtype():
    def narrow(z):
        return softmax(z.astype(np.float32))

    def disguised(z):
        return narrow(z).astype(np.float64)

    z = draw("softmax", (4, 9), 1, "float32")[0]
    report = check(narrow, softmax_backward, z)
    assert report.passed, str(report)
    assert report.oracle == "float32 Richardson"
    assert "it returns float32" in said(report)
    for forward in (narrow, disguised):
        assert check(forward, softmax_backward, z).passed
        assert check(forward, lambda z, g: 0 * z, z).verdict == "fail"
        assert check(forward, lambda z, g: 1.1 * softmax_backward(z, g), z).verdict != "pass"


def test_float32_inside_a_float64_forward_is_seen():
    def disguised(z, labels):
        return float(cross_entropy(z.astype(np.float32), labels))

    for seed in range(40):
        inputs = draw("cross_entropy", (4, 37), 1, "float64", seed)
        report = check(disguised, cross_entropy_backward, *inputs, seed=seed)
        assert report.passed, str(report)
        assert check(disguised, lambda z, t, g: 0 * z, *inputs, seed=seed).verdict == "fail"


def test_reference_takes_the_place_of_the_forward():
    z = draw("softmax", (4, 9), 1, "float32")[0]

    def narrow(z):
        return softmax(z.astype(np.float32))

    report = check(narrow, softmax_backward, z, reference=softmax)
    assert report.passed
    assert report.oracle == "float64 complex step of the reference"
    assert report.error_bar < 1e-5
    wrong = check(narrow, softmax_backward, z, reference=log_softmax)
    assert wrong.verdict == "fail"
    assert "differs from the reference" in said(wrong)
    assert check(narrow, softmax_backward, z, reference=narrow).verdict == "inconclusive"


@pytest.mark.parametrize("thorough", [False, True])
def test_calls_are_bounded_and_counted(thorough):
    calls = {"forward": 0, "backward": 0}

    def forward(z):
        calls["forward"] += 1
        return softmax(z)

    for dtype in DTYPES:
        for shape in SHAPES:
            for factor in (1, 1.5):

                def backward(z, g, factor=factor):
                    calls["backward"] += 1
                    return (factor * softmax_backward(z, g)).astype(z.dtype)

                calls["forward"] = calls["backward"] = 0
                z = draw("softmax", shape, 1, dtype)[0]
                cost = check(forward, backward, z, thorough=thorough).cost
                assert calls == {
                    "forward": cost.forward + cost.diagnosis_forward,
                    "backward": cost.backward + cost.diagnosis_backward,
                }
                assert (factor == 1) == (cost.diagnosis_forward == 0)
                assert cost.forward <= (74 if thorough else 37)
                assert cost.backward <= (12 if thorough else 9)


def test_same_seed_gives_the_same_report():
    z = draw("softmax", (4, 9), 1, "float64")[0]
    first, again, other = (check(softmax, softmax_backward, z, seed=s) for s in (5, 5, 6))
    assert first.relative_error == again.relative_error != other.relative_error


def test_inputs_are_left_as_they_were():
    def careless(z):
        z -= z.max(axis=-1, keepdims=True)
        return softmax(z)

    z = draw("softmax", (4, 9), 1, "float64")[0]
    before = z.copy()
    report = check(careless, softmax_backward, z)
    assert report.verdict == "fail"
    assert "The forward overwrites its input 0." in said(report)
    np.testing.assert_array_equal(z, before)


def test_memory_that_is_written_again_in_every_call_is_no_mistake():
    out, gradient = np.empty((4, 9)), np.empty((4, 9))

    def tanh(x):
        return np.tanh(x, out=out)

    def backward(x, g):
        return np.multiply(g, 1 - np.tanh(x) ** 2, out=gradient)

    class Layer:
        def forward(self, x):
            self.o = np.tanh(x, out=out)
            return self.o

        def backward(self, g):
            return np.multiply(g, 1 - self.o**2, out=gradient)

    class Careless(Layer):
        def backward(self, g):
            return np.multiply(g, 1 - self.o**2, out=self.o)  # and what was saved is lost

    for dtype in DTYPES:
        x = draw("softmax", (4, 9), 1, dtype)[0]
        for arguments in ((tanh, backward), (Layer(),)):
            report = check(*arguments, x, seed=3)
            assert report.passed, str(report)
        assert check(tanh, lambda x, g: 2 * backward(x, g), x).verdict == "fail"
        assert "changes what the forward saved" in said(check(Careless(), x))


@pytest.mark.parametrize(
    ("dtype", "x"),
    [
        ("float16", [10.5, 11, 9]),
        ("float16", [0.5, 11, 11]),
        ("float32", [88.5, 88.6, 1]),
        ("float64", [709.5, 700, 709]),
    ],
)
def test_cotangent_leaves_room_for_large_slopes(dtype, x):
    x = np.array(x, dtype)

    def backward(x, g, factor=1):
        return (factor * g * np.exp(x)).astype(x.dtype)

    for seed in range(20):
        report = check(np.exp, backward, x, seed=seed)
        # In float64 the differences may overflow, too.
        assert report.passed or (dtype == "float64" and report.verdict != "fail"), str(report)
        assert report.cost.backward <= 9
        assert check(np.exp, lambda x, g: backward(x, -g), x, seed=seed).verdict != "pass"


def test_gradient_that_is_never_finite_fails():
    x = np.array([0.0, 1.0, 2.0])
    report = check(lambda x: x**2, lambda x, g: 2 * g * x**2 / x, x)
    assert report.verdict == "fail"
    assert "1 of the gradient's 3 entries are not finite" in said(report)


def test_layer_that_never_forgets_its_first_input_is_rejected():
    class Stale:
        def __init__(self):
            self.kept = None

        def forward(self, x):
            y = np.tanh(x)
            self.kept = y if self.kept is None else self.kept
            return y

        def backward(self, g):
            return g * (1 - self.kept**2)

    for dtype in DTYPES:
        x = draw("softmax", (4, 9), 1, dtype)[0]
        for seed in range(5):
            report = check(Stale(), x, seed=seed)
            assert report.verdict == "fail", str(report)
            assert report.cost.forward <= 37
