"""Axes: ticks, their labels, and the way from numbers to pixels."""

from __future__ import annotations

import numpy as np
import pytest

from softgrad.report.scales import Linear, Log, pretty
from softgrad.results import number

SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def read(label: str) -> float:
    """Read a tick's label back as a number."""
    label = label.replace("−", "-")
    if "10" in label and any(c in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹" for c in label):
        mantissa, _, power = label.rpartition("10")
        return float(f"{mantissa.rstrip('×') or 1}e{power.translate(SUPERSCRIPT)}")
    return float(label)


def ranges(count: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(0)
    middle = rng.normal(size=count) * 10.0 ** rng.integers(-12, 13, count)
    half = np.abs(middle) * 10.0 ** rng.uniform(-6, 3, count)
    return list(zip((middle - half).tolist(), (middle + half).tolist(), strict=True))


@pytest.mark.parametrize("kind", [Linear.around, Linear.tight])
def test_linear_ticks_are_even_and_inside_and_read_back(kind):
    for low, high in ranges(400):
        scale = kind(low, high, 0, 100)
        values = np.array([value for value, _ in scale.ticks()])
        step = np.diff(values)
        assert 2 <= len(values) <= 9
        np.testing.assert_allclose(step, step[0], rtol=1e-6)
        slack = 1e-9 * scale.step
        assert scale.low - slack <= values[0] <= values[-1] <= scale.high + slack
        labels = [label for _, label in scale.ticks()]
        np.testing.assert_allclose([read(x) for x in labels], values, rtol=1e-9, atol=slack)


def test_an_axis_around_data_holds_it_and_ends_on_ticks():
    for low, high in ranges(400):
        scale = Linear.around(low, high, 0, 100)
        values = [value for value, _ in scale.ticks()]
        assert scale.low <= low <= high <= scale.high
        np.testing.assert_allclose([scale.low, scale.high], [values[0], values[-1]], rtol=1e-9)


def test_labels_have_the_decimals_of_the_step():
    labels = [label for _, label in Linear.around(0, 1.9, 0, 1).ticks()]
    assert labels == ["0", "0.5", "1.0", "1.5", "2.0"]
    labels = [label for _, label in Linear.around(-2e-18, 3e-18, 0, 1).ticks()]
    assert labels == ["−2e−18", "−1e−18", "0", "1e−18", "2e−18", "3e−18"]
    labels = [label for _, label in Linear.tight(12345.1, 12345.4, 0, 1).ticks()]
    assert labels == ["12345.1", "12345.2", "12345.3", "12345.4"]


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5, 1e-12, -1e280])
def test_one_value_alone_lies_inside_its_axis(value):
    scale = Linear.around(value, value, 0, 100)
    assert scale.low <= value <= scale.high
    assert scale.low < scale.high
    assert len(scale.ticks()) >= 2


def test_counts_are_marked_at_whole_numbers():
    for high in (0, 1, 2, 3, 9, 30, 399):
        values = [value for value, _ in Linear.counting(0, high, 0, 100).ticks()]
        assert values
        assert all(value == int(value) for value in values)


def test_log_ticks_are_inside_and_read_back():
    rng = np.random.default_rng(1)
    for _ in range(300):
        low = 10 ** rng.uniform(-300, 300)
        high = low * 10 ** rng.choice([0, 0.01, 0.3, 1, 4, 12])
        scale = Log.around(low, high, 0, 100)
        ticks = scale.ticks()
        assert 2 <= len(ticks) <= 12
        assert all(scale.low <= value <= scale.high for value, _ in ticks)
        assert scale.low <= low <= high <= scale.high
        np.testing.assert_allclose([read(x) for _, x in ticks], [v for v, _ in ticks], rtol=1e-12)


def test_the_whole_range_of_float64_has_a_log_axis():
    assert 3 <= len(Log.around(1e-305, 1e305, 0, 100).ticks()) <= 12


@pytest.mark.parametrize("scale", [Linear(2, 10, 300, 20, 2), Log(1e-6, 1e-2, 300, 20)])
def test_the_ends_of_the_data_lie_at_the_ends_of_the_axis(scale):
    np.testing.assert_allclose(scale([scale.low, scale.high]), [300, 20], rtol=1e-12)


def test_equal_ratios_are_equally_long_on_a_log_axis():
    steps = np.diff(Log(1e-6, 1e2, 0, 80)([1e-5, 1e-3, 1e-1]))
    np.testing.assert_allclose(steps, 20, rtol=1e-12)


def test_numbers_are_those_of_the_results_in_print():
    for value in (0.5393, -4.248354e-18, 0.0, 12, 1e22, float("inf"), float("nan"), -0.0):
        assert pretty(value).replace("−", "-") == number(value).replace("e-0", "e-").replace(
            "e+", "e"
        )
