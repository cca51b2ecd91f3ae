"""CRI's PodSandboxConfig as libpod's spec of a pod with its infra container. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

from cri.errors import InvalidArgument
from cri.networks import HOST_GATEWAY, NO_NETWORK, NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.podman import pod_cgroup, security, users
from runtimes.podman.features import EngineFacts
from runtimes.shared import labels, pause, sandbox_rules
from runtimes.shared.sandbox_rules import HOST_NETWORK

HOSTNAME_LENGTH = 12
"""Hexadecimal digits of a hostname that nobody chose, as a container without a pod has them."""

_RESERVED_NETWORKS = ("default", "bridge", "private", "pasta", "slirp4netns")
_PROTOCOLS = {v1.TCP: "tcp", v1.UDP: "udp", v1.SCTP: "sctp"}


def pod(
    name: str,
    request: v1.RunPodSandboxRequest,
    network: NetworkRequest,
    facts: EngineFacts,
    *,
    created_ns: int,
    default_cgroup_parent: str = "",
    host_gateway: str = "",
) -> dict[str, Any]:
    """The body of /pods/create. Raises InvalidArgument or Unimplemented for what this engine cannot honour.
    ``host_gateway`` is the host's address on the sandbox's network, where an extra host asks for it."""
    config = request.config
    handler(request.runtime_handler, facts)
    options = config.linux.security_context.namespace_options
    parent = config.linux.cgroup_parent or default_cgroup_parent
    shared = {
        "net": True,
        "uts": not _is_on_host(config),
        "ipc": options.ipc != v1.NODE,
        "user": users.has_own(options),
    }
    body: dict[str, Any] = {
        "name": name,
        "infra_name": infra_name(name),
        "infra_image": pause.NAME,
        "infra_command": [pause.PROGRAM],
        "labels": labels.sandbox_labels(request, created_ns),
        # The sandbox is CRI's to end, whatever became of its containers.
        "exit_policy": "continue",
        "shared_namespaces": [name for name, is_shared in shared.items() if is_shared],
        "cgroup_parent": pod_cgroup.parent(sandbox_rules.cgroup_parent(parent, facts.cgroup_driver), facts),
        "sysctl": sandbox_rules.sysctls(config.linux),
        "security_opt": _security(config.linux.security_context, facts),
        **users.of_pod(options, facts),
        **_network(config, network, facts),
        **_dns(config.dns_config),
    }
    if _is_on_host(config):
        # The host's name too: Podman would give it the pod's name, which is no host name.
        body["utsns"] = {"nsmode": HOST_NETWORK}
    else:
        body["hostname"] = config.hostname or hashlib.sha256(name.encode()).hexdigest()[:HOSTNAME_LENGTH]
    if network.extra_hosts:
        known = {HOST_GATEWAY: host_gateway}
        body["hostadd"] = [f"{host}:{known.get(address, address)}" for host, address in network.extra_hosts]
    return {key: value for key, value in body.items() if value not in ("", {}, [])}


def infra_name(name: str) -> str:
    """The name of the container that holds a pod's namespaces."""
    return f"{name}_infra"


def handler(name: str, facts: EngineFacts) -> str:
    """The OCI runtime for a CRI runtime_handler; empty is the engine's default. Raises InvalidArgument."""
    if name and name != facts.default_handler:
        raise InvalidArgument(
            f"runtime_handler: {name!r} is not this engine's OCI runtime, which is {facts.default_handler}; a pod's "
            "own container always runs on that one"
        )
    return name


def _is_on_host(config: v1.PodSandboxConfig) -> bool:
    return bool(config.linux.security_context.namespace_options.network == v1.NODE)


def _network(config: v1.PodSandboxConfig, network: NetworkRequest, facts: EngineFacts) -> dict[str, Any]:
    name = sandbox_rules.network_name(config, network, _RESERVED_NETWORKS)
    if name in (HOST_NETWORK, NO_NETWORK):
        return {"netns": {"nsmode": name}}
    found: dict[str, Any] = {"portmappings": _ports(config)}
    endpoint = _endpoint(network)
    if name:
        return found | {"netns": {"nsmode": "bridge"}, "networks": {name: endpoint}}
    if endpoint:
        # An endpoint belongs to a network by name, and only the engine knows the default one's: it says "default".
        return found | {"netns": {"nsmode": "bridge"}, "networks": {"default": endpoint}}
    # Rootless, an engine's own choice is a network for each pod alone, without an address that others could reach.
    return found | {"netns": {"nsmode": "bridge"}} if facts.features.rootless else found


def _ports(config: v1.PodSandboxConfig) -> list[dict[str, Any]]:
    """What is published. CRI: host_port 0 is "not published"."""
    return [
        {
            "container_port": mapping.container_port,
            "host_port": mapping.host_port,
            "host_ip": mapping.host_ip,
            "protocol": _PROTOCOLS[mapping.protocol],
        }
        for mapping in config.port_mappings
        if mapping.host_port
    ]


def _endpoint(network: NetworkRequest) -> dict[str, Any]:
    endpoint: dict[str, Any] = {}
    addresses = [str(address) for address in (network.ipv4, network.ipv6) if address is not None]
    if addresses:
        endpoint["static_ips"] = addresses
    if network.mac:
        endpoint["static_mac"] = network.mac
    if network.aliases:
        endpoint["aliases"] = list(network.aliases)
    return endpoint


def _dns(dns: v1.DNSConfig) -> dict[str, Any]:
    """CRI: what is given is all there is. Podman fills an empty search list from the host's; "." keeps it empty."""
    given = {"dns_server": list(dns.servers), "dns_search": list(dns.searches), "dns_option": list(dns.options)}
    if dns.servers and not dns.searches:
        given["dns_search"] = ["."]
    return given


def _security(context: v1.LinuxSandboxSecurityContext, facts: EngineFacts) -> list[str]:
    """For the pause program: it makes four system calls and needs no right, so no more than the labels and profiles
    that CRI names is of any consequence to it."""
    options = [f"label={part}" for part in security.selinux_options(context.selinux_options)]
    if profile := security.apparmor_profile(context.apparmor, facts.features):
        options.append(f"apparmor={profile}")
    if profile := security.seccomp_profile(context.seccomp):
        options.append(f"seccomp={profile}")
    return [*options, "no-new-privileges"]
