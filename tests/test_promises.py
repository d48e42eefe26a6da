"""The promised digits, measured against mpmath: NumPy in two dtypes, PyTorch and JAX in float32.

A message names the worst error in units of what is promised, so that a red test says by how much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest

import oracles
import softgrad as sg
from asserts import as_numpy, assert_same_bits, unit_roundoff
from specs import Compiled, probe


@dataclass(frozen=True)
class Where:
    """An array library, a dtype and an implementation: where a promise is measured."""

    library: str
    dtype: str
    impl: str = "reference"

    def __str__(self) -> str:
        suffix = {"reference": "", "numba": "-compiled", "triton": "-triton"}[self.impl]
        return f"{self.library}-{self.dtype}{suffix}"

    def array(self, x: Any) -> Any:
        if self.impl == "triton":
            return pytest.importorskip("triton_rows").tensor(x)
        if self.library == "torch":
            return pytest.importorskip("torch").tensor(x)
        if self.library == "jax":
            return pytest.importorskip("jax").numpy.asarray(x)
        return x

    def by(self, f: Any) -> Any:
        """Return a map or a loss as this implementation has it."""
        if self.impl == "triton":
            return pytest.importorskip("triton_rows").OnGPU(f)
        return Compiled(f) if self.impl == "numba" else f


WHERE = [
    Where("numpy", "float32"),
    Where("numpy", "float64"),
    Where("torch", "float32"),
    Where("jax", "float32"),
    Where("numpy", "float32", "numba"),
    Where("numpy", "float64", "numba"),
    Where("torch", "float32", "triton"),
]
everywhere = pytest.mark.parametrize("place", WHERE, ids=str)
in_numpy = pytest.mark.parametrize("place", [p for p in WHERE if p.library == "numpy"], ids=str)
SIZES = {2: 48, 3: 24, 7: 24, 30: 16, 63: 3, 64: 3, 65: 3, 100: 16, 1000: 2, 20000: 1}  # K: rows
SLOW_SIZES = {2: 4000, 3: 2000, 7: 2000, 30: 500, 100: 300, 1000: 30, 50257: 2, 2**20: 1}


@dataclass(frozen=True)
class Batch:
    """Rows of one length with what mpmath says of them."""

    x: np.ndarray  # [N, K]
    v: np.ndarray  # [N, K], a direction
    labels: np.ndarray  # [N]
    p: list[list[Any]]
    log_p: list[list[Any]]


def digits_for(dtype: str) -> int:
    """Return enough decimal digits for 1 − p of a row that saturates to the last normal number."""
    return 100 if dtype == "float32" else 370


@cache
def batches(dtype: str, slow: bool = False) -> list[Batch]:
    """Return rows of every length and range: flat, spread, saturated, ramps, offsets."""
    widest = 87.0 if dtype == "float32" else 700.0
    made = []
    for k, n in (SLOW_SIZES if slow else SIZES).items():
        if k > 10**5 and dtype == "float64":  # an hour of mpmath
            continue
        rng = np.random.default_rng([k, n, len(dtype)])
        ranges = np.resize([widest, 2.0, 10.0, 40.0, 0.02], n)[:, None]
        unit = rng.uniform(-1, 0, size=(n, k))
        unit[::3] = np.sort(unit[::3], axis=-1)  # ramps
        unit[1::3, 1:] = -1 + 0.01 * unit[1::3, 1:]  # spikes: saturated where the range is wide
        unit[1::3, 0] = 0
        unit = np.maximum(unit, -1)
        x = (ranges * unit + np.resize([0.0, 3.3, -50.0], n)[:, None]).astype(dtype)
        x[:, 0] = np.where(np.ptp(x, axis=-1) > widest, x.max(axis=-1) - 1, x[:, 0])
        with mpmath.workdps(digits_for(dtype)):
            rows = [oracles.row(row) for row in x]
            p, log_p = list(map(oracles.softmax, rows)), list(map(oracles.log_softmax, rows))
        # half of the labels at the maximum, where the gradient cancels
        labels = np.where(rng.random(n) < 0.5, np.argmax(x, axis=-1), rng.integers(k, size=n))
        made.append(Batch(x, probe((n, k), seed=k, dtype=dtype), labels, p, log_p))
    return made


def batches_at(place: Where, slow: bool = False) -> list[Batch]:
    """Return the rows for one place; JAX compiles each shape for seconds, so that it gets two."""
    made = batches(place.dtype, slow)
    return [batch for batch in made if place.library != "jax" or batch.x.shape[1] in (3, 30)]


def worst_error(place: Where, rows: Iterator[tuple[Any, Any, Any]], sums: bool) -> float:
    """Return the largest |actual − expected| / (u·scale), underflow left out.

    XLA flushes subnormal numbers to zero, so that a sum of many of them is missing: for sums in JAX
    scales count from the smallest normal number over u.
    """
    tiny, u = float(np.finfo(place.dtype).smallest_normal), unit_roundoff(place.dtype)
    least = tiny / u if place.library == "jax" and sums else tiny
    worst, compared = 0.0, 0
    for actual, expected, scale in rows:
        for a, y, s in zip(np.ravel(actual).tolist(), expected, scale, strict=True):
            if (abs(y) >= tiny and s >= least) or s >= tiny / u:
                error = float(abs(mpmath.mpf(a) - y) / s) / u
                worst, compared = max(worst, math.inf if math.isnan(error) else error), compared + 1
    assert compared > 20
    return worst


def assert_promise(name: str, place: Where, measured: float, promised: float) -> None:
    print(f"{name} on {place.library} {place.dtype}: {measured:.3g} of {promised:g}")
    assert measured <= promised, f"{name}: {measured:.4g} > {promised:g} on {place}"


def measure(
    place: Where,
    slow: bool,
    f: Callable[[Batch], Any],
    expected: Callable[[Batch, int], list[Any]],
    scale: Callable[[Batch, int, list[Any]], list[Any]] | None = None,
) -> float:
    """Return the worst error over all rows in u of `scale`: by default every component itself."""

    def rows() -> Iterator[tuple[Any, Any, Any]]:
        for batch in batches_at(place, slow):
            for i, actual in enumerate(as_numpy(f(batch))):
                y = expected(batch, i)
                yield actual, y, scale(batch, i, y) if scale else [abs(value) for value in y]

    with mpmath.workdps(digits_for(place.dtype)):
        return worst_error(place, rows(), sums=scale is terms_of_a_product)


def unit_in_the_last_place(batch: Batch, i: int, y: list[Any]) -> list[Any]:
    """ulp(y)/u = 2^e for y = f·2^e with f in [½, 1)."""
    return [mpmath.ldexp(1, mpmath.frexp(value)[1]) for value in y]


def terms_of_a_product(batch: Batch, i: int, y: list[Any]) -> list[Any]:
    """p_j(|w_j| + Σ p|w|), with w = v − v_k for the arg-max k: what promise A-8 is relative to."""
    p, v = batch.p[i], oracles.row(batch.v[i])
    w = [abs(value - v[int(np.argmax(batch.x[i]))]) for value in v]
    mean = mpmath.fdot(p, w)
    tiny = float(np.finfo(batch.x.dtype).smallest_normal)
    return [a * (b + mean) if a >= tiny else math.inf for a, b in zip(p, w, strict=True)]


def loss_of(batch: Batch, i: int) -> list[Any]:
    return [-batch.log_p[i][batch.labels[i]]]


def gradient_of(batch: Batch, i: int) -> list[Any]:
    return oracles.cross_entropy_gradient(batch.p[i], int(batch.labels[i]))


def product_of(batch: Batch, i: int) -> list[Any]:
    return oracles.softmax_product(batch.p[i], oracles.row(batch.v[i]))


each_row = sg.CrossEntropy(reduction="none")


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "many"])
def slow(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_closed_forms_of_the_oracle_are_differences_of_the_primal() -> None:
    for x in ([40.0, 0.0, 1.0], [0.3, 0.1, -2.0]):
        row, v = oracles.row(x), oracles.row([1.0, -0.5, 0.25])
        p = oracles.softmax(row)
        product, difference = oracles.softmax_product(p, v), oracles.jvp(oracles.softmax, row, v)
        assert max(abs(a / b - 1) for a, b in zip(product, difference, strict=True)) < 1e-60
        gradient = oracles.cross_entropy_gradient(p, 1)
        difference = oracles.vjp(lambda z: [-oracles.log_softmax(z)[1]], row, [mpmath.mpf(1)])
        assert max(abs(a / b - 1) for a, b in zip(gradient, difference, strict=True)) < 1e-60


@everywhere
def test_a3_softmax_is_within_4_ulp(place: Where, slow: bool) -> None:
    worst = measure(
        place,
        slow,
        lambda batch: place.by(sg.softmax)(place.array(batch.x)),
        lambda batch, i: batch.p[i],
        unit_in_the_last_place,
    )
    assert_promise("A-3 softmax, ulp", place, worst, 4)


@everywhere
def test_a4_softmax_sums_to_one_within_2_u(place: Where, slow: bool) -> None:
    worst = max(
        abs(math.fsum([*row.tolist(), -1.0]))
        for batch in batches_at(place, slow)
        for row in as_numpy(place.by(sg.softmax)(place.array(batch.x)))
    )
    assert worst > 0
    assert_promise("A-4 |Σp − 1|, u", place, worst / unit_roundoff(place.dtype), 2)


def rows_that_round_alike(dtype: str) -> Iterator[np.ndarray]:
    """Rows below one maximum in which every sum of a few neighbours rounds the same way, again and
    again: the worst that a sum over a row, or what multiplies all of it, can do to Σp and Σg."""
    rng = np.random.default_rng(4)
    for k in (3, 6, 9, 33, 64, 65, 256, 1000):
        n = 60_000 // k
        p = np.where(rng.random((n, 1)) < 0.5, rng.uniform(0.25, 1, (n, 4)), rng.random((n, 1)))
        which = np.arange(k) // (1 if k <= 64 else 64) % 4  # what adds up: classes, or blocks
        x = np.log(p[:, which])
        x[:, -1] = 0
        yield x.astype(dtype)


@in_numpy
def test_a4_a7_sums_of_rows_that_round_alike_are_within_2_u(place: Where) -> None:
    rng, worst = np.random.default_rng(47), [0.0, 0.0]
    for x in rows_that_round_alike(place.dtype):
        n, k = x.shape
        labels = np.where(rng.random(n) < 0.5, k - 1, rng.integers(k, size=n))
        for p, g in zip(
            place.by(sg.softmax)(x).tolist(),
            place.by(each_row).gradient(x, labels).tolist(),
            strict=True,
        ):
            worst[0] = max(worst[0], abs(math.fsum([*p, -1.0])))
            worst[1] = max(worst[1], abs(math.fsum(g)) / math.fsum(map(abs, g)))
    u = unit_roundoff(place.dtype)
    assert_promise("A-4 |Σp − 1| of alike rows, u", place, worst[0] / u, 2)
    assert_promise("A-7 |Σg|/Σ|g| of alike rows, u", place, worst[1] / u, 2)


ROWS_OF_A_STRONG_RIVAL = [  # a label, one class just above it, and little besides
    [-0.013169541954994202, -3.59086012840271, 0.0],
    [-0.036534082144498825, -3.7850558757781982, -3.783635377883911, 0.0],
    [-0.014095762744545937, -3.8750922679901123, -3.875091552734375, -3.875092029571533, 0.0],
]


@in_numpy
@pytest.mark.parametrize("row", ROWS_OF_A_STRONG_RIVAL, ids=len)
def test_a7_a_gradient_sums_to_zero_beside_a_strong_rival(place: Where, row: list[float]) -> None:
    """Found by search in float32: with the label's entry as p − 1, Σg is 2.3 to 2.5 u Σ|g|."""
    g = place.by(each_row).gradient(np.array([row], place.dtype), [0])[0].tolist()
    worst = abs(math.fsum(g)) / math.fsum(map(abs, g)) / unit_roundoff(place.dtype)
    assert_promise("A-7 |Σg|/Σ|g| beside a strong rival, u", place, worst, 2)


