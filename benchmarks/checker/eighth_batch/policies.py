"""Policies, preferences and teachers: by features, by lengths, and by the student's own samples.

What is wrong here is met in agents that follow a textbook, in a thread on one whose gradient is
taken of a sigmoid, and in issues and pull requests on trainers for language models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.eighth_batch.parts import (
    drawn,
    edited,
    ids,
    log_softmax,
    one,
    one_hot,
    sigmoid,
    softmax,
    total,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

GAMMA = 0.8


def _to_come(rewards: Array, like: Array) -> Any:
    """Return the discounted sum of what is still to come at every step."""
    G = np.zeros(len(rewards) + 1, like.dtype)
    for t in reversed(range(len(rewards))):
        G[t] = rewards[t] + GAMMA * G[t + 1]
    return G[:-1]


def _preferences(theta: Array, phi: Array, actions: Array, rewards: Array) -> Any:
    """Return −Σ γᵗ Gₜ log π(aₜ), for preferences θ·φ(s, a) of features phi [T, A, D]."""
    G, loss = _to_come(rewards, theta), 0 * theta[0]
    for t, a in enumerate(actions):
        loss = loss - GAMMA**t * G[t] * log_softmax(phi[t] @ theta)[a]
    return loss


def _preferences_backward(
    theta: Array,
    phi: Array,
    actions: Array,
    rewards: Array,
    g: Array,
    returns: Function = _to_come,
    discount: Function = lambda t: GAMMA**t,
    eligibility: Function = lambda p, own, features: features.T @ (own - p),
    of_features: Function = lambda p, own: own - p,
    gathered: Function = lambda so_far, step: so_far + step,
    sign: float = -1.0,
    count: Function = lambda actions: 1,
) -> Any:
    G, d_theta, d_phi = returns(rewards, theta), np.zeros_like(theta), np.zeros_like(phi)
    for t, a in enumerate(actions):
        p = softmax(phi[t] @ theta)
        own = (np.arange(len(p)) == a).astype(p.dtype)
        weight = sign * g * discount(t) * G[t] / count(actions)
        d_theta = gathered(d_theta, weight * eligibility(p, own, phi[t]))
        d_phi[t] = weight * of_features(p, own)[:, None] * theta
    return d_theta, d_phi


def _preferences_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, A, D = shape
    theta, phi = drawn(rng, (D,), (T, A, D), scale=scale)
    return theta, phi, ids(rng, T, A), 1 + np.arange(T) % 3


def _both(slope: Function) -> dict[str, Function]:
    """Return the two places where log π is differentiated by the preferences."""
    return {
        "eligibility": lambda p, own, features: features.T @ slope(p, own),
        "of_features": slope,
    }


PREFERENCES = Subject(
    "policy-of-linear-preferences", _preferences, _preferences_backward, _preferences_sample,
    ((2, 3, 2), (3, 4, 2), (4, 3, 5), (6, 5, 4), (12, 6, 10)), scales=(0.3, 1.0, 1.5),
    edits=edited(_preferences_backward, {
        "features-of-the-action-alone": ("projection-term chain-term", _both(lambda p, own: own)),
        # The mean of the features over actions, where the policy's expectation stands.
        "plain-mean-of-the-features": ("projection-term wrong-variable", _both(
            lambda p, own: own - 1 / len(p))),
        "gradient-of-the-probability": ("chain-term wrong-variable", _both(
            lambda p, own: (own - p) * np.sum(p * own))),
        "action's-own-slope": ("diagonal-only", _both(lambda p, own: own * (1 - p))),
        "probabilities-alone": ("subset chain-term", _both(lambda p, own: -p)),
        # Textbooks keep γᵗ, and most programs leave it out.
        "discount-of-the-step-forgotten": ("chain-term", {"discount": lambda t: 1}),
        "rewards-for-returns": ("wrong-variable chain-term", {
            "returns": lambda rewards, like: rewards.astype(like.dtype)}),
        "ascent": ("sign", {"sign": 1.0}),
        "last-step-alone": ("unreduced-broadcast", {"gathered": lambda so_far, step: step}),
        "averaged-over-steps": ("scale", {"count": len}),
    }),
)  # fmt: skip

HEAT = 2.0


def _reverse(z: Array, teacher: Array) -> Any:
    """Return T² times the mean divergence KL(student ‖ teacher) of softened outputs."""
    p, logp, logq = softmax(z / HEAT), log_softmax(z / HEAT), log_softmax(teacher / HEAT)
    return HEAT**2 * np.sum(p * (logp - logq)) / len(z)


def _reverse_backward(
    z: Array,
    teacher: Array,
    g: Array,
    student: Function = lambda p, q, ratio: p * (ratio - total(p * ratio)),
    of_teacher: Function = lambda p, q: q - p,
    teacher_softmax: Function = lambda teacher: log_softmax(teacher / HEAT),
    heat: Function = lambda: HEAT,
    count: Function = len,
) -> Any:
    p, logp, logq = softmax(z / HEAT), log_softmax(z / HEAT), teacher_softmax(teacher)
    d = g * heat() / count(z)
    by_teacher = of_teacher(p, np.exp(logq))
    answer = d * student(p, np.exp(logq), logp - logq)
    return answer, None if by_teacher is None else d * by_teacher


REVERSE = Subject(
    "reverse-divergence-from-a-teacher", _reverse, _reverse_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale),
    ((3, 4), (4, 3), (5, 6), (7, 12), (12, 40)), scales=(0.3, 1.0, 4.0),
    # What is the same for all classes of a row goes away.
    also_right={"with the logarithm's own slope": lambda z, teacher, g: _reverse_backward(
        z, teacher, g, student=lambda p, q, ratio: p * (ratio + 1 - total(p * (ratio + 1))))},
    edits=edited(_reverse_backward, {
        # The gradient of the divergence the other way round, which everybody knows by heart.
        "forward-divergence's-gradient": ("wrong-variable", {
            "student": lambda p, q, ratio: p - q}),
        "expectation-not-subtracted": ("projection-term chain-term", {
            "student": lambda p, q, ratio: p * ratio}),
        # Σ p ∇log p is nothing: samples were drawn, and not weighted.
        "weights-held-constant": ("zero chain-term", {
            "student": lambda p, q, ratio: p - p * total(p)}),
        "weights-forgotten": ("chain-term projection-term", {
            "student": lambda p, q, ratio: ratio - total(p * ratio)}),
        "teacher-not-softened": ("wrong-variable", {"teacher_softmax": log_softmax}),
        "heat-squared": ("scale", {"heat": lambda: HEAT**2}),
        "heat-once-less": ("scale", {"heat": lambda: 1}),
        "averaged-over-all-entries": ("scale", {"count": np.size}),
        "teacher-none": ("severed", {"of_teacher": lambda p, q: None}),
        "teacher's-sign": ("sign", {"of_teacher": lambda p, q: p - q}),
    }),
)  # fmt: skip

BETA, MARGIN = 2.0, 0.5


def _rewards(z: Array, words: Array, lengths: Array) -> tuple[Any, Any]:
    """Return the mean log-probability of every answer's words, and which places are filled."""
    filled = (np.arange(z.shape[1]) < lengths[:, None]).astype(z.dtype)
    own = np.sum(one_hot(words, z) * log_softmax(z), axis=-1)
    return np.sum(own * filled, axis=1) / np.sum(filled, axis=1), filled


