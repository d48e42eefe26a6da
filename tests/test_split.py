"""A data set, its split, and its columns brought to one scale."""

from __future__ import annotations

import numpy as np
import pytest

from softgrad.learn import Dataset, Standardizer, split

# Dataset and split


def toy(counts):
    """A data set with so many rows a class, each row its own number, in shuffled order."""
    y = np.random.default_rng(7).permutation(np.repeat(np.arange(len(counts)), counts))
    X = np.arange(float(len(y)))[:, None]
    return Dataset("toy", X, y, tuple(map(str, range(len(counts)))), ("row",))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ((3, 1), [0, 1, 0], r"^`X` must be of shape \[N, 2\], .*, got \(3, 1\)$"),
        ((3,), [0, 1, 0], r"^`X` must be of shape \[N, 2\], .*, got \(3,\)$"),
        ((3, 2), [0, 1], r"^`y` must be of shape \(3,\), a class for each row, got \(2,\)$"),
        ((3, 2), [0, 1, 2], "^`y` must be class indices from 0 to 1, got 0 to 2$"),
        ((3, 2), [0, 1, -1], "^`y` must be class indices from 0 to 1, got -1 to 1$"),
    ],
)
def test_a_dataset_whose_parts_disagree_is_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        Dataset("toy", np.zeros(X), np.array(y), ("no", "yes"), ("a", "b"))


@pytest.mark.parametrize(
    ("counts", "validation", "expected"),
    [
        ([50, 50, 50], 0.2, [10, 10, 10]),
        ([90, 10], 0.2, [18, 2]),
        ([7, 3], 0.2, [1, 1]),
        ([2, 2], 0.2, [1, 0]),
        ([2, 2], 0.01, [1, 0]),
        ([2, 2], 0.99, [1, 1]),
        ([1, 1, 2], 0.5, [0, 0, 1]),
        ([100, *[1] * 100], 0.5, [99, *[0] * 100]),
        ([3, 0, 3], 0.5, [2, 0, 1]),
    ],
)
def test_split_shares_the_validation_rows_by_class(counts, validation, expected):
    data = toy(counts)
    train, held_out = split(data, validation)
    assert np.bincount(held_out.y, minlength=len(counts)).tolist() == expected
    rows = np.concatenate([train.X, held_out.X])[:, 0]
    assert sorted(rows.tolist()) == list(range(len(data.y)))
    for part in (train, held_out):
        np.testing.assert_array_equal(part.y, data.y[part.X[:, 0].astype(int)])
        assert (part.name, part.classes, part.features) == ("toy", data.classes, data.features)


def test_split_depends_on_the_seed_and_on_nothing_else():
    data = toy([40, 60])
    first, again, other = (split(data, seed=seed)[1].X for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": 0.0}, "^`validation` must be between 0 and 1, both excluded, got 0.0$"),
        ({"validation": 1}, "^`validation` must be between 0 and 1, both excluded, got 1$"),
        ({"validation": np.nan}, "^`validation` must be between 0 and 1, both excluded, got nan$"),
        ({"validation": "a"}, "^`validation` must be between 0 and 1, .*, got 'a'$"),
        ({"seed": -1}, "^`seed` must be an integer of at least 0, got -1$"),
    ],
)
def test_split_refuses_settings_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        split(toy([5, 5]), **arguments)


def test_split_refuses_what_is_no_data_set_and_no_seed():
    with pytest.raises(TypeError, match=r"^`dataset` must be a Dataset, got NoneType$"):
        split(None)
    with pytest.raises(TypeError, match=r"^`seed` must be an integer, got 1.5$"):
        split(toy([5, 5]), seed=1.5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"X": [[1.0]]}, "^`X` must be a NumPy array of numbers, got list$"),
        ({"X": np.array([["a"]])}, "^`X` must be a NumPy array of numbers, got "),
        ({"y": [0]}, "^`y` must be a NumPy array of integers, got list$"),
        ({"y": np.zeros(1)}, r"^`y` must be a NumPy array of integers, got float64 \(1,\)$"),
        ({"classes": ["no"]}, r"^`classes` must be a tuple of names, got \['no'\]$"),
        ({"features": "a"}, "^`features` must be a tuple of names, got 'a'$"),
    ],
)
def test_a_dataset_of_other_kinds_of_parts_is_refused(parts, message):
    good = {"X": np.eye(1), "y": np.array([0]), "classes": ("no",), "features": ("a",)}
    with pytest.raises(TypeError, match=message):
        Dataset("toy", **good | parts)


def test_split_refuses_classes_of_one_row_each():
    with pytest.raises(ValueError, match=r"^`dataset` must be one with two rows of a class, got"):
        split(toy([1, 1, 1]))


# Standardizer


def test_standardized_columns_have_mean_0_and_deviation_1():
    X = np.random.default_rng(8).standard_normal((200, 4)) * [1, 1e-3, 1e6, 5] + [0, 1, 1e7, -40]
    Z = Standardizer.fit(X)(X)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(axis=0), 1, rtol=1e-12)


def test_standardizer_applies_the_training_rows_to_others():
    standardizer = Standardizer.fit(np.array([[1.0, 0.0], [3.0, 4.0]]))
    assert standardizer.mean.tolist() == [2, 2]
    assert standardizer.scale.tolist() == [1, 2]
    assert standardizer(np.array([[4.0, 8.0]])).tolist() == [[2, 3]]


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 5e-324])
def test_a_constant_column_becomes_exact_zeros(value):
    X = np.full((7, 1), value)
    standardizer = Standardizer.fit(X)
    assert standardizer.scale.tolist() == [1]
    assert not standardizer(X).any()


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_squares_of_extreme_columns_neither_overflow_nor_vanish(unit):
    X = unit * np.array([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(
        Standardizer.fit(X)(X)[:, 0], np.array([-2, -1, 3]) / np.sqrt(14 / 3), rtol=1e-14
    )


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 2)), r"^`X` must be of shape \[N, D\] with a row, got \(0, 2\)$"),
        (np.zeros(3), r"^`X` must be of shape \[N, D\] with a row, got \(3,\)$"),
        (np.array([[1.0], [np.nan]]), "^`X` must be finite, got NaN or infinity$"),
    ],
)
def test_standardizer_refuses_what_it_cannot_measure(X, message):
    with pytest.raises(ValueError, match=message):
        Standardizer.fit(X)


def test_standardizer_takes_lists_of_numbers_alone():
    standardizer = Standardizer.fit([[1, 0], [3, 4]])
    assert standardizer([[4, 8]]).tolist() == [[2, 3]]
    with pytest.raises(TypeError, match=r"^`X` must be real numbers"):
        Standardizer.fit([["a"]])
    with pytest.raises(TypeError, match=r"^`X` must be real numbers"):
        standardizer([["a", "b"]])


def test_standardizer_refuses_another_number_of_columns():
    with pytest.raises(ValueError, match=r"^`X` must be of shape \[N, 2\], got \(1, 3\)$"):
        Standardizer.fit(np.eye(2))(np.zeros((1, 3)))