@everywhere
def test_a5_log_softmax_is_within_5_u(place: Where, slow: bool) -> None:
    worst = measure(
        place,
        slow,
        lambda batch: place.by(sg.log_softmax)(place.array(batch.x)),
        lambda batch, i: batch.log_p[i],
    )
    assert_promise("A-5 log_softmax, u", place, worst, 5)


@everywhere
def test_a6_cross_entropy_is_within_4_u(place: Where, slow: bool) -> None:
    worst = measure(
        place,
        slow,
        lambda batch: place.by(each_row)(place.array(batch.x), place.array(batch.labels)),
        loss_of,
    )
    assert_promise("A-6 cross-entropy, u", place, worst, 4)


@in_numpy
@pytest.mark.parametrize("offset", [1e4, -1e6, 1e8])
def test_a6_cross_entropy_is_within_4_u_at_any_offset(place: Where, offset: float) -> None:
    """Large common offsets, and logits that span thousands."""
    dtype = place.dtype
    rng, worst = np.random.default_rng(6), 0.0
    for k in (2, 5, 50):
        x = (
            offset + rng.normal(size=(20, k)) * rng.choice([1, 30, 1e3, 1e4], size=(20, 1))
        ).astype(dtype)
        labels = np.where(rng.random(20) < 0.5, np.argmax(x, axis=-1), 0)
        expected = [
            -oracles.log_softmax(oracles.row(row))[t] for row, t in zip(x, labels, strict=True)
        ]
        kept = [
            (a, y)
            for a, y in zip(place.by(each_row)(x, labels), expected, strict=True)
            if y > 1e-37
        ]
        assert len(kept) > 8
        u = unit_roundoff(dtype)
        worst = max(worst, *(float(abs(float(a) - y) / y) / u for a, y in kept))
    assert_promise(f"A-6 cross-entropy at offset {offset:g}, u", place, worst, 4)


