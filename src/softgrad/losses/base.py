"""What a loss is: one formula a row; reduction and weighting are written once, in `reduced`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypedDict, Unpack

from softgrad.arrays import (
    Array,
    adapter_for,
    boolean_mask,
    describe,
    namespace,
    quiet,
    real_array,
    same_kind,
)
from softgrad.errors import mismatch
from softgrad.kernels import Choice, Impl, choose
from softgrad.layout import Layout
from softgrad.linear import AbstractLinearMap
from softgrad.losses.blocks import losses_in_blocks
from softgrad.losses.reduced import AbstractReduction, AbstractRowLosses, ReducedLoss, RowFactors
from softgrad.losses.spread.loss import reduced_of_part
from softgrad.losses.spread.shards import told
from softgrad.losses.targets import TopK, arrays_of, check_targets, lay_out_targets, lay_out_weights
from softgrad.out import check_out

__all__ = ["AbstractLoss", "Rows"]


@dataclass(frozen=True, eq=False)
class Rows:
    """The arguments of a loss, checked and laid out with the class axis last.

    Kernels, if they are chosen, take x and targets of half precision as they are.
    """

    x: Array  # [..., K]
    targets: Array  # [..., K], class indices [...], or some classes of each row as a `TopK`
    where: Array | None  # [..., K]
    class_weights: Array | None  # [K], or [..., K] where examples have their own
    row_weights: Array | None  # [...]
    impl: Impl

    def each(self, f: Callable[[Array], Array]) -> Rows:
        """Return what a function makes of each array that has the rows' axes."""
        targets, others = self.targets, (self.where, self.row_weights)
        where, row_weights = (None if a is None else f(a) for a in others)
        return replace(
            self,
            x=f(self.x),
            targets=TopK(*map(f, targets)) if isinstance(targets, TopK) else f(targets),
            where=where,
            row_weights=row_weights,
        )


class Options(TypedDict, total=False):
    """The arguments that every loss takes by name."""

    axis: int
    where: Any
    class_weights: Any
    row_weights: Any
    impl: Impl
    group: Any


