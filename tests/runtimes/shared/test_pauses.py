"""Pause processes by which a sandbox is known to be ready."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from runtimes.shared import pauses, processes
from runtimes.shared.pauses import Pauses


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """One that is taken for the container ``c``'s."""
    monkeypatch.setattr(processes, "is_of_container", lambda pid, container_id: container_id == "c")
    with subprocess.Popen(["sleep", "600"]) as running:
        yield running
        running.kill()


def known(pid: int, container_id: str = "c") -> Pauses[str]:
    made: Pauses[str] = Pauses()
    made.note("s", "it", pid, container_id)
    return made


def test_a_sandbox_is_known_while_its_process_lives(process: subprocess.Popen[bytes]) -> None:
    assert known(process.pid).get("s") == "it"


def test_it_is_not_known_once_its_process_has_ended_though_nobody_has_waited_for_it(
    process: subprocess.Popen[bytes],
) -> None:
    found = known(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert found.get("s") is None


def test_another_process_of_the_same_number_is_not_taken_for_it(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = known(process.pid)
    monkeypatch.setattr(pauses, "_alive", lambda pid: b"later")
    assert found.get("s") is None


def test_a_process_that_is_another_containers_makes_nothing_known(process: subprocess.Popen[bytes]) -> None:
    assert known(process.pid, "another").get("s") is None


@pytest.mark.parametrize("pid", [0, -1, 1 << 30])
def test_a_process_that_cannot_be_seen_makes_nothing_known(pid: int) -> None:
    assert known(pid).get("s") is None


def test_what_is_forgotten_is_not_known(process: subprocess.Popen[bytes]) -> None:
    found = known(process.pid)
    found.forget("s")
    assert found.get("s") is None
