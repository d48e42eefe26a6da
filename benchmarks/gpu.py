"""The head and the row kernels on a GPU, beside what is installed there: checked, then timed.

`python -m benchmarks.gpu --json gpu.json` prints tables and writes them. Every answer is checked
against float64 first, and what is wrong gets no time. Floors are measured in the same run: the rate
of a bfloat16 product, and the bandwidth of a copy. `--tiny` runs it all on a few numbers, without a
GPU by Triton's interpreter: that tests the script, and its times mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

HEADS = ((8192, 4096, 131072), (8192, 2304, 256000), (16384, 2048, 248320), (4096, 4096, 32000))
ROWS = ((8192, 1000), (8192, 32000), (8192, 131072), (8192, 262144))
TINY_HEADS, TINY_ROWS = ((48, 16, 65),), ((4, 100),)
PEERS = ("torch", "triton", "liger-kernel", "cut-cross-entropy", "softgrad")

CONFIDENT = 32
"""Rows whose label has all but a millionth of the probability."""

DTYPE = torch.bfloat16

CACHE = 2**27
"""Numbers that are written between two calls: 256 MiB, where an H100 has 50 MB of cache."""

BUSY = 20_000_000
"""Cycles, about 10 ms."""

PRODUCTS = 30
"""Products in a row of which the floor is made: one alone is over before the clocks slow down."""

Call = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True)
class Line:
    """One way to do one thing, as it is printed and written."""

    what: str
    shape: tuple[int, ...]
    way: str
    ms: float | None
    """The median, or None for what is wrong or does not run."""
    of_floor: float | None
    """The floor's time over this."""
    peak_mib: float | None
    """Memory beyond the arguments, results included."""
    median_error: float | None
    """Of the gradients of confident rows, relative to each row's largest entry."""
    worst_error: float | None
    note: str = ""


@dataclass(frozen=True)
class Bench:
    """A device, and how it is measured."""

    device: str
    runs: int

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def milliseconds(self, call: Callable[[], Any]) -> float:
        """Return the median time of a call, by the device's own clock where it has one.

        The cache of the device holds nothing of the arguments, and the device is kept busy until
        Python has said all that is to be done: else a short call would take Python's time.
        """
        times = []
        flushed = self.empty(CACHE if self.device == "cuda" else 0)
        for _ in range(self.runs):
            self.wait()
            if self.device == "cuda":
                begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                flushed.zero_()
                torch.cuda._sleep(BUSY)
                begin.record()
                call()
                end.record()
                self.wait()
                times.append(begin.elapsed_time(end))
            else:
                start = time.perf_counter()
                call()
                times.append(1e3 * (time.perf_counter() - start))
        return statistics.median(times)

    def peak_mib(self, call: Callable[[], Any]) -> float | None:
        """Return the memory that a call takes beyond what is there before it."""
        if self.device != "cuda":
            return None
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20

    def empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=DTYPE, device=self.device)


# --- the floors --------------------------------------------------------------------------------


def product_rate(bench: Bench, n: int) -> float:
    """Return the operations a second of bfloat16 products of n × n matrices, one after another."""
    a, b = (torch.randn(n, n, device=bench.device).to(DTYPE) for _ in range(2))
    out = bench.empty(n, n)

    def products() -> None:
        for _ in range(PRODUCTS):
            torch.mm(a, b, out=out)

    bench.milliseconds(products)
    return PRODUCTS * 2 * n**3 / (1e-3 * bench.milliseconds(products))


def copy_bandwidth(bench: Bench, size: int) -> float:
    """Return the bytes a second of a copy, read and written."""
    a = torch.zeros(size, dtype=torch.uint8, device=bench.device)
    b = torch.empty_like(a)
    bench.milliseconds(lambda: b.copy_(a))
    return 2 * size / (1e-3 * bench.milliseconds(lambda: b.copy_(a)))


