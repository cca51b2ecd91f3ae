"""CNI's configuration, and what its plug-ins are told and answer. Pure, but for reading the directory.

As the specification has it (https://github.com/containernetworking/cni/blob/main/SPEC.md): a network is a list of
plug-ins; each is told what the one before it answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.network.plan import Plan

Json = dict[str, Any]

_LISTS, _SINGLE = (".conflist",), (".conf", ".json")
_ALL = _LISTS + _SINGLE
_OLDEST_CHECK = (0, 4, 0)
_NAMELESS = "0.1.0"


@dataclass(frozen=True, slots=True)
class Conflist:
    """One network. ``plugins`` are in the order in which they connect."""

    name: str
    version: str
    plugins: tuple[Json, ...]
    can_check: bool = True

    def config(self, plugin: Json, wishes: Mapping[str, Any], previous: Json | None) -> Json:
        """What one plug-in reads from its standard input: of the wishes those that it says it can fulfil."""
        told = {key: value for key, value in plugin.items() if key != "capabilities"}
        told |= {"name": self.name, "cniVersion": self.version}
        capable = {name for name, able in (plugin.get("capabilities") or {}).items() if able}
        if granted := {name: wish for name, wish in wishes.items() if name in capable}:
            told["runtimeConfig"] = granted
        if previous is not None:
            told["prevResult"] = previous
        return told

    def check_wishes(self, wishes: Mapping[str, Any]) -> None:
        """Raises InvalidArgument for one that no plug-in can fulfil: nothing that was asked for is dropped."""
        able = {name for plugin in self.plugins for name, is_on in (plugin.get("capabilities") or {}).items() if is_on}
        for name in wishes:
            if name not in able:
                raise InvalidArgument(f"the CNI network {self.name!r} has no plug-in with the capability {name}")

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "cniVersion": self.version,
            "disableCheck": not self.can_check,
            "plugins": list(self.plugins),
        }


def load(directory: Path) -> Conflist:
    """The network of the first file, by name. Raises FailedPrecondition for none, or one that cannot be understood."""
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix in _ALL)
    except OSError as error:
        raise FailedPrecondition(f"CNI's configuration {directory} cannot be read: {error.strerror}") from error
    if not files:
        raise FailedPrecondition(f"there is no CNI network in {directory}: no file ends in {', '.join(_ALL)}")
    try:
        return parse(json.loads(files[0].read_text()))
    except (OSError, ValueError) as error:
        raise FailedPrecondition(f"the CNI network in {files[0]} cannot be used: {error}") from error


def parse(read: Any) -> Conflist:
    """Raises ValueError."""
    if not isinstance(read, dict):
        raise ValueError("it is no JSON object")
    plugins = read.get("plugins", [read])
    name = read.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError("it has no name")
    if not isinstance(plugins, list) or not plugins:
        raise ValueError("it has no plugins")
    for plugin in plugins:
        kind = plugin.get("type") if isinstance(plugin, dict) else None
        if not isinstance(kind, str) or not kind or "/" in kind or kind in (".", ".."):
            raise ValueError(f"a plug-in's type is {kind!r}, and must be the name of a program")
    version = str(read.get("cniVersion") or _NAMELESS)
    return Conflist(name, version, tuple(plugins), _can_check(version) and read.get("disableCheck") is not True)


def wishes(plan: Plan) -> Json:
    """What a sandbox asks for beyond a network, by the names of the specification's conventions."""
    found: Json = {}
    if plan.ports:
        found["portMappings"] = [
            {
                "hostPort": port.port,
                "containerPort": port.target_port,
                "protocol": port.protocol,
                "hostIP": port.host_ip,
            }
            for port in plan.ports
        ]
    if plan.request.mac:
        found["mac"] = plan.request.mac
    return found


def arguments(sandbox_id: str, config: v1.PodSandboxConfig) -> str:
    """CNI_ARGS, as plug-ins made for Kubernetes expect it."""
    pod = config.metadata
    words = {
        "IgnoreUnknown": "1",
        "K8S_POD_NAMESPACE": pod.namespace,
        "K8S_POD_NAME": pod.name,
        "K8S_POD_INFRA_CONTAINER_ID": sandbox_id,
        "K8S_POD_UID": pod.uid,
    }
    return ";".join(f"{key}={value}" for key, value in words.items() if ";" not in value)


def addresses(result: Json, interface: str) -> list[tuple[IPv4Interface | IPv6Interface, str]]:
    """Those of the sandbox's interface with their gateways (empty: none), IPv4 first. Raises ValueError."""
    interfaces = result.get("interfaces") or []
    listed = result.get("ips") or [
        {"address": old["ip"], "gateway": old.get("gateway")} for key in ("ip4", "ip6") if (old := result.get(key))
    ]
    found = []
    for each in listed:
        at = each.get("interface")
        if at is not None and 0 <= at < len(interfaces):
            where = interfaces[at]
            if where.get("name") != interface or not where.get("sandbox"):
                continue
        found.append((ip_interface(each["address"]), str(each.get("gateway") or "")))
    return sorted(found, key=lambda pair: pair[0].version)


def _can_check(version: str) -> bool:
    try:
        return tuple(int(part) for part in version.split(".")) >= _OLDEST_CHECK
    except ValueError as error:
        raise ValueError(f"cniVersion {version!r} is no version") from error
