"""What engines turn on for the whole host goes with the last slot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host import host_wide
from tests.host.names import Names


def test_forwarding_is_given_back_by_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_HOST_DIR", str(tmp_path / "base"))
    monkeypatch.setattr(host_wide, "SYSCTLS", tmp_path)
    monkeypatch.setattr(host_wide, "NAMESPACES", tmp_path / "netns")
    monkeypatch.setattr(host_wide, "FORWARDING", ("forward",))
    forward = tmp_path / "forward"
    forward.write_text("0\n")
    first, last = Names(0), Names(1)
    for names in (first, last):
        names.path.mkdir(parents=True)
        host_wide.note(names)
        forward.write_text("1\n")
    host_wide.hand_on(first)
    (first.path / host_wide.RECORD).unlink()
    first.path.rmdir()
    assert forward.read_text() == "1\n"
    host_wide.hand_on(last)
    assert forward.read_text() == "0\n"


def test_forwarding_that_was_on_stays_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_HOST_DIR", str(tmp_path / "base"))
    monkeypatch.setattr(host_wide, "SYSCTLS", tmp_path)
    monkeypatch.setattr(host_wide, "NAMESPACES", tmp_path / "netns")
    monkeypatch.setattr(host_wide, "FORWARDING", ("forward",))
    (tmp_path / "forward").write_text("1\n")
    only = Names(0)
    only.path.mkdir(parents=True)
    host_wide.note(only)
    host_wide.hand_on(only)
    assert (tmp_path / "forward").read_text() == "1\n"
