"""A language model on any folder of text: tokens, vocabulary, training, continuation."""

from softgrad.learn.language.checks import check_gradients
from softgrad.learn.language.continuation import continuation, unknown_in
from softgrad.learn.language.corpus import Corpus, Part, read_corpus
from softgrad.learn.language.model import LanguageModel
from softgrad.learn.language.tokens import split_text
from softgrad.learn.language.training import Losses, Step, evaluate, train
from softgrad.learn.language.vocabulary import Vocabulary

__all__ = [
    "Corpus",
    "LanguageModel",
    "Losses",
    "Part",
    "Step",
    "Vocabulary",
    "check_gradients",
    "continuation",
    "evaluate",
    "read_corpus",
    "split_text",
    "train",
    "unknown_in",
]
