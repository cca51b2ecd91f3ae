"""Checkpoints on Podman, which needs CRIU for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented
from cri.v1 import api_pb2 as v1
from tests.runtimes.pods import Pod


async def checkpoint(pod: Pod, container_id: str, location: Path | str, **fields: int) -> None:
    request = v1.CheckpointContainerRequest(container_id=container_id, location=str(location), **fields)
    await pod.runtime.checkpoint_container(request)


async def test_without_criu_it_is_unimplemented_and_leaves_no_file(pod: Pod, tmp_path: Path) -> None:
    if shutil.which("criu"):
        pytest.skip("criu is installed here")
    container_id = await pod.run("sleep 600")
    with pytest.raises(Unimplemented, match=r"(?i)criu"):
        await checkpoint(pod, container_id, tmp_path / "c.tar")
    assert not any(name.startswith("c.tar") for name in os.listdir(tmp_path))
    assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING


async def test_only_a_running_container_can_be_written(pod: Pod, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await checkpoint(pod, "0" * 64, tmp_path / "c.tar")
    with pytest.raises(FailedPrecondition, match="not running"):
        await checkpoint(pod, await pod.create("true"), tmp_path / "c.tar")


async def test_a_place_that_cannot_be_written_is_told(pod: Pod, tmp_path: Path) -> None:
    container_id = await pod.run("sleep 600")
    with pytest.raises(FailedPrecondition, match="cannot be written"):
        await checkpoint(pod, container_id, tmp_path / "nowhere/c.tar")
    with pytest.raises(InvalidArgument, match="location"):
        await checkpoint(pod, container_id, "c.tar")
    with pytest.raises(InvalidArgument, match="timeout"):
        await checkpoint(pod, container_id, tmp_path / "c.tar", timeout=-1)
