"""The memory that fits of data in files take: `python memory_of_fits.py FOLDER KIND` prints JSON.

KIND is how X comes: as a mapped array, a Parquet file, or pairs; or a map in mini-batches. The name
of another method may follow. Small data go first, so that what libraries and kernels take is not
counted, and neither is what the data were made in.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.exceptions import ConvergenceWarning

import softgrad as sg

N, D, K = 600_000, 100, 100
BLOCK = 20_000


def pairs(N: int) -> Iterator[tuple[Any, Any]]:
    """Yield N rows of float32 with labels of K classes."""
    for i in range(0, N, BLOCK):
        rng = np.random.default_rng(i)
        X = rng.normal(size=(BLOCK, D)).astype(np.float32)
        yield X, (X @ np.linspace(-1, 1, D) + 0.1 * np.arange(BLOCK)).astype(int) % K


def mapped(folder: Path, N: int) -> dict[str, Any]:
    y = np.concatenate([y for _, y in pairs(N)])
    with (folder / f"{N}.rows").open("wb") as file:
        for X, _ in pairs(N):
            file.write(X.tobytes())
    return {"X": np.memmap(folder / f"{N}.rows", np.float32, "r", shape=(N, D)), "y": y}


def parquet(folder: Path, N: int) -> dict[str, Any]:
    names = [f"x{d}" for d in range(D)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("label", pa.string())])
    path = folder / f"{N}.parquet"
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for X, y in pairs(N):
            columns = [*X.T, [f"class {k}" for k in y]]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return {"X": path, "y": "label"}


KINDS = {
    "mapped": mapped,
    "parquet": parquet,
    "batches": mapped,
    "pairs": lambda _, N: {"X": pairs(N)},
}


def taken(verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that a method has."""
    return {"X": arguments["X"]} if verb == "predict" else arguments


def peak() -> int:
    """Return the most memory since `reset`, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def reset() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main(folder: Path, kind: str, verb: str = "fit") -> None:
    by_batches = {"solver": "adam", "early_stopping": True, "standardize": True, "random_state": 0}
    model = sg.SoftmaxClassifier(max_iter=2, cache=folder)
    model.set_params(**by_batches if kind == "batches" else {})
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(**KINDS[kind](folder, BLOCK))
    method = getattr(model, verb)
    method(**taken(verb, KINDS[kind](folder, BLOCK)))
    arguments = taken(verb, KINDS[kind](folder, N))
    reset()
    before = peak()
    method(**arguments)
    print(json.dumps({"bytes": peak() - before, "X": 4 * N * D, "logits": 4 * N * K}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
