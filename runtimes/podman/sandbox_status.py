"""What the engine says of a pod and its infra container, as CRI's messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.shared import labels
from runtimes.shared.records import labels_of

_ALIVE = ("running", "paused")


def infra_id(found: Mapping[str, Any]) -> str:
    """The id of the infra container of a pod as listed or inspected; empty while there is none."""
    return str(found.get("InfraContainerID") or found.get("InfraId") or "")


def state(found: Mapping[str, Any]) -> v1.PodSandboxState:
    """READY while the pause process lives; a paused one lives too. The pod's own word is about all its containers."""
    return v1.SANDBOX_READY if infra_state(found) in _ALIVE else v1.SANDBOX_NOTREADY


def pod_of(sandbox_id: str, infra: Mapping[str, Any]) -> dict[str, Any]:
    """A pod as far as its inspected infra container, which has its labels, tells."""
    known = {"Id": infra["Id"], "State": infra["State"]["Status"]}
    its_labels = dict(labels_of(infra))
    return {
        "Id": sandbox_id,
        "Name": infra["Name"],
        "Labels": its_labels,
        "InfraContainerID": infra["Id"],
        "Containers": [known],
    }


def infra_state(found: Mapping[str, Any]) -> str:
    """Podman's word for the state of the infra container of a pod as listed or inspected; empty where it is gone."""
    return _states(found).get(infra_id(found), "")


def member_states(found: Mapping[str, Any]) -> dict[str, str]:
    """Podman's word for the state of each other container of the pod, by id."""
    infra = infra_id(found)
    return {container_id: word for container_id, word in _states(found).items() if container_id != infra}


def _states(found: Mapping[str, Any]) -> dict[str, str]:
    return {each["Id"]: each.get("State") or each.get("Status") or "" for each in found.get("Containers") or ()}


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


def status(
    found: Mapping[str, Any], infra: Mapping[str, Any] | None, record: v1.RunPodSandboxRequest
) -> v1.PodSandboxStatus:
    """PodSandboxStatus of an inspected pod and its infra container, None where that is gone."""
    answer = v1.PodSandboxStatus(
        id=found["Id"],
        metadata=record.config.metadata,
        state=state(found),
        created_at=labels.created_ns(labels_of(found)),
        network=network_status(infra) if infra is not None and state(found) == v1.SANDBOX_READY else None,
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )
    answer.linux.namespaces.options.CopyFrom(record.config.linux.security_context.namespace_options)
    return answer


def network_status(infra: Mapping[str, Any]) -> v1.PodSandboxNetworkStatus:
    """The addresses of an infra container that runs: IPv4 before IPv6, none on the host's network."""
    addresses: list[str] = []
    for endpoint in ((infra.get("NetworkSettings") or {}).get("Networks") or {}).values():
        addresses += [endpoint.get("IPAddress") or "", endpoint.get("GlobalIPv6Address") or ""]
    given = sorted(filter(None, addresses), key=lambda text: ip_address(text).version)
    if not given:
        return v1.PodSandboxNetworkStatus()
    return v1.PodSandboxNetworkStatus(ip=given[0], additional_ips=[v1.PodIP(ip=text) for text in given[1:]])
