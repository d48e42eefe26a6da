"""A language model with the fused head is the same model: values, gradients, state, and habits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from asserts import as_numpy, assert_close, assert_same_bits

torch = pytest.importorskip("torch")
F = pytest.importorskip("torch.nn.functional")

from softgrad.torch import patch_causal_lm, unpatch_causal_lm  # noqa: E402
from softgrad.torch.unmade_logits import UnmadeLogits  # noqa: E402

V, D = 11, 6
IDS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 10, 3]])
LABELS = torch.tensor([[3, 1, 4, -100, 5], [9, -100, 6, 10, 3]])


class Output(NamedTuple):
    loss: Any
    logits: Any


def shifted(logits: Any, labels: Any) -> Any:
    """Return a loss as many models take it: all but the last row, and all labels but the first."""
    return F.cross_entropy(logits[..., :-1, :].reshape(-1, V), labels[..., 1:].reshape(-1))


def padded(logits: Any, labels: Any) -> Any:
    """Return a loss as others take it: in float32, of padded labels, over a number of tokens."""
    t = F.pad(labels, (0, 1), value=-100)[..., 1:].contiguous().view(-1)
    return F.cross_entropy(logits.float().contiguous().view(-1, V), t, reduction="sum") / 7


def capped(logits: Any, labels: Any) -> Any:
    return shifted(2 * torch.tanh(logits / 2), labels)


class Model(torch.nn.Module):  # type: ignore[misc]
    """The shape of a language model of the transformers library."""

    def __init__(self, loss: Callable[[Any, Any], Any] = shifted, bias: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(V, D)
        self.mixed = torch.nn.Linear(D, D)
        self.lm_head = torch.nn.Linear(D, V, bias=bias)
        self.loss = loss

    def get_output_embeddings(self) -> Any:
        return self.lm_head

    def forward(self, input_ids: Any, labels: Any = None) -> Output:
        x = torch.tanh(self.mixed(self.embedding(input_ids))).cumsum(dim=1)
        logits = self.lm_head(x)
        return Output(None if labels is None else self.loss(logits, labels), logits)


def gradients(model: Any) -> dict[str, Any]:
    model.zero_grad()
    (1.7 * model(IDS, labels=LABELS).loss).backward()
    return {name: p.grad for name, p in model.named_parameters()}


def is_fused(model: Any) -> bool:
    """Tell whether a loss is taken without logits."""
    output = model(IDS, labels=LABELS)
    return isinstance(output.logits, UnmadeLogits) and "made" not in vars(output.logits)


@pytest.mark.parametrize("loss", [shifted, padded, capped])
@pytest.mark.parametrize("bias", [False, True])
def test_losses_and_gradients_are_those_of_the_model(loss: Any, bias: bool) -> None:
    model, patched = Model(loss, bias), patch_causal_lm(Model(loss, bias))
    assert is_fused(patched) == (loss is not capped)
    assert_close(patched(IDS, LABELS).loss, as_numpy(model(IDS, LABELS).loss), u=16)
    there = gradients(model)
    for name, g in gradients(patched).items():
        assert_close(g, as_numpy(there[name]), u=64, what=name)


def test_logits_are_there_for_who_looks_at_them() -> None:
    model, patched = Model(), patch_causal_lm(Model())
    expected, logits = model(IDS).logits, patched(IDS, labels=LABELS).logits
    assert (logits.shape, logits.dtype, logits.ndim) == (expected.shape, expected.dtype, 3)
    assert_same_bits(logits.detach(), expected)
    assert_same_bits(logits.argmax(-1), expected.argmax(-1))
    assert_same_bits(logits[:, 1:, :3], expected[:, 1:, :3])
    assert_same_bits(logits[0, ..., :].detach(), expected[0])
    assert_same_bits(logits.view(2, -1), expected.view(2, -1))
    assert_same_bits(logits + 1, expected + 1)
    images = F.cross_entropy(logits, torch.zeros(2, V, dtype=torch.int64))  # classes on axis 1
    assert_same_bits(images, F.cross_entropy(expected, torch.zeros(2, V, dtype=torch.int64)))
    logits.sum().backward()
    expected.sum().backward()
    assert_same_bits(patched.lm_head.weight.grad, model.lm_head.weight.grad)


def test_logits_have_a_gradient_if_they_had_one_at_the_call() -> None:
    model, patched = Model(), patch_causal_lm(Model())
    expected = as_numpy(model(IDS).logits)
    for quiet in (torch.no_grad, torch.inference_mode):
        with quiet():
            output = patched(IDS, labels=LABELS)
        assert not output.logits.requires_grad
        assert_same_bits(output.logits.numpy(), expected)
        again = patched(IDS, labels=LABELS)
        with quiet():
            assert_same_bits(again.logits.argmax(-1), expected.argmax(-1))
            some = again.logits[:, 1:]
        assert not some.requires_grad
        (again.loss + again.logits.square().sum()).backward()
        other = model(IDS, labels=LABELS)
        (other.loss + other.logits.square().sum()).backward()
        there = as_numpy(model.lm_head.weight.grad)
        assert_close(patched.lm_head.weight.grad, there, u=64)
        model.zero_grad()
        patched.zero_grad()


def test_logits_of_weights_that_are_gone_are_refused() -> None:
    patched = patch_causal_lm(Model())
    output = patched(IDS, labels=LABELS)
    output.loss.backward()
    torch.optim.SGD(patched.parameters(), lr=0.1).step()
    for look in (lambda z: z.argmax(-1), lambda z: padded(z, LABELS)):
        with pytest.raises(RuntimeError, match="look before the optimiser's step"):
            look(output.logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # a copy of the weights, which stays
        output = patched(IDS, labels=LABELS)
    before = F.linear(output.logits.x, patched.lm_head.weight.bfloat16())
    with torch.no_grad():
        patched.lm_head.weight.zero_()
    assert_same_bits(output.logits.detach().float(), before.detach().float())


def test_targets_that_are_differentiated_have_their_gradient() -> None:
    t = torch.softmax(torch.arange(10.0 * V).view(10, V) % 7, -1).requires_grad_()

    def soft(logits: Any, labels: Any) -> Any:
        return F.cross_entropy(logits.view(-1, V), t)

    model, patched = Model(soft), patch_causal_lm(Model(soft))
    here, there = (torch.autograd.grad(m(IDS, labels=LABELS).loss, t)[0] for m in (patched, model))
    assert_close(here, as_numpy(there), u=16)


def test_another_output_layer_is_fused_as_well() -> None:
    patched = patch_causal_lm(Model())
    patched.lm_head = torch.nn.Linear(D, V)
    assert is_fused(patched)
    assert not is_fused(unpatch_causal_lm(patched))


def test_what_others_have_made_of_the_layer_stays() -> None:
    patched = patch_causal_lm(Model())
    head = patched.lm_head
    theirs = head.forward = lambda x: 2 * F.linear(x, head.weight)
    assert not is_fused(patched)
    unpatch_causal_lm(patched)
    assert head.forward is theirs


def test_calls_without_labels_are_left_alone() -> None:
    model, patched = Model(), patch_causal_lm(Model())
    logits = patched(IDS).logits
    assert type(logits) is torch.Tensor
    assert_same_bits(logits, model(IDS).logits)
    assert type(patched.lm_head(torch.zeros(2, D))) is torch.Tensor


def test_a_call_that_fails_leaves_no_trace() -> None:
    def fails(logits: Any, labels: Any) -> Any:
        raise RuntimeError("no loss")

    patched = patch_causal_lm(Model(fails))
    with pytest.raises(RuntimeError, match="no loss"):
        patched(IDS, labels=LABELS)
    assert type(patched.lm_head(torch.zeros(2, D))) is torch.Tensor
    assert type(patched(IDS).logits) is torch.Tensor


def test_state_and_copies_are_those_of_the_model() -> None:
    model, patched = Model(), patch_causal_lm(patch_causal_lm(Model()))
    assert list(patched.state_dict()) == list(model.state_dict())
    copied = copy.deepcopy(patched)
    with torch.no_grad():
        copied.lm_head.weight.mul_(2)
    assert is_fused(copied)
    assert_close(copied(IDS, labels=LABELS).loss, as_numpy(unpatched_loss(copied)), u=16)
    ours, other = (m(IDS, labels=LABELS).loss.detach() for m in (copied, patched))
    assert abs(float(ours - other)) > 1e-3


def unpatched_loss(model: Any) -> Any:
    return unpatch_causal_lm(copy.deepcopy(model))(IDS, labels=LABELS).loss


def test_a_patch_is_taken_away_whole() -> None:
    model, patched = Model(), patch_causal_lm(Model())
    assert unpatch_causal_lm(patched) is patched
    assert not is_fused(patched)
    assert vars(patched).keys() == vars(model).keys()
    assert vars(patched.lm_head).keys() == vars(model.lm_head).keys()
    with pytest.raises(ValueError, match="`model` must be patched by patch_causal_lm, got Model"):
        unpatch_causal_lm(patched)


def test_a_model_without_such_a_layer_is_refused() -> None:
    class Other(Model):
        def get_output_embeddings(self) -> Any:
            return self.embedding

    class Unlabelled(Model):
        def forward(self, *args: Any, **kwargs: Any) -> Output:
            return super().forward(*args, **kwargs)

    for model in (Other(), torch.nn.Linear(2, 3)):
        with pytest.raises(TypeError, match=r"`model` must be a model whose get_output_embeddings"):
            patch_causal_lm(model)
    with pytest.raises(TypeError, match=r"`model` must be a model whose forward takes `labels`"):
        patch_causal_lm(Unlabelled())


def test_under_autocast_and_in_a_graph() -> None:
    model, patched = Model(padded), patch_causal_lm(Model(padded))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        here, there = patched(IDS, labels=LABELS).loss, model(IDS, labels=LABELS).loss
        assert is_fused(patched)
    assert here.dtype == there.dtype == torch.float32
    assert_close(here, as_numpy(there), u=2.0**16)  # their logits are rounded
    torch._dynamo.reset()
    graph = torch.compile(patched, backend="aot_eager")
    assert_close(graph(IDS, labels=LABELS).loss, as_numpy(model(IDS, labels=LABELS).loss), u=16)


SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40}
FAMILIES = {
    "Llama": {"num_key_value_heads": 1, "intermediate_size": 24},
    "Qwen3": {"num_key_value_heads": 1, "intermediate_size": 24, "head_dim": 8},
    "GPTNeoX": {"intermediate_size": 24},
    "Gemma2": {"num_key_value_heads": 1, "intermediate_size": 24, "head_dim": 8},
    "GPT2": {},
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_models_of_transformers(family: str) -> None:
    transformers = pytest.importorskip("transformers")
    settings = SIZES | FAMILIES[family]
    config = getattr(transformers, f"{family}Config")(pad_token_id=0, **settings)
    torch.manual_seed(0)
    head = "LMHeadModel" if family == "GPT2" else "ForCausalLM"
    model = getattr(transformers, f"{family}{head}")(config).eval()
    patched = patch_causal_lm(copy.deepcopy(model))
    assert is_fused(patched) == (family != "Gemma2")  # which caps its logits
    there = gradients(model)
    for name, g in gradients(patched).items():
        assert_close(g, as_numpy(there[name]), u=2.0**10, what=name)
    assert_close(patched(IDS, labels=LABELS).loss, as_numpy(model(IDS, labels=LABELS).loss), u=16)
    several = patched(IDS, labels=LABELS, num_items_in_batch=3).loss
    assert_close(several, as_numpy(model(IDS, labels=LABELS, num_items_in_batch=3).loss), u=16)
    options = {"max_new_tokens": 3, "do_sample": False}
    assert_same_bits(patched.generate(IDS, **options), model.generate(IDS, **options))
