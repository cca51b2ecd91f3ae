"""CRI's PodSandboxConfig as the config of the pause container in Docker's API. Pure."""

from __future__ import annotations

from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.networks import NO_NETWORK, NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.docker import security
from runtimes.docker.features import EngineFacts
from runtimes.shared import labels, pause, sandbox_rules
from runtimes.shared.sandbox_rules import HOST_NETWORK

OOM_SCORE_ADJ = -998
"""The pause process goes last, as in every CRI runtime: with it the whole sandbox would go."""

_RESERVED_NETWORKS = ("default", "ingress")
_PROTOCOLS = {v1.TCP: "tcp", v1.UDP: "udp", v1.SCTP: "sctp"}


def pause_container(
    request: v1.RunPodSandboxRequest,
    network: NetworkRequest,
    facts: EngineFacts,
    *,
    created_ns: int,
    default_cgroup_parent: str = "",
    seccomp_json: str = "",
) -> dict[str, Any]:
    """The body of /containers/create. Raises InvalidArgument or Unimplemented for what this engine cannot honour."""
    config = request.config
    network_mode = sandbox_rules.network_name(config, network, _RESERVED_NETWORKS) or "bridge"
    exposed, bindings = _ports(config, network_mode)
    body: dict[str, Any] = {
        "Image": pause.NAME,
        "User": _user(config.linux.security_context),
        "Hostname": config.hostname,
        "Labels": labels.sandbox_labels(request, created_ns),
        "ExposedPorts": exposed,
        "HostConfig": {
            "NetworkMode": network_mode,
            "PortBindings": bindings,
            "LogConfig": {"Type": "none"},
            "OomScoreAdj": max(OOM_SCORE_ADJ, facts.process.oom_score_adj_floor),
            "CgroupParent": sandbox_rules.cgroup_parent(
                config.linux.cgroup_parent or default_cgroup_parent, facts.cgroup_driver
            ),
            "Sysctls": sandbox_rules.sysctls(config.linux),
            "ExtraHosts": [f"{name}:{address}" for name, address in network.extra_hosts],
            "Runtime": handler(request.runtime_handler, facts),
            **_dns(config.dns_config),
            **_security(config.linux.security_context, facts, seccomp_json),
        },
    }
    if network_mode not in (HOST_NETWORK, NO_NETWORK):
        endpoint = _endpoint(network)
        if network.mac and facts.features.endpoint_mac:
            endpoint["MacAddress"] = network.mac
        elif network.mac:
            body["MacAddress"] = network.mac
        if endpoint:
            body["NetworkingConfig"] = {"EndpointsConfig": {network_mode: endpoint}}
    return body


def handler(name: str, facts: EngineFacts) -> str:
    """The OCI runtime for a CRI runtime_handler; empty is the engine's default. Raises InvalidArgument."""
    if name and name not in facts.handlers:
        raise InvalidArgument(
            f"runtime_handler: the engine has no runtime {name!r}; it has {', '.join(facts.handlers) or 'none'}"
        )
    return name


def _ports(config: v1.PodSandboxConfig, network_mode: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is exposed and what is published. CRI: host_port 0 is "not published"; on the host's network all is."""
    exposed: dict[str, Any] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    if network_mode == HOST_NETWORK:
        return exposed, bindings
    for mapping in config.port_mappings:
        port = f"{mapping.container_port}/{_PROTOCOLS[mapping.protocol]}"
        exposed[port] = {}
        if mapping.host_port:
            bindings.setdefault(port, []).append({"HostIp": mapping.host_ip, "HostPort": str(mapping.host_port)})
    return exposed, bindings


def _endpoint(network: NetworkRequest) -> dict[str, Any]:
    addresses: dict[str, str] = {}
    if network.ipv4:
        addresses["IPv4Address"] = str(network.ipv4)
    if network.ipv6:
        addresses["IPv6Address"] = str(network.ipv6)
    endpoint: dict[str, Any] = {}
    if addresses:
        endpoint["IPAMConfig"] = addresses
    if network.aliases:
        endpoint["Aliases"] = list(network.aliases)
    return endpoint


def _dns(dns: v1.DNSConfig) -> dict[str, Any]:
    """CRI: what is given is all there is. Docker fills an empty search list from the host's; "." keeps it empty."""
    given = {"Dns": list(dns.servers), "DnsSearch": list(dns.searches), "DnsOptions": list(dns.options)}
    if dns.servers and not dns.searches:
        given["DnsSearch"] = ["."]
    return {key: value for key, value in given.items() if value}


def _user(context: v1.LinuxSandboxSecurityContext) -> str:
    uid = context.run_as_user if context.HasField("run_as_user") else None
    gid = context.run_as_group if context.HasField("run_as_group") else None
    return security.user(uid, "", gid)


def _security(context: v1.LinuxSandboxSecurityContext, facts: EngineFacts, seccomp_json: str) -> dict[str, Any]:
    options = context.namespace_options
    host: dict[str, Any] = {
        "IpcMode": "host" if options.ipc == v1.NODE else "shareable",
        "PidMode": "host" if options.pid == v1.NODE else "",
        "UsernsMode": userns_mode(options, facts),
        "ReadonlyRootfs": context.readonly_rootfs,
        "GroupAdd": [str(group) for group in context.supplemental_groups],
        "SecurityOpt": [
            *security.selinux_options(context.selinux_options),
            *security.apparmor_option(context.apparmor, facts.features),
            *security.seccomp_option(context.seccomp, seccomp_json),
        ],
    }
    if context.privileged:
        return host | {"Privileged": True}
    # The program in there makes four system calls and needs no right.
    host["SecurityOpt"].append("no-new-privileges")
    return host | {"CapDrop": ["ALL"]}


def userns_mode(options: v1.NamespaceOption, facts: EngineFacts) -> str:
    """Docker maps users for the whole daemon or not at all. Raises Unimplemented for a mapping of the sandbox's own."""
    if not options.HasField("userns_options"):
        return ""
    if options.userns_options.mode == v1.POD:
        raise Unimplemented(
            "config.linux.security_context.namespace_options.userns_options: Docker has no user namespace for one "
            "sandbox; use NODE, or userns-remap for the whole daemon"
        )
    if options.userns_options.mode != v1.NODE:
        raise InvalidArgument(
            "config.linux.security_context.namespace_options.userns_options.mode: allowed are POD and NODE"
        )
    return "host" if facts.features.user_namespace_remap else ""
