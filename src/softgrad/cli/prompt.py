"""How a language model goes on with a text: a token at a time, as it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from softgrad.cli.command import Output, bad_values_are_bad_usage
from softgrad.cli.parameters import writing
from softgrad.files import write_atomically
from softgrad.learn.language import continuation, unknown_in
from softgrad.learn.model_file import load_language_model

__all__ = ["PromptSettings", "go_on"]


@dataclass(frozen=True)
class PromptSettings:
    """What the options say."""

    tokens: int = 100
    temperature: float = 0.7
    top_k: int | None = None
    seed: int = 0


def go_on(
    output: Output, model_file: str, prompt: str, options: Mapping[str, object], file: Path | None
) -> None:
    """Print a prompt and what the model makes of it."""
    settings = PromptSettings(**options)  # type: ignore[arg-type]
    model = load_language_model(model_file)
    with bad_values_are_bad_usage():
        tokens = continuation(model, prompt, **asdict(settings))
    unknown = unknown_in(model, prompt)
    if unknown:
        words = ", ".join(word.strip() or repr(word) for word in unknown)
        output.notice(f"softgrad: the model does not know: {words}")
    if file is None and not output.as_json:
        text = _shown(output, prompt, tokens)
    else:
        text = "".join(tokens)
    if file is not None:
        with writing(file):
            write_atomically(file, prompt + text)
    output.document(
        {
            "schema": "softgrad.continue/1",
            "prompt": prompt,
            "text": text,
            "unknown": unknown,
            "file": None if file is None else str(file),
        }
        | asdict(settings)
    )


def _shown(output: Output, prompt: str, tokens: Iterator[str]) -> str:
    """Print a text as it comes, and return it."""
    output.data(prompt)
    drawn = []
    for token in tokens:
        output.data(token)
        drawn.append(token)
    output.data("\n")
    return "".join(drawn)