@everywhere
def test_a6_same_bits_under_an_exact_shift(place: Where) -> None:
    rng = np.random.default_rng(60)
    x = (np.round(rng.normal(size=(64, 9)) * 64) / 64).astype(place.dtype)  # dyadic: shifts exactly
    labels = place.array(rng.integers(9, size=64))
    still = place.by(each_row).value_and_gradient(place.array(x), labels)
    for shift in (1.0, -3.0, 4096.0):
        moved = place.by(each_row).value_and_gradient(
            place.array(x + place_type(place, shift)), labels
        )
        assert_same_bits(moved[0], still[0])
        assert_same_bits(moved[1], still[1])
        assert_same_bits(
            place.by(sg.softmax)(place.array(x + place_type(place, shift))),
            place.by(sg.softmax)(place.array(x)),
        )


def place_type(place: Where, value: float) -> Any:
    return np.dtype(place.dtype).type(value)


@everywhere
def test_a7_gradient_of_cross_entropy_is_within_6_u(place: Where, slow: bool) -> None:
    worst = measure(
        place,
        slow,
        lambda batch: place.by(each_row).gradient(place.array(batch.x), place.array(batch.labels)),
        gradient_of,
    )
    assert_promise("A-7 gradient, u", place, worst, 6)


@everywhere
def test_a7_gradient_of_cross_entropy_sums_to_zero(place: Where, slow: bool) -> None:
    worst = 0.0
    for batch in batches_at(place, slow):
        gradient = place.by(each_row).gradient(place.array(batch.x), place.array(batch.labels))
        for row in as_numpy(gradient).astype(np.float64):
            size = math.fsum(np.abs(row))
            if size > np.finfo(place.dtype).smallest_normal / unit_roundoff(place.dtype):
                worst = max(worst, abs(math.fsum(row)) / size)
    assert worst > 0
    assert_promise("A-7 |Σg|/Σ|g|, u", place, worst / unit_roundoff(place.dtype), 2)


