"""``python -m tests.runtimes.podman.rootless.life IMAGE LOGS``: a Podman service of whoever runs this, where Podman's
own client would look for it, and one life of a sandbox and its container on it; what was seen, as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

import cri
from cri.v1 import api_pb2 as v1
from tests.host import podmans, ready

HELPERS = ("/usr/lib/podman", "/usr/libexec/podman")
SCRIPT = "echo hello; trap 'exit 3' TERM; while :; do sleep 0.1; done"
START_TIMEOUT = 60.0
"""Seconds."""


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Its address. The images are copied, not laid over each other: not every file system can have that below it."""
    home, run = Path.home(), Path(os.environ["XDG_RUNTIME_DIR"])
    configuration = home / ".config" / "containers"
    configuration.mkdir(parents=True)
    engine = {
        "cgroup_manager": "cgroupfs",
        "events_logger": "file",
        "lock_type": "file",
        "runtime": "crun",
        "helper_binaries_dir": list(HELPERS),
    }
    for name, content in (
        ("containers.conf", {"engine": engine, "network": {"network_backend": "netavark"}}),
        ("storage.conf", {"storage": {"driver": "vfs"}}),
    ):
        (configuration / name).write_text(tomli_w.dumps(content))
    socket = run / "podman" / "podman.sock"
    socket.parent.mkdir()
    log = home / "podman.log"
    with log.open("wb") as out:
        command = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        ready.wait_for_socket(process, socket, log, START_TIMEOUT, path="/libpod/_ping")
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait()
        sys.stderr.write(log.read_text(errors="replace"))


async def main(archive: bytes, logs: Path) -> dict[str, Any]:
    metadata = v1.PodSandboxMetadata(name="life", namespace="tests", uid="1")
    sandbox = v1.PodSandboxConfig(metadata=metadata, log_directory=str(logs))
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="main"),
        image=v1.ImageSpec(image="busybox"),
        command=["sh", "-c", SCRIPT],
        log_path="main.log",
    )
    seen: dict[str, Any] = {}
    with service() as address:
        podmans.load(address, archive)
        async with cri.open("podman") as runtime:
            seen["runtime"] = (await runtime.version(v1.VersionRequest())).runtime_name
            conditions = (await runtime.status(v1.StatusRequest())).status.conditions
            seen["ready"] = {each.type: each.status for each in conditions}
            made = await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=sandbox))
            status = await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=made.pod_sandbox_id))
            seen["ip"] = status.status.network.ip
            request = v1.CreateContainerRequest(
                pod_sandbox_id=made.pod_sandbox_id, config=config, sandbox_config=sandbox
            )
            container_id = (await runtime.create_container(request)).container_id
            await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
            command = ["sh", "-c", "id -u; cat /proc/self/uid_map"]
            answer = await runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=command, timeout=60))
            seen["exec"] = answer.stdout.decode()
            await runtime.stop_container(v1.StopContainerRequest(container_id=container_id, timeout=60))
            ended = await runtime.container_status(v1.ContainerStatusRequest(container_id=container_id))
            seen["exit_code"] = ended.status.exit_code
            seen["log"] = (logs / "main.log").read_text()
            await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=made.pod_sandbox_id))
        seen["left"] = podmans.contents(address)
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])))))
