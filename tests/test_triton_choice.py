"""Who works on tensors of a GPU, and what is said where nobody can."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton_rows")

import torch

import softgrad as sg
import softgrad.torch as st
from softgrad.kernels import choose
from softgrad.kernels.choice import works
from softgrad.kernels.triton import operations
from specs import probe
from triton_rows import DEVICE, INTERPRETED, on_gpu, tensor


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of Triton's operations that run, as they run."""
    names: list[str] = []
    with on_gpu():
        choose("auto", rows())  # the first call looks whether Triton works

    def spy(name: str, run: Any, *args: Any, **options: Any) -> Any:
        names.append(name)
        return run(*args, **options)

    for name in operations.__all__:
        monkeypatch.setattr(operations, name, partial(spy, name, getattr(operations, name)))
    return names


def rows(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return tensor(probe((5, 10), 1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_auto_takes_triton_however_small_a_tensor_is(dtype: torch.dtype, ran: list[str]) -> None:
    with on_gpu():
        said = choose("auto", rows(dtype))
        sg.softmax(rows(dtype))
    assert str(said) == "triton: tensors on a GPU have kernels of their own"
    assert ran == ["softmax"]


VERBS: dict[str, tuple[Any, list[str]]] = {
    "softmax.vjp": (lambda x, v: sg.softmax.vjp(x, v), ["softmax_product"]),
    "softmax.linearize": (
        lambda x, v: sg.softmax.linearize(x)[1].rmv(v),
        ["softmax", "diagonal_minus_outer"],
    ),
    "log_softmax.vjp": (
        lambda x, v: sg.log_softmax.vjp(x, v),
        ["log_softmax", "softmax", "identity_minus_outer_transpose"],
    ),
    "logsumexp": (lambda x, v: sg.logsumexp(x), ["logsumexp"]),
    "cross_entropy": (
        lambda x, v: sg.cross_entropy.value_and_gradient(x, x.argmin(1)),
        ["cross_entropy"],
    ),
    "everything": (
        lambda x, v: sg.CrossEntropy(soft_cap=2.0, label_smoothing=0.1).value(x, x.argmin(1)),
        ["cross_entropy"],
    ),
    "dense": (lambda x, v: sg.cross_entropy(x, v.abs()), ["cross_entropy_dense"]),
    "autograd": (
        lambda x, v: sg.softmax(x.requires_grad_()).backward(v),
        ["softmax", "softmax_product"],
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_runs_its_kernel_and_no_other(verb: str, ran: list[str]) -> None:
    call, kernels = VERBS[verb]
    with on_gpu():
        call(rows(), tensor(probe((5, 10), 2, np.float32)))
    assert ran == kernels


NO_KERNEL: dict[str, Any] = {
    "sparsemax": sg.sparsemax,
    "entmax15": sg.entmax15,
    "sigmoid": sg.sigmoid,
    "tanh": sg.tanh,
}


@pytest.mark.parametrize("name", NO_KERNEL)
def test_a_map_without_a_kernel_goes_through_the_reference(name: str, ran: list[str]) -> None:
    f, x = NO_KERNEL[name], rows()
    expected = f(x.cpu(), impl="reference")
    with on_gpu():
        assert sg.explain_impl(f, x).impl == "reference"
        y, J = f.linearize(x)
        torch.testing.assert_close(y.cpu(), expected)
        J.rmv(x)
        f(x.clone().requires_grad_()).sum().backward()
        with pytest.raises(ValueError, match="got 'triton': there is no kernel for it"):
            f(x, impl="triton")
    assert not ran


@pytest.mark.parametrize(
    ("impl", "dtype", "message"),
    [
        ("triton", torch.float64, "got 'triton': kernels for GPUs have no float64"),
        ("numba", torch.float32, "got 'numba': it works on the CPU"),
    ],
)
def test_what_cannot_be_done_on_a_gpu_is_refused(impl: Any, dtype: Any, message: str) -> None:
    x = rows(dtype)
    with on_gpu():
        for call in (
            lambda: sg.softmax(x, impl=impl),
            lambda: sg.cross_entropy(x, x.argmin(1), impl=impl),
            lambda: sg.linear_cross_entropy(x, x, x.argmin(1) % 5, impl=impl),
        ):
            with pytest.raises(ValueError, match=message):
                call()
        assert choose("auto", x.double()).impl == "reference"


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_triton_without_a_gpu_is_refused(library: str) -> None:
    x: Any = probe((5, 10), 1, np.float32)
    x = x if library == "numpy" else torch.tensor(x)
    labels = x.argmin(1)
    for call in (
        lambda: sg.softmax(x, impl="triton"),
        lambda: sg.cross_entropy(x, labels, impl="triton"),
        lambda: sg.linear_cross_entropy(x, x, labels % 5, impl="triton"),
    ):
        with pytest.raises(ValueError, match="got 'triton': it works on tensors of a GPU"):
            call()


def test_without_triton_the_reference_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("softgrad.kernels.choice.find_spec", lambda name: None)
    with on_gpu():
        assert str(choose("auto", rows())) == "reference: Triton is not installed"


BROKEN = """
import warnings
import torch
import softgrad as sg
from softgrad import arrays
from softgrad.frameworks.torch import modes
arrays._GPUS.add("cpu")  # which Triton compiles nothing for
modes._ORDINARY = ()
x = torch.linspace(-3, 3, 40).reshape(4, 10)
calls = {
    "softmax": lambda **how: sg.softmax(x, **how),
    "head": lambda **how: sg.linear_cross_entropy(x, x, x.argmin(1) % 4, **how),
}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = {name: call() for name, call in calls.items()}
print([w.category.__name__ for w in caught], *(w.message for w in caught))
for name, call in calls.items():
    assert torch.equal(found[name], call(impl="reference"))
    try:
        call(impl="triton")
    except Exception:
        print(name, "raises")
print(sg.explain_impl(sg.softmax, x))
"""


def test_a_triton_that_does_not_work_is_said_once() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", BROKEN]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    warned, *raised, said = run.stdout.splitlines()
    assert warned.startswith("['RuntimeWarning'] compiled kernels are off, since Triton does not")
    assert warned.endswith("Triton wants a C compiler, such as gcc, and the headers of Python")
    assert raised == ["softmax raises", "head raises"]
    assert said == "reference: Triton does not work here"


@pytest.fixture
def anew() -> Iterator[None]:
    """Forget what works, before and after."""
    works.cache_clear()
    yield
    works.cache_clear()


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(
    ("said", "remembered"), [("Failed to find C compiler.", True), ("CUDA out of memory.", False)]
)
def test_a_want_of_memory_is_no_answer(
    said: str, remembered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(x: Any) -> Any:
        raise RuntimeError(said)

    expected = pytest.warns if remembered else pytest.raises
    with monkeypatch.context() as patched:
        patched.setattr(operations, "logsumexp", fail)
        with expected(RuntimeWarning if remembered else RuntimeError, match=said), on_gpu():
            choose("auto", rows())
    with on_gpu():
        assert choose("auto", rows()).impl == ("reference" if remembered else "triton")


@pytest.mark.skipif(not INTERPRETED, reason="the interpreter's tensors are the CPU's")
def test_tensors_on_two_devices_are_refused_by_name() -> None:
    x, elsewhere = rows(), torch.zeros((5, 10), device="meta")
    with on_gpu():
        for call, name in (
            (lambda: sg.linear_cross_entropy(x, elsewhere, x.argmin(1) % 5), "W"),
            (lambda: sg.linear_cross_entropy(x, x, elsewhere[:, 0].long()), "targets"),
            (lambda: sg.cross_entropy(x, elsewhere), "targets"),
            (lambda: sg.softmax.vjp(x, elsewhere), "y_bar"),
        ):
            with pytest.raises(ValueError, match=f"`{name}` must be on the device 'cpu'"):
                call()


def test_a_loss_of_float64_on_a_gpu_makes_bad_labels_nan_as_well() -> None:
    x, labels = rows(torch.float64), torch.tensor([1, 2, 99, 3, 4], device=DEVICE)
    with on_gpu():
        found = sg.CrossEntropy(reduction="none").value(x, labels)
    assert torch.isnan(found).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pytorch_s_loss_makes_a_bad_label_s_row_nan_on_a_gpu_alone(dtype: torch.dtype) -> None:
    x, labels = rows(dtype), torch.tensor([1, 2, 99, 3, 4], device=DEVICE)
    with on_gpu():
        losses = st.cross_entropy(x.requires_grad_(), labels, reduction="none")
        losses.sum().backward()
    assert torch.isnan(losses).tolist() == [False, False, True, False, False]
    assert torch.isnan(x.grad).all(1).tolist() == torch.isnan(losses).tolist()
    with pytest.raises(IndexError, match="from 0 to 9, got 99 at position 2"):
        st.cross_entropy(x.cpu(), labels.cpu())
