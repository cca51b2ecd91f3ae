"""What the suite's tests are written with: things with their removal, a line each, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from cri import logs
from cri.annotations import PLATFORM
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1

T = TypeVar("T")

RUN_LABEL = "conformance-run"
HOLD = ("sleep", "86400")
"""A command that runs until it is killed. As the first process of its container it does not hear SIGTERM."""

ODD = {
    "plain": "value",
    "empty": "",
    "example.com/with.dots-and_more": "a=b,c;d 'e' \"f\"",
    "unicode": "Grüße, 世界",
    "lines": "one\ntwo\n",
    "json": '{"a": ["b", 1]}',
}
"""Labels or annotations that somebody might alter on their way."""

WITHIN = 60.0
"""Seconds that something may take which is on its way."""

_POLL = 0.02


async def eventually(look: Callable[[], Awaitable[T]], what: str = "", *, within: float = WITHIN) -> T:
    """The first answer of ``look`` that is true. Fails with ``what`` and the last answer after ``within`` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not (answer := await look()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or look} (last seen: {answer!r})")
        await asyncio.sleep(_POLL)
    return answer


def free_port() -> int:
    """A TCP port that is free on 127.0.0.1 now, and none of those that the kernel gives to whoever asks for any."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def with_context(**fields: Any) -> v1.LinuxContainerConfig:
    """The linux part of a container with this security context."""
    return v1.LinuxContainerConfig(security_context=v1.LinuxContainerSecurityContext(**fields))


def number(value: int) -> v1.Int64Value:
    return v1.Int64Value(value=value)


class Kit:
    """Makes sandboxes, containers and images with names of its own, and removes them at the end of its block."""

    def __init__(self, runtime: Runtime, image: str, folder: Path) -> None:
        self.runtime = runtime
        self.image = image
        self.folder = folder
        """For log directories and whatever else a test wants on the host."""
        self.label = uuid.uuid4().hex
        """Value of the label ``RUN_LABEL`` on everything that this run makes."""
        self._numbers = itertools.count()
        self._configs: dict[str, v1.PodSandboxConfig] = {}
        """Of each sandbox, by id: CRI wants it again with each of its containers."""
        self._undo = AsyncExitStack()

    def for_one_test(self) -> Kit:
        """A kit with its own end that never takes a name of this one's."""
        kit = Kit(self.runtime, self.image, self.folder)
        kit.label, kit._numbers, kit._configs = self.label, self._numbers, self._configs
        return kit

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._undo.aclose()

    def on_end(self, undo: Callable[[], Awaitable[object]]) -> None:
        self._undo.push_async_callback(undo)

    def fresh(self, word: str) -> str:
        """A name that nobody has."""
        return f"{word}-{self.label[:8]}-{next(self._numbers)}"

    # --- sandboxes ---------------------------------------------------------------------------------------------

    def sandbox_config(self, **fields: Any) -> v1.PodSandboxConfig:
        """Complete metadata, a log directory, this run's label; ``fields`` over it."""
        name = self.fresh("pod")
        fields.setdefault("metadata", v1.PodSandboxMetadata(name=name, namespace="conformance", uid=f"uid-{name}"))
        fields.setdefault("log_directory", str(self.folder / name))
        fields["labels"] = {RUN_LABEL: self.label, **fields.get("labels", {})}
        return v1.PodSandboxConfig(**fields)

    async def run_sandbox(self, config: v1.PodSandboxConfig, runtime_handler: str = "") -> str:
        """Run exactly ``config``."""
        request = v1.RunPodSandboxRequest(config=config, runtime_handler=runtime_handler)
        sandbox_id = (await self.runtime.run_pod_sandbox(request)).pod_sandbox_id
        self._configs[sandbox_id] = config
        self.on_end(lambda: self.remove_sandbox(sandbox_id))
        return sandbox_id

    async def sandbox(self, **fields: Any) -> str:
        """The id of a new ready sandbox."""
        return await self.run_sandbox(self.sandbox_config(**fields))

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self.runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def sandbox_status(self, sandbox_id: str) -> v1.PodSandboxStatus:
        request = v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
        return (await self.runtime.pod_sandbox_status(request)).status

    async def sandboxes(self, **fields: Any) -> list[v1.PodSandbox]:
        """This run's sandboxes that match the filter too."""
        fields["label_selector"] = {RUN_LABEL: self.label, **fields.get("label_selector", {})}
        request = v1.ListPodSandboxRequest(filter=v1.PodSandboxFilter(**fields))
        return list((await self.runtime.list_pod_sandbox(request)).items)

    # --- containers --------------------------------------------------------------------------------------------

    def container_config(self, *command: str, **fields: Any) -> v1.ContainerConfig:
        """A config that runs ``command`` (``HOLD`` without one) and logs; ``fields`` over it."""
        name = self.fresh("container")
        fields.setdefault("metadata", v1.ContainerMetadata(name=name))
        fields.setdefault("image", v1.ImageSpec(image=self.image))
        fields.setdefault("command", command or HOLD)
        fields.setdefault("log_path", f"{name}.log")
        fields["labels"] = {RUN_LABEL: self.label, **fields.get("labels", {})}
        return v1.ContainerConfig(**fields)

    async def create_container(self, sandbox_id: str, config: v1.ContainerConfig) -> str:
        """Create exactly ``config``."""
        sandbox = self._configs.get(sandbox_id) or self.sandbox_config()
        request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        container_id = (await self.runtime.create_container(request)).container_id
        self.on_end(lambda: self.remove(container_id))
        return container_id

    async def create(self, sandbox_id: str, *command: str, **fields: Any) -> str:
        """The id of a new created container."""
        return await self.create_container(sandbox_id, self.container_config(*command, **fields))

    async def start(self, container_id: str) -> None:
        await self.runtime.start_container(v1.StartContainerRequest(container_id=container_id))

    async def run(self, sandbox_id: str, *command: str, **fields: Any) -> str:
        """The id of a new started container."""
        container_id = await self.create(sandbox_id, *command, **fields)
        await self.start(container_id)
        return container_id

    async def stop(self, container_id: str, timeout: int = 0) -> None:
        await self.runtime.stop_container(v1.StopContainerRequest(container_id=container_id, timeout=timeout))

    async def remove(self, container_id: str) -> None:
        await self.runtime.remove_container(v1.RemoveContainerRequest(container_id=container_id))

    async def status(self, container_id: str) -> v1.ContainerStatus:
        request = v1.ContainerStatusRequest(container_id=container_id)
        return (await self.runtime.container_status(request)).status

    async def exited(self, container_id: str, *, within: float = WITHIN) -> v1.ContainerStatus:
        """The status of the container once it has exited."""

        async def look() -> v1.ContainerStatus | None:
            status = await self.status(container_id)
            return status if status.state == v1.CONTAINER_EXITED else None

        found = await eventually(look, f"container {container_id} has exited", within=within)
        assert found is not None
        return found

    async def containers(self, **fields: Any) -> list[v1.Container]:
        """This run's containers that match the filter too."""
        fields["label_selector"] = {RUN_LABEL: self.label, **fields.get("label_selector", {})}
        request = v1.ListContainersRequest(filter=v1.ContainerFilter(**fields))
        return list((await self.runtime.list_containers(request)).containers)

    async def exec(self, container_id: str, *command: str, timeout: int = 0) -> v1.ExecSyncResponse:
        request = v1.ExecSyncRequest(container_id=container_id, cmd=command, timeout=timeout)
        async with asyncio.timeout(60):
            return await self.runtime.exec_sync(request)

    async def said(self, container_id: str, *command: str) -> str:
        """What a command in a running container prints on stdout; it must succeed."""
        answer = await self.exec(container_id, *command)
        assert answer.exit_code == 0, (command, answer)
        return answer.stdout.decode()

    async def log(self, container_id: str) -> list[logs.Record]:
        """The records of the container's log so far."""
        path = (await self.status(container_id)).log_path
        return logs.read(Path(path)) if path else []

    async def logged(self, container_id: str, text: bytes) -> None:
        """Wait until the log has a record that is ``text``."""

        async def look() -> bool:
            return any(record.text == text for record in await self.log(container_id))

        await eventually(look, f"the log says {text!r}")

    async def output(self, sandbox_id: str, *command: str, **fields: Any) -> str:
        """What a container prints on stdout from start to end, as its log has it."""
        container_id = await self.run(sandbox_id, *command, **fields)
        await self.exited(container_id)
        printed = [record.printed for record in await self.log(container_id) if record.stream == "stdout"]
        await self.remove(container_id)
        return b"".join(printed).decode()

    # --- images and the rest -----------------------------------------------------------------------------------

    async def have_image(self) -> None:
        """Pull the suite's image unless it is there."""
        if not (await self.image_status(self.image)).id:
            await self.runtime.pull_image(v1.PullImageRequest(image=v1.ImageSpec(image=self.image)))

    async def pull(self, reference: str, auth: v1.AuthConfig | None = None, *, platform: str = "") -> str:
        """Pull an image, which goes at the end; its id."""
        spec = v1.ImageSpec(image=reference, annotations={PLATFORM: platform} if platform else {})
        self.on_end(lambda: self.remove_image(reference))
        answer = await self.runtime.pull_image(v1.PullImageRequest(image=spec, auth=auth))
        self.on_end(lambda: self.remove_image(answer.image_ref))
        return answer.image_ref

    async def image_status(self, reference: str, platform: str = "") -> v1.Image:
        """The image, empty when it is not there."""
        spec = v1.ImageSpec(image=reference, annotations={PLATFORM: platform} if platform else {})
        request = v1.ImageStatusRequest(image=spec)
        return (await self.runtime.image_status(request)).image

    async def images(self, reference: str = "") -> list[v1.Image]:
        request = v1.ListImagesRequest()
        if reference:
            request.filter.image.image = reference
        return list((await self.runtime.list_images(request)).images)

    async def remove_image(self, reference: str) -> None:
        await self.runtime.remove_image(v1.RemoveImageRequest(image=v1.ImageSpec(image=reference)))

    async def left(self) -> list[str]:
        """What this run made and has not removed."""
        sandboxes, containers = await self.sandboxes(), await self.containers()
        return [*(item.id for item in sandboxes), *(item.id for item in containers)]
