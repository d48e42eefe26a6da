"""The checker reads PyTorch: autograd functions, plain functions, modules and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from tensor_rules import RULES as SHARED
from tensor_rules import right, total

torch = pytest.importorskip("torch")

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
WIDE = DTYPES[:2]


def draw(*shape, dtype=torch.float64, seed=0, scale=1.0):
    z = scale * np.random.default_rng([seed, *shape]).normal(size=shape)
    return torch.from_numpy(z).to(dtype)


def stable(z):
    e = torch.exp(z - z.amax(dim=-1, keepdim=True))
    return e / total(e)


def function(rule, body=stable):
    """Return the softmax function whose backward is ``rule(p, g)``."""

    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            p = body(z)
            ctx.save_for_backward(p)
            return p

        @staticmethod
        def backward(ctx, g):
            return rule(*ctx.saved_tensors, g)

    return Softmax.apply


RULES = SHARED | {"none": lambda p, g: None}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_right_function_passes(dtype):
    for seed, shape in enumerate([(1, 3), (4, 37), (2, 400)]):
        for scale in (0.02, 1, 5):
            z = draw(*shape, dtype=dtype, scale=scale)
            report = check(function(right), z, seed=seed)
            # Slopes of few numbers may drown in the rounding of float16.
            assert report.passed or (dtype not in WIDE and shape != (4, 37)), str(report)
            assert report.verdict != "fail", str(report)
            assert report.dtype == str(dtype).removeprefix("torch.")
            assert report.subject == "Softmax"


@pytest.mark.parametrize("name", RULES)
def test_wrong_function_fails(name):
    for seed, (shape, dtype) in enumerate((s, d) for s in [(3, 5), (2, 400)] for d in WIDE):
        report = check(function(RULES[name]), draw(*shape, dtype=dtype), seed=seed)
        assert report.verdict == "fail", str(report)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", DTYPES[2:], ids=str)
def test_wrong_function_fails_in_few_bits(name, dtype):
    report = check(function(RULES[name]), draw(4, 37, dtype=dtype))
    assert report.verdict == "fail", str(report)


def test_few_bits_inside_the_backward_are_left_open():
    def narrow(p, g):
        return right(p.bfloat16(), g.bfloat16()).to(p.dtype)

    for seed in range(5):
        z = draw(4, 37, dtype=torch.bfloat16, seed=seed)
        assert check(function(narrow), z, seed=seed).verdict == "inconclusive"


def test_oracle_is_forward_mode_of_the_body():
    z = draw(4, 9)
    report = check(function(right), z)
    assert report.oracle == "float64 forward mode"
    assert report.cost.forward_mode == 3
    assert report.cost.forward <= 6
    assert report.cost.backward <= 9
    assert "forward-mode + " in str(report)


def test_function_in_the_form_with_setup_context():
    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(z):
            return stable(z)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx, g):
            return right(*ctx.saved_tensors, g)

    for subject in (Softmax, Softmax.apply):
        report = check(subject, draw(4, 9))
        assert report.passed, str(report)
        assert report.oracle == "float64 forward mode"


def test_function_within_a_function_has_no_forward_mode():
    inner = function(right)
    report = check(lambda z: inner(z).sin(), draw(4, 9))
    assert report.passed, str(report)
    assert report.oracle == "float64 Richardson"
    assert "The forward-mode derivative is not used: it raised" in said(report)
    wrong = function(RULES["diagonal only"])
    assert check(lambda z: wrong(z).sin(), draw(4, 9)).verdict == "fail"


def test_forward_mode_rule_of_the_function_is_not_trusted():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0] * g

        @staticmethod
        def jvp(ctx, x_dot):
            return 3 * ctx.saved_tensors[0] * x_dot

    assert check(Square.apply, draw(4, 9)).verdict == "fail"
    hidden = check(lambda x: Square.apply(x).sin(), draw(4, 9))
    assert hidden.verdict == "fail"
    assert "differs from the differences" in said(hidden)
    assert hidden.oracle == "float64 Richardson"


def test_detached_part_is_not_trusted_either():
    report = check(lambda x: x * x.detach(), draw(4, 9))
    assert report.verdict == "fail"
    assert "differs from the differences" in said(report)
    assert report.relative_error == pytest.approx(0.5, rel=1e-6)


def test_severed_gradient_has_its_own_sentence():
    x, y = draw(4, 9), draw(4, 9, seed=1)
    report = check(lambda x, y: x * y.detach(), x, y)
    assert report.verdict == "fail"
    assert "No gradient reaches input 1" in said(report)
    through_numpy = check(lambda x: torch.from_numpy(np.sin(x.detach().numpy())), x)
    assert through_numpy.verdict == "fail"
    assert "No gradient reaches input 0" in said(through_numpy)
    unused = check(lambda x, y: x.sin() + 0 * y.detach(), x, y)
    assert unused.passed, str(unused)


@pytest.mark.parametrize("dtype", WIDE, ids=str)
def test_several_inputs_and_outputs(dtype):
    def rule(wrong):
        class Product(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, labels, W, scale):
                ctx.save_for_backward(x, W, labels)
                ctx.scale = scale
                y = scale * x @ W.T
                ctx.mark_non_differentiable(labels)
                return y, y[torch.arange(len(x)), labels], labels

            @staticmethod
            def backward(ctx, g, picked_bar, _):
                x, W, labels = ctx.saved_tensors
                g = g.clone()
                if wrong != "second output forgotten":
                    g[torch.arange(len(x)), labels] += picked_bar
                x_bar, W_bar = ctx.scale * g @ W, ctx.scale * g.T @ x
                if wrong == "scale forgotten":
                    W_bar = g.T @ x
                return x_bar, None, W_bar, None

        return Product.apply

    inputs = draw(4, 9, dtype=dtype), torch.tensor([0, 3, 1, 1]), draw(7, 9, dtype=dtype), 1.7
    report = check(rule(None), *inputs)
    assert report.passed, str(report)
    for wrong in ("second output forgotten", "scale forgotten"):
        assert check(rule(wrong), *inputs).verdict == "fail", wrong


def test_what_is_overwritten_is_found():
    def careless(p, g):
        answer = right(p, g)
        g.mul_(2)
        return answer

    report = check(function(careless), draw(4, 9))
    assert report.verdict == "fail"
    assert "The backward overwrites the cotangent that it is given." in said(report)

    def subtracting(z):
        z -= z.amax(dim=-1, keepdim=True)
        return stable(z)

    z = draw(4, 9, dtype=torch.bfloat16)
    before = z.clone()
    report = check(function(right, body=subtracting), z)
    assert report.verdict == "fail"
    assert "The forward overwrites its input 0." in said(report)
    assert torch.equal(z, before)


def test_second_backward_after_one_forward():
    def careless(p, g):
        answer = right(p, g)
        p.data.mul_(g)
        return answer

    report = check(function(careless), draw(4, 9))
    assert report.verdict == "fail"
    assert "changes what the forward saved" in said(report)


def test_memory_layout_of_the_cotangent_matters():
    def reads_the_buffer(p, g):
        return right(p, torch.as_strided(g, g.shape, (g.shape[1], 1)))

    report = check(function(reads_the_buffer), draw(4, 9))
    assert report.verdict == "fail"
    assert "With an expanded cotangent the backward raised RuntimeError" in said(report)

    def views(p, g):
        return right(p, g.view(-1).view(p.shape))

    report = check(function(views), draw(4, 9))
    assert report.verdict == "fail"
    assert "cotangent the backward raised RuntimeError" in said(report)
    assert "test_checker_torch.py:" in said(report)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p, g: g[:1, :2], "invalid gradient"),
        (lambda p, g: (g, g), "incorrect number of gradients"),
        (lambda p, g: 1 / 0, "raised ZeroDivisionError: division by zero (test_checker_torch.py:"),
    ],
)
def test_what_autograd_refuses_is_a_sentence(change, sentence):
    report = check(function(change), draw(4, 9))
    assert report.verdict == "fail"
    assert sentence in said(report)
    assert "test_checker_torch.py:" in said(report)


def test_exception_in_the_forward_is_a_doubt():
    def broken(z):
        raise ValueError("odd")

    report = check(broken, draw(4, 9))
    assert report.verdict == "inconclusive"
    assert "The forward raised ValueError: odd (test_checker_torch.py:" in said(report)


class Scaled(torch.nn.Module):
    """A layer whose gradient in the scale is right, or is `wrong` times too large."""

    def __init__(self, wrong=1.0):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([0.5, 1.5, -0.7]))
        self.frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer("shift", torch.tensor([0.1, 0.2, 0.3]))
        self.wrong = wrong

    def forward(self, x):
        scale = self.scale
        if scale.requires_grad and self.wrong is None:
            scale = scale.detach()
        elif scale.requires_grad:
            scale.register_hook(lambda g: self.wrong * g)
        return torch.tanh(scale * x + self.frozen * self.shift)


def test_parameters_of_a_module_are_inputs():
    x = draw(4, 3, dtype=torch.float32)
    report = check(Scaled(), x)
    assert report.passed, str(report)
    assert report.subject == "Scaled"
    assert report.oracle == "float64 forward mode"
    assert check(Scaled(wrong=1.5), x).verdict == "fail"
    severed = check(Scaled(wrong=None), x)
    assert severed.verdict == "fail"
    assert "No gradient reaches parameter scale" in said(severed)


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16", torch.float16], ids=str)
def test_module_in_training_is_left_as_it_is(dtype):
    torch.manual_seed(3)
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.3), torch.nn.Softmax(-1)
    )
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    random = torch.get_rng_state()
    report = check(module, draw(8, 5, dtype=torch.float32), dtype=dtype)
    assert report.passed, str(report)
    assert module.training
    assert torch.equal(random, torch.get_rng_state())
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name]), name
        assert tensor.grad_fn is None
    assert all(parameter.grad is None for parameter in module.parameters())
    module.eval()
    assert check(module, draw(8, 5, dtype=torch.float32)).passed
    assert not module.training


def test_embedding_with_a_sparse_gradient():
    module = torch.nn.Embedding(7, 3, sparse=True)
    report = check(module, torch.tensor([[1, 2], [6, 2]]))
    assert report.passed, str(report)


def test_pair_of_functions_of_tensors():
    def backward(z, g):
        assert isinstance(g, torch.Tensor)
        return right(stable(z), g)

    for dtype in DTYPES:
        z = draw(4, 9, dtype=dtype)
        assert check(stable, backward, z).passed
        assert check(stable, lambda z, g: 2 * backward(z, g), z).verdict == "fail"


def test_layer_object_of_tensors():
    class Layer:
        def forward(self, z):
            self.p = stable(z)
            return self.p

        def backward(self, g):
            return right(self.p, g)

    class Wrong(Layer):
        def backward(self, g):
            return g * self.p

    for dtype in WIDE:
        assert check(Layer(), draw(4, 9, dtype=dtype)).passed
        report = check(Wrong(), draw(4, 9, dtype=dtype))
        assert report.verdict == "fail"
        assert report.cost.backward <= 9


@pytest.mark.parametrize(
    ("right", "forward"),
    [
        (True, lambda x: (x.sin() * x).sum()),
        (True, lambda x: torch.softmax(x, dim=-1)),
        (True, lambda x: 2 * x),
        (True, function(right)),
        (False, function(lambda p, g: right(p.detach(), g))),
        (False, function(RULES["diagonal only"])),
    ],
)
def test_second_order(right, forward):
    x = draw(4, 5)
    report = check(forward, x, order=2)
    assert report.verdict == ("pass" if right else "fail"), str(report)
    assert report.order == 2
    assert report.subject.endswith(", second order")
    assert all(finding.message.startswith("Second order: ") for finding in report.findings)


def test_backward_that_forbids_a_second_one():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0] ** 2 * g

    assert check(Cube.apply, draw(4, 5)).passed
    report = check(Cube.apply, draw(4, 5), order=2)
    assert report.verdict == "fail"
    assert "No gradient reaches input 0, cotangent 0" in said(report)


def test_parameters_are_called_by_their_names():
    class Severed(torch.nn.Linear):
        def forward(self, x):
            return torch.nn.functional.linear(x, self.weight.detach(), self.bias)

    report = check(Severed(5, 3, dtype=torch.float64), draw(4, 5))
    assert report.diagnosis.code == "severed"
    assert "The gradient of parameter weight is None" in report.diagnosis.message
    assert report.where.text == "parameter weight"


def test_inputs_stay_as_they_are():
    x = draw(4, 9).requires_grad_()
    check(function(right), x)
    assert x.grad is None
    assert x.requires_grad


def test_where_and_reference():
    z = draw(3, 5)
    z[1, 2] = -torch.inf
    seen = np.isfinite(z.numpy())
    assert check(function(right), z, where=seen).passed
    assert check(function(RULES["doubled"]), z, where=seen).verdict == "fail"
    report = check(function(right), draw(3, 5), reference=torch.nn.Softmax(-1))
    assert report.passed, str(report)
    assert report.oracle == "float64 forward mode of the reference"
    wrong = check(function(right), draw(3, 5), reference=torch.nn.LogSoftmax(-1))
    assert "differs from the reference" in said(wrong)


SECOND = {"second": torch.sin}


@pytest.mark.parametrize(
    ("error", "match", "arguments", "options"),
    [
        (TypeError, r"`inputs\[0\]` must be .*complex", (torch.sin, torch.ones(2) + 1j), {}),
        (TypeError, r"must be a tensor, got .* list", (torch.sin, [draw(2)], draw(2)), {}),
        (ValueError, r"`inputs\[0\]` must be finite", (torch.sin, draw(3) * torch.nan), {}),
        (TypeError, "`dtype` must be", (torch.sin, draw(3)), {"dtype": torch.int32}),
        (TypeError, "`forward` must be callable", (3, draw(3)), {}),
        (ValueError, "`second` must be left out", (torch.sin, draw(3)), SECOND | {"order": 2}),
        (ValueError, "`second` must be left out", (torch.sin, draw(3)), SECOND),
        (ValueError, "`order` must be 1 or 2", (torch.sin, draw(3)), {"order": 3}),
    ],
)  # fmt: skip
def test_wrong_use_names_the_argument(error, match, arguments, options):
    with pytest.raises(error, match=match):
        check(*arguments, **options)


@pytest.mark.parametrize(
    ("name", "shape", "scale", "dtype", "seed"),
    [
        # In saturated rows the sums of another memory layout differ by more than the answer.
        ("own", (2, 6), 63.28566955059847, torch.float64, 83841112),
        ("own", (2, 110), 22.83536864701114, torch.float64, 122460275),
        # The gradient is rounding, and another at the next number: what is kept is of this one.
        ("layer_norm", (5, 2), 1380.8637973210443, torch.float32, 383621716),
        ("layer_norm", (3, 2), 3846.0433458459943, torch.float32, 405458642),
    ],
)
def test_rounding_between_two_calls_is_no_false_alarm(name, shape, scale, dtype, seed):
    z = scale * np.random.default_rng(seed).normal(size=shape)
    report = check(FUNCTIONS[name], torch.from_numpy(z).to(dtype), seed=seed)
    assert report.verdict != "fail", str(report)


FUNCTIONS = {
    "softmax": lambda z: torch.softmax(z, dim=-1),
    "log_softmax": lambda z: torch.log_softmax(z, dim=-1),
    "logsumexp": lambda z: torch.logsumexp(z, dim=-1),
    "layer_norm": lambda z: torch.nn.functional.layer_norm(z, z.shape[-1:]),
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "cumprod": lambda z: torch.cumprod(1 + z.abs() / 8, dim=-1),
    "norm": lambda z: z.norm(dim=-1),
    "gram": lambda z: z @ z.T,
    "own": function(right),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_false_alarm(name, dtype):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        shape = int(rng.integers(1, 5)), int(rng.integers(2, 40))
        z = draw(*shape, dtype=dtype, seed=seed, scale=0.1 * 10 ** rng.uniform(0, 2))
        report = check(FUNCTIONS[name], z, seed=seed)
        assert report.verdict != "fail", str(report)
        if dtype == torch.float64 and name != "relu":
            assert report.passed, str(report)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_mistake_has_its_name_in_every_format(dtype):
    report = check(function(RULES["diagonal only"]), draw(4, 9, dtype=dtype))
    assert report.diagnosis.code == "diagonal-only"
    assert report.where.input == 0


def test_class_of_a_module_is_not_its_instance():
    with pytest.raises(TypeError, match="`forward` must be a layer, got its class, ReLU"):
        check(torch.nn.ReLU, torch.ones(3))


def test_forward_that_works_in_place_is_named():
    report = check(torch.nn.ReLU(inplace=True), torch.tensor([1.0, -2.0, 3.0]))
    assert report.verdict == "fail"
    assert "With gradients enabled the forward raised RuntimeError: a leaf Variable" in said(report)
    assert "The backward raised" not in said(report)


def test_no_floating_point_tensor_is_a_doubt():
    report = check(torch.nn.Flatten(), torch.arange(3))
    assert report.verdict == "inconclusive"
    assert "No input is of floating-point numbers" in said(report)
