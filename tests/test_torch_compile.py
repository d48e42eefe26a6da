"""`torch.compile` and its like take a call as one operator, with all of its derivatives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from specs import Spec, each, probe

torch = pytest.importorskip("torch")
func = pytest.importorskip("torch.func")

import softgrad.torch as drop_ins  # noqa: E402

# PyTorch compiles its own decompositions on the way.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

N, K, D = 4, 5, 3


def tensor(x: Any, dtype: str = "float32") -> Any:
    x = np.asarray(x)
    return torch.tensor(x).to(getattr(torch, dtype)) if x.dtype.kind == "f" else torch.tensor(x)


X = tensor(probe((N, K), 1))
LABELS = torch.tensor([1, 0, 4, 2])
SOFT = sg.softmax(tensor(probe((N, K), 4)))
WEIGHTS = tensor(np.exp(probe((K,), 5)))
ROWS = tensor(np.exp(probe((N,), 6)))
W, BIAS = tensor(probe((7, K), 2)), tensor(probe((7,), 3))
ENTMAX_LOSS = sg.FenchelYoung(map=sg.Entmax(alpha=1.3), reduction="none")
MODULE = drop_ins.CrossEntropyLoss(WEIGHTS, label_smoothing=0.1)

CALLS: dict[str, Callable[[Any], Any]] = {
    "masked softmax": lambda x: sg.softmax(x, axis=0, where=x < 1),
    "cross_entropy": lambda x: sg.cross_entropy(x, LABELS),
    "cross_entropy of probabilities": lambda x: sg.cross_entropy(x, SOFT, class_weights=WEIGHTS),
    "a loss made on the way": lambda x: sg.CrossEntropy(
        reduction="none", label_smoothing=0.1, temperature=2.0
    )(x, LABELS, row_weights=ROWS),
    "a loss with a map": lambda x: ENTMAX_LOSS(x, LABELS),
    "one loss an element": lambda x: sg.BinaryCrossEntropy(reduction="none")(x, SOFT),
    "head": lambda x: sg.linear_cross_entropy(x, W, LABELS, BIAS),
    "head of top k": lambda x: sg.linear_cross_entropy(
        x, W, sg.TopK(LABELS[:, None], ROWS[:, None]), row_weights=ROWS
    ),
    "head, one loss a row": lambda x: drop_ins.linear_cross_entropy(
        x, W, LABELS, reduction="none", weight=W[:, 0].exp()
    ),
    "selected log-probabilities": lambda x: sum(sg.selected_log_probs(x, W, LABELS, BIAS)),
    "drop-in softmax": lambda x: drop_ins.softmax(x, 0, dtype=torch.float64),
    "module": lambda x: MODULE(x, LABELS),
}
each_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture(autouse=True)
def forgets() -> Iterator[None]:
    """Let no test find what another one has compiled."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(f: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return torch.compile(f, fullgraph=True, **({"backend": "aot_eager"} | options))


