"""Container logs on a real engine: complete, once, over restarts of the runtime and of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cri import logs
from cri.errors import FailedPrecondition, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.docker import log_pump
from runtimes.docker.config import DockerConfig
from runtimes.docker.runtime import DockerRuntime
from tests.host.dockerd import PrivateDocker
from tests.host.engines import DockerEngine
from tests.runtimes.docker.pods import Pod, opened, pod_between_runtimes, until

UNTIL_TOLD = "while [ ! -e /tmp/told ]; do sleep 0.05; done;"
COUNT_UNTIL_TOLD = "n=0; while [ ! -e /tmp/told ]; do echo $n; n=$((n+1)); sleep 0.01; done; printf end"


def numbers(count: int) -> list[bytes]:
    return [b"%d" % each for each in range(count)]


async def tell(pod: Pod, container_id: str) -> None:
    """What some of the scripts above wait for."""
    told = v1.ExecSyncRequest(container_id=container_id, cmd=["touch", "/tmp/told"])
    await pod.runtime.exec_sync(told)


@pytest.fixture
async def pod(runtime: DockerRuntime, tmp_path: Path) -> AsyncIterator[Pod]:
    made = await Pod.make(runtime, tmp_path / "logs")
    yield made
    await made.aclose()


async def test_the_log_is_complete_as_soon_as_the_end_is_told(pod: Pod) -> None:
    container_id = await pod.run("seq 0 19999")
    await pod.exited(container_id)
    assert pod.texts() == numbers(20000)


async def test_the_log_is_complete_when_a_stop_returns(pod: Pod) -> None:
    container_id = await pod.run("trap 'seq 0 4999; exit' TERM; echo ready; while true; do sleep 0.05; done")
    await pod.logged(b"ready")
    await pod.stop(container_id, timeout=20)
    assert pod.texts() == [b"ready", *numbers(5000)]


async def test_the_log_is_complete_when_the_sandbox_was_removed(runtime: DockerRuntime, tmp_path: Path) -> None:
    pod = await Pod.make(runtime, tmp_path)
    await pod.run("seq 0 4999; sleep 600")
    await pod.logged(b"9")
    await pod.aclose()
    assert pod.texts() == numbers(len(pod.texts()))
    assert not runtime._logs._pumps


async def test_a_terminals_log_is_split_at_16_kib_too(pod: Pod) -> None:
    container_id = await pod.run("head -c 40000 /dev/zero | tr '\\0' x; echo; printf end", tty=True)
    await pod.exited(container_id)
    seen = [(len(record.text), record.partial) for record in logs.read(pod.path())]
    assert seen == [(16384, True), (16384, True), (7233, False), (3, True)]  # 7232 and the carriage return


async def test_lines_are_neither_lost_nor_doubled_over_restarts_of_the_runtime(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    async with pod_between_runtimes(docker_engine, tmp_path) as pod:
        async with opened(docker_engine) as pod.runtime:
            container_id = await pod.run(COUNT_UNTIL_TOLD)
            await pod.logged(b"3")
        for _ in range(5):
            before = len(pod.texts())
            async with opened(docker_engine) as pod.runtime:
                await until(lambda before=before: len(pod.texts()) > before, "the log goes on")
        async with opened(docker_engine) as pod.runtime:
            await tell(pod, container_id)
            await pod.exited(container_id)
            assert pod.texts() == [*numbers(len(pod.texts()) - 1), b"end"]


async def test_a_log_is_completed_when_its_container_ended_while_nobody_looked(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    async with pod_between_runtimes(docker_engine, tmp_path) as pod:
        async with opened(docker_engine) as pod.runtime:
            container_id = await pod.run("seq 0 9; sleep 1; seq 10 99; printf end")
            await pod.logged(b"9")
        with contextlib.closing(docker_engine.client()) as client:
            await asyncio.to_thread(client.api.wait, container_id)
        async with opened(docker_engine) as pod.runtime:
            await pod.exited(container_id)
            assert pod.texts() == [*numbers(100), b"end"]
        async with opened(docker_engine) as pod.runtime:
            await pod.exited(container_id)
            assert pod.texts() == [*numbers(100), b"end"]


async def test_a_log_of_an_ended_container_that_its_owner_removed_stays_away(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    async with pod_between_runtimes(docker_engine, tmp_path) as pod:
        async with opened(docker_engine) as pod.runtime:
            container_id = await pod.run("echo hello")
            await pod.exited(container_id)
        pod.path().unlink()
        async with opened(docker_engine) as pod.runtime:
            await pod.exited(container_id)
            assert not pod.path().exists()


async def test_a_restart_right_after_a_rotation_doubles_nothing(docker_engine: DockerEngine, tmp_path: Path) -> None:
    async with pod_between_runtimes(docker_engine, tmp_path) as pod:
        async with opened(docker_engine) as pod.runtime:
            container_id = await pod.run(f"echo first; {UNTIL_TOLD} echo second")
            await pod.logged(b"first")
            pod.path().rename(tmp_path / "c.log.20261124-131807")
            await pod.reopen(container_id)
            assert pod.path().read_bytes() == b""
        async with opened(docker_engine) as pod.runtime:
            await tell(pod, container_id)
            await pod.exited(container_id)
            assert pod.texts() == [b"second"]


async def test_lines_are_neither_lost_nor_doubled_over_restarts_of_the_engine(
    live_restore_docker_engine: PrivateDocker, tmp_path: Path
) -> None:
    engine = live_restore_docker_engine
    async with pod_between_runtimes(engine, tmp_path) as pod, opened(engine) as pod.runtime:
        # It ends when told, with the engine there: of what one prints while that is away the engine may lose the end.
        container_id = await pod.run(COUNT_UNTIL_TOLD)
        await pod.logged(b"3")
        await asyncio.to_thread(engine.restart)
        await asyncio.to_thread(engine.kill)
        await asyncio.to_thread(engine.start)
        seen = len(pod.texts())
        await until(lambda: len(pod.texts()) > seen, "the log goes on")
        await tell(pod, container_id)
        await pod.exited(container_id)
        assert pod.texts() == [*numbers(len(pod.texts()) - 1), b"end"]


async def test_only_the_log_of_a_running_container_is_opened_again(pod: Pod) -> None:
    created = await pod.create("true", name="created")
    ended = await pod.run("true", name="ended")
    await pod.exited(ended)
    pod.path("ended").unlink()
    for container_id in (created, ended):
        with pytest.raises(FailedPrecondition, match="only the log of a running one"):
            await pod.reopen(container_id)
    with pytest.raises(NotFound):
        await pod.reopen("0" * 64)
    assert not pod.path("created").exists()
    assert not pod.path("ended").exists()


async def test_a_log_that_cannot_be_opened_again_goes_on_in_the_old_file(pod: Pod, tmp_path: Path) -> None:
    container_id = await pod.run(COUNT_UNTIL_TOLD)
    await pod.logged(b"2")
    old = pod.path().rename(tmp_path / "old.log")
    pod.path().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FailedPrecondition, match="cannot be opened again"):
        await pod.reopen(container_id)
    assert not (tmp_path / "elsewhere").exists()
    seen = len(logs.read(old))
    await until(lambda: len(logs.read(old)) > seen, "the old file grows")


async def test_a_symlink_in_the_way_is_said_and_tried_again(
    pod: Pod, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pod.directory.mkdir()
    pod.path().symlink_to(tmp_path / "elsewhere")
    container_id = await pod.run("seq 0 9; sleep 600")
    await until(lambda: "cannot be written" in caplog.text, "a warning")
    pod.path().unlink()
    await pod.logged(b"9")
    assert pod.texts() == numbers(10)
    assert not (tmp_path / "elsewhere").exists()
    assert caplog.text.count("cannot be written") == 1
    await pod.stop(container_id)


async def test_a_directory_that_leads_out_of_the_sandboxs_is_not_written_to(
    pod: Pod, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pod.directory.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (pod.directory / "sub").symlink_to(outside)
    container_id = await pod.run("echo hello", log_path="sub/c.log")
    await pod.exited(container_id)
    assert "leads out of" in caplog.text
    assert list(outside.iterdir()) == []


async def test_a_full_disk_is_said_and_no_line_is_lost(
    pod: Pod, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, write = True, os.write

    def fill(file: int, data: bytes) -> int:
        if full and data.endswith(b" F 5\n"):
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", fill)
    await pod.run("seq 0 9; sleep 600")
    await until(lambda: "No space left" in caplog.text, "a warning")
    full = False
    await pod.logged(b"9")
    assert pod.texts() == numbers(10)


def drive(runtime: DockerRuntime, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have containers made with this log driver, of which the runtime knows by looking at them only."""
    create = runtime._engine.client.create_container_from_config

    def driven(config: dict[str, dict[str, object]], *rest: object) -> object:
        config["HostConfig"]["LogConfig"] = {"Type": driver, "Config": {}}
        return create(config, *rest)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(runtime._engine.client, "create_container_from_config", driven)
    monkeypatch.setattr(runtime._fresh, "get", lambda container_id: None)


