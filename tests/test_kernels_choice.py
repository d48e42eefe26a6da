"""Which implementation runs: a function of the arguments, and one warning where Numba is broken."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_same_bits
from softgrad.kernels import choice, choose
from specs import probe

LEAST = choice.LEAST_SIZE


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the compiled operations that run, as they run."""
    names: list[str] = []
    sg.softmax(rows(LEAST))  # the first call looks whether Numba works
    operations = choice.kernels()

    def spy(name: str, run: Any, *args: Any, **options: Any) -> Any:
        names.append(name)
        return run(*args, **options)

    for name in operations.__all__:
        monkeypatch.setattr(operations, name, partial(spy, name, getattr(operations, name)))
    return names


def rows(size: int, dtype: Any = np.float32) -> np.ndarray:
    return probe((1, size), 1, dtype)


# --- what runs -------------------------------------------------------------------------------


def test_auto_takes_the_kernels_from_the_least_size_on(ran: list[str]) -> None:
    sg.softmax(rows(LEAST - 1))
    assert not ran
    sg.softmax(rows(LEAST))
    assert ran == ["softmax"]


@pytest.mark.parametrize("impl", ["numba", "reference"])
@pytest.mark.parametrize("size", [8, LEAST])
def test_what_is_asked_for_runs_whatever_the_size(impl: Any, size: int, ran: list[str]) -> None:
    sg.softmax(rows(size), impl=impl)
    assert ran == ["softmax"] * (impl == "numba")


