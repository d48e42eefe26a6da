"""The README's table is made of what was measured, and stands between its markers."""

from __future__ import annotations

import pytest

from bench_cases import CASE, MEMORY
from softgrad.bench import Benchmark
from softgrad.bench.machine import Machine
from softgrad.bench.markdown import END, START, markdown, rewrite

RESULT = Benchmark(
    Machine("a processor", 2, "Linux", "3.11", {"softgrad": "0.1.0"}), False, (), (CASE, MEMORY)
)


def test_table_has_a_row_for_softgrad_with_the_best_peer():
    text = markdown(RESULT)
    row = next(line for line in text.splitlines() if line.startswith("| cross-entropy"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["cross-entropy", "8 × 3", "softgrad", "2", "2.00 × copy", "PyTorch", "7",
                     "3.50 ×", "6e-08", "1e+00", "missed"]  # fmt: skip
    assert "| 4 × 2 × 8 | softgrad | 72 |" in text
    assert "a processor, 2 cores" in text
    assert "- cross-entropy, 8 × 3: softgrad: ≤ 1.5 × copy: 2: missed" in text


def test_every_row_has_as_many_cells_as_its_head():
    tables = markdown(RESULT).split("\n\n")
    counts = [{line.count("|") for line in t.splitlines()} for t in tables if t.startswith("|")]
    assert len(counts) == 2
    assert all(len(count) == 1 for count in counts)


def test_table_replaces_what_is_between_the_markers(tmp_path):
    readme, results = tmp_path / "README.md", tmp_path / "results.json"
    readme.write_text(f"before\n{START}\nold\n{END}\nafter\n", encoding="utf-8")
    results.write_text(RESULT.to_json(), encoding="utf-8")
    for _ in range(2):
        rewrite(readme, results)
        text = readme.read_text(encoding="utf-8")
        assert text == f"before\n{START}\n{markdown(RESULT)}\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["none", START, f"{END}{START}", f"{START}{END}{END}"])
def test_readme_without_its_markers_is_left_as_it_is(tmp_path, text):
    readme, results = tmp_path / "README.md", tmp_path / "results.json"
    readme.write_text(text, encoding="utf-8")
    results.write_text(RESULT.to_json(), encoding="utf-8")
    with pytest.raises(ValueError, match="expected one"):
        rewrite(readme, results)
    assert readme.read_text(encoding="utf-8") == text


def test_quick_results_are_not_published(tmp_path):
    results = tmp_path / "results.json"
    results.write_text(Benchmark(RESULT.machine, True, (), ()).to_json(), encoding="utf-8")
    with pytest.raises(ValueError, match="--quick"):
        rewrite(tmp_path / "README.md", results)
