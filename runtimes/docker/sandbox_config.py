"""CRI's PodSandboxConfig as the config of the pause container in Docker's API. Pure."""

from __future__ import annotations

from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.networks import NO_NETWORK, NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.docker import security
from runtimes.docker.features import EngineFacts
from runtimes.shared import labels, pause

OOM_SCORE_ADJ = -998
"""The pause process goes last, as in every CRI runtime: with it the whole sandbox would go."""

_IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
"""What the kernel keeps for each IPC namespace."""

_RESERVED_NETWORKS = ("host", "default", "ingress")
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
    network_mode = _network_mode(config, network)
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
            "CgroupParent": cgroup_parent(config.linux.cgroup_parent or default_cgroup_parent, facts),
            "Sysctls": _sysctls(config.linux),
            "ExtraHosts": [f"{name}:{address}" for name, address in network.extra_hosts],
            "Runtime": handler(request.runtime_handler, facts),
            **_dns(config.dns_config),
            **_security(config.linux.security_context, facts, seccomp_json),
        },
    }
    if network_mode not in ("host", NO_NETWORK):
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


def cgroup_parent(path: str, facts: EngineFacts) -> str:
    """The cgroup parent in the form that the engine's driver takes.

    The systemd driver takes the name of a slice only, and finds the slices above it by the dashes in the name; the
    kubelet sends the whole path. The cgroupfs driver takes a path.
    """
    if not path or facts.cgroup_driver != "systemd":
        return path
    name = path.rstrip("/").rpartition("/")[2]
    if not name.endswith(".slice"):
        raise InvalidArgument(
            f"config.linux.cgroup_parent: {path!r} is no slice, and the engine's cgroup driver is systemd; "
            "write a path that ends in NAME.slice"
        )
    return name


def _sysctls(config: v1.LinuxPodSandboxConfig) -> dict[str, str]:
    """Checked here, because a runtime refuses them only at the start, as if it were its own failure."""
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


def _network_mode(config: v1.PodSandboxConfig, network: NetworkRequest) -> str:
    if config.linux.security_context.namespace_options.network == v1.NODE:
        if network.network or network.mac:
            raise InvalidArgument(
                "config.annotations: a sandbox on the host's network (namespace option NODE) has no network or "
                "hardware address of its own; drop the minicri.io/network and minicri.io/mac-address annotations"
            )
        return "host"
    if network.network in _RESERVED_NETWORKS:
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
    return network.network or "bridge"


def _ports(config: v1.PodSandboxConfig, network_mode: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is exposed and what is published. CRI: host_port 0 is "not published"; on the host's network all is."""
    exposed: dict[str, Any] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    if network_mode == "host":
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
