"""Modules: PyTorch's own samples for those it has, and what is promised of those it has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from specs import probe

torch = pytest.importorskip("torch")
F = pytest.importorskip("torch.nn.functional")
pytest.importorskip("expecttest")  # which PyTorch's samples import
modules = pytest.importorskip("torch.testing._internal.common_modules")

import softgrad.torch as drop_ins  # noqa: E402

# PyTorch compiles its own decompositions on the way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*``options`` ignored:UserWarning"),
]

N, K, D = 5, 7, 3
LABELS = torch.tensor([6, 0, -100, 2, 6])
STAND_INS = ("CrossEntropyLoss", "LinearCrossEntropyLoss", "LogSoftmax", "Softmax")
INFOS = {info.name.removeprefix("nn."): info for info in modules.module_db}
each_stand_in = pytest.mark.parametrize("name", STAND_INS)


def tensor(shape: tuple[int, ...], seed: int) -> Any:
    return torch.tensor(probe(shape, seed, np.float32))


def samples(name: str, dtype: Any) -> list[Any]:
    """Return PyTorch's samples of a module, the same ones every time."""
    torch.manual_seed(0)
    info = INFOS[name]
    found = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=True, training=True
    )
    return [
        s
        for s in found
        if s.constructor_input.args or "dim" in s.constructor_input.kwargs or "Softmax" not in name
    ]


def built(name: str, sample: Any, dtype: Any) -> tuple[Any, Any]:
    """Return our module and PyTorch's with the same parameters."""
    given = sample.constructor_input
    here, there = (
        getattr(library, name)(*given.args, **given.kwargs).to(dtype)
        for library in (drop_ins, torch.nn)
    )
    here.load_state_dict(there.state_dict())
    return here, there


def outcome(module: Any, sample: Any) -> tuple[Any, list[Any]]:
    """Return the value, and the gradients in the input and the parameters."""
    args = [a.detach().clone() if isinstance(a, torch.Tensor) else a for a in sample.args]
    x = args[0].requires_grad_()
    y = module(*args, **sample.kwargs)
    y_bar = torch.tensor(1 + 0.3 * probe(tuple(y.shape), 7)).to(y.dtype)
    return y, list(torch.autograd.grad(y, [x, *module.parameters()], y_bar))


def assert_near(actual: Any, expected: Any, scale: float, what: str) -> bool:
    """Assert equality but for rounding, and tell whether there was more to compare than zeros."""
    actual, expected = as_numpy(actual), as_numpy(expected)
    assert actual.shape == expected.shape
    if not (expected.size and np.nan_to_num(expected).any()):
        np.testing.assert_array_equal(actual, expected)  # a mean over nothing is NaN in both
        return False
    assert_close(actual, expected, u=256, scale=max(scale, abs(expected).max()), what=what)
    return True


@each_stand_in
def test_pytorchs_samples_in_float64(name: str) -> None:
    compared = 0
    for sample in samples(name, torch.float64):
        here, there = built(name, sample, torch.float64)
        y, bars = outcome(here, sample.forward_input)
        expected, bars_there = outcome(there, sample.forward_input)
        assert y.dtype == expected.dtype
        # PyTorch subtracts numbers of the size of the logits.
        scale = float(sample.forward_input.args[0].detach().abs().max())
        compared += assert_near(y, expected, scale, sample.desc)
        for a, b in zip(bars, bars_there, strict=True):
            assert_near(a, b, 1.0, sample.desc)
    assert compared >= 1


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_sparse_maps(dim: int) -> None:
    x = tensor((2, 4, 3), 1)
    assert_same_bits(drop_ins.Sparsemax(dim)(x), sg.sparsemax(x, axis=dim))
    assert_same_bits(drop_ins.Entmax(1.3, dim)(x), sg.Entmax(alpha=1.3)(x, axis=dim))
    assert not drop_ins.Sparsemax().state_dict()
    assert "alpha=1.3" in repr(drop_ins.Entmax(alpha=1.3))
    with pytest.raises(ValueError, match="`alpha` must be"):
        drop_ins.Entmax(alpha=0.5)


