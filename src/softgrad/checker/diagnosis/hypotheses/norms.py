"""Normalisation: the mean's and the deviation's own derivatives, or a factor, left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = ["NORM_AXES", "NORM_TERMS"]

_EPSILONS = (0.0, 1e-5, 1e-6, 1e-8, 1e-3, 1e-12, 1e-7, 1e-4)


@dataclass(frozen=True)
class _Norm:
    """J = diag(gain/σ)·(I − mean·M − x̂·x̂ᵀ·M/σ-part) within groups along `axes`."""

    name: str
    axes: tuple[int, ...]
    centred: bool
    hat: Vector
    sigma: Vector
    unit: Vector
    """x̂ in the deviation's derivative, where a small number is added to σ and not to σ²."""
    gain: Vector
    """What multiplies x̂, in the output's shape."""
    degrees: float
    """What the squares are divided by: K, K − 1, or 1 for a Euclidean norm."""
    epsilon: float = 0.0
    outside: bool = False
    """Whether epsilon is added to σ, and not to σ²."""

    def matrix(self, view: View, mean: float, deviation: float, power: int, gain: Vector) -> Matrix:
        """Return gain·σ^power·(I − mean·11ᵀ/K − deviation·x̂x̂ᵀ/degrees)."""
        same = view.same(self.axes)
        K = float(np.prod([view.x.shape[axis] for axis in self.axes]))
        inner = np.eye(view.x.size) - same * (mean / K)
        inner -= deviation * same * np.outer(self.hat, self.unit) / self.degrees
        scale = np.broadcast_to(self.sigma, view.x.shape) ** float(power)
        return np.asarray(gain.reshape(-1, 1) * inner * scale.reshape(1, -1))

    def across(self, view: View, mean: tuple[int, ...], deviation: tuple[int, ...]) -> Matrix:
        """Return the Jacobian with means taken along other axes."""
        inner = np.eye(view.x.size)
        if self.centred:
            inner -= view.same(mean) / np.prod([view.x.shape[axis] for axis in mean])
        count = self.degrees * np.prod([view.x.shape[axis] for axis in deviation])
        count /= np.prod([view.x.shape[axis] for axis in self.axes])
        inner -= view.same(deviation) * np.outer(self.hat, self.unit) / count
        sigma = np.broadcast_to(self.sigma, view.x.shape)
        return np.asarray(self.gain.reshape(-1, 1) * inner / sigma.reshape(1, -1))

    def along(self, view: View, axis: int) -> _Norm:
        """Return the same normalisation along another axis."""
        length, own = (view.x.shape[i] for i in (axis, self.axes[0]))
        degrees = self.degrees if self.degrees == 1 else self.degrees + length - own
        kind = self.name, self.centred, float(degrees), self.epsilon, self.outside
        return replace(_normed(view.x, (axis,), *kind), gain=self.gain)

    def with_moments(self, view: View, axis: int, by_parts: bool) -> Matrix:
        """Return the rule with x̂ and σ of another axis, and the means along the own.

        1/σ stands before the whole, or, by parts, in the terms of the mean and of the variance.
        """
        other = self.along(view, axis)
        sigma = np.broadcast_to(other.sigma, view.x.shape).ravel()
        of_g, to_x = other.hat.ravel(), other.unit.ravel()
        K = float(np.prod([view.x.shape[axis] for axis in self.axes]))
        if by_parts:
            terms = float(self.centred) / sigma[:, None] + np.outer(of_g / sigma**2, to_x * sigma)
        else:
            terms = (float(self.centred) + np.outer(of_g, to_x)) / sigma
        matrix = np.diag(1 / sigma) - view.same(self.axes) * terms / K
        return np.asarray(self.gain.reshape(-1, 1) * matrix)

    def right(self, view: View) -> Matrix:
        """Return the true Jacobian."""
        return self.matrix(view, float(self.centred), 1.0, -1, self.gain)

    def gained(self, view: View) -> _Norm:
        """Return it with the gain that brings every row nearest to J's."""
        bare = replace(self, gain=np.ones_like(view.x)).right(view)
        gain = (view.J * bare).sum(axis=1) / (bare * bare).sum(axis=1)
        return replace(self, gain=gain.reshape(view.x.shape))


