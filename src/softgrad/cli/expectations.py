"""What a report asks a language model: some places of a text, and how one goes on."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.explain.judged_tokens import JudgedTokens
from softgrad.heads import linear_cross_entropy
from softgrad.learn.language import LanguageModel, continuation
from softgrad.learn.language.vocabulary import END

__all__ = ["expectations", "goes_on"]

_PLACES = 2_000
_EXPECTED = 5
_PROMPT, _DRAWN = 30, 60
"""Tokens."""


def expectations(model: LanguageModel, ids: Any, seed: int) -> JudgedTokens:
    """Ask for some tokens of a text [M], all of them where they are few."""
    T, types = model.context, model.vocabulary.types
    count = min(_PLACES, len(ids))
    places = np.sort(np.random.default_rng(seed).choice(len(ids), count, replace=False))
    padded = np.concatenate([np.full(T, END, np.int32), ids])
    contexts = np.lib.stride_tricks.sliding_window_view(padded, T)[places]  # [N, T]
    x = model.features(contexts)
    likeliest = linear_cross_entropy.top_k(x, model.W, min(_EXPECTED, len(types)), model.bias)
    log_p = linear_cross_entropy.log_probs(x, model.W, ids[places], model.bias)
    return JudgedTokens(
        before=tuple(_text(model, context) for context in contexts),
        tokens=tuple(types[i] for i in ids[places].tolist()),
        probabilities=np.exp(log_p.astype(np.float64)),
        likeliest=tuple(tuple(types[i] for i in row) for row in likeliest.ids.tolist()),
        their_probabilities=np.exp(likeliest.log_probs.astype(np.float64)),
    )


def goes_on(model: LanguageModel, ids: Any, seed: int) -> tuple[str, str]:
    """Return the begin of a text, and what the model makes of it."""
    prompt = _text(model, ids[:_PROMPT])
    return prompt, "".join(continuation(model, prompt, tokens=_DRAWN, seed=seed))


def _text(model: LanguageModel, ids: Any) -> str:
    """Return the text of tokens; files end without a mark of their own."""
    types = model.vocabulary.types
    return "".join(types[i] for i in ids.tolist() if i != END)
