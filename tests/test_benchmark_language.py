"""The language model's benchmark: training beside the bare products of its head."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import language

from corpora import write_folder


def test_bare_products_are_those_of_the_head() -> None:
    bare = language.BareProducts(N=6, D=3, V=5)
    bare()
    z = bare.x @ bare.W.T
    np.testing.assert_allclose(bare.z, z, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(bare.x_bar, z @ bare.W, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(bare.W_bar, z.T @ bare.x, rtol=1e-5, atol=1e-5)


def test_every_whole_step_is_measured(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "texts")
    found = json.loads(json.dumps(language.measure(tokens=330, dim=4, size=32, source=str(source))))
    assert found["steps"] == 330 // 32 - 5
    assert found["types"] == 19
    assert found["ratio"] > 0
    assert found["epoch"]["seconds"] == pytest.approx(
        found["epoch"]["tokens"] / found["tokens_per_second"]
    )
    assert found["reached"]["gigabytes"] is (found["gigabytes"] <= 1.0)
    assert found["reached"]["ratio"] is (found["ratio"] <= 1.5)