def _recognised(view: View) -> _Norm | None:
    """Return the normalisation whose Jacobian J is, up to a gain that every output may have."""
    if not view.elementwise or view.x.ndim == 0:
        return None
    fits = [(rms(norm.right(view) - view.J), norm) for norm in _candidates(view)]
    # Of two numbers, centred, all is rounding, and fits of it are NaN.
    best = min((left for left, _ in fits if np.isfinite(left)), default=np.inf)
    enough = max(best, 2 * view.bar)  # of those that fit as well, the first: an epsilon of 0
    norms = [norm for left, norm in fits if left <= enough]
    if not (norms and best <= 1e-5 * rms(view.J)):
        return None
    # A gain may hide what squares are divided by; where there is none, nothing is hidden.
    return next((norm for norm in norms if np.allclose(norm.gain, 1)), norms[0])


def _candidates(view: View) -> Iterator[_Norm]:
    x = view.x
    axes_of: list[tuple[int, ...]] = [(axis,) for axis in reversed(range(x.ndim))]
    axes_of += [tuple(range(1, x.ndim)), (0, *range(2, x.ndim))] if x.ndim > 2 else []
    for axes in axes_of:
        K = float(np.prod([x.shape[axis] for axis in axes]))
        kinds = (
            ("layer or batch norm", True, K),
            ("layer or batch norm", True, K - 1),
            ("RMS norm", False, K),
            ("Euclidean normalisation", False, 1.0),
        )
        for kind in kinds if K > 1 else ():
            plain = _normed(x, axes, *kind, 0.0, False)
            # There is no epsilon in it yet, which may be of some weight.
            if rms(plain.gained(view).right(view) - view.J) > 0.3 * rms(view.J):
                continue
            for epsilon, outside in product(_EPSILONS, (False, True)):
                yield _normed(x, axes, *kind, epsilon, outside).gained(view)


def _normed(
    x: Vector,
    axes: tuple[int, ...],
    name: str,
    centred: bool,
    degrees: float,
    epsilon: float,
    outside: bool,
) -> _Norm:
    """Return a normalisation, its gain being 1."""
    base = x - x.mean(axis=axes, keepdims=True) if centred else x
    squares = (base * base).sum(axis=axes, keepdims=True) / degrees
    root = np.sqrt(squares + (0.0 if outside else epsilon))
    sigma = root + (epsilon if outside else 0.0)
    return _Norm(
        name, axes, centred, base / sigma, sigma, base / root, np.ones_like(x), degrees,
        epsilon, outside,
    )  # fmt: skip


