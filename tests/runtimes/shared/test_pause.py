"""The pause program is run, not only looked at."""

from __future__ import annotations

import io
import json
import os
import platform
import select
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cri.errors import Unimplemented
from runtimes.shared import pause

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")

runs_here = pytest.mark.skipif(not ARCHITECTURE, reason=f"no pause program for {platform.machine()}")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "pause"
    path.write_bytes(pause.program(ARCHITECTURE))
    path.chmod(0o755)
    return path


@pytest.fixture
def running(program: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([program]) as process:
        try:
            wait_until_ready(process.pid)
            yield process
        finally:
            process.kill()


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def wait_until_ready(pid: int) -> None:
    """The program has no way to say so: it ignores SIGCHLD first, and then sleeps nowhere but in its wait."""
    deadline = time.monotonic() + 10
    while not ((now := status(pid))["State"].startswith("S") and int(now["SigIgn"], 16) >> signal.SIGCHLD - 1 & 1):
        assert time.monotonic() < deadline, "the program never came to its wait"
        time.sleep(0.001)


@runs_here
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0_on_a_stop_signal(running: subprocess.Popen[bytes], number: signal.Signals) -> None:
    running.send_signal(number)
    assert running.wait(5) == 0


@runs_here
def test_it_goes_on_after_being_stopped_and_continued(running: subprocess.Popen[bytes]) -> None:
    running.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, running.pid, os.WSTOPPED)
    running.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, running.pid, os.WCONTINUED)
    assert running.poll() is None


@runs_here
def test_its_children_leave_no_zombies(program: Path) -> None:
    # The shell starts a child that waits for the pipe to close, and becomes the program: the child is the program's.
    script = 'exec 3<&0; cat <&3 >/dev/null & echo $!; exec 3<&-; exec "$0" </dev/null >/dev/null'
    with subprocess.Popen(["sh", "-c", script, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            child = int(parent.stdout.readline())
            wait_until_ready(parent.pid)
            ended = os.pidfd_open(child)
            parent.stdin.close()
            select.select([ended], [], [], 10)
            os.close(ended)
            assert not Path(f"/proc/{child}").exists()
        finally:
            parent.kill()


@runs_here
def test_its_stack_cannot_be_executed(running: subprocess.Popen[bytes]) -> None:
    maps = Path(f"/proc/{running.pid}/maps").read_text().splitlines()
    permissions = {line.split()[-1]: line.split()[1] for line in maps}
    assert permissions["[stack]"] == "rw-p"


@pytest.mark.parametrize("architecture", pause.ARCHITECTURES)
def test_the_image_is_for_its_architecture_and_always_the_same(architecture: str) -> None:
    archive = pause.docker_archive(architecture)
    assert archive == pause.docker_archive(architecture)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(manifest[0]["Config"]))  # type: ignore[arg-type]
    assert manifest[0]["RepoTags"] == [pause.NAME]
    assert config["architecture"] == architecture


def test_an_architecture_without_a_program_is_refused_by_name() -> None:
    with pytest.raises(Unimplemented, match="riscv64"):
        pause.program("riscv64")
