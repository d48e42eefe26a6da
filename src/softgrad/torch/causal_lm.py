"""Language models of the transformers library, given the fused head where they stand."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from softgrad.errors import mismatch
from softgrad.torch.unmade_logits import UnmadeLogits

__all__ = ["patch_causal_lm", "unpatch_causal_lm"]

_NAME = "_softgrad_patch"


def patch_causal_lm(model: Any) -> Any:
    """Give a causal language model the fused head in place: its loss needs no logits any more.

    The model's own forward runs, and its own loss is taken, but the output layer waits. A
    cross-entropy of its logits goes through `softgrad.linear_cross_entropy`; whatever else is done
    to them (a soft cap, a look at ``outputs.logits``) makes them, as before. Calls without labels
    stay as they were, and so do parameters, their names and their state. A second patch changes
    nothing.

    Parameters
    ----------
    model : torch.nn.Module
        With ``get_output_embeddings()`` as models of the transformers library have it, and a
        forward that takes `labels`.

    Returns
    -------
    torch.nn.Module
        The model itself.

    Raises
    ------
    TypeError
        The model has no such method, or its output layer is no `torch.nn.Linear`.

    Derivative
    ----------
    As in `linear_cross_entropy` here, in every parameter; what `torch.compile` traces makes its
    logits.

    Numerics
    --------
    The loss and its gradients are those of the model, but for rounding (tests/test_torch_lm.py).

    Examples
    --------
    >>> from transformers import LlamaForCausalLM  # doctest: +SKIP
    >>> model = patch_causal_lm(LlamaForCausalLM.from_pretrained(...))  # doctest: +SKIP
    """
    head = _output_layer(model)
    if not hasattr(model, _NAME):
        setattr(model, _NAME, _Patch(model, head))
    return model


def unpatch_causal_lm(model: Any) -> Any:
    """Take the fused head away again, and return the model.

    Raises
    ------
    ValueError
        The model is not patched.
    """
    if not hasattr(model, _NAME):
        raise ValueError(mismatch("model", "patched by patch_causal_lm", type(model).__name__))
    getattr(model, _NAME).remove()
    delattr(model, _NAME)
    return model


class _Patch:
    """Lets the output layer wait during calls with labels."""

    def __init__(self, model: Any, head: torch.nn.Linear) -> None:
        self.head = head
        self.waits = False
        self.signature = inspect.signature(model.forward)
        self.hooks = (
            model.register_forward_pre_hook(self.begin, with_kwargs=True),
            model.register_forward_hook(self.end, always_call=True),
        )
        head.forward = self.logits

    def begin(self, model: Any, args: Any, kwargs: Any) -> None:
        given = self.signature.bind_partial(*args, **kwargs).arguments
        self.waits = given.get("labels") is not None and not torch.compiler.is_compiling()

    def end(self, model: Any, args: Any, output: Any) -> None:
        self.waits = False

    def logits(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  PyTorch's name for it
        """Stand in the place of the layer's forward."""
        if not self.waits:
            return torch.nn.Linear.forward(self.head, input)
        return UnmadeLogits.of(input, self.head.weight, self.head.bias)

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()
        del self.head.forward


def _output_layer(model: Any) -> torch.nn.Linear:
    find = getattr(model, "get_output_embeddings", None)
    head = None if find is None else find()
    if type(head) is not torch.nn.Linear:
        expected = "a model whose get_output_embeddings() is a torch.nn.Linear"
        raise TypeError(mismatch("model", expected, f"{type(model).__name__} with {head}"))
    return head
