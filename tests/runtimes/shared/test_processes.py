"""Finding and killing what a process has started, on this host's own processes."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.shared import processes
from runtimes.shared.processes import Process


def test_a_tree_is_the_root_its_descendants_and_its_session() -> None:
    table = {
        1: Process(parent=0, session=1),
        10: Process(parent=1, session=10),
        11: Process(parent=10, session=10),
        12: Process(parent=11, session=12),  # a descendant with a session of its own
        13: Process(parent=1, session=10),  # an orphan
        14: Process(parent=13, session=14),  # an orphan's child
        20: Process(parent=1, session=20),
    }
    assert processes.tree(table, 10) == {10, 11, 12, 13, 14}


def test_the_tree_of_a_process_that_is_gone_is_what_it_left_in_its_session() -> None:
    assert processes.tree({13: Process(parent=1, session=10)}, 10) == {10, 13}


@pytest.mark.parametrize("name", [b"sh", b"a b", b"(sd-pam)", b"x) S 1 2"])
def test_a_name_with_spaces_and_parentheses_is_no_obstacle(name: bytes) -> None:
    assert processes.parse_stat(b"7 (" + name + b") S 3 7 5 0 -1 0") == Process(parent=3, session=5)


def test_the_table_has_this_process() -> None:
    assert processes.table()[os.getpid()] == Process(parent=os.getppid(), session=os.getsid(0))


SCRIPT = "sleep 1000 & (sleep 1000 & echo $!) & echo $!; wait"


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[str]]:
    """A shell that leads a session, as a command that an engine started does, with children and an orphan."""
    with subprocess.Popen(["sh", "-c", SCRIPT], start_new_session=True, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        started.stdout.readline()
        started.stdout.readline()
        yield started
        try:
            os.killpg(started.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def alive_in_session(session: int) -> set[int]:
    living = set()
    for pid, process in processes.table().items():
        if process.session == session and not is_zombie(pid):
            living.add(pid)
    return living


def is_zombie(pid: int) -> bool:
    try:
        return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True


def a_cgroup_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().splitlines()[-1]


async def test_the_whole_tree_is_dead_on_return(leader: subprocess.Popen[str]) -> None:
    assert len(alive_in_session(leader.pid)) > 2
    assert await asyncio.to_thread(processes.kill_tree, leader.pid, a_cgroup_of(leader.pid))
    assert alive_in_session(leader.pid) == set()
    assert leader.wait(timeout=5) == -signal.SIGKILL


def test_a_process_that_is_not_the_containers_is_left_alone(leader: subprocess.Popen[str]) -> None:
    assert not processes.kill_tree(leader.pid, "0" * 64)
    assert leader.poll() is None
    assert not is_zombie(leader.pid)


def test_a_process_that_has_ended_is_not_there_to_be_killed() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert not processes.kill_tree(ended.pid, "0" * 64)


def test_only_a_process_of_the_container_may_be_killed() -> None:
    own = a_cgroup_of(os.getpid())
    assert processes.may_kill(os.getpid(), own)
    assert not processes.may_kill(os.getpid(), "0" * 64)
    assert not processes.may_kill(0, own)
    assert not processes.may_kill(os.getpid(), "")


def test_a_process_that_nobody_waited_for_yet_has_ended() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.has_ended(child.pid)
    child.wait()
    assert not processes.has_ended(os.getpid())


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as started:
        yield started
        started.kill()


def test_a_number_that_another_process_has_by_now_is_sent_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    assert not processes.send(sleeper.pid, signal.SIGKILL, lambda pid: pid != sleeper.pid)
    assert sleeper.poll() is None


@pytest.mark.parametrize("pid", [0, -1, 1 << 22])
def test_what_is_no_process_is_sent_nothing(pid: int) -> None:
    assert not processes.send(pid, signal.SIGKILL, lambda found: True)


@pytest.mark.parametrize("old_kernel", [False, True])
def test_one_that_belongs_is_sent_the_signal(
    sleeper: subprocess.Popen[bytes], old_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old_kernel:
        monkeypatch.setattr(os, "pidfd_open", _not_there)
    assert processes.send(sleeper.pid, signal.SIGTERM, lambda pid: pid == sleeper.pid)
    assert sleeper.wait(10) == -signal.SIGTERM


def _not_there(pid: int) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def test_of_a_list_who_is_still_on_it_is_killed(sleeper: subprocess.Popen[bytes]) -> None:
    looks = [[sleeper.pid], []]
    processes.kill_listed(lambda: looks.pop(0))
    assert sleeper.poll() is None
    processes.kill_listed(lambda: [sleeper.pid])
    assert sleeper.wait(10) == -signal.SIGKILL