async def test_a_driver_that_keeps_no_log_is_said_once(
    pod: Pod, runtime: DockerRuntime, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(runtime, "none", monkeypatch)
    container_id = await pod.run("echo hello")
    await pod.exited(container_id)
    assert pod.texts() == []
    assert caplog.text.count("keeps no log") == 1


async def test_the_local_driver_keeps_the_ends_of_long_lines(
    pod: Pod, runtime: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(runtime, "local", monkeypatch)
    container_id = await pod.run("head -c 20000 /dev/zero | tr '\\0' x; echo; echo next; printf end")
    await pod.exited(container_id)
    seen = [(len(record.text), record.partial) for record in logs.read(pod.path())]
    assert seen == [(16384, True), (3616, False), (4, False), (3, True)]


async def test_removing_ends_the_pump_and_leaves_the_file(pod: Pod, runtime: DockerRuntime) -> None:
    container_id = await pod.run("echo hello; sleep 600")
    await pod.logged(b"hello")
    await pod.remove(container_id)
    assert not runtime._logs._pumps
    assert pod.texts() == [b"hello"]


async def test_a_closed_runtime_has_no_file_open(docker_engine: DockerEngine, tmp_path: Path) -> None:
    async with pod_between_runtimes(docker_engine, tmp_path) as pod:
        async with opened(docker_engine) as pod.runtime:
            await pod.run("echo hello; sleep 600")
            await pod.logged(b"hello")
        assert not [link for link in _open_files() if str(tmp_path) in link]


async def test_two_runtimes_on_one_engine_write_a_log_once_and_the_second_goes_on_where_the_first_ends(
    docker_engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_pump, "LONGEST_PAUSE", 0.2)
    async with pod_between_runtimes(docker_engine, tmp_path) as pod:
        async with opened(docker_engine) as pod.runtime:
            container_id = await pod.run(COUNT_UNTIL_TOLD)
            second = await DockerRuntime.open(DockerConfig(host=docker_engine.address))
            await pod.logged(b"50")
        pod.runtime = second
        seen = len(pod.texts())
        await until(lambda: len(pod.texts()) > seen, "the log goes on")
        await tell(pod, container_id)
        await pod.exited(container_id)
        await second.aclose()
        assert pod.texts() == [*numbers(len(pod.texts()) - 1), b"end"]


async def test_a_start_that_fails_leaves_no_pump(pod: Pod, runtime: DockerRuntime) -> None:
    container_id = await pod.create("", command=["no-such-program"])
    with pytest.raises(FailedPrecondition):
        await pod.start(container_id)
    assert not runtime._logs._pumps


def _open_files() -> list[str]:
    return [os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir()]