def value_and_gradient(f: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    x = x.clone().requires_grad_()
    y = f(x)
    y.backward(tensor(1 + 0.3 * probe(tuple(y.shape), 7)).to(y.dtype))
    return y, x.grad


def assert_compiles(f: Callable[[Any], Any], x: Any, **options: Any) -> None:
    y, x_bar = value_and_gradient(compiled(f, **options), x)
    eager, eager_bar = value_and_gradient(f, x)
    assert_same_bits(y, eager)
    if y.ndim:
        assert_same_bits(x_bar, eager_bar)
    else:  # eagerly, the gradient of one number is made with it, and then scaled
        assert x_bar.dtype == eager_bar.dtype
        assert_close(x_bar, as_numpy(eager_bar), u=4)


@each
def test_maps_in_one_graph(spec: Spec) -> None:
    assert_compiles(lambda x: spec.map(x, axis=0), X)


@each_call
def test_losses_heads_and_drop_ins_in_one_graph(call: str) -> None:
    assert_compiles(CALLS[call], X)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_in_one_graph(dtype: str) -> None:
    x, W = tensor(probe((N, D), 1), dtype), tensor(probe((K, D), 2), dtype)
    for f in (
        lambda x: sg.log_softmax(x),
        lambda x: sg.cross_entropy(x, LABELS % D),
        lambda x: sg.linear_cross_entropy(x, W, LABELS),
    ):
        assert_compiles(f, x)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_settings_are_those_of_the_call(backend: str) -> None:
    """Losses whose only difference is a setting do not stand for each other, run after run."""
    losses = [sg.CrossEntropy(reduction=r) for r in ("sum", "mean", "none")]
    made_before = [compiled(lambda x, f=f: f(x, LABELS), backend=backend) for f in losses]
    made_on_the_way = [
        compiled(lambda x, r=f.reduction: sg.CrossEntropy(reduction=r)(x, LABELS), backend=backend)
        for f in losses
    ]
    for x in (X, X + 1):
        for graphs in (made_before, made_on_the_way):
            for f, graph in zip(losses, graphs, strict=True):
                assert_same_bits(graph(x), f(x, LABELS))


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": func.grad(lambda x: sg.cross_entropy(x, LABELS)),
    "vjp": lambda x: func.vjp(sg.softmax, x)[1](SOFT)[0],
    "jvp": lambda x: func.jvp(sg.softmax, (x,), (SOFT,))[1],
    "jvp of a loss": lambda x: func.jvp(lambda x: sg.cross_entropy(x, LABELS), (x,), (SOFT,))[1],
    "vmap": func.vmap(lambda x: sg.softmax(x)),
    "vmap of grad": lambda x: func.vmap(func.grad(sg.cross_entropy))(x, LABELS),
    "jacrev": lambda x: func.jacrev(sg.sparsemax)(x),
    "jacfwd": lambda x: func.jacfwd(sg.log_softmax)(x),
    "hessian": lambda x: func.hessian(lambda x: sg.cross_entropy(x, LABELS))(x),
    "hessian of a head": lambda x: func.hessian(
        lambda x: sg.linear_cross_entropy(x, W, LABELS, BIAS)
    )(x),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_in_one_graph(transform: str) -> None:
    f = TRANSFORMS[transform]
    assert_same_bits(compiled(f)(X), f(X))


def test_sizes_may_vary_without_another_graph() -> None:
    graphs = []

    def backend(graph: Any, example: Any) -> Any:
        graphs.append(graph)
        return graph

    def f(x: Any, t: Any) -> Any:
        return sg.cross_entropy(x, t) + sg.logsumexp(x, axis=0).sum()

    g = torch.compile(f, fullgraph=True, dynamic=True, backend=backend)
    for n in (3, 4, 7):
        x, t = tensor(probe((n, n + 2), n)), torch.arange(n)
        assert_same_bits(g(x, t), f(x, t))
    assert len(graphs) == 1


def operators(f: Callable[[Any], Any], x: Any) -> list[str]:
    """Return what the forward and the backward graph run, a word each."""
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    found: list[str] = []

    def compiler(graph: Any, example: Any) -> Any:
        nodes = [n for n in graph.graph.nodes if "softgrad.run" in str(n.target)]
        found.extend(next(iter(json.loads(n.args[0]))).split(":")[1] for n in nodes)
        return make_boxed_func(graph)

    value_and_gradient(compiled(f, backend=aot_autograd(fw_compiler=compiler)), x)
    return found


def test_a_head_makes_its_logits_once() -> None:
    assert operators(CALLS["head"], X) == ["_OnePass"]
    assert operators(CALLS["cross_entropy"], X) == ["Value", "Pullback"]


def test_labels_are_looked_at_when_the_graph_runs() -> None:
    f = compiled(lambda x, t: sg.cross_entropy(x, t))
    assert_same_bits(f(X, LABELS), sg.cross_entropy(X, LABELS))
    with pytest.raises(IndexError, match="class indices from 0 to 4, got 5 at position 2"):
        f(X, torch.tensor([0, 1, 5, 2]))


def test_wrong_arguments_are_named_while_the_graph_is_made() -> None:
    with pytest.raises(Exception, match="`axis` must be within the 2 axes"):
        compiled(lambda x: sg.softmax(x, axis=5))(X)


def test_an_exported_program_has_the_operator() -> None:
    class Model(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return sg.softmax(x)

    program = torch.export.export(Model(), (X,))
    assert "softgrad.run" in str(program.graph)
    assert_same_bits(program.module()(X), sg.softmax(X))


class Exported(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = drop_ins.SoftmaxHead(K, 7, label_smoothing=0.1)

    def forward(self, x: Any, t: Any) -> Any:
        sparse = sg.CrossEntropy(reduction="none", soft_cap=2.5)(
            x, sg.TopK(t[:, None], x[:, :1] ** 2)
        )
        found = sg.selected_log_probs(x, self.head.weight, t)
        return self.head(x, t), sg.Entmax(alpha=1.3)(x), sparse, found.entropy, ENTMAX_LOSS(x, t)


def test_a_program_that_was_saved_runs_in_another_process(tmp_path: Path) -> None:
    model, path, found = Exported(), tmp_path / "program.pt2", tmp_path / "found.pt"
    torch.export.save(torch.export.export(model, (X, LABELS)), path)
    arguments = tmp_path / "arguments.pt"
    torch.save((X + 1, LABELS), arguments)
    script = f"""
import torch, softgrad.torch
program = torch.export.load({str(path)!r}).module()
torch.save(program(*torch.load({str(arguments)!r})), {str(found)!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
    for there, here in zip(torch.load(found), model(X + 1, LABELS), strict=True):
        assert_same_bits(there.detach(), here.detach())


@pytest.mark.parametrize("text", ['{"os:system": {"command": ""}}', '{"no.such:Rule": {}}'])
def test_a_graph_runs_what_is_imported_and_no_other_thing(text: str) -> None:
    with pytest.raises(LookupError, match="which must be imported first"):
        torch.ops.softgrad.run(text, [X])


def test_tensors_without_numbers_have_shapes_and_gradients() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    def look(device: str) -> None:
        x = torch.zeros(N, K, dtype=torch.float16, device=device, requires_grad=True)
        t = torch.zeros(N, dtype=torch.int64, device=device)
        W = torch.zeros(7, K, dtype=torch.float16, device=device)
        for y, shape, dtype in (
            (sg.softmax(x), (N, K), torch.float16),
            (sg.logsumexp(x, axis=0), (K,), torch.float16),
            (sg.cross_entropy(x, t), (), torch.float32),
            (sg.BinaryCrossEntropy(reduction="none")(x, x.detach()), (N, K), torch.float32),
            (sg.linear_cross_entropy(x, W, t), (), torch.float32),
            (sg.selected_log_probs(x, W, t).entropy, (N,), torch.float32),
            (drop_ins.linear_cross_entropy(x, W, t, reduction="none"), (N,), torch.float16),
        ):
            assert (tuple(y.shape), y.dtype) == (shape, dtype)
            (x_bar,) = torch.autograd.grad(y.sum(), x)
            assert (x_bar.shape, x_bar.dtype) == (x.shape, x.dtype)

    look("meta")
    with FakeTensorMode():
        look("cpu")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@each_call
def test_inductor(call: str) -> None:
    f = CALLS[call]
    for a, b in zip(
        value_and_gradient(compiled(lambda x: 2 * f(x), backend="inductor"), X),
        value_and_gradient(lambda x: 2 * f(x), X),
        strict=True,
    ):
        assert np.allclose(as_numpy(a), as_numpy(b), rtol=1e-6, atol=1e-9)
