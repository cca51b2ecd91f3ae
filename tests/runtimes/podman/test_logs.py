"""Log files on Podman: written by its monitors, whoever comes and goes meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cri import logs
from cri.errors import FailedPrecondition, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.podman.log_file import log_configuration
from runtimes.podman.runtime import PodmanRuntime
from tests.host.podmans import PodmanEngine
from tests.runtimes.podman.conftest import opened
from tests.runtimes.pods import Pod, until

COUNT = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.005; done"
LINES = [f"line {number}".encode() for number in range(1, 401)]


async def test_both_streams_are_in_the_log_with_their_times_and_an_unfinished_line_is_partial(pod: Pod) -> None:
    container_id = await pod.run("echo out; echo err >&2; printf rest")
    status = await pod.exited(container_id)
    records = logs.read(pod.path())
    assert {(record.stream, record.text, record.partial) for record in records} == {
        ("stdout", b"out", False),
        ("stderr", b"err", False),
        ("stdout", b"rest", True),
    }
    assert all(status.created_at <= record.timestamp_ns for record in records)
    assert status.log_path == str(pod.path())


async def test_the_directories_of_a_log_are_made(pod: Pod) -> None:
    await pod.exited(await pod.run("echo deep", log_path="some/where/c.log"))
    assert [record.text for record in logs.read(pod.directory / "some/where/c.log")] == [b"deep"]


async def test_a_long_line_is_cut_and_comes_back_whole(pod: Pod) -> None:
    await pod.exited(await pod.run("head -c 40000 /dev/zero | tr '\\0' x; echo"))
    records = logs.read(pod.path())
    assert b"".join(record.text for record in records) == b"x" * 40000
    assert [record.partial for record in records] == [True] * (len(records) - 1) + [False]
    assert max(len(record.text) for record in records) <= 16 * 1024


async def test_the_output_of_a_terminal_is_logged(pod: Pod) -> None:
    await pod.exited(await pod.run("echo seen; echo too >&2", tty=True))
    assert [(record.stream, record.text) for record in logs.read(pod.path())] == [
        ("stdout", b"seen\r"),
        ("stdout", b"too\r"),
    ]


async def test_no_line_is_lost_or_doubled_when_the_service_is_killed(
    private_podman_engine: PodmanEngine, tmp_path: Path
) -> None:
    engine = private_podman_engine
    async with opened(engine) as runtime:
        pod = await Pod.make(runtime, tmp_path)
        container_id = await pod.run(COUNT)
        await pod.logged(b"line 20")
        engine.kill()
        await pod.logged(b"line 200")
        engine.start()
        await pod.exited(container_id)
        assert pod.texts() == LINES
        await pod.aclose()


async def test_no_line_is_lost_or_doubled_when_this_runtime_goes(podman_engine: PodmanEngine, tmp_path: Path) -> None:
    async with opened(podman_engine) as runtime:
        pod = await Pod.make(runtime, tmp_path)
        container_id = await pod.run(COUNT)
        await pod.logged(b"line 20")
    async with opened(podman_engine) as pod.runtime:
        await pod.exited(container_id)
        assert pod.texts() == LINES
        await pod.aclose()


async def test_after_a_rotation_writing_goes_on_in_a_fresh_file_without_a_gap(pod: Pod) -> None:
    container_id = await pod.run(COUNT)
    await pod.logged(b"line 20")
    pod.path().rename(pod.directory / "c.log.1")
    await pod.reopen(container_id)
    assert pod.path().exists()
    await pod.exited(container_id)
    old = [record.text for record in logs.read(pod.directory / "c.log.1")]
    new = pod.texts()
    assert new
    assert old + new == LINES


async def test_reopening_a_log_that_was_not_moved_keeps_it(pod: Pod) -> None:
    container_id = await pod.run("echo before; while [ ! -e /go ]; do sleep 0.05; done; echo after; sleep 600")
    await pod.logged(b"before")
    await pod.reopen(container_id)
    await pod.runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=["touch", "/go"]))
    await pod.logged(b"after")
    assert pod.texts() == [b"before", b"after"]


async def test_a_fresh_empty_file_may_be_there_already_but_no_other(pod: Pod) -> None:
    container_id = await pod.run("echo before; while :; do sleep 0.1; echo tick; done")
    await pod.logged(b"before")
    pod.path().rename(pod.directory / "c.log.1")
    pod.path().write_bytes(b"a stranger's\n")
    with pytest.raises(FailedPrecondition, match="something else"):
        await pod.reopen(container_id)
    assert pod.path().read_bytes() == b"a stranger's\n"
    pod.path().write_bytes(b"")
    await pod.reopen(container_id)
    await pod.logged(b"tick")


async def test_a_reopening_that_fails_makes_no_file_and_the_container_lives(pod: Pod) -> None:
    container_id = await pod.run("echo before; sleep 600", log_path="sub/c.log")
    await until((pod.directory / "sub/c.log").exists, "the log is there")
    (pod.directory / "sub").rename(pod.directory / "moved")
    with pytest.raises(FailedPrecondition):
        await pod.reopen(container_id)
    assert not (pod.directory / "sub").exists()
    assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING


async def test_only_the_log_of_a_running_container_is_reopened(pod: Pod) -> None:
    with pytest.raises(NotFound):
        await pod.reopen("0" * 64)
    container_id = await pod.run("true")
    await pod.exited(container_id)
    pod.path().rename(pod.directory / "c.log.1")
    with pytest.raises(FailedPrecondition, match="only the log of a running one"):
        await pod.reopen(container_id)
    assert not pod.path().exists()


async def test_a_link_does_not_lead_a_log_elsewhere(pod: Pod, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    elsewhere.write_bytes(b"precious\n")
    os.symlink(elsewhere, pod.path())
    container_id = await pod.create("echo overwritten")
    with pytest.raises(FailedPrecondition, match="leads out"):
        await pod.start(container_id)
    assert elsewhere.read_bytes() == b"precious\n"
    pod.path().unlink()
    await pod.start(container_id)
    await pod.logged(b"overwritten")


async def test_a_log_outlives_its_container(pod: Pod) -> None:
    container_id = await pod.run("echo kept")
    await pod.exited(container_id)
    await pod.remove(container_id)
    assert pod.texts() == [b"kept"]


async def test_a_container_without_log_path_runs_and_has_none(pod: Pod, runtime: PodmanRuntime) -> None:
    container_id = await pod.run("echo unheard", log_path="")
    assert (await pod.exited(container_id)).log_path == ""
    assert list(pod.directory.iterdir()) == []


def test_the_monitor_is_told_the_path_and_to_keep_everything() -> None:
    request = v1.CreateContainerRequest(
        config=v1.ContainerConfig(log_path="c/0.log"),
        sandbox_config=v1.PodSandboxConfig(log_directory="/var/log/pods/p"),
    )
    assert log_configuration(request) == {"driver": "k8s-file", "path": "/var/log/pods/p/c/0.log", "size": -1}
    assert log_configuration(v1.CreateContainerRequest()) == {}
