"""From a spec to CRI messages: what a user wrote means to a runtime. Pure.

Whose a sandbox or container is, which attempt it is of and where its log goes is for whoever makes it to add.
Environment values go into the container's environment and nowhere else.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from cri.annotations import (
    EXTRA_HOSTS,
    IPV4,
    IPV6,
    MAC_ADDRESS,
    NETWORK,
    NETWORK_ALIASES,
    NETWORK_SUBNETS,
    PLATFORM,
)
from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from manifests.container import Capabilities, Container, Resources
from manifests.network import Network, Port
from manifests.spec import TaskSpec

_CPU_PERIOD_US = 100_000
_SMALLEST_QUOTA_US = 1_000
_HOSTNAME_LENGTH = 63
_SECCOMP = {"default": v1.SecurityProfile.RuntimeDefault, "unconfined": v1.SecurityProfile.Unconfined}
_PROTOCOLS = {"tcp": v1.TCP, "udp": v1.UDP, "sctp": v1.SCTP}
_MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def image_spec(image: str, platform: str) -> v1.ImageSpec:
    return v1.ImageSpec(image=image, user_specified_image=image, annotations=_platform(platform))


def sandbox_config(spec: TaskSpec, hostname: str) -> v1.PodSandboxConfig:
    """The sandbox that all containers of a task share; ``hostname`` where the spec says none."""
    network = spec.network
    security = v1.LinuxSandboxSecurityContext(
        namespace_options=_namespaces(network),
        seccomp=v1.SecurityProfile(profile_type=v1.SecurityProfile.RuntimeDefault),
        privileged=any(container.security.privileged for container in spec.everyone),
    )
    return v1.PodSandboxConfig(
        hostname="" if network.mode == "host" else network.hostname or hostname[:_HOSTNAME_LENGTH].rstrip("-"),
        dns_config=v1.DNSConfig(
            servers=network.dns.servers, searches=network.dns.searches, options=network.dns.options
        ),
        port_mappings=[_port(port) for port in network.ports],
        annotations=_network(network) | _platform(spec.platform),
        linux=v1.LinuxPodSandboxConfig(security_context=security),
    )


def container_config(
    spec: TaskSpec, container: Container, environment: Mapping[str, str], volumes: Path
) -> v1.ContainerConfig:
    """One of the task's containers; ``volumes`` is the folder that has the task's. Raises InvalidArgument for a user
    or signal that CRI cannot express."""
    return v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name=container.name),
        image=image_spec(container.image, spec.platform),
        command=container.command,
        args=container.args,
        working_dir=container.workdir,
        envs=[v1.KeyValue(key=key, value=value.encode()) for key, value in environment.items()],
        mounts=[
            v1.Mount(host_path=m.source or str(volumes / str(m.volume)), container_path=m.target, readonly=m.readonly)
            for m in container.mounts
        ],
        annotations=_platform(spec.platform),
        tty=container.tty,
        linux=v1.LinuxContainerConfig(
            resources=resources(container.resources), security_context=_security(spec.network, container)
        ),
        stop_signal=stop_signal(container.stop.signal),
    )


def stop_signal(name: str) -> v1.Signal:
    """``TERM``, ``SIGTERM``, ``15`` and ``RTMIN+3`` as CRI writes them; empty is the image's own."""
    if not name:
        return v1.SIGNAL_RUNTIME_DEFAULT
    try:
        word = signal.Signals(int(name)).name if name.isdecimal() else name.upper()
        word = word.removeprefix("SIG").replace("+", "PLUS").replace("-", "MINUS")
        return cast("v1.Signal", v1.Signal.Value(f"SIGNAL_SIG{word}"))
    except ValueError as error:
        raise InvalidArgument(f"stop.signal: {name!r} is no signal; write SIGTERM, TERM or 15") from error


def _platform(platform: str) -> dict[str, str]:
    return {PLATFORM: platform} if platform else {}


def _namespaces(network: Network) -> v1.NamespaceOption:
    return v1.NamespaceOption(network=v1.NODE if network.mode == "host" else v1.POD, pid=v1.CONTAINER, ipc=v1.POD)


def _network(network: Network) -> dict[str, str]:
    said = {
        NETWORK: "none" if network.mode == "none" else network.name,
        NETWORK_SUBNETS: ",".join(network.subnets),
        NETWORK_ALIASES: ",".join(network.aliases),
        IPV4: network.ipv4,
        IPV6: network.ipv6,
        MAC_ADDRESS: network.mac,
        EXTRA_HOSTS: ",".join(f"{name}={address}" for name, address in network.extra_hosts.items()),
    }
    return {key: value for key, value in said.items() if value}


def _port(port: Port) -> v1.PortMapping:
    return v1.PortMapping(
        protocol=_PROTOCOLS[port.protocol], container_port=port.container, host_port=port.host, host_ip=port.host_ip
    )


def resources(limits: Resources) -> v1.LinuxContainerResources:
    """Limits; what is not limited is left out."""
    told = v1.LinuxContainerResources()
    if limits.cpu is not None:
        told.cpu_period = _CPU_PERIOD_US
        told.cpu_quota = max(_SMALLEST_QUOTA_US, round(limits.cpu * _CPU_PERIOD_US))
        told.cpu_shares = max(2, round(limits.cpu * 1024))
    if limits.memory is not None:
        told.memory_limit_in_bytes = limits.memory
        told.memory_swap_limit_in_bytes = limits.memory  # the same number means: no swap on top
    if limits.pids is not None:
        told.unified["pids.max"] = str(limits.pids)
    return told


def _security(network: Network, spec: Container) -> v1.LinuxContainerSecurityContext:
    may = spec.security
    context = v1.LinuxContainerSecurityContext(
        namespace_options=_namespaces(network),
        seccomp=v1.SecurityProfile(profile_type=_SECCOMP["unconfined" if may.privileged else may.seccomp]),
        masked_paths=() if may.privileged else _MASKED,
        readonly_paths=() if may.privileged else _READONLY,
        privileged=may.privileged,
        readonly_rootfs=may.readonly_rootfs,
        no_new_privs=may.no_new_privileges,
        supplemental_groups=may.groups,
    )
    if may.capabilities != Capabilities():
        context.capabilities.add_capabilities[:] = may.capabilities.add
        context.capabilities.drop_capabilities[:] = may.capabilities.drop
    user, _, group = spec.user.partition(":")
    if user.isdecimal():
        context.run_as_user.value = int(user)
    elif user:
        context.run_as_username = user
    if group:
        if not group.isdecimal():
            raise InvalidArgument(f"user: group {group!r} in {spec.user!r} must be a number; CRI has no group names")
        context.run_as_group.value = int(group)
    return context
