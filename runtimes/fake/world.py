"""Everything that one fake runtime holds, and the rules that more than one RPC needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from google.protobuf.message import Message

from cri import references
from cri.errors import NotFound
from cri.v1 import api_pb2 as v1
from runtimes.fake.clock import Clock
from runtimes.fake.config import FakeConfig
from runtimes.fake.container import Container
from runtimes.fake.files import Tree
from runtimes.fake.images import Catalogue, ImageStore
from runtimes.fake.networks import Networks
from runtimes.fake.ports import HostPorts, Listeners
from runtimes.fake.program_table import Programs
from runtimes.fake.sandbox import Key, Sandbox
from runtimes.fake.script import Script
from runtimes.shared.fanout import Fanout


class World:
    """State in memory; it goes with the runtime."""

    def __init__(self, config: FakeConfig, clock: Clock, programs: Programs) -> None:
        scripted = config.script()
        self.config = config
        self.clock = clock
        self.programs = programs
        self.script = Script(clock, scripted.calls, scripted.containers)
        self.catalogue = Catalogue(scripted.images)
        self.images = ImageStore()
        self._listeners = Listeners()
        self.networks = Networks(config.subnets, config.named_networks, self._listeners)
        self.ports = HostPorts(self._listeners)
        self.events: Fanout[v1.ContainerEventResponse] = Fanout()
        self.host_files = Tree()
        self.sandboxes: dict[str, Sandbox] = {}
        self.sandbox_ids: dict[Key, str] = {}
        self.containers: dict[str, Container] = {}

    async def aclose(self) -> None:
        """Every process dies, every socket is closed, and whoever listens for events hears the end."""
        processes = [process for container in self.containers.values() for process in container.guest.running()]
        for process in processes:
            process.kill()
        await asyncio.gather(*(process.wait() for process in processes))
        await self._listeners.aclose()
        self.events.close()

    def sandbox(self, identity: str) -> Sandbox:
        """Raises NotFound."""
        found = self.sandboxes.get(identity)
        if found is None:
            raise NotFound(f"no sandbox {identity!r}", details={"pod_sandbox_id": identity})
        return found

    def container(self, identity: str) -> Container:
        """Raises NotFound."""
        found = self.containers.get(identity)
        if found is None:
            raise NotFound(f"no container {identity!r}", details={"container_id": identity})
        return found

    def emit(self, kind: v1.ContainerEventType, identity: str, sandbox: Sandbox) -> None:
        """CRI: an event carries the sandbox's status and those of all its containers."""
        if self.events.heard:
            self.events.publish(
                v1.ContainerEventResponse(
                    container_id=identity,
                    container_event_type=kind,
                    created_at=self.clock.now_ns(),
                    pod_sandbox_status=sandbox.status(),
                    containers_statuses=[container.status() for container in sandbox.containers.values()],
                )
            )

    def exited(self, container: Container) -> None:
        """Tell that ``container`` has exited."""
        self.emit(v1.CONTAINER_STOPPED_EVENT, container.id, container.sandbox)

    def image_name(self, spec: v1.ImageSpec) -> str:
        """What the script's rules know an image by: as a person wrote it; the tag of one that is given by its id."""
        found = self.images.find(spec.image) if references.is_image_id(spec.image) else None
        return spec.user_specified_image or (found.tags[0] if found and found.tags else spec.image)

    def subject(self, request: Message) -> tuple[str, str]:
        """The metadata name and the image that ``request`` is about, for the script's rules."""
        found = dict(self._named(request))
        return found.get("name", ""), found.get("image", "")

    def _named(self, request: Message) -> Iterator[tuple[str, str]]:
        container = self.containers.get(getattr(request, "container_id", ""))
        sandbox = self.sandboxes.get(getattr(request, "pod_sandbox_id", ""))
        match request:
            case v1.CreateContainerRequest() | v1.RunPodSandboxRequest():
                yield "name", request.config.metadata.name
                if isinstance(request, v1.CreateContainerRequest):
                    yield "image", self.image_name(request.config.image)
            case v1.PullImageRequest() | v1.ImageStatusRequest() | v1.RemoveImageRequest():
                yield "image", request.image.image
            case _ if container is not None:
                yield "name", container.config.metadata.name
                yield "image", self.image_name(container.config.image)
            case _ if sandbox is not None:
                yield "name", sandbox.config.metadata.name
