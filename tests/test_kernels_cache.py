"""Compiled kernels on disk: compiled once, read by every later process, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from softgrad.kernels.numba import cache

SCRIPT = """
import numpy as np
import softgrad as sg
from numba.core import event

x = np.linspace(-1, 1, 20, dtype=np.float32).reshape(2, 10)
with event.install_recorder("numba:compile") as recorder:
    y = sg.logsumexp(x, impl="numba")
assert np.allclose(y, sg.logsumexp(x, impl="reference"), rtol=1e-6)
print(len(recorder.buffer) > 0)
"""
"""Says whether the compiler had anything to do."""


def environment(folder: Path | str) -> dict[str, str]:
    return {**os.environ, "NUMBA_CACHE_DIR": str(folder)}


def compiles(env: dict[str, str], **options: Any) -> bool:
    """Run a kernel in a fresh process, and tell whether it was compiled there."""
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, env=env, **options)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.strip() == "True"


def files_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return the kept kernels, each with what changes when it is written again."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which one process has left its kernel."""
    folder = tmp_path_factory.mktemp("kernels")
    assert compiles(environment(folder))
    assert len(files_in(folder)) == 1
    return folder


def test_a_second_process_compiles_nothing_and_writes_nothing(filled: Path) -> None:
    before = files_in(filled)
    assert not compiles(environment(filled))
    assert files_in(filled) == before


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "another pickle"])
def test_a_damaged_file_is_compiled_anew(filled: Path, damage: str) -> None:
    (path,) = files_in(filled)
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "noise": bytes(reversed(whole)),
        "another pickle": b"\x80\x04N.",  # None
    }
    path.write_bytes(damaged[damage])
    try:
        assert compiles(environment(filled))
        assert len(path.read_bytes()) > len(whole) // 2
    finally:
        path.write_bytes(whole)


def test_two_processes_may_start_at_once(tmp_path: Path) -> None:
    start = [sys.executable, "-c", SCRIPT]
    env = environment(tmp_path)
    processes = [subprocess.Popen(start, env=env, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(files_in(tmp_path)) == 1, "one kernel, and nothing half written"
    assert not compiles(env)


def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    obstacle = tmp_path / "a file"
    obstacle.write_text("where the folder ought to be")
    assert compiles(environment(obstacle))


def test_a_user_without_a_home_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder by the name of ~ comes into being where the process happens to run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache.numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(cache, "user_cache_dir", lambda *_, **__: "~/.cache/softgrad")
    cache.cache_folder.cache_clear()
    try:
        assert not cache.KernelCache("kernel").enabled
    finally:
        cache.cache_folder.cache_clear()
    assert not list(tmp_path.iterdir())


def test_the_folder_changes_with_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "softmax.py"
    source.write_text("first")
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    folders = []
    try:
        for text in ("first", "second", "first"):
            source.write_text(text)
            cache.cache_folder.cache_clear()
            folders.append(cache.cache_folder())
    finally:
        cache.cache_folder.cache_clear()
    assert folders[0] != folders[1]
    assert folders[0] == folders[2]
