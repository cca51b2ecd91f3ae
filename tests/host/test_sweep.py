"""A sweep looks at a host on which other engines come and go."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.host import hugetlb, libpod, native_state, processes, slot, sweep
from tests.host.names import Names

LOOKS: list[tuple[Any, Callable[[], list[Path]], str]] = [
    (libpod, lambda: libpod.cgroups(Names(0)), "pod"),
    (sweep, lambda: sweep.cgroups("libpod_parent"), "."),
]


@pytest.mark.parametrize(("module", "look", "found"), LOOKS, ids=["libpod", "sweep"])
def test_a_cgroup_of_another_engine_may_go_while_we_look(
    module: Any, look: Callable[[], list[Path]], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_HOST_DIR", str(tmp_path / "slots"))
    bundle = Names(0).path / "podman/root/overlay-containers/one/userdata/config.json"
    bundle.parent.mkdir(parents=True)
    bundle.write_text('{"linux": {"cgroupsPath": "/libpod_parent/pod/libpod-one"}}')
    parent = tmp_path / "memory" / "libpod_parent"
    (parent / "pod" / "libpod-one").mkdir(parents=True)
    going = [tmp_path / "cpu", parent / "another"]
    for path in going:
        path.mkdir()
    scan = os.scandir

    def scan_too_late(path: Any) -> Any:
        if Path(path) in going:
            Path(path).rmdir()
        return scan(path)

    monkeypatch.setattr(module, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "scandir", scan_too_late)
    assert look() == [parent / found]


def test_who_got_the_number_of_a_process_that_we_saw_is_spared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_HOST_DIR", str(tmp_path / "slots"))
    heirs: list[subprocess.Popen[bytes]] = []

    def see_one_that_ends(path: Path, cgroups: Iterable[Path]) -> set[int]:
        if heirs:
            return set()
        heirs.append(subprocess.Popen(["sleep", "600"]))
        return {heirs[0].pid}

    monkeypatch.setattr(processes, "of_slot", see_one_that_ends)
    sweep._kill(Names(0), [])
    with heirs[0] as heir:
        assert heir.poll() is None
        heir.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="slots are root's")
def test_runs_with_different_directories_get_different_numbers_and_know_of_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as claimed:
        numbers = set()
        for directory in ("one", "other"):
            monkeypatch.setenv("TEST_HOST_DIR", str(tmp_path / directory))
            got = slot.claim()
            numbers.add(got.number)
            claimed.callback(got.release)
            claimed.callback(monkeypatch.setenv, "TEST_HOST_DIR", str(tmp_path / directory))
        assert len(numbers) == 2
        monkeypatch.delenv("TEST_HOST_DIR")
        deadline = time.monotonic() + 60
        while not {tmp_path / "one", tmp_path / "other"} <= hugetlb.bases():
            assert time.monotonic() < deadline, "their keepers do not show it"
            time.sleep(0.02)  # a program that has only just begun shows no variables yet


@pytest.mark.skipif(os.geteuid() != 0, reason="slots are root's")
def test_a_dead_engine_whose_records_are_damaged_keeps_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_HOST_DIR", str(tmp_path))
    ours = slot.claim()
    try:
        names = Names(ours.number)
        state = Path(native_state.settings(names)["root"]) / "state.db"
        state.parent.mkdir(parents=True)
        state.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
        native_state.forget(names)
        assert not (names.path / native_state.DIRECTORY).exists()
    finally:
        ours.release()
