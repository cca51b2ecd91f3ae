"""The AppArmor profile of our own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition
from runtimes.native.oci import apparmor
from runtimes.native.oci.security import APPARMOR_PROFILE


async def test_a_profile_that_is_loaded_is_not_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tmp_path / "profiles"
    loaded.write_text(f"other (enforce)\n{APPARMOR_PROFILE} (enforce)\n")
    monkeypatch.setattr(apparmor, "PARSER", "/nothing")
    await apparmor.load(loaded)


async def test_apparmors_own_tool_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tmp_path / "profiles"
    loaded.write_text("")
    monkeypatch.setattr(apparmor, "PARSER", "/nothing/apparmor_parser")
    with pytest.raises(FailedPrecondition, match="apparmor_parser"):
        await apparmor.load(loaded)


def test_the_profile_compiles() -> None:
    parser = shutil.which(apparmor.PARSER, path="/sbin:/usr/sbin:/usr/bin")
    if parser is None:
        pytest.skip("this test needs apparmor_parser: install the package apparmor")
    words = [parser, "--skip-kernel-load", "--skip-cache", "--stdout"]
    ended = subprocess.run(words, input=apparmor.PROFILE.encode(), capture_output=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
