"""A corpus: files of text as ids, some of them held out."""

from __future__ import annotations

import math
import numbers
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import UsageError, mismatch
from softgrad.learn.language.files import files_of, read_text
from softgrad.learn.language.tokens import split_text
from softgrad.learn.language.vocabulary import END, SPECIAL, UNKNOWN, Ids, Vocabulary, choose_types
from softgrad.nn.arguments import positive_integer, random_generator

__all__ = ["Corpus", "Part", "read_corpus"]


@dataclass(frozen=True, eq=False)
class Part:
    """Some files of a corpus, one after the other, each with an end behind it."""

    ids: Ids  # [M]
    files: int
    characters: int

    @property
    def unknown(self) -> float:
        """The share of tokens that the vocabulary does not have."""
        return float(np.mean(self.ids == UNKNOWN))

    def loss(self, p: Array) -> float:
        """Return the mean of −log p of all tokens, for one distribution p [V] everywhere."""
        counts = np.bincount(self.ids, minlength=len(p))
        return float(-(counts @ np.log(p)) / len(self.ids))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Files to train on, files to be judged by, and the types of the first."""

    source: str
    vocabulary: Vocabulary
    training: Part
    held_out: Part
    skipped: int
    """Files that were no text."""

    def uniform_loss(self) -> float:
        """Return the loss of knowing nothing but the types: log V."""
        return math.log(len(self.vocabulary))

    def unigram_loss(self) -> float:
        """Return the held-out loss of how frequent each type is in training."""
        return self.held_out.loss(self.vocabulary.unigram())


def read_corpus(
    source: str | os.PathLike[str],
    *,
    min_count: int = 2,
    max_types: int = 50_000,
    max_tokens: int | None = None,
    validation: float = 0.05,
    seed: int | np.random.Generator = 0,
) -> Corpus:
    """Read a folder of text, or the source of Python's own standard library.

    Parameters
    ----------
    source : str or path
        ``stdlib``: Python's standard library without its tests. Or a folder: all its files that are
        UTF-8, hidden ones left out.
    min_count, max_types : int
        A type is known that the training files have at least so often, and at most so many are,
        the two special ones among them.
    max_tokens : int, optional
        No more tokens are read: of files in random order, the first ones.
    validation : float in (0, 1)
        The share of tokens that is held out: of files in random order, those that go into it; the
        smallest if none does.
    seed : int or numpy.random.Generator
        Of the order of the files.

    Returns
    -------
    Corpus

    Raises
    ------
    TypeError, ValueError
        A setting is out of its range.
    UsageError
        There is no such folder, or there are no two files of text in it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         _ = Path(folder, f"{i}.txt").write_text("one two two one")
    ...     corpus = read_corpus(folder, validation=0.4)
    >>> corpus.vocabulary.types, corpus.vocabulary.counts
    (('<unknown>', '<end>', ' two', 'one', ' one'), array([0, 2, 4, 2, 2]))
    """
    min_count = positive_integer("min_count", min_count)
    max_types = positive_integer("max_types", max_types)
    most = math.inf if max_tokens is None else positive_integer("max_tokens", max_tokens)
    if not isinstance(validation, numbers.Real) or not 0 < validation < 1:
        raise ValueError(mismatch("validation", "between 0 and 1, both excluded", repr(validation)))
    if max_types <= len(SPECIAL):
        raise ValueError(mismatch("max_types", f"more than {len(SPECIAL)}", max_types))
    reading = _Reading(most)
    for path in files_of(source, random_generator(seed)):
        if not reading.full:
            reading.add(read_text(path))
    held_out = _held_out(source, reading, validation)
    files = range(len(reading.files))
    training = [i for i in files if i not in held_out]
    counts = reading.counts(training)
    vocabulary, places = choose_types(list(reading.places), counts, min_count, max_types)
    return Corpus(
        source=str(source),
        vocabulary=vocabulary,
        training=reading.part(training, places),
        held_out=reading.part(held_out, places),
        skipped=reading.skipped,
    )


class _Reading:
    """What was read so far: files as places in a growing list of types, four bytes a token."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.places = {token: i for i, token in enumerate(SPECIAL)}
        self.files: list[array[int]] = []
        self.characters: list[int] = []
        self.tokens = self.skipped = 0

    @property
    def full(self) -> bool:
        """Whether no more tokens are wanted."""
        return self.tokens >= self.most

    def add(self, text: str | None) -> None:
        """Add a file with an end behind it, or what of it there is room for."""
        if text is None:
            self.skipped += 1
            return
        tokens = split_text(text)[: int(min(self.most - self.tokens, len(text)))]
        if tokens:
            places = self.places
            found = array("i", (places.setdefault(token, len(places)) for token in tokens))
            found.append(END)
            self.files.append(found)
            self.characters.append(sum(map(len, tokens)))
            self.tokens += len(tokens)

    def counts(self, which: Sequence[int]) -> Any:
        """Count every type in some of the files: int64."""
        return np.bincount(self._joined(which), minlength=len(self.places)).astype(np.int64)

    def part(self, which: Sequence[int], places: Ids) -> Part:
        """Return some of the files with their types' final ids."""
        characters = sum(self.characters[i] for i in which)
        return Part(places[self._joined(which)], len(which), characters)

    def _joined(self, which: Sequence[int]) -> Any:
        return np.concatenate([np.asarray(self.files[i]) for i in which])


def _held_out(source: object, reading: _Reading, validation: float) -> list[int]:
    """Return the first files that go into the share together, or else the smallest file."""
    sizes = [len(file) for file in reading.files]
    if len(sizes) < 2:
        found = f"{len(sizes)} found"
        if reading.full:
            found = f"{reading.tokens} tokens are no more than the first"
        elif reading.skipped:
            found += f", {reading.skipped} are no text"
        raise UsageError(f"{source}: expected two files of text, one of them to hold out; {found}")
    room, held_out = validation * sum(sizes), []
    for i, size in enumerate(sizes):
        if size <= room:
            held_out.append(i)
            room -= size
    return held_out or [int(np.argmin(sizes))]
