"""Fits that are killed at random moments, each going on from what the one before it left.

`python killed_fits.py FOLDER KILLS SETTINGS`, the last in JSON, prints JSON: the fit that nobody
killed, those that ended after some were, and what is in the folder when all is done. One process
forks all fits, so that a kill costs no imports.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from sklearn.datasets import load_wine

import softgrad as sg

X, Y = load_wine(return_X_y=True)
X = X / X.max(axis=0)
ATTRIBUTES = ("coef_", "intercept_", "n_iter_", "objective_", "optimality_")
SETTINGS = json.loads(sys.argv[3])


def bits(value: Any) -> Any:
    """Return numbers such that JSON writes all their bits."""
    if hasattr(value, "ravel"):
        return [number.hex() for number in value.ravel().tolist()]
    return value.hex() if isinstance(value, float) else value


def fit(path: Path | None) -> dict[str, Any]:
    """Return all that a fit found."""
    model = sg.SoftmaxClassifier(checkpoint=path, checkpoint_every=0, **SETTINGS).fit(X, Y)
    found = {name: bits(getattr(model, name)) for name in ATTRIBUTES}
    return {**found, "history_": [str(record) for record in model.history_]}


def start(path: Path, answer: Path) -> int:
    """Fit in a process of its own, which writes down what it found."""
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            answer.write_text(json.dumps(fit(path)))
        finally:
            os._exit(0)
    return child


def main(folder: Path, kills: int) -> None:
    random.seed(kills)
    path, answer = folder / "checkpoint", folder.parent / f"{folder.name}-answer"
    whole = fit(None)
    began = time.monotonic()
    os.waitpid(start(path, answer), 0)
    seconds = time.monotonic() - began
    killed, resumed, found = 0, 0, [json.loads(answer.read_text())]
    while killed < kills:
        resumed += path.exists()
        child = start(path, answer)
        time.sleep(random.uniform(0, 0.7 * seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        else:
            found.append(json.loads(answer.read_text()))
    os.waitpid(start(path, answer), 0)
    found.append(json.loads(answer.read_text()))
    answer.unlink()
    files = os.listdir(folder)
    print(json.dumps({"whole": whole, "found": found, "resumed": resumed, "files": files}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
