"""How a text goes on: tokens drawn one after the other."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.language.model import LanguageModel
from softgrad.learn.language.tokens import split_text
from softgrad.learn.language.vocabulary import END, UNKNOWN
from softgrad.maps import Softmax
from softgrad.nn.arguments import check_kind, positive_integer, random_generator

__all__ = ["continuation", "unknown_in"]


def continuation(
    model: LanguageModel,
    prompt: str,
    *,
    tokens: int = 100,
    temperature: float = 0.7,
    top_k: int | None = None,
    seed: int | np.random.Generator = 0,
) -> Iterator[str]:
    """Yield what follows a prompt, a token at a time; it ends where the model ends a file.

    A prompt that ends with a space goes on with a token that begins with it, as all words do.

    Parameters
    ----------
    model : LanguageModel
    prompt : str
        May be empty: the begin of a file.
    tokens : int
        The most that are drawn.
    temperature : float
        T of softmax(logits/T); 0 always takes the likeliest token.
    top_k : int, optional
        Only the so many likeliest tokens are drawn from.
    seed : int or numpy.random.Generator

    Raises
    ------
    TypeError, ValueError
        An argument does not fit.

    Examples
    --------
    >>> from softgrad.learn.language import Vocabulary, train
    >>> vocabulary = Vocabulary(("<unknown>", "<end>", "tick", "tock"), np.array([0, 0, 50, 50]))
    >>> model = LanguageModel.start(vocabulary, context=1, dim=4, hidden=8)
    >>> losses = train(model, np.tile(np.array([2, 3]), 50), epochs=20, batch_size=10, lr=0.05)
    >>> list(continuation(model, "tick", tokens=3, temperature=0))
    ['tock', 'tick', 'tock']
    """
    check_kind("model", model, LanguageModel, "a LanguageModel")
    check_kind("prompt", prompt, str, "a string")
    tokens = positive_integer("tokens", tokens)
    if not isinstance(temperature, numbers.Real) or not 0 <= temperature < math.inf:
        raise ValueError(mismatch("temperature", "at least 0 and finite", repr(temperature)))
    k = len(model.vocabulary) if top_k is None else positive_integer("top_k", top_k)
    rng = random_generator(seed)
    return _drawn(model, prompt, tokens, float(temperature), k, rng)


def unknown_in(model: LanguageModel, prompt: str) -> tuple[str, ...]:
    """Return the tokens of a prompt that the model does not know, each once."""
    known = set(model.vocabulary.types)
    words, _ = _without_last_space(prompt)
    return tuple(dict.fromkeys(word for word in words if word not in known))


def _drawn(
    model: LanguageModel, prompt: str, tokens: int, temperature: float, k: int, rng: Any
) -> Iterator[str]:
    types, T = model.vocabulary.types, model.context
    words, space = _without_last_space(prompt)
    fitting = np.array([token.startswith(" ") for token in types])  # behind a space
    context = np.concatenate([np.full(T, END), model.vocabulary.ids(words)])[-T:]
    for _ in range(tokens):
        z = _logits(model, context)
        if space and fitting.any():
            z[~fitting] = -np.inf
        token = _draw(z, temperature, k, rng)
        if token == END:
            return
        yield types[token].removeprefix(" ") if space else types[token]
        space = False
        context = np.append(context[1:], token)


def _without_last_space(prompt: str) -> tuple[list[str], bool]:
    """Return the tokens of a prompt, and whether a space was left for the next one."""
    words = split_text(prompt)
    if words[-1:] == [" "]:
        return words[:-1], True
    return words, False


def _logits(model: LanguageModel, context: Array) -> Array:
    """Return the logits of every type, in float64; what is unknown has no text."""  # [V]
    x = model.features(context[None])[0]
    z = (model.W @ x + model.bias).astype(np.float64)
    z[UNKNOWN] = -np.inf
    return z


def _draw(z: Array, temperature: float, k: int, rng: Any) -> int:
    """Draw from softmax(z/T) of the k largest logits."""
    if temperature == 0 or k == 1:
        return int(z.argmax())
    best = np.argsort(-z, kind="stable")[:k]  # of equals the first
    return int(rng.choice(best, p=Softmax(temperature=temperature)(z[best])))