VERBS: dict[str, tuple[Any, list[str]]] = {
    "softmax.vjp": (
        lambda x, v, **how: sg.softmax.vjp(x, v, **how),
        ["softmax_product"],
    ),
    "softmax.linearize": (
        lambda x, v, **how: sg.softmax.linearize(x, **how)[1].rmv(v),
        ["softmax", "diagonal_minus_outer"],
    ),
    "log_softmax": (lambda x, v, **how: sg.log_softmax(x, **how), ["log_softmax"]),
    "logsumexp": (lambda x, v, **how: sg.logsumexp(x, **how), ["logsumexp"]),
    "sparsemax": (lambda x, v, **how: sg.sparsemax(x, **how), ["sparsemax"]),
    "entmax15": (lambda x, v, **how: sg.entmax15(x, **how), ["entmax15"]),
    "cross_entropy": (
        lambda x, v, **how: sg.cross_entropy.value_and_gradient(x, [0] * len(x), **how),
        ["cross_entropy"],
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_runs_its_kernel_and_no_other(verb: str, ran: list[str]) -> None:
    call, kernels = VERBS[verb]
    x, v = probe((5, 10), 1, np.float32), probe((5, 10), 2, np.float32)
    call(x, v)
    call(x, v, impl="reference")
    assert not ran
    call(x, v, impl="numba")
    assert ran == kernels


@pytest.mark.parametrize("verb", VERBS)
def test_the_reference_asks_no_kernel_however_much_there_is(verb: str, ran: list[str]) -> None:
    x, v = (probe((64, LEAST // 64), seed, np.float32) for seed in (1, 2))
    VERBS[verb][0](x, v, impl="reference")
    assert not ran


def test_arrays_that_are_laid_out_first_run_on_kernels_too(ran: list[str]) -> None:
    x = probe((10, 5), 1, np.float16)
    sg.softmax(x, axis=0, impl="numba")
    sg.softmax(x[::-1, ::2], impl="numba")
    assert ran == ["softmax"] * 2


def test_auto_takes_the_kernels_for_small_tensors(ran: list[str]) -> None:
    torch = pytest.importorskip("torch")
    least = choice.LEAST_TENSOR
    sg.softmax(torch.tensor(rows(least)))
    assert ran == ["softmax"]
    chosen = sg.explain_impl(sg.softmax, torch.tensor(rows(least)))
    assert str(chosen) == f"numba: {least} elements are at least {least}"


def test_tensors_run_on_kernels(ran: list[str]) -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(probe((5, 10), 1, np.float32))
    y = sg.softmax(x, impl="numba")
    assert isinstance(y, torch.Tensor)
    assert ran == ["softmax"]
    assert_same_bits(y, sg.softmax(x.numpy(), impl="numba"))


# --- the choice itself -----------------------------------------------------------------------


def test_the_choice_says_why() -> None:
    small, large = rows(8), rows(LEAST)
    assert str(choose("auto", small)) == f"reference: 8 elements are fewer than {LEAST}"
    assert str(choose("auto", large)) == f"numba: {LEAST} elements are at least {LEAST}"
    assert str(choose("numba", small)) == "numba: asked for"
    assert str(choose("reference", large)) == "reference: asked for"
    assert choose("auto", large) == choose("auto", large.copy())


def test_the_choice_depends_on_the_shape_and_not_on_the_values() -> None:
    x = rows(LEAST)
    for y in (x * np.nan, x.reshape(-1, 2), x.reshape(2, -1)[:, ::-1]):
        assert choose("auto", y) == choose("auto", x)


@pytest.mark.parametrize("name", ["", "cuda", "NUMBA", None, 1])
def test_an_unknown_name_is_refused_by_every_verb(name: Any) -> None:
    message = "`impl` must be 'auto' or 'reference' or 'numba' or 'triton', got"
    x = probe((2, 3))
    for call in (
        lambda: choose(name, x),
        lambda: sg.softmax(x, impl=name),
        lambda: sg.softmax.vjp(x, x, impl=name),
        lambda: sg.cross_entropy(x, [0, 1], impl=name),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def jax_array() -> Any:
    return pytest.importorskip("jax").numpy.asarray(rows(LEAST))


def strict_array() -> Any:
    return pytest.importorskip("array_api_strict").asarray(rows(LEAST))


def tensor_with_gradient() -> Any:
    return pytest.importorskip("torch").tensor(rows(LEAST), requires_grad=True)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (jax_array, "arrays of jax"),
        (strict_array, "arrays of array_api_strict go through the reference"),
        (tensor_with_gradient, "PyTorch differentiates what is done to the tensor"),
    ],
)
def test_what_kernels_cannot_work_on(make: Any, reason: str) -> None:
    x = make()
    assert choose("auto", x).impl == "reference"
    assert reason.split()[0] in choose("auto", x).reason
    with pytest.raises(ValueError, match=f"`impl` must be 'auto' .*, got 'numba': {reason}"):
        choose("numba", x)


# --- where Numba does not work ---------------------------------------------------------------

SCRIPT = """
import sys, types, warnings
{breakage}
import numpy as np
import softgrad as sg
x = np.random.default_rng(0).normal(size=(2, 2**17)).astype(np.float32)
small = sg.softmax(x[:, :100])
assert not any(name.startswith("softgrad.kernels.numba") for name in sys.modules)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = sg.softmax(x), sg.cross_entropy(x, [0, 1])
expected = sg.softmax(x, impl="reference"), sg.cross_entropy(x, [0, 1], impl="reference")
assert all(np.array_equal(a, b) for a, b in zip(found, expected))
print([w.category.__name__ for w in caught], str(caught[0].message) if caught else "")
try:
    sg.softmax(x, impl="numba")
except Exception as error:
    print(type(error).__name__, error)
"""

BREAKAGES = {
    "missing": 'sys.modules["numba"] = None',
    "odd": """
class Odd:
    def find_spec(self, name, path=None, target=None):
        if name == "numba":
            raise SystemError("bad build of llvmlite")
sys.meta_path.insert(0, Odd())
""",
    "no compiler": 'import os; os.environ["NUMBA_DISABLE_JIT"] = "1"',
}


def lines_of(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("breakage", "reason"),
    [
        ("missing", "ModuleNotFoundError"),
        ("odd", "SystemError: bad build of llvmlite"),
        ("no compiler", "NotImplementedError"),
    ],
)
def test_a_numba_that_does_not_work_is_said_once(breakage: str, reason: str) -> None:
    warned, raised = lines_of(SCRIPT.format(breakage=BREAKAGES[breakage]))
    assert warned.startswith("['RuntimeWarning'] compiled kernels are off, since Numba does not")
    assert reason in warned
    assert "pip install --upgrade numba" in warned
    assert raised.startswith(reason.split(":")[0])


def test_a_kernel_that_is_asked_for_without_numba_is_an_import_error() -> None:
    script = """
import sys
sys.modules["numba"] = None
import softgrad as sg
try:
    sg.softmax([1.0, 2.0], impl="numba")
except ImportError as error:
    print("numba" in str(error))
"""
    assert lines_of(script) == ["True"]


def test_small_work_never_waits_for_a_compiler() -> None:
    script = """
import sys
import numpy as np
import softgrad as sg
x = np.zeros((10, 10), np.float32)
sg.softmax.vjp(x, x), sg.cross_entropy.value_and_gradient(x, [0] * 10), sg.set_num_threads(2)
print([name for name in ("numba", "llvmlite", "softgrad.kernels.numba") if name in sys.modules])
"""
    assert lines_of(script) == ["[]"]
