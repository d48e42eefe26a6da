"""Cross-entropy of a linear layer whose logits are made, used and forgotten in chunks."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, Unpack

import array_api_compat

from softgrad.arrays import Array, adapter_for, index_dtype, namespace, real_array
from softgrad.errors import mismatch
from softgrad.heads.arguments import NOTHING, linear_layer, tangents
from softgrad.heads.base import AbstractHead
from softgrad.heads.cotangents import Cotangents
from softgrad.heads.layer import Gradients, LinearLayer
from softgrad.heads.loop import (
    losses,
    losses_and_cotangents,
    losses_bent,
    losses_dot,
    second_products,
)
from softgrad.heads.options import (
    OF_LOSSES,
    GradientOptions,
    JvpOptions,
    LossOptions,
    Options,
    ProductOptions,
    check_other,
)
from softgrad.heads.predictions import TopClasses, argmax, some_of, top_ids_of_jax, top_k
from softgrad.heads.reduced import ReducedHead
from softgrad.heads.selected_log_probs import SelectedLogProbs
from softgrad.heads.skipping import ErrorBound, Skipping
from softgrad.heads.verbs import takes_every_array
from softgrad.losses import CrossEntropy
from softgrad.losses.cross_entropy_settings import AbstractCrossEntropySettings
from softgrad.losses.spread.shards import AbstractRanks, content_of, together, told
from softgrad.losses.targets import arrays_of

__all__ = ["LinearCrossEntropy", "linear_cross_entropy"]


@dataclass(frozen=True, kw_only=True)
class LinearCrossEntropy(AbstractCrossEntropySettings, AbstractHead):
    """The cross-entropy of the logits x Wᵀ + b, which are never stored as a whole.

    All settings of `CrossEntropy` are settings here, and mean the same.

    Parameters
    ----------
    reduction, normalizer, on_empty
        As in every loss.
    label_smoothing, ignore_index, z_loss, temperature, soft_cap, rest, validate
        As in `CrossEntropy`. Ignored rows and rows of weight 0 cost nothing.
    memory : int, optional
        The bytes that buffers may take: 64 MiB, or 512 MiB on a GPU. Some hundred logits, or one
        row where the loss needs whole rows, are stored in any case.

    Derivative
    ----------
    With g the gradient of the loss in the logits, x_bar = g W, W_bar = gᵀ x and b_bar = Σ g: three
    matrix products of 2·N·D·K operations with the logits' own, and nothing is computed twice. The
    Hessian is that of x, W and bias together, the cross terms between x and W included; `ggn`
    leaves those out, and the product is positive semi-definite.

    Numerics
    --------
    The logits are as good as the BLAS; what follows is `CrossEntropy` itself, so that a confident
    row keeps its digits. Half precision is computed in float32, sums included. Losses and b_bar
    are summed with twice the working precision (tests/test_heads.py). Ranks of a group merge what
    they know of a row in their order, and keep its digits (tests/test_distributed.py).

    References
    ----------
    Pearlmutter, 1994 (products with the Hessian); Schraudolph, 2002 (Gauss–Newton products);
    Wijmans et al., 2024, "Cut your losses in large-vocabulary language models".

    Examples
    --------
    >>> import numpy as np
    >>> from softgrad.heads import linear_cross_entropy
    >>> x, W = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> loss, bars = linear_cross_entropy.value_and_gradient(x, W, [2])
    >>> float(loss)
    0.407605964444...
    >>> bars.W.round(4)
    array([[ 0.09  ,  0.1801],
           [ 0.2447,  0.4895],
           [-0.3348, -0.6695]])
    """

    def __post_init__(self) -> None:
        AbstractCrossEntropySettings.__post_init__(self)
        AbstractHead.__post_init__(self)

    @cached_property
    def loss(self) -> CrossEntropy:
        """The same loss of logits that are given."""
        return CrossEntropy(**{f.name: getattr(self, f.name) for f in fields(CrossEntropy)})

    def __call__(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[LossOptions]
    ) -> Array:
        """Return the loss; the same as `value`."""
        return self.value(x, W, targets, bias, **options)

    @takes_every_array
    def value(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[LossOptions]
    ) -> Array:
        """Return the loss; arguments as in `value_and_gradient`.

        PyTorch's autograd goes through it by `value_and_gradient`, `jvp` and `hvp`. JAX's arrays
        have this verb alone, and JAX's transformations for the others.
        """
        adapter = adapter_for(x, W, bias, *arrays_of(targets), *options.values())
        if adapter is not None:
            return adapter.head_value(self, x, W, targets, bias, options)
        with self._at("value", x, W, targets, bias, options) as head:
            return head.value(losses(head.loss))

    @takes_every_array
    def value_and_gradient(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[GradientOptions]
    ) -> tuple[Array, Gradients]:
        """Return the loss and its gradients in x, W and bias.

        Parameters
        ----------
        x : array [..., D], real
            Features: an array of NumPy or PyTorch, or of any library with the array API whose
            memory NumPy can share (DLPack, on the CPU); `value` and predictions take JAX's, too.
        W : array [K, D]
            Weights, in x's dtype.
        targets : array or TopK
            Class indices [...], probabilities [..., K], or `TopK` of ids and probabilities
            [..., k].
        bias : array [K], optional
        class_weights : array [K], optional
        row_weights : array [...], optional
            One weight a row; a row of weight 0 costs nothing.
        impl : {"auto", "reference", "numba", "triton"}
            What works on the logits; "auto" looks at how many there are, and
            `softgrad.explain_impl` says what it chooses.
        group : process group of torch.distributed or DeviceMesh of one dimension, optional
            Whose ranks have some of the classes each: W and bias are then this rank's part [k, D]
            and [k], of which there may be none. All else is the same on every rank, and so are the
            loss and the gradient in x; indices count among all K classes, and probabilities may be
            [..., K] or the own part [..., k].
        loss_bar : number, or array [...] for the reduction "none", optional
            What the gradients are multiplied by: the gradient that comes from above.
        frozen : collection of "x", "W" and "bias"
            What has no gradient: its product is not computed.

        Returns
        -------
        loss : array
            A number, or [...] for the reduction "none"; float32 for half-precision input.
        gradients : Gradients
            ``x``, ``W`` and ``bias``, in the shapes and dtypes of the arguments; None for what is
            frozen, and for a bias that is not there.

        Raises
        ------
        TypeError, ValueError
            An argument has another kind, shape or dtype than it must have, or there are no classes;
            or it is not the same on all ranks of a group.
        IndexError
            A class index is out of range; the message has the first position. On a GPU its row is
            NaN instead, unless `validate` is set.
        MemoryError
            There is no memory for a buffer or a result.
        """
        with self._at("value_and_gradient", x, W, targets, bias, options) as head:
            bars = Cotangents(head.loss.layer)
            values = losses_and_cotangents(head.loss, head.loss_bar, bars)
            return head.value(values), bars.result()

    @takes_every_array
    def approximate_value_and_gradient(
        self,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        skip_below: float,
        **options: Unpack[GradientOptions],
    ) -> tuple[Array, Gradients, ErrorBound]:
        """Return the loss, gradients whose smallest parts may be missing, and how much may miss.

        A tile of 256 classes of a chunk of rows is left out of the products for x_bar and W_bar
        where all its gradients in the logits, reduction included, are smaller than `skip_below` in
        absolute value. Loss and bias_bar are those of `value_and_gradient`, but for rounding. Other
        arguments are those, too.

        Parameters
        ----------
        skip_below : float
            Not negative; 0 skips nothing.

        Returns
        -------
        loss : array
        gradients : Gradients
        bound : ErrorBound
            No entry of the gradients in x and W is farther than ``bound.x`` and ``bound.W`` from
            that of `value_and_gradient`, but for rounding; ``bound.skipped`` is the share of the
            tiles that were left out.
        """
        with told(options.get("group")):
            if isinstance(skip_below, bool) or not isinstance(skip_below, numbers.Real):
                raise TypeError(mismatch("skip_below", "a number", repr(skip_below)))
            if not 0 <= skip_below < math.inf:
                raise ValueError(mismatch("skip_below", "not negative and finite", skip_below))
            if options.get("group") is not None:
                raise TypeError(mismatch("group", "None for this verb", "a group"))
        with self._at("value_and_gradient", x, W, targets, bias, options) as head:
            loss = replace(head.loss, listed=None)  # whole rows: a chunk says what is small
            skipping = Skipping(loss.layer, float(skip_below))
            bars = Cotangents(loss.layer, skipping)
            values = losses_and_cotangents(loss, head.loss_bar, bars)
            return head.value(values), bars.result(), skipping.bound()

    @takes_every_array
    def jvp(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[JvpOptions]
    ) -> Array:
        """Return the rate of change of the loss along a direction.

        The direction is `x_dot`, `W_dot` and `bias_dot`, like x, W and bias; what is None or not
        given does not move. Other options are those of `value`.
        """
        with self._at("jvp", x, W, targets, bias, options) as head:
            return head.value_dot(losses_dot(head.loss))

    @takes_every_array
    def second_derivative(
        self,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        other: Mapping[str, Any],
        **options: Unpack[JvpOptions],
    ) -> Array:
        """Return the second derivative along two directions: how `jvp` changes along the other.

        It is ⟨direction, Hessian · other⟩, for the reduction "none" of every row's own loss.
        `other` is a dict of `x_dot`, `W_dot` and `bias_dot`; the options are those of `jvp`.
        """
        with told(options.get("group")):
            check_other(other)
        with self._at("second_derivative", x, W, targets, bias, options, other) as head:
            return head.value_dot(losses_bent(head.loss, tangents(head.loss.layer, other)))

    @takes_every_array
    def hvp(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[ProductOptions]
    ) -> Gradients:
        """Return the rate of change of the gradients along a direction.

        It is the Hessian of the loss in x, W and bias together, times the direction; for the
        reduction "none", of the sum of all losses times `loss_bar`. Options are those of
        `value_and_gradient` and `jvp`.
        """
        return self._second("hvp", x, W, targets, bias, options)

    @takes_every_array
    def ggn(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[ProductOptions]
    ) -> Gradients:
        """Return the Gauss–Newton product: Jᵀ H J times a direction; options as in `hvp`.

        J is the Jacobian of the logits in x, W and bias, H the Hessian of the loss in the logits.
        """
        return self._second("ggn", x, W, targets, bias, options)

    @takes_every_array
    def argmax(self, x: Any, W: Any, bias: Any = None, **options: Unpack[Options]) -> Array:
        """Return the likeliest class of every row, the first of equals: [...].

        There is no kernel for it, and `impl` "numba" is refused.
        """
        if array_api_compat.is_jax_array(x):
            return top_ids_of_jax(x, W, bias, 1, self.budget(x), options)[..., 0]
        no_kernel = "there is no kernel for argmax"
        check = partial(self._layer, x, W, bias, options, "argmax", no_kernel)
        with together(options.get("group"), check) as layer:
            return argmax(layer)

    @takes_every_array
    def top_k(
        self, x: Any, W: Any, k: int, bias: Any = None, **options: Unpack[Options]
    ) -> TopClasses:
        """Return the k likeliest classes of every row, falling, and their log-probabilities."""
        if array_api_compat.is_jax_array(x):
            ids = top_ids_of_jax(x, W, bias, k, self.budget(x), options)
            return TopClasses(ids, self.log_probs(x, W, ids, bias, **options))

        def check(ranks: AbstractRanks | None) -> tuple[LinearLayer, int]:
            layer = self._layer(x, W, bias, options, f"top_k of {k}", "", ranks)
            return layer, some_of(k, layer.classes)

        with together(options.get("group"), check) as (layer, count):
            return top_k(layer, count, self.temperature, self.soft_cap)

    def log_probs(
        self, x: Any, W: Any, ids: Any, bias: Any = None, **options: Unpack[Options]
    ) -> Array:
        """Return the log-probabilities of classes [...] or [..., k], in the shape of the ids."""
        return self._selected.value(x, W, ids, bias, **options).log_probs

    @takes_every_array
    def entropy(self, x: Any, W: Any, bias: Any = None, **options: Unpack[Options]) -> Array:
        """Return −Σ p log p of every row: [...]."""
        with told(options.get("group")):
            rows = real_array("x", x)
            none = namespace(rows).zeros_like(rows[..., :0], dtype=index_dtype(rows))
        return self._selected.value(x, W, none, bias, **options).entropy

    def _layer(
        self,
        x: Any,
        W: Any,
        bias: Any,
        options: Options,
        call: str,
        no_kernel: str,
        ranks: AbstractRanks | None,
    ) -> LinearLayer:
        """Check the arguments of a prediction."""
        said = {"call": call, "head": repr(self), "impl": options.get("impl", "auto")}
        return linear_layer(
            x, W, bias, self.budget(x), options, no_kernel=no_kernel, ranks=ranks, call=said
        )

    @property
    def _selected(self) -> SelectedLogProbs:
        return SelectedLogProbs(
            temperature=self.temperature, soft_cap=self.soft_cap, memory=self.memory
        )

    def _second(
        self, verb: str, x: Any, W: Any, targets: Any, bias: Any, options: ProductOptions
    ) -> Gradients:
        with self._at(verb, x, W, targets, bias, options) as head:
            bars = Cotangents(head.loss.layer)
            second_products(head.loss, head.loss_bar, bars, gauss_newton=verb == "ggn")
            return bars.result()

    def _at(
        self,
        verb: str,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any,
        options: Mapping[str, Any],
        other: Mapping[str, Any] = NOTHING,
    ) -> AbstractContextManager[ReducedHead]:
        """Check the arguments, and work: the loss of each row is known but for its logits."""

        def check(ranks: AbstractRanks | None) -> ReducedHead:
            call = {} if ranks is None else self._call(verb, targets, options, other)
            memory, kind = self.budget(x), OF_LOSSES[verb]
            layer = linear_layer(x, W, bias, memory, options, kind, ranks=ranks, call=call)
            return ReducedHead.of(self.loss, layer, targets, options)

        return together(options.get("group"), check)

    def _call(
        self, verb: str, targets: Any, options: Mapping[str, Any], other: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return what must be the same on all ranks, as texts."""
        weights = {
            name: content_of(name, options.get(name), whole=True)
            for name in ("row_weights", "class_weights")
        }
        return {
            "call": verb,
            "head": repr(self),
            "impl": options.get("impl", "auto"),
            "targets": content_of("targets", targets),
            **weights,
            "loss_bar": "None" if options.get("loss_bar") is None else "given",
            "other": "x_dot" if other.get("x_dot") is not None else "no x_dot",
        }


linear_cross_entropy = LinearCrossEntropy()
