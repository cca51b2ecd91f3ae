"""What a request must fulfil whatever the engine. Pure; every backend calls these before it makes anything.

Each function raises InvalidArgument that names the field as the proto spells it, the value, and the way out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from ipaddress import ip_address

from cri import networks, platforms, references
from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1

_HOSTNAME = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9.]{0,62}[a-zA-Z0-9])?")
_SYSCTL = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9*]([-_a-z0-9]*[a-z0-9])?)+")
_NAMESPACES = "config.linux.security_context.namespace_options"
_DEVICE_PERMISSIONS = re.compile(r"(?!.*(.).*\1)[rwm]{0,3}")


def _path(field: str, value: str) -> str:
    """``value``, which must be given and must be possible as a path: the kernel's paths end at a NUL byte."""
    if "\0" in require(field, value):
        raise InvalidArgument(f"{field}: {value!r} has a NUL byte in it, which no path can have")
    return value


def _absolute(field: str, value: str) -> None:
    if not _path(field, value).startswith("/"):
        raise InvalidArgument(f"{field}: {value!r} is not an absolute path")


def require(field: str, value: str) -> str:
    """``value``, which must not be empty."""
    if not value:
        raise InvalidArgument(f"{field} is required and was empty")
    return value


def sandbox_config(config: v1.PodSandboxConfig) -> None:
    """Check a PodSandboxConfig as RunPodSandbox gets it."""
    require("config.metadata.name", config.metadata.name)
    require("config.metadata.namespace", config.metadata.namespace)
    require("config.metadata.uid", config.metadata.uid)
    if config.hostname and not _HOSTNAME.fullmatch(config.hostname):
        raise InvalidArgument(f"config.hostname: {config.hostname!r} is not a host name of at most 64 characters")
    if config.log_directory:
        _absolute("config.log_directory", config.log_directory)
    for index, mapping in enumerate(config.port_mappings):
        _port_mapping(f"config.port_mappings[{index}]", mapping)
    for name in config.linux.sysctls:
        if not _SYSCTL.fullmatch(name):
            raise InvalidArgument(
                f"config.linux.sysctls: {name!r} is not the name of a sysctl, such as net.core.somaxconn"
            )
    namespaces = config.linux.security_context.namespace_options
    for field in ("network", "pid", "ipc"):
        mode = getattr(namespaces, field)
        allowed = (v1.POD, v1.NODE) if field != "pid" else (v1.POD, v1.CONTAINER, v1.NODE)
        _namespace_mode(f"{_NAMESPACES}.{field}", mode, allowed)
    _user_namespace(namespaces)
    security = config.linux.security_context
    if security.HasField("run_as_group") and not security.HasField("run_as_user"):
        raise InvalidArgument("config.linux.security_context.run_as_group needs run_as_user")
    networks.read(config.annotations)
    platforms.wanted(config.annotations)


def _port_mapping(field: str, mapping: v1.PortMapping) -> None:
    if mapping.protocol not in v1.Protocol.values():
        raise InvalidArgument(f"{field}.protocol: {mapping.protocol} is none of {', '.join(v1.Protocol.keys())}")
    if not 1 <= mapping.container_port <= 65535:
        raise InvalidArgument(f"{field}.container_port: {mapping.container_port} is not between 1 and 65535")
    if not 0 <= mapping.host_port <= 65535:
        raise InvalidArgument(f"{field}.host_port: {mapping.host_port} is not between 0 (not published) and 65535")
    if mapping.host_ip:
        try:
            ip_address(mapping.host_ip)
        except ValueError as error:
            raise InvalidArgument(f"{field}.host_ip: {mapping.host_ip!r} is not an IP address") from error


def _namespace_mode(field: str, mode: v1.NamespaceMode, allowed: Iterable[v1.NamespaceMode]) -> None:
    if mode not in allowed:
        names = ", ".join(v1.NamespaceMode.Name(each) for each in allowed)
        name = v1.NamespaceMode.Name(mode) if mode in v1.NamespaceMode.values() else str(mode)
        raise InvalidArgument(f"{field}: {name} is not possible here; allowed: {names}")


def _user_namespace(options: v1.NamespaceOption) -> None:
    if options.HasField("userns_options"):
        _namespace_mode(f"{_NAMESPACES}.userns_options.mode", options.userns_options.mode, (v1.POD, v1.NODE))


