"""Checkpoints on Docker, which needs its experimental features and CRIU for them."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cri.errors import CRIError, FailedPrecondition, Internal, InvalidArgument, NotFound, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.checkpoint import explained
from tests.host.dockerd import PrivateDocker
from tests.runtimes.docker.examples import facts
from tests.runtimes.docker.pods import Pod, opened

NO_CRIU = 'runc did not terminate successfully: exit status 1: CRIU version check failed: exec: "criu": not found'
FAILED = "runc did not terminate successfully: exit status 1: criu failed: type DUMP errno 0"


async def checkpoint(pod: Pod, container_id: str, location: Path | str, **fields: int) -> None:
    request = v1.CheckpointContainerRequest(container_id=container_id, location=str(location), **fields)
    await pod.runtime.checkpoint_container(request)


@pytest.fixture
async def experimental(experimental_docker_engine: PrivateDocker, tmp_path: Path) -> AsyncIterator[Pod]:
    """A pod on an engine that was started with its experimental features."""
    async with opened(experimental_docker_engine) as runtime:
        pod = await Pod.make(runtime, tmp_path / "logs")
        yield pod
        await pod.aclose()


def test_an_engine_says_whether_it_was_started_with_experimental() -> None:
    assert not facts().features.checkpoints
    assert facts(ExperimentalBuild=True).features.checkpoints


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Internal(NO_CRIU), Unimplemented),
        (Internal(FAILED), FailedPrecondition),
        (Internal("anything else"), Internal),
        (NotFound("No such container"), NotFound),
    ],
)
def test_a_missing_criu_is_not_a_failing_one(error: CRIError, expected: type[CRIError]) -> None:
    assert type(explained(error)) is expected
    assert error.message in explained(error).message


async def test_without_experimental_it_is_unimplemented_and_leaves_no_file(pod: Pod, tmp_path: Path) -> None:
    container_id = await pod.run("sleep 600")
    with pytest.raises(Unimplemented, match="experimental"):
        await checkpoint(pod, container_id, tmp_path / "c.tar")
    assert left(tmp_path) == []


async def test_a_running_container_is_written_and_runs_on(experimental: Pod, tmp_path: Path) -> None:
    container_id = await experimental.run("n=0; while true; do echo $n; n=$((n+1)); sleep 0.1; done")
    await experimental.logged(b"3")
    await experimental_checkpoint(experimental, container_id, tmp_path / "c.tar")
    with tarfile.open(tmp_path / "c.tar") as archive:
        assert {"checkpoint/inventory.img", "checkpoint/pstree.img", "config.dump"} <= set(archive.getnames())
        described = archive.extractfile("config.dump")
        assert described is not None
        assert json.load(described)["id"] == container_id
    assert (tmp_path / "c.tar").stat().st_mode & 0o777 == 0o600
    assert left(tmp_path) == ["c.tar"]
    before = experimental.texts()[-1]
    await experimental.logged(str(int(before) + 3).encode())


async def test_only_a_running_container_can_be_written(pod: Pod, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await checkpoint(pod, "0" * 64, tmp_path / "c.tar")
    with pytest.raises(FailedPrecondition, match="not running"):
        await checkpoint(pod, await pod.create("true"), tmp_path / "c.tar")


async def test_a_place_that_cannot_be_written_is_told(experimental: Pod, tmp_path: Path) -> None:
    container_id = await experimental.run("sleep 600")
    with pytest.raises(FailedPrecondition, match="cannot be written"):
        await checkpoint(experimental, container_id, tmp_path / "nowhere/c.tar")
    with pytest.raises(InvalidArgument, match="location"):
        await checkpoint(experimental, container_id, "c.tar")
    with pytest.raises(InvalidArgument, match="timeout"):
        await checkpoint(experimental, container_id, tmp_path / "c.tar", timeout=-1)


async def experimental_checkpoint(pod: Pod, container_id: str, location: Path) -> None:
    """``checkpoint``, or a skip where CRIU is missing or too old for the kernel."""
    try:
        await checkpoint(pod, container_id, location)
    except Unimplemented as error:
        pytest.skip(f"no CRIU here: {error.message}")
    except FailedPrecondition as error:
        if shutil.which("criu") is None or "criu failed" not in error.message:
            raise
        assert left(location.parent) == []
        pytest.skip(f"CRIU cannot write on this host: {error.message}")


def left(folder: Path) -> list[str]:
    """What is there beside the container's log."""
    return sorted(name for name in os.listdir(folder) if name not in ("logs", "c.log"))