smoothed = sg.CrossEntropy(reduction="none", label_smoothing=0.1)


@everywhere
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "class weights"])
def test_smoothed_labels_are_within_6_u(place: Where, weighted: bool, slow: bool) -> None:
    """Every class has a target; a saturated maximum keeps what the others have of it."""

    def weights(batch: Batch) -> np.ndarray:
        k = batch.x.shape[1]
        return (0.3 + np.arange(k) % 3 if weighted else np.ones(k)).astype(place.dtype)

    def found(batch: Batch) -> Any:
        x, labels = place.array(batch.x), place.array(batch.labels)
        options = {"class_weights": place.array(weights(batch))} if weighted else {}
        return place.by(smoothed).value_and_gradient(x, labels, **options)

    def targets(batch: Batch, i: int) -> list[Any]:
        share = mpmath.mpf(smoothed.label_smoothing) / batch.x.shape[1]
        t = [share] * batch.x.shape[1]
        t[batch.labels[i]] += 1 - mpmath.mpf(smoothed.label_smoothing)
        return [a * float(c) for a, c in zip(t, weights(batch), strict=True)]

    def loss(batch: Batch, i: int) -> list[Any]:
        return [-mpmath.fsum(t * q for t, q in zip(targets(batch, i), batch.log_p[i], strict=True))]

    def pull_and_push(batch: Batch, i: int) -> list[tuple[Any, Any]]:
        """The gradient is their difference: T·p_j − t_j, or what the others have, at a maximum."""
        t, p = targets(batch, i), batch.p[i]
        T = mpmath.fsum(t)
        return [(T * q, a) if q <= 0.5 else (T - a, T * (1 - q)) for q, a in zip(p, t, strict=True)]

    def gradient(batch: Batch, i: int) -> list[Any]:
        return [a - b for a, b in pull_and_push(batch, i)]

    def scale(batch: Batch, i: int, y: list[Any]) -> list[Any]:
        return [a + b for a, b in pull_and_push(batch, i)]

    worst = measure(place, slow, lambda batch: found(batch)[0], loss)
    assert_promise("loss of smoothed labels, u", place, worst, 6)
    worst = measure(place, slow, lambda batch: found(batch)[1], gradient, scale)
    assert_promise("gradient of smoothed labels, u", place, worst, 6)


