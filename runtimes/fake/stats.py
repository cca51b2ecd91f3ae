"""ContainerStats to ListPodSandboxMetrics, in the words of every backend, about usage that is made up."""

from __future__ import annotations

import builtins

from cri import filters
from cri.v1 import api_pb2 as v1
from runtimes.fake import usage
from runtimes.fake.container import Container
from runtimes.fake.sandbox import Sandbox
from runtimes.fake.world import World
from runtimes.shared import metrics, stats_messages
from runtimes.shared.stats_messages import Measured

_MOUNTPOINT = "/"


class Stats:
    """What one world uses."""

    def __init__(self, world: World) -> None:
        self._world = world

    def of_container(self, container: Container) -> v1.ContainerStats:
        """One that does not run has attributes and nothing else."""
        if not container.running:
            return v1.ContainerStats(attributes=container.attributes())
        return _container(container, usage.sampled(container, self._world.clock.now_ns()))

    def of_containers(self, wanted: v1.ContainerStatsFilter) -> builtins.list[v1.ContainerStats]:
        """Of those that run."""
        messages = (container.message() for container in self._world.containers.values())
        chosen = filters.containers(messages, filters.container_filter(wanted))
        return [self.of_container(self._world.containers[item.id]) for item in chosen]

    def of_sandbox(self, sandbox: Sandbox) -> v1.PodSandboxStats:
        """A sandbox that is not ready has attributes and nothing else."""
        stats = v1.PodSandboxStats(attributes=sandbox.attributes())
        if usage.is_measured(sandbox):
            now = self._world.clock.now_ns()
            inside = [(container, usage.sampled(container, now)) for container in usage.running(sandbox)]
            measured = [Measured(usage.of_pause(now), cpu_rate=0), *(reading for _, reading in inside)]
            messages = [_container(*each) for each in inside]
            stats.linux.CopyFrom(stats_messages.sandbox(measured, usage.interfaces(sandbox), messages))
        return stats

    def of_sandboxes(self, wanted: v1.PodSandboxStatsFilter) -> builtins.list[v1.PodSandboxStats]:
        """Of those that are ready."""
        messages = (sandbox.message() for sandbox in self._world.sandboxes.values())
        chosen = filters.sandboxes(messages, filters.sandbox_filter(wanted))
        return [self.of_sandbox(self._world.sandboxes[item.id]) for item in chosen]

    def metrics(self) -> builtins.list[v1.PodSandboxMetrics]:
        """Of the sandboxes that are ready and the containers that run in them."""
        now = self._world.clock.now_ns()
        return [_sandbox_metrics(each, now) for each in self._world.sandboxes.values() if usage.is_measured(each)]


def _container(container: Container, measured: Measured) -> v1.ContainerStats:
    return stats_messages.container(container.attributes(), measured, usage.written(container), _MOUNTPOINT)


def _sandbox_metrics(sandbox: Sandbox, now: int) -> v1.PodSandboxMetrics:
    of = sandbox.config.metadata
    subject = metrics.Subject(usage.of_pause(now), interfaces=usage.interfaces(sandbox))
    common = [sandbox.id, "", "", "", of.name, of.namespace]
    return v1.PodSandboxMetrics(
        pod_sandbox_id=sandbox.id,
        metrics=metrics.measured(metrics.OF_SANDBOX, subject, common),
        container_metrics=[_container_metrics(sandbox, container, now) for container in usage.running(sandbox)],
    )


def _container_metrics(sandbox: Sandbox, container: Container, now: int) -> v1.ContainerMetrics:
    name, image, of = container.config.metadata.name, container.config.image, sandbox.config.metadata
    subject = metrics.Subject(
        usage.of_container(container, now),
        processes=usage.processes(container),
        written=usage.written(container),
        file_system=usage.DISK,
        started_ns=container.started_at_ns,
    )
    common = [container.id, name, image.user_specified_image or image.image, name, of.name, of.namespace]
    return v1.ContainerMetrics(
        container_id=container.id, metrics=metrics.measured(metrics.OF_CONTAINER, subject, common)
    )
