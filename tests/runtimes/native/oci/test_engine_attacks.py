"""Attacks on a whole engine: what only exec, images mounted as volumes and neighbours can try."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from cri.errors import CRIError, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.runtime import NativeRuntime
from tests.host.images import Image, docker_archive
from tests.runtimes.behaviour.hand import EngineHand
from tests.runtimes.native.oci.examples import Profile, context
from tests.runtimes.pods import Pod

CONFINED = v1.LinuxContainerConfig(security_context=context(seccomp=Profile(), no_new_privs=True))
FOREVER = "while true; do sleep 1000; done"


async def printed(pod: Pod, container_id: str, script: str) -> str:
    """What a shell prints that is run in the container, errors included."""
    command = ["sh", "-c", f"{{ {script}; }} 2>&1"]
    request = v1.ExecSyncRequest(container_id=container_id, cmd=command, timeout=60)
    return (await pod.runtime.exec_sync(request)).stdout.decode().strip()


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


async def test_a_command_in_a_container_has_no_more_rights_than_the_container(pod: Pod) -> None:
    container_id = await pod.run(FOREVER, linux=CONFINED)
    words = "CapEff|CapBnd|CapInh|Seccomp:|NoNewPrivs"
    own = await printed(pod, container_id, f"grep -E '{words}' /proc/1/status")
    assert await printed(pod, container_id, f"grep -E '{words}' /proc/self/status") == own
    assert "Seccomp:\t2" in own
    assert "NoNewPrivs:\t1" in own
    assert "Operation not permitted" in await printed(pod, container_id, "mknod /tmp/disk b 254 0")
    assert "Read-only" in await printed(pod, container_id, "echo x > /proc/sys/kernel/core_pattern")


async def test_the_runtime_cannot_be_overwritten_by_what_it_runs(pod: Pod) -> None:
    programs = [path for name in ("crun", "runc", "conmon") if (path := shutil.which(name, path="/usr/sbin:/usr/bin"))]
    before = [digest(path) for path in programs]
    writer = "while true; do for exe in /proc/[0-9]*/exe; do echo overwritten > $exe; done; done 2>/dev/null"
    container_id = await pod.run(writer, linux=CONFINED)
    await printed(pod, container_id, "echo '#!/proc/self/exe' > /trap; chmod 755 /trap")
    for _ in range(5):
        request = v1.ExecSyncRequest(container_id=container_id, cmd=["/trap"], timeout=20)
        try:
            await pod.runtime.exec_sync(request)
        except CRIError:
            continue  # that the trap runs at all is not promised
    assert [digest(path) for path in programs] == before


@dataclass(frozen=True)
class Trap(Image):
    """An image with links to ``target``: at ``/trap``, and at ``/climb`` by more ``..`` than a root is deep."""

    target: Path = Path("/")

    def layer(self) -> bytes:
        buffer = io.BytesIO(super().layer())
        with tarfile.open(fileobj=buffer, mode="a") as layer:
            for name, target in (("trap", str(self.target)), ("climb", "../" * 20 + str(self.target).lstrip("/"))):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, target
                layer.addfile(link)
        return buffer.getvalue()


@pytest.mark.parametrize("part", ["trap", "climb", "../../../..", "bin/../../../../.."])
async def test_a_part_of_an_image_that_leads_out_of_it_is_refused(
    pod: Pod, hand: EngineHand, tmp_path: Path, part: str
) -> None:
    (tmp_path / "secret").write_text("of the host")
    name = f"localhost/trap-{secrets.token_hex(4)}:1"
    hand.load(docker_archive(name, image=Trap(target=tmp_path)))
    mount = v1.Mount(container_path="/v", image=v1.ImageSpec(image=name), image_sub_path=part, readonly=True)
    try:
        with pytest.raises(InvalidArgument, match="image_sub_path"):
            await pod.create("true", mounts=[mount])
    finally:
        hand.remove_image(name)


async def test_nothing_of_the_engine_or_of_a_neighbour_is_seen(pod: Pod, config: NativeConfig) -> None:
    neighbour = await pod.run("echo of a neighbour > /neighbours; " + FOREVER, name="neighbour", linux=CONFINED)
    container_id = await pod.run(FOREVER, linux=CONFINED)
    assert await printed(pod, container_id, f"ls -d {config.root} {config.run} 2>/dev/null") == ""
    assert await printed(pod, container_id, "cat /neighbours 2>/dev/null") == ""
    assert await printed(pod, container_id, "find / -xdev -name '*.sock' -o -xdev -type s") == ""
    assert await printed(pod, container_id, f"grep -c {neighbour} /proc/self/mountinfo") == "0"


async def test_a_link_in_a_log_directory_does_not_have_the_engine_write_elsewhere(
    runtime: NativeRuntime, tmp_path: Path
) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    pod = await Pod.make(runtime, directory)
    try:
        for path in ("../escaped.log", "/escaped.log", "a/../../escaped.log"):
            with pytest.raises(CRIError):
                await pod.create("echo x", log_path=path)
    finally:
        await pod.aclose()
    assert os.listdir(tmp_path) == ["logs"]
