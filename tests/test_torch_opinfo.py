"""PyTorch's own samples for its operators pass through softgrad's drop-ins, in every mode."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asserts import as_numpy, assert_close, assert_same_bits
from specs import probe

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which PyTorch's samples import
methods = pytest.importorskip("torch.testing._internal.common_methods_invocations")

import softgrad as sg  # noqa: E402
import softgrad.torch as drop_ins  # noqa: E402

# PyTorch compiles its own decompositions on the way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*``options`` ignored:UserWarning"),
]


def logsumexp(x: Any, dim: tuple[int, ...], keepdim: bool = False) -> Any:
    y = sg.logsumexp(x, axis=dim[0])
    return y.unsqueeze(dim[0]) if keepdim else y


def binary_cross_entropy(x: Any, t: Any, reduction: Any = "mean") -> Any:
    return sg.BinaryCrossEntropy(reduction=reduction)(x, t)


OPERATORS = {
    "sigmoid": sg.sigmoid,
    "tanh": sg.tanh,
    "nn.functional.relu": sg.relu,
    "logsumexp": logsumexp,
    "nn.functional.binary_cross_entropy_with_logits": binary_cross_entropy,
    "softmax": drop_ins.softmax,
    "softmax.with_dtype": drop_ins.softmax,
    "log_softmax": drop_ins.log_softmax,
    "log_softmax.with_dtype": drop_ins.log_softmax,
    "nn.functional.cross_entropy": drop_ins.cross_entropy,
    "nn.functional.linear_cross_entropy": drop_ins.linear_cross_entropy,
    "nn.functional.linear_cross_entropy.chunked": drop_ins.linear_cross_entropy,
    "nn.functional.linear_cross_entropy.chunked_none": drop_ins.linear_cross_entropy,
}
OF_FEWER: dict[str, Callable[[Any], bool]] = {
    "logsumexp": lambda sample: sample.input.ndim > 0 and len(sample.args[0]) == 1,
    "nn.functional.binary_cross_entropy_with_logits": lambda sample: (
        sample.kwargs.keys() <= {"reduction"}
    ),
}
"""Which samples are taken where softgrad has fewer arguments: one class axis, no weights."""

FEWEST = {"sigmoid": 2, "tanh": 1, "nn.functional.relu": 2, "logsumexp": 3}
"""How many samples there are at least, where these are not four."""

OP_INFOS = {info.full_name: info for info in methods.op_db if info.full_name in OPERATORS}
each_operator = pytest.mark.parametrize("name", OPERATORS)
each_without_chunks = pytest.mark.parametrize("name", [n for n in OPERATORS if ".chunked" not in n])


def samples(name: str, dtype: Any, *, requires_grad: bool = False) -> Iterator[Any]:
    """Yield PyTorch's samples of an operator, the same ones every time."""
    torch.manual_seed(0)
    random.seed(0)
    found = OP_INFOS[name].sample_inputs("cpu", dtype, requires_grad=requires_grad)
    yield from (sample for sample in found if name not in OF_FEWER or OF_FEWER[name](sample))


def function_of_variables(f: Callable[..., Any], sample: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return f as a function of those arguments alone that require a gradient, and them."""
    names = [*range(1 + len(sample.args)), *sample.kwargs]
    given = dict(zip(names, [sample.input, *sample.args, *sample.kwargs.values()], strict=True))
    variables = {n: v for n, v in given.items() if getattr(v, "requires_grad", False)}
    if f is binary_cross_entropy:  # which is differentiated in its logits alone
        variables, given[1] = {0: sample.input}, given[1].detach()

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
    assert compared >= FEWEST.get(name, 4)


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
    assert len(different) >= FEWEST.get(name, 4)


@each_without_chunks
def test_vmap_is_the_operator_of_every_example(name: str) -> None:
    compared = 0
    for sample in different_samples(name).values():
        f, variables = function_of_variables(OPERATORS[name], sample)
        first = tuple(v.detach() for v in variables)
        # Probabilities among the variables stay probabilities.
        second = tuple(v.flip(0) if v.ndim else v for v in first)
        both = tuple(torch.stack(pair) for pair in zip(first, second, strict=True))
        y, expected = torch.func.vmap(f)(*both), torch.stack([f(*first), f(*second)])
        assert (y.dtype, y.shape) == (expected.dtype, expected.shape)
        if expected.any():
            assert_close(y, as_numpy(expected), u=16)
            compared += 1
    assert compared >= FEWEST.get(name, 4)


@pytest.mark.slow
@each_without_chunks
def test_compiled_operators_are_the_operators(name: str) -> None:
    for sample in different_samples(name).values():
        weight = sample.kwargs.get("weight")
        if weight is not None and bool((weight < 0).any()):
            continue  # a graph takes weights to be what they should be, and raises
        f, variables = function_of_variables(OPERATORS[name], sample)
        torch._dynamo.reset()
        here = outcome(torch.compile(f, fullgraph=True, backend="aot_eager"), variables)
        for i, (a, b) in enumerate(zip(here, outcome(f, variables), strict=True)):
            if i and b.any():  # a graph multiplies by what comes in before it rounds, a loss after
                assert_close(a, as_numpy(b), u=8)
            elif b.numel():
                assert_same_bits(a, b)


def outcome(f: Callable[..., Any], variables: Any) -> list[Any]:
    """Return the value and the gradients."""
    y = f(*variables)
    y_bar = torch.tensor(1 + 0.3 * probe(tuple(y.shape), 7), dtype=y.dtype)
    return [y, *torch.autograd.grad(y, variables, y_bar)]


def test_logits_of_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="`input` must be floating-point"):
        drop_ins.cross_entropy(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 1]))
