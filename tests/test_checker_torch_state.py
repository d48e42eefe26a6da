"""PyTorch as it is used: modes, checkpoints, lazy modules, state, gradients that are no slopes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from reports import said
from softgrad.checker import check

torch = pytest.importorskip("torch")
nn = torch.nn
X = torch.tensor(np.random.default_rng(0).normal(size=(4, 5)))


class Sine(torch.autograd.Function):
    factor = 1.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @classmethod
    def backward(cls, ctx, g):
        found = []
        (x,) = ctx.saved_tensors
        thread = threading.Thread(target=lambda: found.append(cls.factor * g * x.cos()))
        thread.start()
        thread.join()
        return found[0]


class Doubled(Sine):
    factor = 2.0


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_modes_around_a_check_do_not_matter(mode):
    with mode():
        x = X.clone()
        assert check(torch.sin, x).passed
        assert check(Sine.apply, x).passed  # whose backward runs in a thread
        assert check(nn.Linear(5, 3).double(), x).passed
        assert check(Doubled.apply, x).verdict == "fail"
    assert check(Sine.apply, x).passed
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_reentrant_checkpoints_are_left_open():
    def run(x, reentrant):
        return torch.utils.checkpoint.checkpoint(Sine.apply, x, use_reentrant=reentrant)

    assert check(lambda x: run(x, False), X).passed
    report = check(lambda x: run(x, True), X)
    assert report.verdict == "inconclusive"
    assert "use_reentrant=False" in said(report)


def test_lazy_modules_get_their_sizes_and_stay_lazy():
    module = nn.Sequential(nn.LazyLinear(3, dtype=torch.float64), nn.Tanh())
    state = torch.random.get_rng_state()
    report = check(module, X)
    assert report.passed, str(report)
    assert isinstance(module[0], nn.LazyLinear)
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(ValueError, match="lazy parameters are set by a first call"):
        check(module, torch.tensor(1.0, dtype=torch.float64))


def test_what_a_module_keeps_is_left_as_it_was():
    class Kept(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(5).double()
            self.calls, self.mean = 0, torch.zeros(5, dtype=torch.float64)

        def forward(self, x):
            self.calls += 1
            self.mean += x.detach().mean(dim=0)
            return self.norm(x)

    module = Kept()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert check(module, X).passed
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.calls == 0
    assert not module.mean.any()


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])
@pytest.mark.filterwarnings("ignore")
def test_spectral_norm_is_judged_in_eval(norm):
    torch.manual_seed(0)
    module = norm(nn.Linear(5, 3).double())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for seed in range(4):  # its vectors may have settled, and its gradient is right then
        report = check(module, X, seed=seed)
        assert report.passed or (report.verdict, "eval()" in said(report)) == ("inconclusive", True)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert check(module.eval(), X).passed


@pytest.mark.parametrize("size", [1.0, 8.0])
@pytest.mark.parametrize(
    "draw",
    [
        lambda a: torch.distributions.Gamma(a, torch.ones_like(a)).rsample(),
        lambda a: torch.distributions.Dirichlet(a).rsample(),
        lambda a: torch.distributions.Beta(a, a + 1).rsample(),
    ],
    ids=["gamma", "dirichlet", "beta"],
)
def test_implicit_gradients_are_left_open(draw, size):
    a = size + torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for seed in range(3):
        report = check(draw, a, seed=seed)
        assert report.verdict == "inconclusive", str(report)
    if size > 1:
        assert "implicitly" in said(report)


def test_draws_that_have_a_slope_are_judged():
    def normal(a):
        return torch.distributions.Normal(a, a.exp()).rsample()

    assert check(normal, X).passed
    assert check(lambda a: Doubled.apply(normal(a)), X).verdict == "fail"