# --- the head ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """x [N, D], W [K, D] and labels [N], of which the first rows are confident."""

    x: torch.Tensor
    W: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, bench: Bench, N: int, D: int, K: int) -> Head:
        torch.manual_seed(0)
        W = torch.randn(K, D, device=bench.device) / D**0.5
        x = torch.randn(N, D, device=bench.device)
        labels = torch.randint(K, (N,), device=bench.device)
        target = W[labels[:CONFIDENT]]
        top = 14 + torch.tensor(K).log().item()  # 1 − p is about e⁻¹⁴
        x[:CONFIDENT] = 0.1 * x[:CONFIDENT] + top * target / target.square().sum(1, keepdim=True)
        return cls(x.to(DTYPE), W.to(DTYPE), labels)

    def right(self) -> Right:
        """Return what is right, some rows of logits at a time.

        An entry of the gradient at the label is summed over the others, and not 1 less than its p.
        """
        N, K, labels = len(self.x), len(self.W), self.labels
        log_normalisers = torch.cat(
            [torch.logsumexp(self.logits(rows), 1) for rows in torch.arange(N).split(512)]
        )
        at_label = torch.cat(
            [
                (x.double() * self.W[y].double()).sum(1)
                for x, y in zip(self.x.split(512), labels.split(512), strict=True)
            ]
        )
        rows = sampled(N)
        p = torch.softmax(self.logits(rows), 1)
        here = F.one_hot(labels[rows], K).bool()
        g = torch.where(here, -p.masked_fill(here, 0).sum(1, keepdim=True), p)
        x_bar = torch.zeros(len(rows), self.x.shape[1], dtype=torch.float64, device=g.device)
        for part, W in zip(g.split(8192, 1), self.W.split(8192), strict=True):
            x_bar += part @ W.double()
        classes = torch.cat([labels[rows].cpu(), sampled(K)]).unique()
        z = self.x.double() @ self.W[classes].double().T
        g = torch.exp(z - log_normalisers[:, None])
        g -= (labels[:, None] == classes.to(labels.device)).double()
        W_bar = g.T @ self.x.double()
        loss = float((log_normalisers - at_label).mean())
        return Right(loss, rows, x_bar / N, classes, W_bar / N)

    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        """Return float64 logits of some rows."""
        x = self.x[rows].double()
        return torch.cat([x @ W.double().T for W in self.W.split(8192)], 1)


class Right(NamedTuple):
    """The loss, and some rows of its gradients, in float64."""

    loss: float
    rows: torch.Tensor
    x_bar: torch.Tensor
    classes: torch.Tensor
    W_bar: torch.Tensor


def sampled(N: int) -> torch.Tensor:
    """Return which of N rows are looked at: the first, confident or not, and the last."""
    return torch.arange(N)[[*range(min(N, 2 * CONFIDENT)), *range(max(2 * CONFIDENT, N - 64), N)]]


def ways_of_head(head: Head, tiny: bool) -> Iterator[tuple[str, Call]]:
    """Yield names and functions that return the loss and the gradients in x and W."""
    import softgrad as sg

    x, W, labels = head.x, head.W, head.labels

    def direct() -> tuple[Any, ...]:
        loss, bars = sg.linear_cross_entropy.value_and_gradient(x, W, labels)
        return loss, bars.x, bars.W

    yield "softgrad", direct
    yield "softgrad, autograd", _trained(lambda x, W: sg.linear_cross_entropy(x, W, labels), x, W)

    def eager(x: Any, W: Any) -> Any:
        return F.cross_entropy(F.linear(x, W).float(), labels)

    yield "PyTorch", _trained(eager, x, W)
    if not tiny:
        yield "torch.compile", _trained(_compiled(eager), x, W)
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):  # without them all logits are stored
        fused = partial(F.linear_cross_entropy, options=torch.nn.LinearCrossEntropyOptions())
        yield "PyTorch, fused", _trained(lambda x, W: fused(x, W, labels), x, W)
    if _has("liger_kernel"):
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

        liger = LigerFusedLinearCrossEntropyLoss()
        yield "Liger", _trained(lambda x, W: liger(W, x, labels), x, W)
    if _has("cut_cross_entropy"):
        from cut_cross_entropy import linear_cross_entropy as cut

        yield "cut-cross-entropy", _trained(lambda x, W: cut(x, W, labels), x, W)
        exact = partial(cut, impl="cce_exact")  # the default leaves small gradients out
        yield "cce_exact", _trained(lambda x, W: exact(x, W, labels), x, W)


