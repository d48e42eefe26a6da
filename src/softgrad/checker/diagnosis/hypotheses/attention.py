"""Attention: what goes wrong at the softmax inside, seen from queries and keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.subject import Vector

__all__ = ["ATTENTION_DIAGONAL", "ATTENTION_IDENTITY", "ATTENTION_PROJECTION"]


@dataclass(frozen=True)
class _Attention:
    """y = softmax(c·q·kᵀ)·v, with q [T, D], k [S, D], v [S, E]."""

    p: Vector  # [T, S]
    v: Vector
    other: Vector
    """k where the input is q, and q where it is k."""
    c: float
    of_queries: bool

    def matrix(self, inner: Vector) -> Matrix:
        """Return the Jacobian that `inner` [T, S, S], in place of softmax's own, would make."""
        (T, S), E, D = self.p.shape, self.v.shape[1], self.other.shape[1]
        scores = np.einsum("se,tsr->ter", self.v, inner) * self.c  # dy/dscores
        if self.of_queries:
            full = np.einsum("ter,rd,tu->teud", scores, self.other, np.eye(T))
            return np.asarray(full.reshape(T * E, T * D))
        full = np.einsum("ter,td->terd", scores, self.other)
        return np.asarray(full.reshape(T * E, S * D))


def _recognised(view: View) -> _Attention | None:
    points, y = view.spot.points, view.y
    if y is None or y.ndim != 2 or len(points) < 3 or view.x.ndim != 2:
        return None
    for places in permutations([i for i, point in enumerate(points) if point.ndim == 2], 3):
        q, k, v = (points[i] for i in places)
        fits = q.shape[1] == k.shape[1] and k.shape[0] == v.shape[0]
        if not fits or y.shape != (q.shape[0], v.shape[1]) or view.where not in places[:2]:
            continue
        for c in (1 / np.sqrt(q.shape[1]), 1.0):
            scores = c * q @ k.T
            e = np.exp(scores - scores.max(axis=-1, keepdims=True))
            p = e / e.sum(axis=-1, keepdims=True)
            if np.allclose(p @ v, y, rtol=1e-9):
                first = view.where == places[0]
                return _Attention(p, v, k if first else q, c, first)
    return None


def _diagonals(p: Vector) -> Vector:
    return np.asarray(p[:, :, None] * np.eye(p.shape[1]))


_RIGHT = "p * (dp - (dp * p).sum(axis=-1, keepdims=True))"


def _diagonal(view: View) -> Iterator[Guess]:
    found = _recognised(view)
    if found is not None:
        text = (
            "Only the diagonal of softmax's Jacobian is used inside attention: the cross "
            "derivatives −p_i·p_k are missing."
        )
        matrix = found.matrix(_diagonals(found.p * (1 - found.p)))
        yield Guess("attention, diagonal", matrix, text, Formula("dp * p * (1 - p)", _RIGHT))


def _projection(view: View) -> Iterator[Guess]:
    found = _recognised(view)
    if found is not None:
        p = found.p
        outer = p[:, :, None] * p[:, None, :]
        D = _diagonals(p)
        for how, wrong, inner in (
            ("missing", "dp * p", D),
            ("added and not subtracted", "p * (dp + (dp * p).sum(-1))", D + outer),
            ("taken of dp alone", "p * (dp - dp.sum(-1))", D - p[:, None, :] + 0 * outer),
            ("a mean", "p * (dp - (dp * p).mean(-1))", D - outer / p.shape[1]),
        ):
            text = f"In the softmax inside attention the term p·⟨dp, p⟩ is {how}."
            yield Guess(f"attention, {how}", found.matrix(inner), text, Formula(wrong, _RIGHT))


def _identity(view: View) -> Iterator[Guess]:
    found = _recognised(view)
    if found is not None:
        text = "The softmax inside attention is passed as if it were not there."
        inner = _diagonals(np.ones_like(found.p))
        yield Guess("attention, identity", found.matrix(inner), text, Formula("dp", _RIGHT))


ATTENTION_DIAGONAL = Hypothesis("diagonal-only", "A = v·diag(S)·k", "a cross derivative", _diagonal)
ATTENTION_PROJECTION = Hypothesis(
    "projection-term", "A = v·(S + c·u·pᵀ)·k", "a residual of higher rank", _projection
)
ATTENTION_IDENTITY = Hypothesis("identity", "A = v·k", "another product", _identity)
