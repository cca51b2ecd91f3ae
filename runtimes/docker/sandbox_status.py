"""What the engine says of a pause container, as CRI's messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.shared import labels
from runtimes.shared.records import labels_of


def state(found: Mapping[str, Any]) -> v1.PodSandboxState:
    """READY while the pause process lives, be it paused, unless it is ``half_started``."""
    return v1.SANDBOX_READY if _lives(found) and not half_started(found) else v1.SANDBOX_NOTREADY


def half_started(found: Mapping[str, Any]) -> bool:
    """Whether the pause process lives, but in no network: the engine died as it started it, and took it for running
    when containerd told of it afterwards. It has lost its /dev/shm too, so no container can ever be started in it."""
    endpoints = ((found.get("NetworkSettings") or {}).get("Networks") or {}).values()
    return _lives(found) and bool(endpoints) and not any(endpoint.get("EndpointID") for endpoint in endpoints)


def _lives(found: Mapping[str, Any]) -> bool:
    known = found["State"]
    return (known["Status"] if isinstance(known, dict) else known) in ("running", "paused")


def item(found: Mapping[str, Any], record: v1.RunPodSandboxRequest) -> v1.PodSandbox:
    """A row of ListPodSandbox."""
    return v1.PodSandbox(
        id=found["Id"],
        metadata=record.config.metadata,
        state=state(found),
        created_at=labels.created_ns(labels_of(found)),
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )


def status(found: Mapping[str, Any], record: v1.RunPodSandboxRequest) -> v1.PodSandboxStatus:
    """PodSandboxStatus of an inspected pause container."""
    answer = v1.PodSandboxStatus(
        id=found["Id"],
        metadata=record.config.metadata,
        state=state(found),
        created_at=labels.created_ns(labels_of(found)),
        network=network_status(found),
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )
    answer.linux.namespaces.options.CopyFrom(record.config.linux.security_context.namespace_options)
    return answer


def network_status(found: Mapping[str, Any]) -> v1.PodSandboxNetworkStatus:
    """The addresses: IPv4 before IPv6, none on the host's network and none once the network is gone."""
    addresses: list[str] = []
    if state(found) == v1.SANDBOX_READY:
        for endpoint in ((found.get("NetworkSettings") or {}).get("Networks") or {}).values():
            addresses += [endpoint.get("IPAddress") or "", endpoint.get("GlobalIPv6Address") or ""]
    given = sorted(filter(None, addresses), key=lambda text: ip_address(text).version)
    if not given:
        return v1.PodSandboxNetworkStatus()
    return v1.PodSandboxNetworkStatus(ip=given[0], additional_ips=[v1.PodIP(ip=text) for text in given[1:]])