each_sum = sg.CrossEntropy(reduction="sum")
PRODUCTS = {
    "vjp": lambda place, x, v, labels: place.by(sg.softmax).vjp(x, v),
    "jvp": lambda place, x, v, labels: place.by(sg.softmax).jvp(x, v),
    "hvp": lambda place, x, v, labels: place.by(each_sum).hessian(x, labels).mv(v),
}


@everywhere
def test_a8_softmax_vjp_is_within_8_u(place: Where, slow: bool) -> None:
    assert_product_is_within_8_u(place, "vjp", slow)


@pytest.mark.parametrize("verb", ["jvp", "hvp"])
@in_numpy
def test_a8_softmax_jvp_and_cross_entropy_hvp_are_within_8_u(place: Where, verb: str) -> None:
    assert_product_is_within_8_u(place, verb, slow=False)


def assert_product_is_within_8_u(place: Where, verb: str, slow: bool) -> None:
    worst = measure(
        place,
        slow,
        lambda batch: PRODUCTS[verb](place, *map(place.array, (batch.x, batch.v, batch.labels))),
        product_of,
        terms_of_a_product,
    )
    assert_promise(f"A-8 {verb} of softmax, u", place, worst, 8)


@everywhere
def test_a8_same_bits_under_an_exact_shift_of_the_cotangent(place: Where) -> None:
    rng = np.random.default_rng(80)
    x = rng.normal(size=(64, 9)).astype(place.dtype)
    v = (np.round(rng.normal(size=(64, 9)) * 64) / 64).astype(place.dtype)
    still = place.by(sg.softmax).vjp(place.array(x), place.array(v))
    for shift in (1.0, -3.0, 4096.0):
        moved = place.by(sg.softmax).vjp(place.array(x), place.array(v + place_type(place, shift)))
        assert_same_bits(moved, still)


