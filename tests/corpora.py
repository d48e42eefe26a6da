"""Folders of small texts that have something to be learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np

VERBS = {"cat": "sleeps", "dog": "barks", "bird": "sings", "fish": "swims"}


def sentences(rng: np.random.Generator, count: int) -> str:
    """Return lines in which the first words say what the last one is."""
    lines = []
    for _ in range(count):
        animal, much = rng.choice(list(VERBS)), rng.integers(1, 4)
        lines.append(f"if {animal}:\n    the {animal} {VERBS[animal]}({'really ' * much})")
    return "\n".join(lines) + "\n"


def write_folder(folder: Path, files: int = 8, count: int = 30) -> Path:
    """Write such files, and return the folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(files):
        (folder / f"{i}.txt").write_text(sentences(rng, count), encoding="utf-8")
    return folder
