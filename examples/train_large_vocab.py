"""A language model whose vocabulary is spread over processes, from one process to many.

    python examples/train_large_vocab.py
    torchrun --nproc-per-node 4 examples/train_large_vocab.py --steps 2000 --checkpoint run

The text is the source of Python's standard library, or a folder of text files. Every token has a
row of W, with which it is read and predicted; each process has some of these rows, what Adam
remembers of them, and nothing of the others'. All processes see the same mini-batches, so that the
small network between reading and predicting is the same on all of them without a message.

A run that was stopped goes on from its checkpoint, to the same bits, with as many processes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn  # before there is a group: its defaults would hold it for ever
from safetensors.torch import load_file, save
from torch.nn.functional import embedding

import softgrad as sg
from softgrad.files import write_atomically
from softgrad.learn.language import read_corpus
from softgrad.learn.language.vocabulary import END

head = sg.LinearCrossEntropy(reduction="none")

BLOCK = 1024
"""Rows of W that are drawn from one seed: a model's start does not depend on the processes."""


EVALUATED = 4096
"""Tokens of which the held-out loss is computed at a time."""


def main() -> None:
    """Train, and say what came out."""
    given = arguments()
    group = None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # torchrun has started several
        dist.init_process_group("gloo")
        group = dist.group.WORLD
    corpus = read_corpus(given.corpus, max_tokens=given.max_tokens, max_types=given.max_types)
    ids, held_out = (torch.from_numpy(part.ids) for part in (corpus.training, corpus.held_out))
    frequencies = torch.from_numpy(corpus.vocabulary.unigram()).float()
    model = Model(frequencies, given.context, given.dim, given.seed, group)
    adam = torch.optim.Adam(model.parameters(), lr=given.lr)
    kept = None if given.checkpoint is None else Kept(given.checkpoint, model, adam)
    done = 0 if kept is None else kept.recall()
    say(group, f"{len(ids):,} tokens; {len(model.W):,} of {len(frequencies):,} types are here")

    began, before = time.perf_counter(), done
    for step in range(done, given.steps):
        random = torch.Generator().manual_seed(given.seed * 1_000_003 + step)
        places = torch.randint(len(ids), (given.batch_size,), generator=random)
        loss = model(*windows(ids, given.context, places)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        done = step + 1
        if done % given.every == 0 or done == given.steps:
            rate = (done - before) * given.batch_size / (time.perf_counter() - began)
            say(group, f"step {done:5}  loss {loss.item():.4f}  {rate:,.0f} tokens/s")
            if kept is not None:
                kept.write(done)

    with torch.no_grad():
        each = torch.arange(len(held_out)).split(EVALUATED)
        losses = torch.cat([model(*windows(held_out, given.context, at)) for at in each])
    found = losses.double().mean().item()
    say(group, f"held out: loss {found:.6f}, perplexity {math.exp(found):,.1f}")
    unigram, uniform = corpus.unigram_loss(), corpus.uniform_loss()
    say(group, f"of frequencies alone {unigram:.4f}, of nothing {uniform:.4f}")
    if group is not None:
        dist.destroy_process_group()


class Model(torch.nn.Module):
    """The next token from the last T: rows of W, a hidden layer, and W once more.

    Parameters
    ----------
    frequencies : float32 [V]
        Of all types, which the bias starts from.
    context, dim, seed : int
        T, D, and what the start is drawn from.
    group : process group, optional
        Who has the other rows of W.
    """

    def __init__(self, frequencies: Any, context: int, dim: int, seed: int, group: Any) -> None:
        super().__init__()
        V, self.group, self.rank, self.ranks = len(frequencies), group, 0, 1
        if group is not None:
            self.rank, self.ranks = dist.get_rank(group), dist.get_world_size(group)
        self.first, last = V * self.rank // self.ranks, V * (self.rank + 1) // self.ranks
        torch.manual_seed(seed)
        self.hidden = torch.nn.Linear(context * dim, 4 * dim)
        self.out = torch.nn.Linear(4 * dim, dim)
        self.W = torch.nn.Parameter(some_rows(self.first, last, dim, seed))  # [own types, D]
        self.bias = torch.nn.Parameter(frequencies[self.first : last].log())

    def forward(self, contexts: Any, targets: Any) -> Any:
        """Return −log p of tokens [N] after contexts [N, T], the same on all processes."""
        rows = self.read(contexts)  # [N, T, D]
        x = self.out(torch.relu(self.hidden(rows.flatten(1))))  # [N, D]
        return head(x, self.W, targets, self.bias, group=self.group)

    def read(self, ids: Any) -> Any:
        """Return the rows of W of ids [N, T], wherever they are."""
        if self.group is None:
            return embedding(ids, self.W)
        ids = ids - self.first
        own = (ids >= 0) & (ids < len(self.W))
        return Anywhere.apply(embedding(ids * own, self.W) * own[..., None], self.group)


class Anywhere(torch.autograd.Function):
    """Rows that one process has, and the others as zeros: all get them.

    What comes back is the same everywhere, since the head's gradient in x is whole.
    """

    @staticmethod
    def forward(ctx: Any, rows: Any, group: Any) -> Any:
        rows = rows.clone()
        dist.all_reduce(rows, group=group)
        return rows

    @staticmethod
    def backward(ctx: Any, rows_bar: Any) -> Any:
        return rows_bar, None


class Kept:
    """A checkpoint: a file of every process, and one that says which of them belong together.

    That one is written last, by the first process, when all others are on their disks.
    """

    def __init__(self, folder: Path, model: Model, adam: Any) -> None:
        self.folder, self.model, self.adam = folder, model, adam
        self.latest = folder / "latest.json"

    def recall(self) -> int:
        """Go on from the last one, if there is one; return how many steps are done."""
        if not self.latest.exists():
            return 0
        latest = json.loads(self.latest.read_text())
        if latest["processes"] != self.model.ranks:
            sys.exit(f"{self.folder} is of {latest['processes']} processes, not {self.model.ranks}")
        found = load_file(self.file(latest["steps"]))
        names = [name for name, _ in self.model.named_parameters()]
        self.model.load_state_dict({name: found[name] for name in names})
        for name, parameter in self.model.named_parameters():
            state = {key: found[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq", "step")}
            self.adam.state[parameter] = state
        return int(latest["steps"])

    def write(self, steps: int) -> None:
        """Write down where all processes are."""
        tensors = dict(self.model.state_dict())
        for name, parameter in self.model.named_parameters():
            tensors |= {f"{key}.{name}": v for key, v in self.adam.state[parameter].items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file(steps), save(tensors))
        if self.model.group is not None:
            dist.barrier(self.model.group)
        if self.model.rank == 0:
            latest = {"steps": steps, "processes": self.model.ranks}
            write_atomically(self.latest, json.dumps(latest))
        if self.model.group is not None:
            dist.barrier(self.model.group)
        for old in self.folder.glob(f"*-{self.model.rank}.safetensors"):
            if old != self.file(steps):
                old.unlink()

    def file(self, steps: int) -> Path:
        """Return the own file."""
        return self.folder / f"{steps}-{self.model.rank}.safetensors"


def some_rows(first: int, last: int, dim: int, seed: int) -> Any:
    """Return rows of W at the start, which do not depend on who has them: [last − first, D]."""
    blocks = range(first // BLOCK, -(-last // BLOCK))
    seeds = (torch.Generator().manual_seed(seed * 1_000_003 + block) for block in blocks)
    drawn = [torch.randn(BLOCK, dim, generator=random) for random in seeds]
    skipped = first - BLOCK * blocks.start
    return 0.1 * torch.cat(drawn)[skipped : skipped + last - first]


def windows(ids: Any, T: int, places: Any) -> tuple[Any, Any]:
    """Return the T tokens before some places [n, T], and the tokens there [n]."""
    before = places[:, None] + torch.arange(-T, 0)
    contexts = torch.where(before < 0, END, ids[before.clamp(min=0)])
    return contexts.long(), ids[places].long()


def say(group: Any, line: str) -> None:
    """Print, on one of the processes."""
    if group is None or dist.get_rank(group) == 0:
        print(line, flush=True)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--corpus", default="stdlib", help="stdlib, or a folder of text files")
    parser.add_argument("--max-tokens", type=int, default=200_000, help="read no more")
    parser.add_argument("--max-types", type=int, default=50_000, help="of token at most")
    parser.add_argument("--context", type=int, default=8, help="tokens that a prediction sees")
    parser.add_argument("--dim", type=int, default=64, help="numbers that stand for a token")
    parser.add_argument("--steps", type=int, default=200, help="mini-batches in all")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--lr", type=float, default=3e-3, help="Adam's learning rate")
    parser.add_argument(
        "--every", type=int, default=50, help="steps between two lines, and checkpoints"
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", help="written, and gone on from"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
