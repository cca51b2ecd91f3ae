"""What the engine says of a pause container, as CRI's messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.docker.records import labels_of
from runtimes.shared import labels


def state(found: Mapping[str, Any]) -> v1.PodSandboxState:
    """READY while the pause process lives; a paused one lives too."""
    known = found["State"]
    word = known["Status"] if isinstance(known, dict) else known
    return v1.SANDBOX_READY if word in ("running", "paused") else v1.SANDBOX_NOTREADY


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
