"""PyTorch's own samples for its operators pass through softgrad's drop-ins, in every mode."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asserts import as_numpy, assert_close

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which PyTorch's samples import
methods = pytest.importorskip("torch.testing._internal.common_methods_invocations")

import softgrad.torch as drop_ins  # noqa: E402

# PyTorch compiles its own decompositions on the way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*``options`` ignored:UserWarning"),
]

OPERATORS = {
    "softmax": drop_ins.softmax,
    "softmax.with_dtype": drop_ins.softmax,
    "log_softmax": drop_ins.log_softmax,
    "log_softmax.with_dtype": drop_ins.log_softmax,
    "nn.functional.cross_entropy": drop_ins.cross_entropy,
    "nn.functional.linear_cross_entropy": drop_ins.linear_cross_entropy,
    "nn.functional.linear_cross_entropy.chunked": drop_ins.linear_cross_entropy,
    "nn.functional.linear_cross_entropy.chunked_none": drop_ins.linear_cross_entropy,
}
OP_INFOS = {info.full_name: info for info in methods.op_db if info.full_name in OPERATORS}
each_operator = pytest.mark.parametrize("name", OPERATORS)


def samples(name: str, dtype: Any, *, requires_grad: bool = False) -> Iterator[Any]:
    """Yield PyTorch's samples of an operator, the same ones every time."""
    torch.manual_seed(0)
    random.seed(0)
    yield from OP_INFOS[name].sample_inputs("cpu", dtype, requires_grad=requires_grad)


def function_of_variables(f: Callable[..., Any], sample: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return f as a function of those arguments alone that require a gradient, and them."""
    names = [*range(1 + len(sample.args)), *sample.kwargs]
    given = dict(zip(names, [sample.input, *sample.args, *sample.kwargs.values()], strict=True))
    variables = {n: v for n, v in given.items() if getattr(v, "requires_grad", False)}

    def of_variables(*values: Any) -> Any:
        now = given | dict(zip(variables, values, strict=True))
        positional = [now.pop(i) for i in range(1 + len(sample.args))]
        return f(*positional, **now)

    return of_variables, tuple(variables.values())


def in_float64(sample: Any) -> Any:
    """Return a sample with every floating-point argument in float64."""

    def wide(v: Any) -> Any:
        if v is torch.float32:
            return torch.float64
        return v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else v

    return sample.transform(wide)


@each_operator
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_are_those_of_pytorch_in_float64(name: str, dtype: str) -> None:
    native, compared = OP_INFOS[name].op, 0
    for sample in samples(name, getattr(torch, dtype)):
        y = OPERATORS[name](sample.input, *sample.args, **sample.kwargs)
        there = native(sample.input, *sample.args, **sample.kwargs)
        assert (y.dtype, y.shape) == (there.dtype, there.shape)
        wide = in_float64(sample)
        expected = as_numpy(native(wide.input, *wide.args, **wide.kwargs))
        if not (expected.size and expected.any()):
            continue
        # PyTorch subtracts numbers of the size of the logits.
        own_error = as_numpy(sample.input).max() if y.dtype == torch.float64 else 0.0
        scale = max(abs(expected).max(), abs(own_error))
        assert_close(y, expected, u=16, scale=scale, what=str(sample))
        compared += 1
    assert compared > 3


def likeness(sample: Any) -> str:
    """Return what a sample tests: shapes and settings, without PyTorch's hints for itself."""

    def describe(v: Any) -> Any:
        return (tuple(v.shape), v.dtype) if isinstance(v, torch.Tensor) else v

    kwargs = {name: describe(v) for name, v in sample.kwargs.items() if name != "options"}
    return repr([describe(sample.input), *map(describe, sample.args), kwargs])


def different_samples(name: str) -> dict[str, Any]:
    """Return one sample of each likeness."""
    given = samples(name, torch.float64, requires_grad=True)
    return {likeness(sample): sample for sample in given}


@each_operator
def test_derivatives_by_differences_in_every_mode(name: str) -> None:
    """Those that PyTorch's chunked operator must skip included."""
    different = different_samples(name)
    if ".chunked" in name:  # the others stand among the samples that have no chunks
        known = different_samples(name.split(".chunked")[0])
        different = {like: s for like, s in different.items() if like not in known}
    for sample in different.values():
        f, variables = function_of_variables(OPERATORS[name], sample)
        assert torch.autograd.gradcheck(f, variables, check_forward_ad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(f, variables, check_fwd_over_rev=True, fast_mode=True)
    assert len(different) > 3


def test_logits_of_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="`input` must be floating-point"):
        drop_ins.cross_entropy(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 1]))
