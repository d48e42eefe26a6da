"""The benchmark for GPUs: what is wrong gets no time, and the script runs where there is no GPU."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("triton_rows")

import torch
from benchmarks import gpu
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import softgrad as sg
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


def changed(v: torch.Tensor, rows: Any, number: float) -> torch.Tensor:
    """Return the same but for some rows, which are multiplied by a number."""
    v = v.clone()
    v[rows] *= number
    return v


CONFIDENT_ROW, ORDINARY_ROW, LAST_ROW = 3, gpu.CONFIDENT + 5, 299
WRONG: dict[str, tuple[Callable[..., tuple[Any, ...]], str]] = {
    "right": (lambda loss, x, W: (loss, x, W), ""),
    "loss": (lambda loss, x, W: (1.1 * loss, x, W), "wrong: the loss"),
    "ordinary row": (
        lambda loss, x, W: (loss, changed(x, ORDINARY_ROW, 1.2), W),
        "wrong: an ordinary row",
    ),
    "last row": (lambda loss, x, W: (loss, changed(x, LAST_ROW, 0), W), "wrong: an ordinary row"),
    "NaN": (lambda loss, x, W: (loss, changed(x, ORDINARY_ROW, torch.nan), W), "wrong: not all"),
    "NaN in a confident row": (
        lambda loss, x, W: (loss, changed(x, CONFIDENT_ROW, torch.nan), W),
        "wrong: not all",
    ),
    "infinite W": (lambda loss, x, W: (loss, x, W / 0), "wrong: not all"),
    "no W": (lambda loss, x, W: (loss, x, 0 * W), "wrong: a class"),
    "random W": (lambda loss, x, W: (loss, x, torch.randn_like(W)), "wrong: a class"),
    "last class": (lambda loss, x, W: (loss, x, changed(W, -1, 1.2)), "wrong: a class"),
}


@pytest.fixture(scope="module")
def head() -> tuple[gpu.Right, tuple[Any, ...]]:
    """Return what is right, and softgrad's answer."""
    made = gpu.Head.of(BENCH, 300, 16, 65)
    with on_gpu():
        return made.right(), next(iter(dict(gpu.ways_of_head(made, True)).values()))()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_of_the_head_is_never_timed(name: str, head: Any) -> None:
    (right, answer), (change, why) = head, WRONG[name]
    given = change(*answer)
    check = partial(gpu.errors_of_head, right=right)
    line = gpu.judged(BENCH, ("head", (1,), "a way"), lambda: given, check, floor_ms=1.0)
    assert line.note.startswith(why)
    assert (line.ms is None) == bool(why)


@pytest.mark.parametrize(
    ("rows", "losses", "why"),
    [
        (slice(0), slice(0), ""),
        (ORDINARY_ROW, slice(0), "an ordinary row is"),
        (LAST_ROW, slice(0), "an ordinary row is"),
        (slice(0), LAST_ROW, "an ordinary row's loss"),
    ],
)
def test_a_wrong_answer_of_rows_is_never_timed(rows: Any, losses: Any, why: str) -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(300, 9, device=DEVICE).bfloat16(), torch.arange(300, device=DEVICE) % 9
    slope, value = sg.CrossEntropy(reduction="none").value_and_gradient(x.double(), labels)[::-1]
    answer = changed(slope, rows, 1.1), changed(value, losses, 1.1)
    right = gpu.right_rows("loss and gradient", x, labels)
    errors, wrong = gpu.errors_of_rows(answer, right)
    assert max(errors) < 1e-6
    assert wrong.startswith(why)
    assert bool(wrong) == bool(why)


def test_the_device_is_busy_and_its_cache_cold_before_a_call_is_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Events around a call on an idle device have the time of Python between them."""
    said: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None: ...
        def record(self) -> None:
            said.append("event")

        def elapsed_time(self, end: Event) -> float:
            return 1.5

    class Memory:
        def zero_(self) -> None:
            said.append("flush")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: said.append("sleep"))
    monkeypatch.setattr(gpu.Bench, "empty", lambda self, size: Memory())
    assert gpu.Bench("cuda", 1).milliseconds(lambda: said.append("call")) == 1.5
    assert said == ["flush", "sleep", "event", "call", "event"]


def test_the_floor_s_rate_is_that_of_products_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them, on a device that was idle, would be faster than any that follow each other."""

    def milliseconds(self: gpu.Bench, call: Callable[[], Any]) -> float:
        with Products() as seen:
            call()
        return 0.5 * seen.count

    monkeypatch.setattr(gpu.Bench, "milliseconds", milliseconds)
    with Products() as seen:
        assert gpu.product_rate(BENCH, 8) == pytest.approx(2 * 8**3 / 0.5e-3)
    assert seen.count == 2 * 30


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += str(func).startswith("aten.mm")
        return func(*args, **(kwargs or {}))


def test_each_shape_is_compiled_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    def compiled(f: Any, **options: Any) -> Any:
        said.append(options)
        return f

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(torch.compiler, "reset", lambda: said.append("reset"))
    made = gpu.Head.of(BENCH, 70, 16, 65)
    assert "torch.compile" in dict(gpu.ways_of_head(made, False))
    room = BENCH.empty(*made.x.shape)
    ways = [name for _, name, _ in gpu.ways_of_rows(made.x, made.labels, room, False)]
    assert "torch.compile" in ways
    assert said == ["reset", {"dynamic": False}] * 2


def test_cut_cross_entropy_is_timed_with_all_its_gradients_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[Any] = []

    def cut(x: torch.Tensor, W: torch.Tensor, labels: torch.Tensor, impl: str = "cce") -> Any:
        said.append(impl)
        return torch.nn.functional.cross_entropy(x @ W.T, labels)

    module = ModuleType("cut_cross_entropy")
    module.linear_cross_entropy = cut  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cut_cross_entropy", module)
    monkeypatch.setattr(gpu, "_has", lambda name: name == "cut_cross_entropy")
    ways = dict(gpu.ways_of_head(gpu.Head.of(BENCH, 70, 16, 65), True))
    for name in ("cut-cross-entropy", "cce_exact"):
        ways[name]()
    assert said == ["cce", "cce_exact"]


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
