"""The contract itself, from a script without asyncio: a sandbox, a container in it, a command in that.

python examples/library_sync.py [RUNTIME]
"""

from __future__ import annotations

import sys
import uuid

import cri
from cri.v1 import api_pb2 as v1


def main(name: str) -> None:
    with cri.sync.open(name) as runtime:
        version = runtime.version(v1.VersionRequest())
        print(f"on {version.runtime_name} {version.runtime_version}")
        image = v1.ImageSpec(image="busybox")
        if not runtime.image_status(v1.ImageStatusRequest(image=image)).HasField("image"):
            runtime.pull_image(v1.PullImageRequest(image=image))
        sandbox_config = v1.PodSandboxConfig(
            metadata=v1.PodSandboxMetadata(name="example", namespace="default", uid=str(uuid.uuid4())),
            linux=v1.LinuxPodSandboxConfig(),
        )
        sandbox = runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=sandbox_config)).pod_sandbox_id
        try:
            container = runtime.create_container(
                v1.CreateContainerRequest(
                    pod_sandbox_id=sandbox,
                    config=v1.ContainerConfig(
                        metadata=v1.ContainerMetadata(name="sleeper"), image=image, command=["sleep", "60"]
                    ),
                    sandbox_config=sandbox_config,
                )
            ).container_id
            runtime.start_container(v1.StartContainerRequest(container_id=container))
            said = runtime.exec_sync(v1.ExecSyncRequest(container_id=container, cmd=["echo", "hello"], timeout=10))
            print(f"exit code {said.exit_code}: {said.stdout.decode().strip()}")
        finally:
            runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=sandbox))
            runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "auto")