def _compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled for one shape: others, seen before, would make it a variable."""
    torch.compiler.reset()
    compiled: Callable[..., Any] = torch.compile(f, dynamic=False)
    return compiled


def _trained(loss: Callable[[Any, Any], Any], x: Any, W: Any) -> Call:
    """Return a step that PyTorch differentiates."""

    def step() -> tuple[Any, ...]:
        leaves = x.detach().requires_grad_(), W.detach().requires_grad_()
        y = loss(*leaves)
        return y.detach(), *torch.autograd.grad(y, leaves)

    return step


def measure_heads(bench: Bench, shapes: Any, rate: float, tiny: bool) -> Iterator[Line]:
    for N, D, K in shapes:
        head = Head.of(bench, N, D, K)
        right = head.right()
        for name, call in ways_of_head(head, tiny):
            yield judged(
                bench,
                ("head", (N, D, K), name),
                call,
                lambda answer: errors_of_head(answer, right),  # noqa: B023
                floor_ms=1e3 * 6 * N * D * K / rate,
            )


def errors_of_head(answer: tuple[Any, ...], right: Right) -> tuple[list[float], str]:
    """Return the relative errors of the confident rows, and what is wrong."""
    value, x_bar, W_bar = answer
    if not finite(*answer):
        return [], "not all numbers are finite"
    errors = relative(x_bar[right.rows], right.x_bar)
    ordinary, of_W = max(errors[CONFIDENT:]), max(relative(W_bar[right.classes], right.W_bar))
    wrong = ""
    if abs(float(value) / right.loss - 1) > 0.01:
        wrong = f"the loss is {float(value):.6g}, not {right.loss:.6g}"
    elif not ordinary < 0.05:
        wrong = f"an ordinary row's gradient is off by {ordinary:.2g}"
    elif not of_W < 0.05:
        wrong = f"a class's gradient in W is off by {of_W:.2g}"
    return errors[:CONFIDENT], wrong


def finite(*answer: torch.Tensor) -> bool:
    return all(bool(torch.isfinite(v).all()) for v in answer)


def relative(found: torch.Tensor, exact: torch.Tensor) -> list[float]:
    """Return the largest error of each row over its largest entry."""
    off = (found.double() - exact).abs().amax(1) / exact.abs().amax(1)
    return [float(v) for v in off]


# --- rows --------------------------------------------------------------------------------------


def ways_of_rows(
    x: torch.Tensor, labels: torch.Tensor, room: torch.Tensor, tiny: bool
) -> Iterator[tuple[str, str, Call]]:
    """Yield what is computed, who does it, and a function that returns it."""
    import softgrad as sg

    each = sg.CrossEntropy(reduction="none")

    def trained(dtype: torch.dtype) -> Call:
        def native() -> tuple[Any, ...]:
            leaf = x.detach().requires_grad_()
            y = F.cross_entropy(leaf.to(dtype), labels, reduction="none")
            return *torch.autograd.grad(y.sum(), leaf), y.detach()

        return native

    def direct() -> tuple[Any, ...]:
        losses, gradient = each.value_and_gradient(x, labels, out=room)
        return gradient, losses

    yield "softmax", "softgrad", lambda: (sg.softmax(x, out=room),)
    yield "softmax", "PyTorch", lambda: (torch.softmax(x, 1, out=room),)
    yield "log_softmax", "softgrad", lambda: (sg.log_softmax(x, out=room),)
    yield "log_softmax", "PyTorch", lambda: (torch.log_softmax(x, 1),)
    yield "loss and gradient", "softgrad", direct
    yield "loss and gradient", "PyTorch", trained(x.dtype)
    yield "loss and gradient", "PyTorch, float32", trained(torch.float32)
    if not tiny:
        fused = _compiled(lambda x: torch.softmax(x, 1))
        yield "softmax", "torch.compile", lambda: (fused(x),)


def right_rows(what: str, x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return some rows of an answer in float64, and their losses."""
    rows = sampled(len(x))
    z, y = x[rows].double(), labels[rows]
    if what == "log_softmax":
        return (torch.log_softmax(z, 1),)
    p = torch.softmax(z, 1)
    if what == "softmax":
        return (p,)
    here = F.one_hot(y, z.shape[1]).bool()
    others = p.masked_fill(here, 0).sum(1)
    return torch.where(here, -others[:, None], p), F.cross_entropy(z, y, reduction="none")


def measure_rows(bench: Bench, shapes: Any, bandwidth: float, tiny: bool) -> Iterator[Line]:
    for N, K in shapes:
        torch.manual_seed(0)
        x = (3 * torch.randn(N, K, device=bench.device)).to(DTYPE)
        labels, room = torch.randint(K, (N,), device=bench.device), bench.empty(N, K)
        some = torch.arange(min(N, CONFIDENT), device=bench.device)
        x[some, labels[some]] = 30  # confident
        for what, name, call in ways_of_rows(x, labels, room, tiny):
            right = right_rows(what, x, labels)
            yield judged(
                bench,
                (what, (N, K), name),
                call,
                lambda answer: errors_of_rows(answer, right),  # noqa: B023
                floor_ms=1e3 * 2 * x.numel() * x.element_size() / bandwidth,
            )


