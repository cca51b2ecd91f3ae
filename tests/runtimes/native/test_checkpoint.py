"""Checkpoints, by an OCI runtime that only says that it made one: CRIU is not everywhere."""

from __future__ import annotations

import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.oci_runtime import find_program
from runtimes.native.places import Places
from runtimes.native.runtime import NativeRuntime
from tests.runtimes.native import dying
from tests.runtimes.pods import Pod

WRITES = """#!/bin/sh
case "$*" in *" checkpoint "*)
    while [ "$1" != --image-path ]; do shift; done
    exec touch "$2/inventory.img"
esac
exec {crun} "$@"
"""


@pytest.fixture
async def runtime(
    config: NativeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[NativeRuntime]:
    for name, script in (("writes", WRITES.format(crun=find_program("crun", "crun"))), ("criu", "")):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    async with await NativeRuntime.open(config.model_copy(update={"runtime": str(tmp_path / "writes")})) as made:
        yield made


async def test_nothing_of_a_checkpoint_that_was_cut_short_is_in_the_next_one(
    pod: Pod, config: NativeConfig, tmp_path: Path
) -> None:
    container_id = await pod.run("sleep 600")
    cut_short = Places.of(config).container(container_id) / "checkpoint"
    cut_short.mkdir()
    (cut_short / "core-9.img").touch()
    place = tmp_path / "place.tar"
    await pod.runtime.checkpoint_container(
        v1.CheckpointContainerRequest(container_id=container_id, location=str(place))
    )
    with tarfile.open(place) as archive:
        assert sorted(archive.getnames()) == ["checkpoint", "checkpoint/inventory.img", "config.json"]


async def test_nothing_of_a_checkpoint_is_left_beside_its_place_when_the_engine_is_killed_over_it(
    pod: Pod, config: NativeConfig, tmp_path: Path
) -> None:
    request = v1.CheckpointContainerRequest(
        container_id=await pod.run("sleep 600"), location=str(tmp_path / "checkpoints" / "place.tar")
    )
    (tmp_path / "checkpoints").mkdir()
    writes = config.model_copy(update={"runtime": str(tmp_path / "writes")})
    assert await dying.die(writes, "checkpoint_container", request, "checkpoint:_archive:4")
    assert os.listdir(tmp_path / "checkpoints") == []
