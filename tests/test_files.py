"""A written file is the old one, whole, or the new one, whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from softgrad.files import write_atomically


def test_write_replaces_the_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.write_bytes(b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    write_atomically(target, "text, α")
    assert target.read_text(encoding="utf-8") == "text, α"
    assert os.listdir(tmp_path) == ["model"]


def test_failed_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(handle: int) -> None:
        raise OSError("no space left on device")

    target = tmp_path / "model"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "model"
    umask = os.umask(0o027)
    try:
        write_atomically(target, b"new")
    finally:
        os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o640


def test_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "model", tmp_path / "latest"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "model", b"new")