def errors_of_rows(
    answer: tuple[torch.Tensor, ...], right: tuple[torch.Tensor, ...]
) -> tuple[list[float], str]:
    """Return the relative errors of the confident rows, and what is wrong."""
    if not finite(*answer):
        return [], "not all numbers are finite"
    rows = sampled(len(answer[0]))
    errors = relative(answer[0][rows], right[0])
    ordinary = slice(min(CONFIDENT, len(rows)), None)
    off = max(errors[ordinary], default=0.0)
    wrong = "" if off < 0.02 else f"an ordinary row is off by {off:.2g}"
    for found, exact in zip(answer[1:], right[1:], strict=True):
        off = max(relative(found[rows][ordinary, None], exact[ordinary, None]), default=0.0)
        wrong = wrong or ("" if off < 0.02 else f"an ordinary row's loss is off by {off:.2g}")
    return errors[:CONFIDENT], wrong


# --- what is common ----------------------------------------------------------------------------


def judged(
    bench: Bench,
    names: tuple[str, tuple[int, ...], str],
    call: Call,
    check: Callable[[tuple[Any, ...]], tuple[list[float], str]],
    floor_ms: float,
) -> Line:
    """Check an answer; time what is right."""
    try:
        errors, wrong = check(call())
    except Exception as error:  # a peer's own, memory that is not there
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Line(*names, None, None, None, None, None, f"did not run: {reason}"[:120])
    median, worst = (statistics.median(errors), max(errors)) if errors else (None, None)
    if wrong:
        return Line(*names, None, None, None, median, worst, f"wrong: {wrong}")
    for _ in range(2):  # compiled by now, and warm
        call()
    ms = bench.milliseconds(call)
    return Line(*names, ms, floor_ms / ms, bench.peak_mib(call), median, worst)


def machine(bench: Bench, rate: float, bandwidth: float) -> dict[str, Any]:
    """Return what was measured on."""
    versions = {name: metadata.version(name) for name in PEERS if _has_distribution(name)}
    on_gpu = bench.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "no GPU: the times mean nothing",
        "cuda": torch.version.cuda if on_gpu else None,
        "driver": _driver() if on_gpu else None,
        "versions": versions,
        "product_tflops": rate / 1e12,
        "copy_gb_per_s": bandwidth / 1e9,
    }


def _driver() -> str:
    version = Path("/proc/driver/nvidia/version")
    return version.read_text().splitlines()[0] if version.exists() else "unknown"


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _has_distribution(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def show(line: Line) -> str:
    def number(v: float | None, form: str) -> str:
        return "–" if v is None else format(v, form)

    shape = " × ".join(map(str, line.shape))
    return (
        f"{line.what:18} {shape:22} {line.way:19} {number(line.ms, '9.3f'):>9} "
        f"{number(line.of_floor, '6.1%'):>7} {number(line.peak_mib, '8.0f'):>8} "
        f"{number(line.median_error, '.1e'):>8} {number(line.worst_error, '.1e'):>8}  {line.note}"
    )


HEADING = (
    f"{'what':18} {'shape':22} {'way':19} {'ms':>9} {'floor':>7} {'MiB':>8} {'median':>8} "
    f"{'worst':>8}"
)


@contextmanager
def interpreted(tiny: bool) -> Iterator[None]:
    """Take CPU tensors for a GPU's where the interpreter runs the kernels."""
    from softgrad import arrays

    if not tiny or torch.cuda.is_available():
        yield
        return
    arrays._GPUS.add("cpu")
    try:
        yield
    finally:
        arrays._GPUS.discard("cpu")


def main(args: list[str]) -> int:
    """Print the tables; write them where that is said."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--json", type=Path, help="where the numbers are written")
    parser.add_argument("--tiny", action="store_true", help="a few numbers: a test of this script")
    chosen = parser.parse_args(args)
    if not chosen.tiny and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu needs a CUDA device; --tiny tests the script without one")
    bench = Bench("cuda" if torch.cuda.is_available() else "cpu", 1 if chosen.tiny else 15)
    rate = product_rate(bench, 64 if chosen.tiny else 8192)
    bandwidth = copy_bandwidth(bench, 2**12 if chosen.tiny else 2**31)
    about = machine(bench, rate, bandwidth)
    print(*(f"{name}: {value}" for name, value in about.items()), "", HEADING, sep="\n")
    lines = []
    with interpreted(chosen.tiny):
        heads, rows = (TINY_HEADS, TINY_ROWS) if chosen.tiny else (HEADS, ROWS)
        for measured in (
            measure_heads(bench, heads, rate, chosen.tiny),
            measure_rows(bench, rows, bandwidth, chosen.tiny),
        ):
            for line in measured:
                lines.append(line)
                print(show(line), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({**about, "lines": [asdict(v) for v in lines]}, indent=1))
    return 0


if __name__ == "__main__":
    if "--tiny" in sys.argv and not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")
    sys.exit(main(sys.argv[1:]))