@dataclass(frozen=True, kw_only=True)
class AbstractLoss(AbstractReduction, ABC):
    """A loss of predictions x [..., K] and targets, reduced over the rows.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        "none" keeps one loss a row, and its gradient is that of every row's own loss.
    normalizer : {"weight", "count"} or float
        What the mean divides by: the sum of the rows' weights, the number of rows that count, or a
        number of your own, such as the number of rows of a batch that you split.
    on_empty : {"zero", "nan", "raise"}
        What the mean over nothing is; its gradient is 0.
    """

    takes_numbers: ClassVar[bool] = False
    """Whether x may be a single number, without a class axis."""

    takes_indices: ClassVar[bool] = False
    """Whether targets may be class indices."""

    takes_top_k: ClassVar[bool] = False
    """Whether targets may be `TopK`: some classes a row, with their probabilities."""

    takes_group: ClassVar[bool] = False
    """Whether the classes may be spread over the ranks of a process group."""

    no_kernel: ClassVar[str] = "there is no kernel for it"
    """Why the reference computes it, whatever the input; empty where there are kernels."""

    no_gpu_kernel: ClassVar[str] = "there is no kernel for it on a GPU"
    """The same of tensors on a GPU."""

    @abstractmethod
    def at_rows(self, rows: Rows) -> AbstractRowLosses:
        """Return the loss at checked arguments; raise for what the formula does not take."""

    def __call__(self, x: Any, targets: Any, **options: Unpack[Options]) -> Array:
        """Return the loss; the same as `value`."""
        return self.value(x, targets, **options)

    def value(self, x: Any, targets: Any, **options: Unpack[Options]) -> Array:
        """Return the loss; the options are those of `value_and_gradient`.

        PyTorch and JAX differentiate it by `gradient` and `hessian`, in x alone.
        """
        adapter = adapter_for(x, *arrays_of(targets), *options.values())
        if adapter is not None:
            return adapter.loss_value(self, x, targets, options)
        return self.reduced(x, targets, options, verb="value").value()

    def gradient(self, x: Any, targets: Any, **options: Unpack[Options]) -> Array:
        """Return the gradient in x of the reduced loss; options as in `value_and_gradient`."""
        return self.reduced(x, targets, options, verb="gradient").gradient()

    def vjp(self, x: Any, targets: Any, value_bar: Any, **options: Unpack[Options]) -> Array:
        """Return the gradient in x of ⟨value_bar, loss⟩, which backpropagation hands on.

        Parameters
        ----------
        value_bar : array
            The incoming gradient, shaped like the loss: a number, or one of each loss where the
            reduction is "none".
        x, targets, **options
            As in `value_and_gradient`.

        Raises
        ------
        TypeError, ValueError, IndexError
            As in `value_and_gradient`, or `value_bar` has another shape than the loss.
        """
        group = options.get("group")
        with told(group):
            bar = same_kind("value_bar", real_array("value_bar", value_bar), real_array("x", x))
        verb = "vjp" if group is None else f"vjp of a value_bar, {describe(bar)}"
        return self.reduced(x, targets, options, verb=verb).vjp(bar)

    def value_and_gradient(
        self, x: Any, targets: Any, *, out: Any = None, **options: Unpack[Options]
    ) -> tuple[Array, Array]:
        """Return the loss and its gradient in x, from one pass over the rows.

        Parameters
        ----------
        x : array [..., K], real
            Predictions; logits for the cross-entropies.
        targets : array
            Probabilities or values shaped like `x`; where the loss says so also class indices.
        axis : int, −1
            The class axis of `x`.
        where : bool array that broadcasts to `x`, optional
            False takes a class out of its row.
        class_weights : array [K], optional
        row_weights : array [...], optional
            One weight a row; 0 is the same as leaving the row out.
        impl : {"auto", "reference", "numba", "triton"}
            What does the work; `softgrad.explain_impl` says what "auto" chooses.
        group : process group of torch.distributed or DeviceMesh of one dimension, optional
            For cross-entropy: x has this rank's classes alone, of which there may be none.
        out : array, optional
            Takes the gradient: an array like `x`, or `x` itself, which is then overwritten. No
            other argument is ever modified.

        Returns
        -------
        loss : array
            A number, or [...] for the reduction "none"; float32 for half-precision input.
        gradient : array
            Shape and dtype of `x`; `out` where that was given.

        Raises
        ------
        TypeError, ValueError
            An argument has another kind, shape or dtype than it must have, or there are no classes.
        IndexError
            A class index is out of range; the message has the first position. On a GPU its row is
            NaN instead, unless `validate` is set.
        """
        with told(options.get("group")):
            out = check_out(out, real_array("x", x))
        return self.reduced(x, targets, options, verb="value_and_gradient").value_and_gradient(out)

    def hessian(self, x: Any, targets: Any, **options: Unpack[Options]) -> AbstractLinearMap:
        """Return the Hessian in x as a linear map; options as in `value_and_gradient`.

        It is block diagonal: ``as_matrix()`` returns the block of every row, [*batch, K, K].
        """
        return self.reduced(x, targets, options, verb="hessian").hessian()

    def choice(self, x: Any, targets: Any = None, **options: Unpack[Options]) -> Choice:
        """Return which implementation a verb takes for `x`, and why."""
        x = real_array("x", x)
        Layout.of(x, options.get("axis", -1))  # which raises for a wrong axis
        return choose(options.get("impl", "auto"), x, self.no_kernel, self.no_gpu_kernel)

    def reduced(
        self, x: Any, targets: Any, options: Options, examples: int = 0, *, verb: str = ""
    ) -> ReducedLoss:
        """Check the arguments, lay the rows out, and take the loss there.

        Each example is reduced by itself, where so many axes of all of them count examples. Ranks
        of a group ask for the same verb.
        """
        group = options.get("group")
        if group is not None and not self.takes_group:
            raise TypeError(mismatch("group", "None for this loss", type(group).__name__))
        if group is not None:
            return reduced_of_part(self, x, targets, options, verb)
        self.check_options(options)
        where = options.get("where")
        x = real_array("x", x)
        if x.ndim == 0 and not self.takes_numbers:
            raise ValueError(mismatch("x", "an array with a class axis", "a single number"))
        layout = Layout.of(x, options.get("axis", -1))
        impl = choose(options.get("impl", "auto"), x, self.no_kernel, self.no_gpu_kernel).impl
        x_rows = layout.to_rows(x, stored=impl != "reference")
        if x_rows.shape[-1] == 0:
            raise ValueError(mismatch("x", "of at least one class", f"shape {tuple(x.shape)}"))
        batch = tuple(x_rows.shape[:-1])
        checked = check_targets(
            targets, x, tuple(x.shape), batch if self.takes_indices else None, self.takes_top_k
        )
        with quiet():
            rows = Rows(
                x_rows,
                lay_out_targets(checked, layout, stored=impl != "reference"),
                None if where is None else layout.to_rows(boolean_mask("where", where, x)),
                _class_weights(options.get("class_weights"), x_rows, examples),
                lay_out_weights("row_weights", options.get("row_weights"), x_rows, batch),
                impl,
            )
            at = losses_in_blocks(self.at_rows, rows)
            return ReducedLoss(at, layout, RowFactors.of(at.weights, at.masses, self, examples))

    def check_options(self, options: Options) -> None:
        """Raise TypeError for an option that is none."""
        for name in options.keys() - Options.__annotations__:
            settings = ", ".join(f.name for f in fields(self))
            expected = f"one of {', '.join(Options.__annotations__)}"
            hint = f"{name!r} (settings are fields: {type(self).__name__}({settings}))"
            raise TypeError(mismatch("options", expected, hint))


def _class_weights(weights: Any, x_rows: Array, examples: int) -> Array | None:
    """Return weights [K], or of every example [*examples, K] with axes of rows: [..., K]."""
    own = examples if examples and weights is not None and weights.ndim > 1 else 0
    shape = (*x_rows.shape[:own], x_rows.shape[-1])
    c = lay_out_weights("class_weights", weights, x_rows, shape)
    if c is None or not own:
        return c
    return namespace(c).reshape(c, (*shape[:-1], *(1,) * (x_rows.ndim - own - 1), shape[-1]))