def container_config(config: v1.ContainerConfig) -> None:
    """Check a ContainerConfig as CreateContainer gets it."""
    require("config.metadata.name", config.metadata.name)
    image("config.image.image", config.image.image)
    if config.log_path:
        log_path(config.log_path)
    for index, pair in enumerate(config.envs):
        if not pair.key or "=" in pair.key or "\0" in pair.key or b"\0" in pair.value:
            raise InvalidArgument(f"config.envs[{index}].key: {pair.key!r} cannot be an environment variable")
    for index, mount in enumerate(config.mounts):
        _mount(f"config.mounts[{index}]", mount)
    for index, device in enumerate(config.devices):
        _path(f"config.devices[{index}].host_path", device.host_path)
        if not _DEVICE_PERMISSIONS.fullmatch(device.permissions):
            raise InvalidArgument(f"config.devices[{index}].permissions: {device.permissions!r} is not made of r, w, m")
    if config.stop_signal not in v1.Signal.values():
        raise InvalidArgument(f"config.stop_signal: {config.stop_signal} is not a signal of CRI's list")
    _container_security(config.linux.security_context)
    resources("config.linux.resources", config.linux.resources)
    platforms.wanted(config.image.annotations, config.annotations)


def _mount(field: str, mount: v1.Mount) -> None:
    _absolute(f"{field}.container_path", mount.container_path)
    if ".." in mount.container_path.split("/"):
        raise InvalidArgument(f"{field}.container_path: {mount.container_path!r} must not contain '..'")
    _mount_source(field, mount)
    if mount.propagation not in v1.MountPropagation.values():
        raise InvalidArgument(f"{field}.propagation: {mount.propagation} is none of CRI's")
    if mount.recursive_read_only:
        if not mount.readonly:
            raise InvalidArgument(f"{field}.recursive_read_only needs readonly")
        if mount.propagation != v1.PROPAGATION_PRIVATE:
            raise InvalidArgument(f"{field}.recursive_read_only needs PROPAGATION_PRIVATE")


def _mount_source(field: str, mount: v1.Mount) -> None:
    if mount.HasField("image") and mount.image.image:
        if mount.host_path:
            raise InvalidArgument(
                f"{field}: host_path {mount.host_path!r} and image {mount.image.image!r} exclude each other"
            )
        if mount.image_sub_path.startswith("/") or ".." in mount.image_sub_path.split("/"):
            raise InvalidArgument(f"{field}.image_sub_path: {mount.image_sub_path!r} leaves the image")
    else:
        _absolute(f"{field}.host_path", mount.host_path)


def _container_security(security: v1.LinuxContainerSecurityContext) -> None:
    field = "config.linux.security_context"
    if security.HasField("run_as_user") and security.run_as_username:
        raise InvalidArgument(f"{field}: run_as_user and run_as_username exclude each other")
    if security.HasField("run_as_group") and not (security.HasField("run_as_user") or security.run_as_username):
        raise InvalidArgument(f"{field}.run_as_group needs run_as_user or run_as_username")
    options = security.namespace_options
    _user_namespace(options)
    if options.pid == v1.TARGET:
        require(f"{field}.namespace_options.target_id", options.target_id)
    for name, profile in (("seccomp", security.seccomp), ("apparmor", security.apparmor)):
        if profile.profile_type == v1.SecurityProfile.Localhost:
            require(f"{field}.{name}.localhost_ref", profile.localhost_ref)


def member(wanted: v1.LinuxContainerSecurityContext, given: v1.LinuxSandboxSecurityContext) -> None:
    """Check what a container may have only where its sandbox has it: privilege, the host's network and the host's ipc.
    About pid each container decides for itself."""
    for name in ("network", "ipc"):
        modes = (getattr(wanted.namespace_options, name), getattr(given.namespace_options, name))
        if modes[0] == v1.NODE and modes[1] != v1.NODE:
            raise InvalidArgument(f"{_NAMESPACES}.{name}: NODE is not possible in a sandbox that is not on NODE itself")
    if wanted.privileged and not given.privileged:
        raise InvalidArgument(
            "config.linux.security_context.privileged is not possible in a sandbox that is not privileged itself"
        )


def resources(field: str, limits: v1.LinuxContainerResources) -> None:
    """Check limits, which may be absent (0) but not negative; CPU quota and swap use -1 for "no limit"."""
    for name in ("cpu_period", "cpu_shares", "memory_limit_in_bytes"):
        if getattr(limits, name) < 0:
            raise InvalidArgument(f"{field}.{name}: {getattr(limits, name)} is negative; 0 means no limit")
    if not -1000 <= limits.oom_score_adj <= 1000:
        raise InvalidArgument(f"{field}.oom_score_adj: {limits.oom_score_adj} is not between -1000 and 1000")


def image(field: str, text: str) -> None:
    """Check an image reference or id."""
    if not references.is_image_id(require(field, text)):
        references.parse(text, field=field)


def log_path(path: str) -> None:
    """CRI: the log path is relative to the sandbox's log directory; it must stay inside."""
    if _path("config.log_path", path).startswith("/") or posixpath.normpath(path).split("/")[0] == "..":
        raise InvalidArgument(f"config.log_path: {path!r} leaves the sandbox's log directory; write a relative path")