def _terms(view: View) -> Iterator[Guess]:
    norm = _recognised(view)
    if norm is None:
        return
    c, one = float(norm.centred), np.ones_like(norm.gain)
    over = [axis - view.x.ndim if axis + 1 == view.x.ndim else axis for axis in norm.axes]
    how = f"axis={over[0] if len(over) == 1 else tuple(over)}, keepdims=True"
    middle = f"- dhat.mean({how}) " if norm.centred else ""
    inner = f"(dhat * xhat).{'sum' if norm.degrees == 1 else 'mean'}({how})"
    right = f"(dhat {middle}- xhat * {inner}) / sigma"
    texts = {
        (0.0, 1.0): (
            "The term of the mean is missing",
            f"(dhat - xhat * {inner}) / sigma",
        ),
        (1.0, 0.0): ("The term of the deviation is missing", f"(dhat - dhat.mean({how})) / sigma"),
        (0.0, 0.0): ("Mean and deviation are taken for constants", "dhat / sigma"),
        (-1.0, 1.0): ("The term of the mean has the wrong sign", None),
        (1.0, -1.0): ("The term of the deviation has the wrong sign", None),
        (0.0, -1.0): ("The term of the deviation has the wrong sign", None),
        (2.0, 1.0): ("The term of the mean is doubled", None),
        (1.0, 2.0): ("The term of the deviation is doubled", None),
        (1.0, 0.5): ("The term of the deviation is halved", None),
        (0.0, 2.0): ("The term of the deviation is doubled", None),
        (0.0, 0.5): ("The term of the deviation is halved", None),
        (1.0, 1.0): ("", None),
    }
    K = float(np.prod([view.x.shape[axis] for axis in norm.axes]))
    texts[c, K] = ("The term of the deviation is a sum where it must be a mean", None)
    texts[c * K, K] = ("Sums are taken where means must be", None)
    texts[K, 1.0] = ("The term of the mean is a sum where it must be a mean", None)
    again = "is divided by the number of entries, and is a mean already"
    texts.setdefault((c, 1 / K), (f"The term of the deviation {again}", None))
    texts.setdefault((1 / K, 1.0), (f"The term of the mean {again}", None))
    if not norm.centred:
        texts = {
            (0.0, 0.0): ("The norm is taken for a constant", "dhat / sigma"),
            **{key: text for key, text in texts.items() if key[0] == 0 and key[1] != 0},
            (0.0, 1.0): ("", None),
        }
    for (mean, deviation), (text, wrong) in texts.items():
        for power, gain, also in (
            (-1, norm.gain, ""),
            (0, norm.gain, "The factor 1/σ is missing"),
            (-2, norm.gain, "The factor 1/σ is doubled"),
            (1, norm.gain, "σ multiplies where it must divide"),
            (-1, one, "The gain is missing"),
            (-1, norm.gain**2, "The gain is doubled"),
        ):
            if (not text and not also) or (also and "gain" in also and np.allclose(norm.gain, 1)):
                continue
            said = ". ".join(filter(None, (text, also)))
            formula = Formula(wrong, right) if wrong and not also else None
            name = f"{norm.name} {mean} {deviation} {also}"
            matrix = norm.matrix(view, mean, deviation, power, gain)
            yield Guess(name, matrix, f"{said} ({norm.name}).", formula)

    if not np.allclose(norm.gain, norm.gain.reshape(-1)[0]):
        bare = norm.matrix(view, c, 1.0, -1, one)
        plain = norm.matrix(view, 0.0, 0.0, -1, one)
        mixed = norm.matrix(view, 0.0, 0.0, -1, norm.gain) + bare - plain
        yield Guess("gain outside", mixed, f"The gain is missing in the means ({norm.name}).")
        text = "The gain multiplies what comes out of the rule, and must multiply what goes in"
        formula = Formula(right.replace("dhat", "g").join(("gain * (", ")")), right)
        yield Guess("gain after", norm.right(view).T, f"{text} ({norm.name}).", formula)


def _axes(view: View) -> Iterator[Guess]:
    norm = _recognised(view)
    if norm is None:
        return
    own = norm.axes
    for axis in range(view.x.ndim):
        if (axis,) == own or view.x.shape[axis] == 1:
            continue
        for what, mean, deviation in (
            ("The term of the mean runs", (axis,), own),
            ("The term of the deviation runs", own, (axis,)),
            ("The means run", (axis,), (axis,)),
        ):
            if norm.centred or mean == own:
                right = " and ".join(map(str, own))
                text = f"{what} along axis {axis} where it must be axis {right} ({norm.name})."
                yield Guess(f"{what} {axis}", norm.across(view, mean, deviation), text)
        if len(own) == 1:
            text = f"Mean and deviation are those along axis {axis}, and must be those along axis "
            text += f"{own[0]} ({norm.name})."
            for by_parts in (True, False):
                guess = norm.with_moments(view, axis, by_parts)
                yield Guess(f"moments {axis} {by_parts}", guess, text)
            J = norm.along(view, axis).right(view)
            text = f"This is the derivative along axis {axis}, and must be that along axis {own[0]}"
            yield Guess(f"all along {axis}", J, f"{text} ({norm.name}).")


NORM_AXES = Hypothesis(
    "axis", "A = gain/σ·(I − M − x̂x̂ᵀM), M along another axis", "M along its own", _axes
)
NORM_TERMS = Hypothesis(
    "chain-term",
    "A = gain·σ^k·(I − a·11ᵀ/K − b·x̂x̂ᵀ/K), one of k, a, b wrong",
    "a, b or k that are not small integers",
    _terms,
)
