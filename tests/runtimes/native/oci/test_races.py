"""Volumes that one container changes while another is made: what is a directory when somebody looks may be a link to
the host when somebody writes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.oci import weaknesses
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import config

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_TRIES = 8


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """While it lasts the two change places as quickly as the kernel can."""
    libc, ended = ctypes.CDLL(None, use_errno=True), threading.Event()

    def exchange() -> None:
        while not ended.is_set():
            libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host that nothing may come into."""
    found = tmp_path / "host"
    found.mkdir()
    return found


@pytest.fixture
def volume(tmp_path: Path, host: Path) -> Path:
    """One with a directory, and beside it a link to the host's."""
    found = tmp_path / "volume"
    (found / "sub").mkdir(parents=True)
    (found / "trap").symlink_to(host)
    return found


def makes_directories_on_the_host(bench: Bench) -> bool:
    """Whether it is known to: CVE-2024-45310 of runc, which nothing on our side can prevent, as the volume may change
    after whatever we do."""
    said = subprocess.run([bench.runtime, "--version"], check=True, capture_output=True, text=True).stdout.split()
    return bool(weaknesses.of(Path(bench.runtime).name, said[said.index("version") + 1]))


def test_a_mount_below_a_volume_never_lands_on_the_host(
    either: Bench, tmp_path: Path, volume: Path, host: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("of the source")
    wanted = config(
        command=["true"],
        mounts=[
            v1.Mount(container_path="/v", host_path=str(volume)),
            v1.Mount(container_path="/v/sub/below/deeper", host_path=str(source)),
        ],
    )
    pod = either.sandbox()
    with exchanging(volume / "sub", volume / "trap"):
        for _ in range(_TRIES):
            either.run(either.spec(wanted, pod))
            # While it lasted, too: a mount there would show the source's file.
            assert [found for found in host.rglob("*") if not found.is_dir()] == []
            assert str(host) not in Path("/proc/self/mountinfo").read_text()
    made = {str(found.relative_to(host)) for found in host.rglob("*")}
    assert made <= ({"below", "below/deeper"} if makes_directories_on_the_host(either) else set())
    assert (source / "file").read_text() == "of the source"


def test_a_masked_path_in_a_volume_never_masks_the_hosts(crun: Bench, volume: Path, host: Path) -> None:
    (host / "file").write_text("of the host")
    wanted = config(command=["true"], mounts=[v1.Mount(container_path="/v", host_path=str(volume))])
    wanted.linux.security_context.masked_paths.extend(["/v/sub/file", "/v/sub"])
    pod = crun.sandbox()
    with exchanging(volume / "sub", volume / "trap"):
        for _ in range(_TRIES):
            crun.run(crun.spec(wanted, pod))
    assert (host / "file").read_text() == "of the host"
