"""Cross-entropy of a linear layer whose logits are made, used and forgotten in chunks."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypedDict, Unpack

from softgrad.arrays import Array, adapter_for, as_integer, indices
from softgrad.errors import mismatch
from softgrad.heads.arguments import check_frozen, linear_layer, tangents
from softgrad.heads.cotangents import Cotangents
from softgrad.heads.layer import Gradients
from softgrad.heads.loop import losses, losses_and_cotangents, losses_dot, second_products
from softgrad.heads.predictions import TopClasses, argmax, top_k
from softgrad.heads.reduced import ReducedHead
from softgrad.heads.selected_log_probs import SelectedLogProbs
from softgrad.heads.skipping import ErrorBound, Skipping
from softgrad.kernels import Impl
from softgrad.losses import CrossEntropy
from softgrad.losses.cross_entropy_settings import AbstractCrossEntropySettings
from softgrad.losses.targets import arrays_of

__all__ = ["LinearCrossEntropy", "linear_cross_entropy"]


class Options(TypedDict, total=False):
    """The arguments that all verbs take by name."""

    class_weights: Any
    row_weights: Any
    impl: Impl


@dataclass(frozen=True, kw_only=True)
class LinearCrossEntropy(AbstractCrossEntropySettings):
    """The cross-entropy of the logits x Wᵀ + b, which are never stored as a whole.

    All settings of `CrossEntropy` are settings here, and mean the same.

    Parameters
    ----------
    reduction, normalizer, on_empty
        As in every loss.
    label_smoothing, ignore_index, z_loss, temperature, soft_cap, rest, validate
        As in `CrossEntropy`. Ignored rows and rows of weight 0 cost nothing.
    memory : int
        The bytes that buffers may take, 64 MiB. One row of logits is stored in any case.

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
    are summed with twice the working precision (tests/test_heads.py).

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

    memory: int = 64 * 2**20

    def __post_init__(self) -> None:
        super().__post_init__()
        if as_integer("memory", self.memory) < 1:
            raise ValueError(mismatch("memory", "a positive number of bytes", self.memory))

    @cached_property
    def loss(self) -> CrossEntropy:
        """The same loss of logits that are given."""
        return CrossEntropy(**{f.name: getattr(self, f.name) for f in fields(CrossEntropy)})

    def __call__(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[Options]
    ) -> Array:
        """Return the loss; the same as `value`."""
        return self.value(x, W, targets, bias, **options)

    def value(
        self, x: Any, W: Any, targets: Any, bias: Any = None, **options: Unpack[Options]
    ) -> Array:
        """Return the loss; arguments as in `value_and_gradient`.

        PyTorch's autograd goes through it by `value_and_gradient`, `jvp` and `hvp`.
        """
        adapter = adapter_for(x, W, bias, *arrays_of(targets), *options.values())
        if adapter is not None:
            return adapter.head_value(self, x, W, targets, bias, options)
        head = self._at(x, W, targets, bias, options)
        return head.value(losses(head.loss))

    def value_and_gradient(
        self,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        loss_bar: Any = None,
        frozen: Collection[str] = (),
        **options: Unpack[Options],
    ) -> tuple[Array, Gradients]:
        """Return the loss and its gradients in x, W and bias.

        Parameters
        ----------
        x : array [..., D], real
            Features: a NumPy array or a PyTorch tensor.
        W : array [K, D]
            Weights, in x's dtype.
        targets : array or TopK
            Class indices [...], probabilities [..., K], or `TopK` of ids and probabilities
            [..., k].
        bias : array [K], optional
        loss_bar : number, or array [...] for the reduction "none", optional
            What the gradients are multiplied by: the gradient that comes from above.
        frozen : collection of "x", "W" and "bias"
            What has no gradient: its product is not computed.
        class_weights : array [K], optional
        row_weights : array [...], optional
        impl : {"auto", "reference", "numba"}
            What computes the losses of a chunk of logits; "auto" looks at the size of a chunk.

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
            An argument has another kind, shape or dtype than it must have, or there are no classes.
        IndexError
            A class index is out of range; the message has the first position.
        MemoryError
            There is no memory for a buffer or a result.
        """
        check_frozen(frozen)
        head = self._at(x, W, targets, bias, options)
        bars = Cotangents(head.loss.layer, frozen)
        values = losses_and_cotangents(head.loss, head.loss_bar(loss_bar), bars)
        return head.value(values), bars.result()

    def approximate_value_and_gradient(
        self,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        skip_below: float,
        loss_bar: Any = None,
        frozen: Collection[str] = (),
        **options: Unpack[Options],
    ) -> tuple[Array, Gradients, ErrorBound]:
        """Return the loss, gradients whose smallest parts may be missing, and how much may miss.

        A tile of 256 classes of a chunk of rows is left out of the products for x_bar and W_bar
        where all its gradients in the logits, reduction included, are smaller than `skip_below` in
        absolute value. Loss and bias_bar are those of `value_and_gradient`. Other arguments are
        those, too.

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
        check_frozen(frozen)
        if isinstance(skip_below, bool) or not isinstance(skip_below, numbers.Real):
            raise TypeError(mismatch("skip_below", "a number", repr(skip_below)))
        if not 0 <= skip_below < math.inf:
            raise ValueError(mismatch("skip_below", "not negative and finite", skip_below))
        head = self._at(x, W, targets, bias, options)
        loss = replace(head.loss, listed=None)  # whole rows: a chunk says what is small
        skipping = Skipping(loss.layer, float(skip_below))
        bars = Cotangents(loss.layer, frozen, skipping)
        values = losses_and_cotangents(loss, head.loss_bar(loss_bar), bars)
        return head.value(values), bars.result(), skipping.bound()

    def jvp(
        self,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        x_dot: Any = None,
        W_dot: Any = None,
        bias_dot: Any = None,
        **options: Unpack[Options],
    ) -> Array:
        """Return the rate of change of the loss along a direction; None does not move.

        Other arguments are those of `value_and_gradient`.
        """
        head = self._at(x, W, targets, bias, options)
        dots = tangents(head.loss.layer, x_dot, W_dot, bias_dot)
        return head.value_dot(losses_dot(head.loss, dots))

    def hvp(
        self,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        x_dot: Any = None,
        W_dot: Any = None,
        bias_dot: Any = None,
        loss_bar: Any = None,
        frozen: Collection[str] = (),
        **options: Unpack[Options],
    ) -> Gradients:
        """Return the rate of change of the gradients along a direction.

        It is the Hessian of the loss in x, W and bias together, times the direction; for the
        reduction "none", of the sum of all losses times `loss_bar`.
        """
        directions = (x_dot, W_dot, bias_dot)
        return self._second(False, x, W, targets, bias, directions, loss_bar, frozen, options)

    def ggn(
        self,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        x_dot: Any = None,
        W_dot: Any = None,
        bias_dot: Any = None,
        loss_bar: Any = None,
        frozen: Collection[str] = (),
        **options: Unpack[Options],
    ) -> Gradients:
        """Return the Gauss–Newton product: Jᵀ H J times a direction.

        J is the Jacobian of the logits in x, W and bias, H the Hessian of the loss in the logits.
        """
        directions = (x_dot, W_dot, bias_dot)
        return self._second(True, x, W, targets, bias, directions, loss_bar, frozen, options)

    def argmax(self, x: Any, W: Any, bias: Any = None) -> Array:
        """Return the likeliest class of every row, the first of equals: [...]."""
        return argmax(linear_layer(x, W, bias), self.memory)

    def top_k(self, x: Any, W: Any, k: int, bias: Any = None) -> TopClasses:
        """Return the k likeliest classes of every row, falling, and their log-probabilities."""
        layer = linear_layer(x, W, bias)
        return top_k(layer, k, self.memory, self.temperature, self.soft_cap)

    def log_probs(self, x: Any, W: Any, ids: Any, bias: Any = None) -> Array:
        """Return the log-probabilities of classes [...] or [..., k], in the shape of the ids."""
        return self._selected.value(x, W, ids, bias).log_probs

    def entropy(self, x: Any, W: Any, bias: Any = None) -> Array:
        """Return −Σ p log p of every row: [...]."""
        layer = linear_layer(x, W, bias)
        none = layer.products.zeros((*layer.batch, 0), indices(layer.like).dtype, layer.x)
        return self._selected.value(x, W, none, bias).entropy

    @property
    def _selected(self) -> SelectedLogProbs:
        return SelectedLogProbs(
            temperature=self.temperature, soft_cap=self.soft_cap, memory=self.memory
        )

    def _second(
        self,
        gauss_newton: bool,
        x: Any,
        W: Any,
        targets: Any,
        bias: Any,
        directions: tuple[Any, Any, Any],
        loss_bar: Any,
        frozen: Collection[str],
        options: Options,
    ) -> Gradients:
        check_frozen(frozen)
        head = self._at(x, W, targets, bias, options)
        dots, bar = tangents(head.loss.layer, *directions), head.loss_bar(loss_bar)
        bars = Cotangents(head.loss.layer, frozen)
        second_products(head.loss, bar, dots, bars, gauss_newton=gauss_newton)
        return bars.result()

    def _at(self, x: Any, W: Any, targets: Any, bias: Any, options: Options) -> ReducedHead:
        """Check the arguments; the loss of each row is known but for its logits."""
        for name in options.keys() - Options.__annotations__:
            expected = f"one of {', '.join(Options.__annotations__)}"
            raise TypeError(mismatch("options", expected, repr(name)))
        return ReducedHead.of(
            self.loss,
            linear_layer(x, W, bias),
            targets,
            options.get("class_weights"),
            options.get("row_weights"),
            self.memory,
            options.get("impl", "auto"),
        )


linear_cross_entropy = LinearCrossEntropy()
