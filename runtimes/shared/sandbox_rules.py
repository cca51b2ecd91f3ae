"""What CRI says of a sandbox's cgroup, sysctls and network, checked alike for every real engine. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cri.errors import InvalidArgument
from cri.networks import NO_NETWORK, NetworkRequest
from cri.v1 import api_pb2 as v1

HOST_NETWORK = "host"

_IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
"""What the kernel keeps for each IPC namespace."""


def cgroup_parent(path: str, driver: str) -> str:
    """The cgroup parent in the form that the engine's ``driver`` (systemd or cgroupfs) takes.

    The systemd driver takes the name of a slice only, and finds the slices above it by the dashes in the name; the
    kubelet sends the whole path. The cgroupfs driver takes a path.
    """
    if not path or driver != "systemd":
        return path
    name = path.rstrip("/").rpartition("/")[2]
    if not name.endswith(".slice"):
        raise InvalidArgument(
            f"config.linux.cgroup_parent: {path!r} is no slice, and the engine's cgroup driver is systemd; "
            "write a path that ends in NAME.slice"
        )
    return name


def sysctls(config: v1.LinuxPodSandboxConfig) -> dict[str, str]:
    """The sysctls by the engine's spelling. Raises InvalidArgument for one of the host's: a runtime refuses those only
    at the start, as if it were its own failure."""
    options = config.security_context.namespace_options
    sysctls = {}
    for spelled, value in config.sysctls.items():
        name = sysctl_name(spelled)
        of_network, of_ipc = name.startswith("net."), name in _IPC_SYSCTLS or name.startswith("fs.mqueue.")
        if not of_network and not of_ipc:
            raise InvalidArgument(
                f"config.linux.sysctls: {spelled!r} belongs to the host, not to a sandbox; "
                f"allowed are net.*, fs.mqueue.* and {', '.join(sorted(_IPC_SYSCTLS))}"
            )
        if (of_network and options.network == v1.NODE) or (of_ipc and options.ipc == v1.NODE):
            raise InvalidArgument(
                f"config.linux.sysctls: {spelled!r} cannot be set in a sandbox that shares that namespace with the host"
            )
        sysctls[name] = value
    return sysctls


def sysctl_name(name: str) -> str:
    """``net/ipv4/conf/eth0.1/forwarding`` -> ``net.ipv4.conf.eth0/1.forwarding``, the form that engines take.

    sysctl(8)'s rule: the first separator decides which of the two separates.
    """
    first = next((character for character in name if character in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def network_name(config: v1.PodSandboxConfig, network: NetworkRequest, reserved: Iterable[str]) -> str:
    """``host``, ``none``, a named network, or empty for the engine's default one. ``reserved`` are words that mean
    something else to the engine than a network of that name."""
    if config.linux.security_context.namespace_options.network == v1.NODE:
        if network.network or network.mac:
            raise InvalidArgument(
                "config.annotations: a sandbox on the host's network (namespace option NODE) has no network or "
                "hardware address of its own; drop the minicri.io/network and minicri.io/mac-address annotations"
            )
        return HOST_NETWORK
    if network.network in (HOST_NETWORK, *reserved):
        raise InvalidArgument(
            f"minicri.io/network: {network.network!r} is no network of its own; for the host's network set the "
            "namespace option NODE, for the default network leave the annotation out"
        )
    published = [mapping for mapping in config.port_mappings if mapping.host_port]
    if network.network == NO_NETWORK and published:
        raise InvalidArgument(
            f"config.port_mappings: port {published[0].container_port} cannot be published from a sandbox without "
            "a network (minicri.io/network is none)"
        )
    return network.network
