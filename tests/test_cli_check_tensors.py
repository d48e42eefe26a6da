"""`softgrad check` of what PyTorch and JAX differentiate, and of inputs from a file."""

import numpy as np
import pytest

from cli_runs import assert_refused, softgrad

TORCH = """
import torch

def soft(z):
    return torch.softmax(z, dim=-1)

def detached(z):
    return z * z.detach()

def pair_backward(z, g):
    p = soft(z)
    return p * (g - (g * p).sum(dim=-1, keepdim=True))

class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(torch.softmax(z, dim=-1))
        return ctx.saved_tensors[0] if False else torch.softmax(z, dim=-1)

    @staticmethod
    def backward(ctx, g):
        p, = ctx.saved_tensors
        return p * g * (1 - p)

wrong = Wrong.apply

class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(37, 5)

    def forward(self, x):
        return torch.softmax(self.linear(x), dim=-1)

def picked(z, labels):
    return torch.nn.functional.cross_entropy(z, labels)
"""

JAX = """
import jax, jax.numpy as jnp

def soft(z):
    return jax.nn.softmax(z)

@jax.custom_vjp
def wrong(z):
    return jax.nn.softmax(z)

wrong.defvjp(lambda z: (soft(z), soft(z)), lambda p, g: (p * g * (1 - p),))
"""


@pytest.fixture
def torch_file(tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "mine.py"
    path.write_text(TORCH.replace("ctx.saved_tensors[0] if False else ", ""))
    return path


@pytest.fixture
def jax_file(tmp_path):
    pytest.importorskip("jax")
    path = tmp_path / "mine.py"
    path.write_text(JAX)
    return path


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["FILE:soft", "--torch"], 0),
        (["FILE:soft", "--torch", "--dtype", "bfloat16"], 0),
        (["FILE:detached", "--torch"], 1),
        (["FILE:soft", "FILE:pair_backward", "--torch"], 0),
        (["FILE:Wrong"], 1),
        (["FILE:wrong"], 1),
        (["FILE:wrong", "--dtype", "float32"], 1),
        (["FILE:Layer"], 0),
        (["torch.nn:Tanh"], 0),
    ],
)
def test_what_pytorch_differentiates(torch_file, args, code):
    outcome = softgrad("check", *(arg.replace("FILE", str(torch_file)) for arg in args))
    assert outcome.code == code, outcome


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["FILE:soft", "--jax"], 0),
        (["FILE:soft", "--jax", "--dtype", "float32"], 0),
        (["FILE:wrong"], 1),
        (["jax.nn:softplus"], 0),
    ],
)
def test_what_jax_differentiates(jax_file, args, code):
    outcome = softgrad("check", *(arg.replace("FILE", str(jax_file)) for arg in args), "--json")
    assert outcome.code == code, outcome
    wanted = "float32" if "float32" in args else "float64"
    assert outcome.document["dtype"] == wanted


def test_inputs_of_a_file_come_in_their_order_and_dtype(torch_file, tmp_path):
    inputs, report = tmp_path / "in.npz", tmp_path / "report.html"
    z = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    np.savez(inputs, logits=z, labels=np.array([0, 5, 2, 2]))
    args = ["check", f"{torch_file}:picked", "--torch", "--input", inputs]
    outcome = softgrad(*args, "--json", "--report", report)
    assert outcome.code == 0, outcome
    assert outcome.document["dtype"] == "float32"
    assert f"--torch --input={inputs} --seed=0" in report.read_text("utf-8")
    wide = softgrad(*args, "--json", "--dtype", "float64")
    assert wide.document["dtype"] == "float64"


def test_one_array_in_a_file_of_its_own(tmp_path):
    code = tmp_path / "mine.py"
    code.write_text("def f(x):\n    return x * x\n\ndef b(x, g):\n    return 2 * x * g\n")
    np.save(tmp_path / "in.npy", np.arange(3.0))
    args = ["check", f"{code}:f", f"{code}:b", "--input", tmp_path / "in.npy"]
    assert softgrad(*args).code == 0
    assert_refused(softgrad(*args, "--shape", "3"), "--shape", "--input")
    (tmp_path / "in.npz").write_text("no arrays")
    assert_refused(softgrad(*args[:4], tmp_path / "in.npz"), "in.npz", "expected arrays")
    np.savez(tmp_path / "in.npz")
    assert_refused(softgrad(*args[:4], tmp_path / "in.npz"), "in.npz", "no array")
    np.savez(tmp_path / "in.npz", np.array(["a"], object))
    assert_refused(softgrad(*args[:4], tmp_path / "in.npz"), "in.npz", "expected arrays")
    assert_refused(softgrad(*args[:4], tmp_path / "none.npz"), "none.npz")


def test_function_alone_needs_to_be_told_apart(torch_file):
    outcome = softgrad("check", f"{torch_file}:soft")
    assert_refused(outcome, "expected a layer", "BACKWARD", "--torch or --jax")
