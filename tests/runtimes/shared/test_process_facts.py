"""What /proc and directories say, in trees of files as they really look and of this process."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from runtimes.shared import disk_usage, process_facts
from runtimes.shared.process_facts import Interface

DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
    lo:     9       9    9    9    0     0          0         0        9       9    9    9    0     0       0          0
  eth1:     1       2    3    4    0     0          0         0        5       6    7    8    0     0       0          0
  eth0:    11      12   13   14    0     0          0         0       15      16   17   18    0     0       0          0
"""


def test_open_files_and_sockets_of_a_process_are_counted() -> None:
    before = process_facts.of_processes([os.getpid()])
    with socket.socket():
        after = process_facts.of_processes([os.getpid()])
    assert (after.processes, after.sockets - before.sockets) == (1, 1)
    assert after.file_descriptors == before.file_descriptors + 1
    assert dict(after.ulimits)["max_open_files"] > 0


def test_a_process_that_has_ended_does_not_count(tmp_path: Path) -> None:
    assert process_facts.of_processes([1, 2], tmp_path) == process_facts.ProcessFacts()


def test_a_limit_that_there_is_none_of_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "7" / "fd").mkdir(parents=True)
    (tmp_path / "7" / "limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max cpu time              unlimited            unlimited            seconds   \n"
        "Max open files            1024                 4096                 files     \n"
    )
    assert process_facts.of_processes([7], tmp_path).ulimits == (("max_open_files", 1024),)


def test_interfaces_are_read_without_loopback_and_the_default_one_first(tmp_path: Path) -> None:
    (tmp_path / "7" / "net").mkdir(parents=True)
    (tmp_path / "7" / "net" / "dev").write_text(DEV)
    assert process_facts.interfaces(7, tmp_path) == [
        Interface("eth0", 11, 12, 13, 14, 15, 16, 17, 18),
        Interface("eth1", 1, 2, 3, 4, 5, 6, 7, 8),
    ]


def test_a_directory_is_added_up_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"x" * 100_000)
    empty = disk_usage.below(str(tmp_path / "a" / "b" / "nothing"))
    found = disk_usage.below(str(tmp_path))
    assert found.inodes == 4
    assert found.used_bytes is not None
    assert found.used_bytes >= 100_000
    assert empty == disk_usage.DiskUsage(0, 0)


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert disk_usage.below(str(tmp_path)).inodes == 2


def test_a_file_system_that_cannot_be_seen_is_unknown(tmp_path: Path) -> None:
    assert disk_usage.file_system(str(tmp_path)).size > 0
    assert disk_usage.file_system(str(tmp_path / "gone")) == disk_usage.FileSystem()