# --- SoftmaxHead -------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_a_head_has_the_state_of_a_linear_layer(bias: bool) -> None:
    linear, head = torch.nn.Linear(D, K, bias), drop_ins.SoftmaxHead(D, K, bias)
    head.load_state_dict(linear.state_dict())
    linear.load_state_dict(head.state_dict())
    torch.manual_seed(3)
    drawn = torch.nn.Linear(D, K, bias).state_dict()
    torch.manual_seed(3)
    for name, v in drop_ins.SoftmaxHead(D, K, bias).state_dict().items():
        assert_same_bits(v, drawn[name])
    assert repr(head) == f"SoftmaxHead(in_features=3, num_classes=7, bias={bias})"


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_head_returns_the_loss_of_its_logits(reduction: Any) -> None:
    head = drop_ins.SoftmaxHead(D, K, reduction=reduction, label_smoothing=0.1)
    x = tensor((N, D), 1)
    y = head(x, LABELS)
    expected = F.cross_entropy(
        F.linear(x, head.weight, head.bias), LABELS, reduction=reduction, label_smoothing=0.1
    )
    assert_close(y, as_numpy(expected), u=16, scale=float(expected.detach().abs().max()))
    bars = [torch.autograd.grad(v.sum(), (head.weight, head.bias)) for v in (y, expected)]
    for a, b in zip(*bars, strict=True):
        assert_close(a, as_numpy(b), u=32)


def test_a_head_returns_the_likeliest_classes_without_targets() -> None:
    head, x = drop_ins.SoftmaxHead(D, K), tensor((2, N, D), 1)
    log_p = torch.log_softmax(F.linear(x, head.weight, head.bias), -1)
    values, ids = log_p.topk(3, dim=-1)
    top = head(x, k=3)
    assert_same_bits(top.ids, ids)
    assert_close(top.log_probs, as_numpy(values), u=16)
    assert_same_bits(head(x).ids, ids[..., :1])
    assert not top.log_probs.requires_grad


def test_a_head_learns() -> None:
    torch.manual_seed(0)
    head, x = drop_ins.SoftmaxHead(D, 2), tensor((64, D), 1)
    t = (x[:, 0] > 0).long()
    optimiser = torch.optim.SGD(head.parameters(), lr=5.0)
    losses = []
    for _ in range(50):
        optimiser.zero_grad()
        loss = head(x, t)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4
    assert float((head(x).ids[:, 0] == t).float().mean()) > 0.95


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_of_every_integer_dtype(dtype: str, smoothing: float) -> None:
    x, W, labels = tensor((N, D), 1), tensor((K, D), 2), LABELS.clamp(min=0)
    narrow = labels.to(getattr(torch, dtype))
    for f, arguments in (
        (drop_ins.cross_entropy, (x @ W.T,)),
        (drop_ins.linear_cross_entropy, (x, W)),
    ):
        expected = F.cross_entropy(x @ W.T, labels, label_smoothing=smoothing)
        assert_close(f(*arguments, narrow, label_smoothing=smoothing), as_numpy(expected), u=16)
    with pytest.raises(IndexError, match="from 0 to 6, got 7 at position 0"):
        drop_ins.cross_entropy(
            x @ W.T, (labels + torch.eye(N, dtype=torch.int64)[0]).to(narrow.dtype)
        )


@pytest.mark.parametrize("shape", [(0, K), (0, K, 2)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_probabilities_of_no_rows_have_a_gradient(shape: Any, reduction: str) -> None:
    x, t = tensor(shape, 1), tensor(shape, 2).requires_grad_()
    loss, expected = (f.cross_entropy(x, t, reduction=reduction) for f in (drop_ins, F))
    np.testing.assert_array_equal(as_numpy(loss), as_numpy(expected))  # the mean is NaN
    assert torch.autograd.grad(loss.sum(), t)[0].shape == shape


def test_what_is_no_tensor_is_named() -> None:
    x, W, labels = tensor((N, D), 1), tensor((K, D), 2), LABELS.clamp(min=0)
    with pytest.raises(TypeError, match="`input` must be a tensor, got ndarray"):
        drop_ins.cross_entropy(x.numpy(), labels)
    with pytest.raises(TypeError, match="`target` must be a tensor, got list"):
        drop_ins.CrossEntropyLoss()(x, [0, 0, 0, 0, 0])
    with pytest.raises(TypeError, match="`target` must be a tensor, got ndarray"):
        drop_ins.linear_cross_entropy(x, W, labels.numpy())
    with pytest.raises(TypeError, match="`linear_weight` must be a tensor, got ndarray"):
        drop_ins.linear_cross_entropy(x, W.numpy(), labels)
