"""Entries that tie are judged one by one and together."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check

SHARES = {
    "whole": lambda at: at,
    "doubled": lambda at: 2 * first(at),
    "equal": lambda at: at / at.sum(axis=-1, keepdims=True),
    "first": lambda at: first(at),
}
"""How the gradient of a maximum is shared out among the entries `at` it."""


def first(at):
    return at & (np.cumsum(at, axis=-1) == 1)


def rows(x):
    return x.max(axis=-1)


def rows_backward(x, g, share):
    return g[..., None] * share(x == x.max(axis=-1, keepdims=True))


def pool(x):
    return rows(x.reshape(len(x), -1, 2))


def pool_backward(x, g, share):
    return rows_backward(x.reshape(len(x), -1, 2), g, share).reshape(x.shape)


def of_all(x):
    return x.max()


def of_all_backward(x, g, share):
    return rows_backward(x.reshape(-1), np.asarray(g), share).reshape(x.shape)


MAXIMA = {"rows": (rows, rows_backward), "pool": (pool, pool_backward)}


def tied(seed, dtype):
    x = np.round(2 * np.random.default_rng(seed).normal(size=(5, 6))) / 2
    x[1, 2:4] = x[2, :2] = x[2, 4:] = 3
    x[3] += np.arange(6) / 8
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MAXIMA)
def test_shares_of_a_tie_add_up_to_the_whole(name, dtype):
    forward, backward = MAXIMA[name]
    for seed in range(6):
        x = tied(seed, dtype)
        for share, right in (
            ("equal", True),
            ("first", True),
            ("whole", False),
            ("doubled", False),
        ):
            report = check(forward, lambda x, g, s=SHARES[share]: backward(x, g, s), x, seed=seed)
            assert (report.verdict != "fail") == right, (share, str(report))
            assert report.cost.forward <= 37
            if share == "whole":
                assert "At entries of one value" in said(report)


def test_ties_beside_kinks_do_not_pass_either():
    def forward(x):
        return np.maximum(rows(x), 0)

    for seed in range(6):
        for share, right in (("first", True), ("whole", False)):

            def backward(x, g, share=SHARES[share]):
                return rows_backward(x, g * (rows(x) > 0), share)

            report = check(forward, backward, tied(seed, "float64"), seed=seed)
            assert report.verdict != ("fail" if right else "pass"), str(report)


def test_a_tie_for_the_one_output_is_judged():
    x = np.array([[1.0, 2.0], [2.0, -0.3]])
    for share, right in (("equal", True), ("first", True), ("whole", False)):
        report = check(of_all, lambda x, g, s=SHARES[share]: of_all_backward(x, g, s), x)
        assert (report.verdict != "fail") == right, (share, str(report))


@pytest.mark.parametrize("shares", [(1, 1), (1, 0), (0.5, 0.5), (0.3, 0.7)])
def test_ties_of_two_inputs(shares):
    a, b = tied(0, "float64"), tied(0, "float64")
    b[:3] = tied(1, "float64")[:3]

    def backward(a, b, g):
        same = a == b
        return g * ((a > b) + shares[0] * same), g * ((a < b) + shares[1] * same)

    for seed in range(4):
        report = check(np.maximum, backward, a, b, seed=seed)
        assert (report.verdict == "fail") == (sum(shares) != 1), str(report)


def test_the_middle_one_of_three_in_order_is_no_false_alarm():
    def order(x):
        return np.argsort(-x, axis=-1, kind="stable")[:, :4]

    def largest(x):
        return np.take_along_axis(x, order(x), axis=-1)

    def backward(x, g, factor=1.0):
        x_bar = np.zeros_like(x)
        np.put_along_axis(x_bar, order(x), factor * g, axis=-1)
        return x_bar

    for seed in range(12):
        x = tied(seed, "float64")
        assert check(largest, backward, x, seed=seed).verdict != "fail"
        report = check(largest, lambda x, g: backward(x, g, 1.5), x, seed=seed)
        assert report.verdict == "fail", str(report)


def test_a_row_of_zeros_in_a_layer_without_biases_is_no_tie():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        V, U = rng.normal(size=(5, 6)), rng.normal(size=(6, 2))
        x = rng.normal(size=(4, 5))
        x[2] = 0

        def backward(x, g, V=V, U=U):
            return (g @ U.T * (x @ V > 0)) @ V.T

        report = check(lambda x, V=V, U=U: np.maximum(x @ V, 0) @ U, backward, x, seed=seed)
        assert report.verdict != "fail", str(report)


def median(x):
    return np.median(x, axis=-1)


def median_backward(x, g, share):
    return g[..., None] * share(x == median(x)[..., None])


@pytest.mark.parametrize(
    "row", [[1, 2, 2, 2, 5], [2, 2, 2, 2, 2], [0, 0, 0, 4, 5], [7, 0, 0, 0, -1]]
)
def test_a_tie_that_is_smooth_along_every_line_is_no_mistake(row):
    """A median of three that are equal is that of their moves, ahead and behind."""
    x = np.array([row, [3, 1.5, 4, 0.5, 9]])
    elsewhere = np.array([[0.0], [0.1]])
    for seed in range(6):
        for share in ("equal", "first"):
            backward = SHARES[share]
            report = check(median, lambda x, g, s=backward: median_backward(x, g, s), x, seed=seed)
            assert report.verdict != "fail", str(report)
            if "do not add up" in said(report):
                assert report.diagnosis is None
            report = check(
                median,
                lambda x, g, s=backward: median_backward(x, g, s) + elsewhere * g[..., None],
                x,
                seed=seed,
            )
            assert report.verdict != "pass"
        wrong = check(median, lambda x, g: median_backward(x, g, SHARES["whole"]), x, seed=seed)
        assert wrong.verdict != "pass"


def test_a_wrong_gradient_is_not_excused_by_entries_that_are_equal():
    """Ties are no excuse where the slopes add up, nor where another entry's gradient is wrong."""
    zeros, odd = np.zeros((4, 5)), np.array([[1, 2, 2, 2, 5], [3, 1.5, 4, 0.5, 9]])
    for seed in range(6):
        report = check(np.sin, lambda x, g: 1.5 * g * np.cos(x), zeros, seed=seed)
        assert report.verdict == "fail"

        def backward(x, g):
            g_x = median_backward(x, g, SHARES["equal"])
            g_x[1, 3] += g[1]
            return g_x

        report = check(median, backward, odd, seed=seed)
        assert report.verdict != "pass"
        assert "do not add up" not in said(report)
