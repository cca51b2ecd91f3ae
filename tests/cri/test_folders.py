"""Folders of one user and of one process."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cri import folders


def test_a_private_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    assert stat.S_IMODE(folders.private(tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_folder_that_is_owned_says_by_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOCK_PATIENCE", 0.0)
    with folders.owned(tmp_path), pytest.raises(folders.StateLocked) as caught, folders.owned(tmp_path):
        pass
    assert caught.value.details["pid"] == str(os.getpid())


def test_a_folder_that_was_owned_is_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        with folders.owned(tmp_path):
            pass
