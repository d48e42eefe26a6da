"""What a language model's training came to, beside what can be said without a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from softgrad.results import Block, Paragraph, Result, Table

__all__ = ["LanguageTraining"]


@dataclass(frozen=True)
class LanguageTraining(Result):
    """A language model's training on a corpus; losses are means of −log p a token."""

    schema: ClassVar[str] = "softgrad.train-corpus/1"

    corpus: str
    files: int
    """Those that were trained on."""
    held_out_files: int
    skipped_files: int
    """Those that are no text."""
    tokens: int
    """Of the files to train on."""
    held_out_tokens: int
    types: int
    """V: the unknown token and the end of a file among them."""
    held_out_unknown: float
    """The share of held-out tokens that the vocabulary does not have."""
    settings: Mapping[str, Any]
    """As on the command line, the seed among them."""
    parameters: int
    epoch_losses: tuple[float, ...]
    """Of the files held out, after every epoch."""
    training_loss: float
    """The mean of the last mini-batches' losses."""
    uniform_loss: float
    unigram_loss: float
    """Of the files held out, as all losses but the training's."""
    characters_per_token: float
    """Of the files held out."""
    tokens_per_second: float
    seconds: float
    peak_bytes: int | None
    """Of the whole process; None where the system does not tell."""

    @property
    def held_out_loss(self) -> float:
        """The loss after the last epoch."""
        return self.epoch_losses[-1]

    def blocks(self) -> Iterable[Block]:
        """Yield the perplexity beside the baselines', and what it took."""
        perplexity = math.exp(self.held_out_loss)
        times = _times(math.exp(self.unigram_loss) / perplexity)
        title = f"Held-out perplexity {perplexity:,.1f}, {times} than that of token frequencies"
        yield Paragraph(title, "title")
        memory = "" if self.peak_bytes is None else f"; peak memory {self.peak_bytes / 1e6:,.0f} MB"
        yield Paragraph(
            f"{self.seconds:,.1f} s, {self.tokens_per_second:,.0f} tokens a second{memory}; "
            f"seed {self.settings['seed']}",
            "quiet",
        )
        losses = {
            f"uniform over {self.types:,} types": self.uniform_loss,
            "token frequencies (unigram)": self.unigram_loss,
            "this model": self.held_out_loss,
        }
        rows = tuple((name, *self._cells(loss)) for name, loss in losses.items())
        yield Table(("held-out tokens", "loss", "perplexity", "bits a character"), rows)
        yield Paragraph(
            f"{100 * self.held_out_unknown:.1f} % of them are unknown words, "
            "which count as one token in all three rows.",
            "quiet",
        )

    def _cells(self, loss: float) -> tuple[str, str, str]:
        bits = loss / math.log(2) / self.characters_per_token
        return f"{loss:.3f}", f"{math.exp(loss):,.1f}", f"{bits:.3f}"


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times lower" if ratio >= 1 else f"{1 / ratio:.1f} times higher"
