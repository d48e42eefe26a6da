"""The benchmark for GPUs: what is wrong gets no time, and the script runs where there is no GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton_rows")

import torch
from benchmarks import gpu
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from triton_rows import DEVICE, INTERPRETED, on_gpu

BENCH = gpu.Bench(DEVICE, 1)


@pytest.mark.skipif(not INTERPRETED, reason="the interpreter's tensors are the CPU's")
def test_the_script_runs_on_a_few_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with on_gpu():
        assert gpu.main(["--tiny", "--json", str(tmp_path / "gpu.json")]) == 0
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["device"] == "no GPU: the times mean nothing"
    mine = [line for line in written["lines"] if line["way"].startswith("softgrad")]
    assert {line["what"] for line in mine} == {
        "head",
        "softmax",
        "log_softmax",
        "loss and gradient",
    }
    for line in mine:
        assert line["ms"] > 0, line
        assert line["worst_error"] < 0.02, line
    printed = capsys.readouterr().out
    assert all(line["way"] in printed for line in written["lines"])


def test_without_a_gpu_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="needs a CUDA device"):
        gpu.main([])


def head() -> tuple[gpu.Head, tuple[Any, ...]]:
    """Return a problem and its right answer."""
    made = gpu.Head.of(BENCH, 80, 16, 65)
    answer = next(iter(dict(gpu.ways_of_head(made, True)).values()))
    with on_gpu():
        return made, answer()


def test_a_wrong_answer_is_never_timed() -> None:
    made, (loss, x_bar, W_bar) = head()
    exact, right = made.exact(), made.loss()
    worse = x_bar.clone()
    worse[gpu.CONFIDENT + 1] *= 1.2
    for answer, why in (
        ((loss, x_bar, W_bar), ""),
        ((1.1 * loss, x_bar, W_bar), "wrong: the loss"),
        ((loss, worse, W_bar), "wrong: an ordinary row"),
        ((loss, x_bar, W_bar / 0), "wrong: an ordinary row"),
    ):
        line = gpu.judged(
            BENCH,
            ("head", (1,), "a way"),
            lambda answer=answer: answer,
            lambda given: gpu.errors_of_head(given, exact, right),
            floor_ms=1.0,
        )
        assert line.note.startswith(why)
        assert (line.ms is None) == bool(why)


def test_rows_are_as_confident_as_is_said() -> None:
    made = gpu.Head.of(BENCH, 80, 512, 65)
    z = made.x.double() @ made.W.double().T
    rest = 1 - torch.softmax(z, 1)[torch.arange(80), made.labels]
    assert torch.all(rest[: gpu.CONFIDENT] < 1e-4)
    assert torch.median(rest[gpu.CONFIDENT :]) > 0.5


def test_what_does_not_run_says_why() -> None:
    def call() -> Any:
        raise MemoryError("no memory for 4 GiB\nand more")

    line = gpu.judged(BENCH, ("head", (1,), "a way"), call, lambda _: ([0.0], ""), 1.0)
    assert line.ms is None
    assert line.note == "did not run: MemoryError: no memory for 4 GiB"


@pytest.mark.skipif(
    not hasattr(torch.nn, "LinearCrossEntropyOptions"), reason="this PyTorch has no fused head"
)
def test_what_is_called_fused_stores_no_logits() -> None:
    made = gpu.Head.of(BENCH, 512, 16, 128)
    with Largest() as seen:
        dict(gpu.ways_of_head(made, True))["PyTorch, fused"]()
    assert 0 < seen.numbers < 512 * 128
    with Largest() as seen:
        dict(gpu.ways_of_head(made, True))["PyTorch"]()
    assert seen.numbers >= 512 * 128


class Largest(TorchDispatchMode):
    """The most numbers of a tensor that an operation makes."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        sizes = [v.numel() for v in tree_leaves(made) if isinstance(v, torch.Tensor)]
        self.numbers = max(self.numbers, *sizes, 0)
        return made
