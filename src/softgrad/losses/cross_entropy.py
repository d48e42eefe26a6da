"""Cross-entropy of softmax probabilities, −Σ_j t_j log p_j: its gradient in the logits is p − t."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

from softgrad.arithmetic import accurate_sum, log1p
from softgrad.arrays import Array, computed, namespace
from softgrad.kernels import AUTO, How
from softgrad.linear import AbstractLinearMap, DiagonalMinusOuter, Outer, Scaled, Sum
from softgrad.linear.rows import weighted
from softgrad.losses.base import AbstractLoss, Rows
from softgrad.losses.chain import Chain, SoftCap
from softgrad.losses.cross_entropy_settings import AbstractCrossEntropySettings
from softgrad.losses.reduced import AbstractRowLosses
from softgrad.losses.row_targets import (
    AbstractTargets,
    DenseTargets,
    Label,
    LabelTargets,
    targets_of,
)
from softgrad.losses.simplex import p_minus_label, p_minus_t
from softgrad.losses.weights import row_weights
from softgrad.maps.centred import CentredRows, Probabilities, centre, mask_out, probabilities
from softgrad.out import overlaps, write

__all__ = ["CrossEntropy", "CrossEntropyRows", "cross_entropy"]


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(AbstractCrossEntropySettings, AbstractLoss):
    """The cross-entropy of logits x and class indices [...] or probabilities [..., K].

    Targets that are zero for most classes may be given as `TopK(ids, probabilities)`. With class
    weights c, smoothing ε and K classes, the target is t_j = c_j((1 − ε)·t_j + ε/K); a class index
    is its one-hot vector. Probabilities that do not sum to one are taken as they are.

    Parameters
    ----------
    reduction, normalizer, on_empty
        As in every loss; with class weights, the weight of a row is multiplied by Σ_j c_j t_j for
        the target t before smoothing.
    label_smoothing : float
        ε in [0, 1], spread over the classes that `where` leaves in.
    ignore_index : int, optional
        Rows with this label count nothing; nor do rows that `where` masks whole.
    z_loss : float
        ζ ≥ 0 adds ζ·logsumexp(z)² to a row, which keeps the logits from drifting.
    temperature : float
        T from 1e-30 to 1e30: the logits are divided by it.
    soft_cap : float, optional
        c > 0: before that, a logit x becomes c·tanh(x/c), so that z = c·tanh(x/c)/T.
    rest : {"ignore", "spread"}
        What becomes of 1 − Σ probabilities where targets are `TopK`: nothing, so that the target
        sums to less than one, or an equal share for every class that is not listed.
    validate : bool
        Raise unless probabilities are not negative and sum to one. Class indices on a GPU, which
        are not looked at else, are looked at as well, and waited for.

    Derivative
    ----------
    In z, the gradient is p·Σt − t, which is p − t for a target that sums to one; the Hessian is
    Σt·(diag(p) − p pᵀ). With a z-loss, 2ζ·logsumexp(z)·p and its derivative are added. A soft cap
    has both its derivatives in the Hessian.

    Numerics
    --------
    Loss to 4 u relative, gradient to 6 u relative in every component for class indices, whatever
    the logits and their offset (tests/test_promises.py). A soft cap is rounded as a logit is: it
    costs up to a few u·c/T.

    References
    ----------
    Bridle, 1990; Szegedy et al., 2016 (smoothing); Chowdhery et al., 2022 (z-loss).

    Examples
    --------
    >>> import softgrad as sg
    >>> loss, gradient = sg.cross_entropy.value_and_gradient([[2.0, 1.0, 0.0]], [0])
    >>> float(loss)
    0.40760596444438...
    >>> gradient.round(4)  # p − t
    array([[-0.3348,  0.2447,  0.09  ]])
    """

    takes_indices: ClassVar[bool] = True
    takes_top_k: ClassVar[bool] = True
    takes_group: ClassVar[bool] = True
    no_kernel: ClassVar[str] = ""
    no_gpu_kernel: ClassVar[str] = ""

    def at_rows(self, rows: Rows) -> AbstractRowLosses:
        xp = namespace(rows.x)
        like = rows.x[..., 0]
        rules = self.ignore_index, self.rest
        classes = rows.x.shape[-1]
        targets = targets_of(rows.targets, like, classes, *rules, look=self.validate)
        weights = row_weights(rows)
        if rows.where is not None:
            some = xp.any(rows.where, axis=-1)
            weights = xp.where(some, weights, xp.zeros_like(weights))
            if not isinstance(targets, LabelTargets):
                t = targets.dense(rows.x)
                targets = DenseTargets(xp.where(rows.where, t, xp.zeros_like(t)))
        weights, masses = self.weigh(targets, weights, rows.class_weights)
        how = How(rows.impl)
        return self.at_logits(rows.x, targets, weights, masses, rows.class_weights, how, rows.where)

    def weigh(
        self, targets: AbstractTargets, weights: Array, class_weights: Array | None
    ) -> tuple[Array, Array]:
        """Return what every row is weighted by, 0 where it is ignored, and what it counts: [...].

        Raises
        ------
        ValueError
            `validate` is set, and a target is no probability distribution.
        """
        if targets.counts is not None:
            xp = namespace(weights)
            weights = xp.where(targets.counts, weights, xp.zeros_like(weights))
        if self.validate:
            targets.check(weights)
        if class_weights is None:
            return weights, weights
        return weights, weighted(weights, targets.mass(class_weights))

    def at_logits(
        self,
        x: Array,
        targets: AbstractTargets,
        weights: Array,
        masses: Array,
        class_weights: Array | None,
        how: How = AUTO,
        where: Array | None = None,
    ) -> CrossEntropyRows:
        """Return the loss of rows of logits x [..., K] whose targets were checked and weighed."""
        return CrossEntropyRows(weights, masses, x, targets, class_weights, where, self, how)


@dataclass(frozen=True, eq=False)
class CrossEntropyRows(AbstractRowLosses):
    """The formulas, for any target that is not negative; a kernel has its own, in one pass."""

    x: Array  # [..., K]
    targets: AbstractTargets
    class_weights: Array | None  # [K] or [..., K]
    where: Array | None  # [..., K]
    settings: AbstractCrossEntropySettings
    how: How

    def value(self, factor: Array) -> Array:
        fused = self._fused(factor, with_gradient=False)
        if fused is not None:
            return fused[0]
        # log Σ exp(z) · Σt − ⟨t, z⟩, both relative to the maximum: all terms have one sign
        z, label = self.z, self._label
        if label is None:
            t = self.t * factor[..., None]
            distance, mass = accurate_sum(weighted(t, -(z.d + z.e))), accurate_sum(t)
        else:
            t, xp = label.t * factor[..., None], namespace(z.d)
            d, e = (xp.take_along_axis(part, label.index, axis=-1) for part in (z.d, z.e))
            distance, mass = weighted(t, -(d + e))[..., 0], t[..., 0]
        loss = mass * log1p(z.r[..., 0]) + distance
        z_loss = self.settings.z_loss
        return loss + factor * z_loss * z.logsumexp**2 if z_loss else loss

    def gradient(self, factor: Array) -> Array:
        fused = self._fused(factor, with_gradient=True)
        if fused is not None:
            return fused[1]
        return self._chain.gradient(self._gradient_in_z(factor))

    def value_and_gradient(self, factor: Array, out: Array | None = None) -> tuple[Array, Array]:
        fused = self._fused(factor, with_gradient=True, out=out)
        if fused is not None:
            return fused
        value, gradient = self.value(factor), self.gradient(factor)
        return value, write(gradient, out)

    def hessian(self, factor: Array) -> AbstractLinearMap:
        gradient = partial(self._gradient_in_z, factor)
        return self._chain.hessian(gradient, self._hessian_in_z(factor))

    def _fused(
        self, factor: Array, *, with_gradient: bool, out: Array | None = None
    ) -> tuple[Array, Array] | None:
        """Return value and gradient from a kernel, or None where the formulas are to do it."""
        compiled = self.how.compiled(self.x)
        if compiled is None:
            return None
        x, t, slopes, few = self.x, None, None, self._few
        options: dict[str, Any] = {
            "z_loss": self.settings.z_loss,
            "temperature": self.settings.temperature,
            "with_gradient": with_gradient,
        }
        alike = self.where is None and self._has_one_weighting
        if alike and few is None and isinstance(self.targets, LabelTargets):
            few = self.targets.listed(self.class_weights)
            options["smoothing"] = self.settings.label_smoothing
            options["class_weights"] = self.class_weights
        if compiled.DOES_ALL and alike:
            options["soft_cap"] = self.settings.soft_cap
            if few is None and isinstance(self.targets, DenseTargets):
                t, options["class_weights"] = self.targets.t, self.class_weights
                options["smoothing"] = self.settings.label_smoothing
        elif self.settings.soft_cap is not None:
            x, slopes, _ = SoftCap(self.settings.soft_cap).slopes(computed(x))
        x = mask_out(x, self.where)
        options["out"] = out if slopes is None else None
        if few is not None and options["out"] is not None and overlaps(options["out"], few[0]):
            options["out"] = None  # classes are looked up again once gradients are written
        if few is None:
            t = self.t if t is None else t
            value, gradient = compiled.cross_entropy_dense(x, t, factor, **options)
        else:
            value, gradient = compiled.cross_entropy(x, *few, factor, **options)
        if slopes is not None and with_gradient:
            gradient = write(weighted(gradient, slopes), out)
        return value, gradient

    @cached_property
    def p(self) -> Probabilities:
        """The probabilities."""
        chain = self._chain
        if self.how.compiled(chain.y) is None:
            return self.z.peaked
        return probabilities(chain.y, self._where, chain.temperature, self.how)

    @cached_property
    def t(self) -> Array:
        """The target of every class, with smoothing and class weights; 0 in rows without weight."""
        xp, settings = namespace(self.x), self.settings
        t = self.targets.dense(self.x)  # [..., K]
        t = xp.where(self._unused, xp.zeros_like(t), t)
        if settings.label_smoothing or self.class_weights is not None:
            t = computed(t)
        if settings.label_smoothing:
            spread = xp.ones_like(t) if self._where is None else xp.astype(self._where, t.dtype)
            share = settings.label_smoothing / xp.sum(spread, axis=-1, keepdims=True)
            t = (1 - settings.label_smoothing) * t + share * spread
        return t if self.class_weights is None else t * self.class_weights

    @cached_property
    def z(self) -> CentredRows:
        """The logits that softmax sees, centred."""
        chain = self._chain
        return chain.tempered(centre(chain.y, self._where, chain.temperature))

    @cached_property
    def _chain(self) -> Chain:
        xp = namespace(self.x)
        x = xp.where(self._unused, xp.zeros_like(self.x), self.x)
        return Chain.of(x, self._where, self.settings.soft_cap, self.settings.temperature)

    @property
    def _where(self) -> Array | None:
        return None if self.where is None else self.where | self._unused

    @property
    def _unused(self) -> Array:
        """True for a row without weight: it has no say, were its logits or its target NaN."""
        return (self.weights == 0)[..., None]

    @property
    def _has_one_weighting(self) -> bool:
        """Tell whether all rows have the same class weights, or none."""
        return self.class_weights is None or self.class_weights.ndim == 1

    @property
    def _label(self) -> Label | None:
        """The class of each row that has a target, where the formulas do it and there is one."""
        if self.settings.label_smoothing or self.how.compiled(self.x) is not None:
            return None
        return self.targets.label(self.class_weights, self.weights)

    @property
    def _few(self) -> tuple[Array, Array | None] | None:
        """The ids and the targets of the few classes that have one; None where all may."""
        if self.settings.label_smoothing:
            return None
        return self.targets.listed(self.class_weights)

    @property
    def _mass(self) -> Array:
        """Σ t of every row that counts: [...]."""
        few = self._few
        if few is None:
            return accurate_sum(computed(self.t))
        masses = few[1]
        if masses is None:
            return namespace(self.x).ones_like(self.x[..., 0], dtype=self.weights.dtype)
        return accurate_sum(masses)

    def _gradient_in_z(self, factor: Array) -> Array:
        of, label = self.z.peaked, self._label
        if label is None:
            gradient = p_minus_t(of.p, self.t * factor[..., None], self.how, of.peak)
        else:
            gradient = p_minus_label(self.z, of, label.index, label.t * factor[..., None])
        if not self.settings.z_loss:
            return gradient
        return gradient + 2 * self.settings.z_loss * (factor * self.z.logsumexp)[..., None] * of.p

    def _hessian_in_z(self, factor: Array) -> AbstractLinearMap:
        (p, peak), total = self.p, self._mass * factor
        jacobian = DiagonalMinusOuter(p, how=self.how, peak=peak)
        if not self.settings.z_loss:
            return Scaled(total[..., None], jacobian)
        slope = 2 * self.settings.z_loss * factor
        along = Scaled((total + slope * self.z.logsumexp)[..., None], jacobian)
        return Sum(along, Scaled(slope[..., None], Outer(p, p)))


cross_entropy = CrossEntropy()
