"""Stats and metrics of what runs, read from its cgroup; the engine is only asked where that is, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from cri import filters
from cri.v1 import api_pb2 as v1
from runtimes.shared import cgroup_usage, disk_usage, metrics, process_facts, stats_messages
from runtimes.shared.readings import Place, Places, Reading, Readings

_RUNNING = v1.ContainerStateValue(state=v1.CONTAINER_RUNNING)


class Containers(Protocol):
    """A backend's containers."""

    async def status(self, container_id: str) -> tuple[v1.ContainerStatus, Any]:
        """Raises NotFound."""

    async def list(self, wanted: v1.ContainerFilter) -> list[v1.Container]:
        """What matches."""


class Sandboxes(Protocol):
    """A backend's sandboxes."""

    async def status(self, sandbox_id: str) -> tuple[v1.PodSandboxStatus, Any]:
        """Raises NotFound."""

    async def list(self, wanted: v1.PodSandboxFilter) -> list[v1.PodSandbox]:
        """What matches."""


class Stats:
    """ContainerStats to ListPodSandboxMetrics."""

    def __init__(self, places: Places, containers: Containers, sandboxes: Sandboxes) -> None:
        self._engine = places
        self._containers = containers
        self._sandboxes = sandboxes
        self._readings = Readings(places)

    async def container(self, container_id: str) -> v1.ContainerStats:
        """Raises NotFound for an unknown container. One that does not run has attributes and nothing else."""
        status, _ = await self._containers.status(container_id)
        found = await self._of_containers([status]) if status.state == v1.CONTAINER_RUNNING else []
        return found[0] if found else v1.ContainerStats(attributes=_attributes(status))

    async def containers(self, wanted: v1.ContainerStatsFilter) -> list[v1.ContainerStats]:
        """Of those that run; one that ends meanwhile is skipped."""
        listing = self._containers.list(filters.container_filter(wanted))
        if wanted != v1.ContainerStatsFilter():
            return await self._of_containers(await listing)
        # The engine's list takes a while, and nearly all that will be in it were read before.
        listed, already = await asyncio.gather(listing, self._readings.again(cgroup_usage.for_container_stats))
        return await self._of_containers(listed, already)

    async def sandbox(self, sandbox_id: str) -> v1.PodSandboxStats:
        """Raises NotFound. A sandbox that is not ready has attributes and nothing else."""
        status, _ = await self._sandboxes.status(sandbox_id)
        found = []
        if status.state == v1.SANDBOX_READY:
            members = v1.ContainerFilter(pod_sandbox_id=sandbox_id, state=_RUNNING)
            found = await self._of_sandboxes([status], await self._containers.list(members))
        return found[0] if found else v1.PodSandboxStats(attributes=_sandbox_attributes(status))

    async def sandboxes(self, wanted: v1.PodSandboxStatsFilter) -> list[v1.PodSandboxStats]:
        """Of those that are ready; one that stops meanwhile is skipped."""
        return await self._of_sandboxes(
            *await asyncio.gather(
                self._sandboxes.list(filters.sandbox_filter(wanted)),
                self._containers.list(v1.ContainerFilter(state=_RUNNING)),
            )
        )

    async def metrics(self) -> list[v1.PodSandboxMetrics]:
        """Of the sandboxes that are ready and the containers that run in them."""
        ready, running = await asyncio.gather(
            self._sandboxes.list(filters.sandbox_filter(v1.PodSandboxStatsFilter())),
            self._containers.list(filters.container_filter(v1.ContainerStatsFilter())),
        )
        of = await self._readings.of(
            containers=[each.id for each in running], sandboxes=[each.id for each in ready], read=cgroup_usage.read
        )
        await self._readings.weigh({each.id: of[each.id] for each in running if each.id in of})
        members = _by_sandbox(running)
        return [
            await self._sandbox_metrics(each, of[each.id], members.get(each.id, []), of)
            for each in ready
            if each.id in of
        ]

    async def _of_containers(
        self, found: Sequence[v1.Container | v1.ContainerStatus], already: Mapping[str, Reading] | None = None
    ) -> list[v1.ContainerStats]:
        of = dict(already or {})
        unread = [each.id for each in found if each.id not in of]
        of |= await self._readings.of(containers=unread, read=cgroup_usage.for_container_stats)
        return await self._messages(found, of)

    async def _messages(
        self, found: Iterable[v1.Container | v1.ContainerStatus], of: Mapping[str, Reading]
    ) -> list[v1.ContainerStats]:
        running = [each for each in found if each.id in of]
        await self._readings.weigh({each.id: of[each.id] for each in running})
        storage = await self._engine.storage()
        return [
            stats_messages.container(_attributes(each), of[each.id].measured, of[each.id].place.written, storage)
            for each in running
        ]

    async def _of_sandboxes(
        self, found: Sequence[v1.PodSandbox | v1.PodSandboxStatus], running: Iterable[v1.Container]
    ) -> list[v1.PodSandboxStats]:
        members = _by_sandbox(running)
        inside = [member.id for each in found for member in members.get(each.id, [])]
        of = await self._readings.of(
            containers=inside, sandboxes=[each.id for each in found], read=cgroup_usage.for_sandbox_stats
        )
        return [await self._sandbox(each, of[each.id], members.get(each.id, []), of) for each in found if each.id in of]

    async def _sandbox(
        self,
        sandbox: v1.PodSandbox | v1.PodSandboxStatus,
        pause: Reading,
        members: Iterable[v1.Container],
        of: Mapping[str, Reading],
    ) -> v1.PodSandboxStats:
        messages = await self._messages(members, of)
        measured = [pause.measured, *(of[each.attributes.id].measured for each in messages)]
        linux = stats_messages.sandbox(measured, await _interfaces(pause.place), messages)
        return v1.PodSandboxStats(attributes=_sandbox_attributes(sandbox), linux=linux)

    async def _sandbox_metrics(
        self, sandbox: v1.PodSandbox, pause: Reading, members: Iterable[v1.Container], of: Mapping[str, Reading]
    ) -> v1.PodSandboxMetrics:
        subject = metrics.Subject(pause.measured.usage, interfaces=await _interfaces(pause.place))
        common = [sandbox.id, "", "", "", sandbox.metadata.name, sandbox.metadata.namespace]
        inside = [(each, of[each.id]) for each in members if each.id in of]
        return v1.PodSandboxMetrics(
            pod_sandbox_id=sandbox.id,
            metrics=metrics.measured(metrics.OF_SANDBOX, subject, common),
            container_metrics=[found for each in inside if (found := await self._container_metrics(sandbox, *each))],
        )

    async def _container_metrics(
        self, sandbox: v1.PodSandbox, member: v1.Container, reading: Reading
    ) -> v1.ContainerMetrics | None:
        """None for one that has ended meanwhile."""
        root, place = await self._engine.storage(), reading.place
        try:
            processes = await asyncio.to_thread(lambda: process_facts.of_processes(place.cgroup.process_ids()))
        except FileNotFoundError:
            return None
        subject = metrics.Subject(
            reading.measured.usage,
            processes=processes,
            written=place.written,
            file_system=await asyncio.to_thread(disk_usage.file_system, root),
            started_ns=place.started_ns,
        )
        name, of = member.metadata.name, sandbox.metadata
        common = [member.id, name, member.image.user_specified_image or member.image.image, name, of.name, of.namespace]
        return v1.ContainerMetrics(
            container_id=member.id, metrics=metrics.measured(metrics.OF_CONTAINER, subject, common)
        )


async def _interfaces(place: Place) -> list[process_facts.Interface]:
    if place.on_host_network:
        return []
    try:
        if place.network is not None:
            return await asyncio.to_thread(process_facts.interfaces_in, place.network)
        return await asyncio.to_thread(process_facts.interfaces, place.pid)
    except OSError:
        return []


def _by_sandbox(containers: Iterable[v1.Container]) -> dict[str, list[v1.Container]]:
    found: dict[str, list[v1.Container]] = {}
    for each in containers:
        found.setdefault(each.pod_sandbox_id, []).append(each)
    return found


def _attributes(container: v1.Container | v1.ContainerStatus) -> v1.ContainerAttributes:
    return v1.ContainerAttributes(
        id=container.id, metadata=container.metadata, labels=container.labels, annotations=container.annotations
    )


def _sandbox_attributes(sandbox: v1.PodSandbox | v1.PodSandboxStatus) -> v1.PodSandboxAttributes:
    return v1.PodSandboxAttributes(
        id=sandbox.id, metadata=sandbox.metadata, labels=sandbox.labels, annotations=sandbox.annotations
    )