def _simple(
    chosen: Array, rejected: Array, words: Array, others: Array, lengths: Array, shorter: Array
) -> Any:
    """Return the mean of −log σ(β(r − r′) − γ) over pairs of answers [N, T, V]."""
    margin = BETA * (_rewards(chosen, words, lengths)[0] - _rewards(rejected, others, shorter)[0])
    return -np.mean(np.log(sigmoid(margin - MARGIN)))


def _simple_backward(
    chosen: Array,
    rejected: Array,
    words: Array,
    others: Array,
    lengths: Array,
    shorter: Array,
    g: Array,
    wanted: Function = lambda u: sigmoid(-u),
    shift: Function = lambda margin: margin - MARGIN,
    beta: Function = lambda: BETA,
    per_word: Function = lambda filled: filled / total(filled),
    rule: Function = lambda p, own: own - p,
    second: Function = lambda d: -d,
    count: Function = len,
) -> Any:
    r, filled = _rewards(chosen, words, lengths)
    other, other_filled = _rewards(rejected, others, shorter)
    weight = -g * beta() * wanted(shift(BETA * (r - other))) / count(r)
    answers = []
    for z, ids_, places, w in (
        (chosen, words, filled, weight),
        (rejected, others, other_filled, second(weight)),
    ):
        slope = rule(softmax(z), one_hot(ids_, z))
        answers.append((w[:, None] * per_word(places))[..., None] * slope)
    return tuple(answers)


def _simple_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, V = shape
    words, others = (rng.integers(V, size=(N, T)) for _ in range(2))
    lengths = T - np.arange(N) % 2
    return *drawn(rng, shape, shape, scale=scale), words, others, lengths, 1 + lengths // 2


SIMPLE = Subject(
    "preferences-of-answers-by-mean-log-probabilities", _simple, _simple_backward, _simple_sample,
    ((2, 3, 4), (3, 4, 3), (4, 5, 3), (4, 6, 8), (6, 8, 20)), scales=(0.3, 1.0, 3.0),
    edits=edited(_simple_backward, {
        # An issue asks where the lengths are; a pull request divides by them only once.
        "lengths-forgotten": ("chain-term scale", {"per_word": lambda filled: filled}),
        "lengths-twice": ("chain-term scale", {
            "per_word": lambda filled: filled / total(filled) ** 2}),
        "divided-by-the-padded-length": ("chain-term scale", {
            "per_word": lambda filled: filled / filled.shape[1]}),
        "padding-learnt": ("subset chain-term", {
            "per_word": lambda filled: (0 * filled + 1) / total(filled)}),
        "beta-forgotten": ("scale", {"beta": lambda: 1}),
        "margin-forgotten": ("wrong-variable chain-term", {"shift": lambda margin: margin}),
        "probability-of-being-right": ("wrong-variable sign", {"wanted": sigmoid}),
        "rejected-like-the-chosen": ("sign", {"second": lambda d: d}),
        "rejected-not-learnt": ("zero", {"second": lambda d: 0 * d}),
        "expectation-forgotten": ("projection-term chain-term", {"rule": lambda p, own: own}),
        "not-averaged-over-pairs": ("scale", {"count": one}),
    }),
)  # fmt: skip

SUBJECTS = (PREFERENCES, REVERSE, SIMPLE)
"""What is checked."""
