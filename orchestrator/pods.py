"""From a task to CRI messages: what a ``TaskSpec`` means to a runtime. Pure.

Everything a task becomes carries labels that say whose it is; by them it is found again after a crash. Environment
values go into the container's environment and nowhere else.
"""

from __future__ import annotations

import signal
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
    PREFIX,
)
from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from orchestrator.spec import Network, Port, Resources
from orchestrator.task import Task

INSTANCE = PREFIX + "instance"
TASK = PREFIX + "task"
UID = PREFIX + "uid"
ATTEMPT = PREFIX + "attempt"

NAMESPACE = "minicri"
"""The CRI namespace of every sandbox made here."""

_CPU_PERIOD_US = 100_000
_SMALLEST_QUOTA_US = 1_000
_HOSTNAME_LENGTH = 63
_PROTOCOLS = {"tcp": v1.TCP, "udp": v1.UDP, "sctp": v1.SCTP}
_MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def log_directory(state_dir: Path, uid: str) -> Path:
    """Where the logs of a task are."""
    return state_dir / "logs" / uid


def log_name(attempt: int) -> str:
    """The log file of one attempt."""
    return f"{attempt}.log"


def image_spec(task: Task) -> v1.ImageSpec:
    return v1.ImageSpec(
        image=task.spec.image, user_specified_image=task.spec.image, annotations=_platform(task.spec.platform)
    )


def sandbox_config(task: Task, instance: str, state_dir: Path, attempt: int) -> v1.PodSandboxConfig:
    """The sandbox of a task. ``attempt`` tells apart sandboxes that a task has one after the other."""
    network = task.spec.network
    security = v1.LinuxSandboxSecurityContext(
        namespace_options=_namespaces(network),
        seccomp=v1.SecurityProfile(profile_type=v1.SecurityProfile.RuntimeDefault),
    )
    return v1.PodSandboxConfig(
        metadata=v1.PodSandboxMetadata(name=task.id, uid=task.uid, namespace=NAMESPACE, attempt=attempt),
        hostname="" if network.mode == "host" else network.hostname or task.id[:_HOSTNAME_LENGTH].rstrip("-"),
        log_directory=str(log_directory(state_dir, task.uid)),
        dns_config=v1.DNSConfig(
            servers=network.dns.servers, searches=network.dns.searches, options=network.dns.options
        ),
        port_mappings=[_port(port) for port in network.ports],
        labels=labels(task, instance, attempt),
        annotations=_network(network) | _platform(task.spec.platform),
        linux=v1.LinuxPodSandboxConfig(security_context=security),
    )


def container_config(task: Task, instance: str, attempt: int) -> v1.ContainerConfig:
    """The container of one attempt. Raises InvalidArgument for a user or signal that CRI cannot express."""
    spec = task.spec
    return v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name=task.spec.name, attempt=attempt),
        image=image_spec(task),
        command=spec.command,
        args=spec.args,
        working_dir=spec.workdir,
        envs=[v1.KeyValue(key=key, value=value.encode()) for key, value in spec.env.items()],
        mounts=[v1.Mount(host_path=m.source, container_path=m.target, readonly=m.readonly) for m in spec.mounts],
        labels=labels(task, instance, attempt),
        annotations=_platform(spec.platform),
        log_path=log_name(attempt),
        tty=spec.tty,
        linux=v1.LinuxContainerConfig(resources=_resources(spec.resources), security_context=_security(task)),
        stop_signal=stop_signal(spec.stop.signal),
    )


def labels(task: Task, instance: str, attempt: int) -> dict[str, str]:
    """The user's labels, and by which of ours things are found again."""
    ours = {INSTANCE: instance, TASK: task.id, UID: task.uid, ATTEMPT: str(attempt)}
    return {**task.spec.labels, **ours}


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


def _resources(limits: Resources) -> v1.LinuxContainerResources:
    resources = v1.LinuxContainerResources()
    if limits.cpu is not None:
        resources.cpu_period = _CPU_PERIOD_US
        resources.cpu_quota = max(_SMALLEST_QUOTA_US, round(limits.cpu * _CPU_PERIOD_US))
        resources.cpu_shares = max(2, round(limits.cpu * 1024))
    if limits.memory is not None:
        resources.memory_limit_in_bytes = limits.memory
        resources.memory_swap_limit_in_bytes = limits.memory  # the same number means: no swap on top
    if limits.pids is not None:
        resources.unified["pids.max"] = str(limits.pids)
    return resources


def _security(task: Task) -> v1.LinuxContainerSecurityContext:
    context = v1.LinuxContainerSecurityContext(
        namespace_options=_namespaces(task.spec.network),
        seccomp=v1.SecurityProfile(profile_type=v1.SecurityProfile.RuntimeDefault),
        masked_paths=_MASKED,
        readonly_paths=_READONLY,
    )
    user, _, group = task.spec.user.partition(":")
    if user.isdecimal():
        context.run_as_user.value = int(user)
    elif user:
        context.run_as_username = user
    if group:
        if not group.isdecimal():
            raise InvalidArgument(
                f"user: group {group!r} in {task.spec.user!r} must be a number; CRI has no group names"
            )
        context.run_as_group.value = int(group)
    return context
