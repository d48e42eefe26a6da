"""examples/train_large_vocab.py: as one process and under torchrun, in one piece and in two."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpora import write_folder

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("PyTorch was built without torch.distributed", allow_module_level=True)

EXAMPLE = Path(__file__).parent.parent / "examples" / "train_large_vocab.py"
SMALL = ("--context", "3", "--dim", "8", "--batch-size", "64", "--every", "5", "--lr", "0.02")


def run(corpus: Path, ranks: int, steps: int, *args: str) -> str:
    """Return what the example prints."""
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", str(ranks)) if ranks > 1 else ()
    given = ("--corpus", str(corpus), "--steps", str(steps), *SMALL, *args)
    command = [sys.executable, *torchrun, str(EXAMPLE), *given]
    options = {"capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loss_of(output: str) -> float:
    (found,) = re.findall(r"^held out: loss ([0-9.]+)", output, re.MULTILINE)
    return float(found)


def test_one_process_and_several_in_one_piece_and_in_two(tmp_path: Path) -> None:
    corpus = write_folder(tmp_path / "text")
    one = run(corpus, 1, 40)
    (frequencies,) = re.findall(r"of frequencies alone ([0-9.]+)", one)
    assert loss_of(one) < 0.7 * float(frequencies)  # it has learned
    whole = run(corpus, 2, 40, "--checkpoint", str(tmp_path / "whole"))
    assert loss_of(whole) == pytest.approx(loss_of(one), rel=1e-4)
    run(corpus, 2, 20, "--checkpoint", str(tmp_path / "pieces"))
    pieces = run(corpus, 2, 40, "--checkpoint", str(tmp_path / "pieces"))
    assert "step    25" in pieces
    assert "step    20" not in pieces
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert files == ["40-0.safetensors", "40-1.safetensors", "latest.json"]
    for name in files:
        same = (tmp_path / "pieces" / name).read_bytes()
        assert (tmp_path / "whole" / name).read_bytes() == same