@everywhere
def test_a9_nothing_that_is_normal_comes_back_as_zero(place: Where) -> None:
    """p, log p, loss and gradient over rows that saturate to the last normal number."""
    tiny = float(np.finfo(place.dtype).smallest_normal)
    checked = 0
    with mpmath.workdps(digits_for(place.dtype)):
        for batch in batches_at(place):
            x, labels = place.array(batch.x), place.array(batch.labels)
            answers = [
                (place.by(sg.softmax)(x), lambda i, b=batch: b.p[i]),
                (place.by(sg.log_softmax)(x), lambda i, b=batch: b.log_p[i]),
                (place.by(each_row)(x, labels), lambda i, b=batch: loss_of(b, i)),
                (place.by(each_row).gradient(x, labels), lambda i, b=batch: gradient_of(b, i)),
            ]
            for answer, exact in answers:
                for i, row in enumerate(as_numpy(answer)):
                    for value, y in zip(np.ravel(row), exact(i), strict=True):
                        assert value != 0 or abs(y) < tiny, f"A-9: 0 for {y} on {place}"
                        checked += abs(y) < 1e3 * tiny
    assert checked > 10, "no row came near the last normal number"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "f"), [("sigmoid", sg.sigmoid), ("log_sigmoid", sg.log_sigmoid), ("tanh", sg.tanh)]
)
def test_elementwise_maps_and_their_slopes_are_within_a_few_u(
    name: str, f: Any, dtype: str
) -> None:
    widest = 87.0 if dtype == "float32" else 700.0
    rng, u = np.random.default_rng(5), unit_roundoff(dtype)
    sizes = np.concatenate(
        [rng.uniform(-widest, widest, 100), rng.normal(size=100), 1e-3 * rng.normal(size=50)]
    )
    x, v = sizes.astype(dtype), np.resize([1.0, 0.5, -2.0], 250).astype(dtype)
    tiny = float(np.finfo(dtype).smallest_normal)
    values, slopes, worst = f(x), f.jvp(x, v), [0.0, 0.0]
    primal = getattr(oracles, name)
    with mpmath.workdps(700):
        step = mpmath.mpf(10) ** -330
        for a, b, z, w in zip(values, slopes, oracles.row(x), v, strict=True):
            (y,) = primal([z])
            slope = float(w) * (primal([z + step])[0] - primal([z - step])[0]) / (2 * step)
            for i, (got, exact) in enumerate(((a, y), (b, slope))):
                if abs(exact) >= tiny:
                    worst[i] = max(
                        worst[i], float(abs(mpmath.mpf(float(got)) - exact) / abs(exact)) / u
                    )
    assert_promise(f"{name}, u", Where("numpy", dtype), worst[0], 5)
    assert_promise(f"slope of {name}, u", Where("numpy", dtype), worst[1], 8)


@in_numpy
@pytest.mark.parametrize("alpha", [1.3, 1.5, 2.0, 3.0])
def test_entmax_is_within_a_few_u_of_its_conditioning(alpha: float, place: Where) -> None:
    """An error of u in the threshold moves p_j by u·p_j^(2−α)/(α−1), and the others with it."""
    if place.impl == "numba" and alpha not in (1.5, 2.0):
        return  # no kernel
    dtype, f = place.dtype, place.by(sg.Entmax(alpha=alpha))
    rng, u, worst = np.random.default_rng(15), unit_roundoff(dtype), 0.0
    for k in (2, 10, 100):
        x = (rng.normal(size=(20, k)) * np.resize([0.02, 1.0, 5.0], 20)[:, None]).astype(dtype)
        for row, p in zip(x, f(x), strict=True):
            exact = oracles.entmax(oracles.row(row), alpha)
            size = max(y ** (2 - alpha) / (alpha - 1) for y in exact if y)
            errors = [abs(a - y) for a, y in zip(p.tolist(), exact, strict=True)]
            worst = max(worst, float(max(errors) / max(size, 1)) / u)
    assert_promise(f"entmax at {alpha:g}, u", place, worst, 8)


@in_numpy
@pytest.mark.parametrize("seed", range(2))
def test_r1_finite_rows_give_neither_nan_nor_infinity(place: Where, seed: int) -> None:
    assert_all_finite(place, np.random.default_rng(seed), 20_000)


@pytest.mark.slow
@in_numpy
def test_r1_ten_million_finite_rows_give_neither_nan_nor_infinity(place: Where) -> None:
    for seed in range(50):
        assert_all_finite(place, np.random.default_rng(seed), 200_000)


def assert_all_finite(place: Where, rng: np.random.Generator, rows: int) -> None:
    """Run every map and the loss over rows of all magnitudes, 2^-126 to 2^100."""
    dtype = place.dtype
    x = (rng.normal(size=(rows, 3)) * 2.0 ** rng.integers(-126, 100, size=(rows, 1))).astype(dtype)
    v = rng.normal(size=(rows, 3)).astype(dtype)
    without_kernels = [sg.sigmoid, sg.log_sigmoid, sg.tanh, sg.relu] * (place.impl == "reference")
    maps = [sg.softmax, sg.log_softmax, sg.sparsemax, sg.entmax15, sg.Softmax(temperature=0.7)]
    for f in map(place.by, maps + without_kernels):
        y, jacobian = f.linearize(x)
        for product in (y, jacobian.mv(v), jacobian.rmv(v)):
            assert np.all(np.isfinite(product)), f
    loss, gradient = place.by(each_row).value_and_gradient(x, rng.integers(3, size=rows))
    assert np.all(np.isfinite(loss))
    assert np.all(np.isfinite(gradient))
    assert np.all(np.isfinite(place.by(sg.logsumexp)(x)))
