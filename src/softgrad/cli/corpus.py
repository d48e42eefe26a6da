"""A language model from a corpus: read, check the gradients, train with a progress bar, save."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from softgrad.bench.resident import peak_resident
from softgrad.checker import Report
from softgrad.cli.command import Output, bad_values_are_bad_usage
from softgrad.cli.exit_codes import CHECK_FAILED, INTERRUPTED, OK
from softgrad.cli.parameters import refuse_overwriting, writing
from softgrad.cli.report_file import write_report
from softgrad.cli.settings import CorpusSettings
from softgrad.explain.language_training import LanguageTraining
from softgrad.learn.language import (
    LanguageModel,
    Losses,
    Step,
    check_gradients,
    evaluate,
    read_corpus,
    train,
)
from softgrad.learn.model_file import save_model
from softgrad.results import counted

if TYPE_CHECKING:
    from softgrad.report.page import Page

__all__ = ["train_on_corpus"]

_RECENT = 100
"""Mini-batches whose mean loss is shown."""


def train_on_corpus(
    output: Output,
    source: str,
    settings: CorpusSettings,
    model_file: Path,
    checkpoint: Path | None,
    page: Path | None,
) -> int:
    """Train a language model and save it; return the exit code."""
    refuse_overwriting(source, model_file, checkpoint, page)
    fit = _Fit(source, settings, checkpoint)
    output.print(*fit.conditions())
    report = check_gradients(fit.settings.seed)
    if report.verdict == "fail":
        output.print(report)
        output.document({"schema": LanguageTraining.schema, "check": report})
        output.notice("softgrad: a gradient is wrong; nothing was trained and nothing written")
        return CHECK_FAILED
    output.print(f"Gradients against differences, on a small model: {report.verdict}.")
    try:
        fit.train(output)
    except KeyboardInterrupt:
        return _interrupted(output, fit, model_file)
    result = fit.result()
    try:
        output.print(result)
        files = {"model": str(model_file), "report": None if page is None else str(page)}
        output.document(result.to_dict() | files)
    finally:  # what cannot be shown is saved, and what cannot be saved was shown
        _save(fit, model_file)
    output.print(f"model   {model_file}")
    if page is not None:
        write_report(_page(fit, result, report), page)
        output.print(f"report  {page}")
    return OK


def _page(fit: _Fit, result: LanguageTraining, check: Report) -> Page:
    from softgrad.cli.expectations import expectations, goes_on
    from softgrad.report.language import language_page

    ids, seed = fit.corpus.held_out.ids, fit.settings.seed
    judged = expectations(fit.model, ids, seed)
    example = goes_on(fit.model, ids, seed)
    return language_page(result, fit.losses.steps, check, judged, example)


def _interrupted(output: Output, fit: _Fit, model_file: Path) -> int:
    step = fit.last
    if step is None:
        output.notice("softgrad: interrupted before the first mini-batch; nothing was written")
        return INTERRUPTED
    _save(fit, model_file)
    done = f"{step.number} of {step.steps} mini-batches"
    output.notice(f"softgrad: interrupted; {model_file} is the model after {done}")
    return INTERRUPTED


def _save(fit: _Fit, model_file: Path) -> None:
    with writing(model_file):
        save_model(model_file, fit.model)


class _Fit:
    """One training run: `train`, then `result`."""

    def __init__(self, source: str, settings: CorpusSettings, checkpoint: Path | None) -> None:
        self.source, self.settings, self.checkpoint = source, settings, checkpoint
        with bad_values_are_bad_usage():
            self.corpus = read_corpus(
                source,
                min_count=settings.min_count,
                max_types=settings.max_types,
                max_tokens=settings.max_tokens,
                validation=settings.validation,
                seed=settings.seed,
            )
            self.model = LanguageModel.start(
                self.corpus.vocabulary,
                context=settings.context,
                dim=settings.dim,
                seed=settings.seed,
            )
        self.last: Step | None = None
        self.recent: deque[float] = deque(maxlen=_RECENT)
        self.losses = Losses([], [])
        self.tokens, self.seconds, self.learning = 0, 0.0, 0.0

    def conditions(self) -> tuple[str, ...]:
        """Return what was read."""
        corpus, training, held_out = self.corpus, self.corpus.training, self.corpus.held_out
        read = (
            f"{corpus.source}: {len(training.ids):,} tokens in {counted(training.files, 'file')} "
            f"to train on, {len(held_out.ids):,} in {counted(held_out.files, 'file')} held out; "
            f"{len(corpus.vocabulary):,} types"
        )
        if not corpus.skipped:
            return (read,)
        return read, f"{counted(corpus.skipped, 'file')} left out: no text in UTF-8"

    def train(self, output: Output) -> None:
        """Train, with a progress bar on stderr; Ctrl-C leaves the model as it is then."""
        settings, started = self.settings, time.perf_counter()
        with _progress(output) as show:

            def on_step(step: Step) -> None:
                self.last = step
                self.tokens += step.tokens
                self.recent.append(step.loss)
                self.learning += time.perf_counter() - since[0]
                show(step, float(np.mean(self.recent)), self.tokens / self.learning)
                since[0] = time.perf_counter()

            def on_epoch() -> float:
                loss = evaluate(self.model, self.corpus.held_out.ids)
                since[0] = time.perf_counter()
                return loss

            since = [time.perf_counter()]
            with bad_values_are_bad_usage():
                self.losses = train(
                    self.model,
                    self.corpus.training.ids,
                    epochs=settings.epochs,
                    batch_size=settings.batch_size,
                    lr=settings.lr,
                    seed=settings.seed,
                    on_step=on_step,
                    on_epoch=on_epoch,
                    checkpoint=self.checkpoint,
                )
        self.seconds = time.perf_counter() - started

    def result(self) -> LanguageTraining:
        """Say what came out."""
        corpus, held_out = self.corpus, self.corpus.held_out
        return LanguageTraining(
            corpus=corpus.source,
            files=corpus.training.files,
            held_out_files=held_out.files,
            skipped_files=corpus.skipped,
            tokens=len(corpus.training.ids),
            held_out_tokens=len(held_out.ids),
            types=len(corpus.vocabulary),
            held_out_unknown=held_out.unknown,
            settings=asdict(self.settings),
            parameters=sum(array.size for array in self.model.parameters.values()),
            epoch_losses=tuple(self.losses.epochs),
            training_loss=float(np.mean(self.losses.steps[-_RECENT:])),
            uniform_loss=corpus.uniform_loss(),
            unigram_loss=corpus.unigram_loss(),
            characters_per_token=held_out.characters / len(held_out.ids),
            tokens_per_second=self.tokens / self.learning if self.tokens else 0.0,
            seconds=self.seconds,
            peak_bytes=_peak(),
        )


def _peak() -> int | None:
    try:
        return peak_resident()
    except ImportError:
        return None


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[Step, float, float], None]]:
    """Show a bar with the recent loss; a stderr that is no terminal stays empty."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(compact=True),
    )
    quiet = not output.stderr.is_terminal
    with Progress(*columns, console=output.stderr, disable=quiet) as progress:
        task = progress.add_task("training", total=None, epoch=1, numbers="")

        def show(step: Step, loss: float, rate: float) -> None:
            numbers = f"loss {loss:.3f}  perplexity {np.exp(loss):,.0f}  {rate:,.0f} tokens/s"
            progress.update(
                task, total=step.steps, completed=step.number, epoch=step.epoch, numbers=numbers
            )

        yield show
