"""Language models of the transformers library, given the fused head where they stand."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
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
    to them (a soft cap, a look at ``outputs.logits``) makes them, as before; a look must come
    before the optimiser's step. Calls without labels stay as they were, and so do parameters, their
    names and their state, and an output layer whose forward somebody else has replaced. A second
    patch changes nothing.

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
        The model has no such method, its output layer is no `torch.nn.Linear`, or its forward takes
        no `labels`.
    RuntimeError
        Later, for a look at ``outputs.logits`` after the output layer has changed.

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
    signature = _signature(model)
    if not hasattr(model, _NAME):
        setattr(model, _NAME, _Patch(model, signature))
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

    def __init__(self, model: Any, signature: inspect.Signature) -> None:
        self.signature = signature
        self.hooks = (
            model.register_forward_pre_hook(self.begin, with_kwargs=True),
            model.register_forward_hook(self.end, always_call=True),
        )

    def begin(self, model: Any, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling():
            return
        given = self.signature.bind_partial(*args, **kwargs).arguments
        # The layer of today: new tokens give a model another one, and so does a replica.
        head = model.get_output_embeddings()
        if given.get("labels") is not None and _is_layer(head) and "forward" not in vars(head):
            head.forward = _Waiting(head)

    def end(self, model: Any, args: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            return
        head = model.get_output_embeddings()
        if isinstance(vars(head).get("forward"), _Waiting):
            del head.forward

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


@dataclass(frozen=True, eq=False)
class _Waiting:
    """Stands in the place of a layer's forward."""

    head: torch.nn.Linear

    def __call__(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  PyTorch's name for it
        return UnmadeLogits.of(input, self.head.weight, self.head.bias)


def _signature(model: Any) -> inspect.Signature:
    """Return that of a model's forward, or raise TypeError for a model of another kind."""
    find = getattr(model, "get_output_embeddings", None)
    head = None if find is None else find()
    if not _is_layer(head):
        expected = "a model whose get_output_embeddings() is a torch.nn.Linear"
        raise TypeError(mismatch("model", expected, f"{type(model).__name__} with {head}"))
    signature = inspect.signature(model.forward)
    if "labels" not in signature.parameters:
        expected = "a model whose forward takes `labels`"
        raise TypeError(mismatch("model", expected, f"{type(model).__name__}{signature}"))
    return signature


def _is_layer(head: Any) -> bool:
    """Tell a linear layer that no class of another kind stands in for."""
    return type(head) is torch.nn.Linear
