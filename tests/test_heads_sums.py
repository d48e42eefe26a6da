"""The sums that become W_bar: rounded to half precision, they are written over themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")

import ml_dtypes
import torch

from asserts import assert_same_bits
from softgrad.heads import sums
from softgrad.heads.arguments import linear_layer
from specs import probe

DTYPES: dict[str, Any] = {
    "NumPy float16": np.float16,
    "NumPy bfloat16": ml_dtypes.bfloat16,
    "NumPy float32": np.float32,
    "PyTorch float16": torch.float16,
    "PyTorch bfloat16": torch.bfloat16,
    "PyTorch float64": torch.float64,
}


def sums_of(K: int, D: int, dtype: Any) -> sums.WeightSums:
    x, W = np.zeros((2, D)), np.zeros((K, D))
    if isinstance(dtype, torch.dtype):
        arrays: list[Any] = [torch.tensor(v, dtype=dtype) for v in (x, W)]
    else:
        arrays = [v.astype(dtype) for v in (x, W)]
    return sums.WeightSums(linear_layer(*arrays, None, 2**20, {}))


def rounded(v: np.ndarray, like: Any) -> Any:
    if isinstance(like, torch.Tensor):
        return torch.tensor(v).to(like.dtype)
    return v.astype(like.dtype)


def address(v: Any) -> int:
    return int(v.data_ptr() if isinstance(v, torch.Tensor) else v.ctypes.data)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize(("K", "D"), [(1, 1), (1, 5), (2, 3), (7, 3), (19, 3), (64, 5), (129, 1)])
def test_a_result_is_the_rounded_sums(
    name: str, K: int, D: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "_BLOCK", 2)
    total, exact = sums_of(K, D, DTYPES[name]), probe((K, D), 1, np.float32)
    for tile in (slice(0, K // 3), slice(K // 3, K)):
        for here, part in total.parts(tile):
            part[...] = rounded(exact[tile][here], part)
    memory = address(total.pieces[0])
    found = total.result()
    assert address(found) == memory
    assert found.dtype == total.dtype
    assert_same_bits(found, rounded(exact, found))


def test_only_half_precision_is_in_two_pieces() -> None:
    pieces = {name: len(sums_of(20, 3, dtype).pieces[1]) for name, dtype in DTYPES.items()}
    assert pieces == {name: 0 if "32" in name or "64" in name else 4 for name in DTYPES}


@pytest.mark.parametrize("K", [1, 7, 8, 9, 33, 50257])
def test_the_rest_begins_where_products_read_16_bytes_at_once(K: int) -> None:
    first, rest = (piece.shape[0] for piece in sums_of(K, 2, torch.bfloat16).pieces)
    assert first + rest == K
    assert rest <= first
    assert not rest or first % 8 == 0
