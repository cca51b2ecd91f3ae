"""A sandbox's record as CRI's messages. Pure."""

from __future__ import annotations

from cri.v1 import api_pb2 as v1
from runtimes.native.records import Phase, SandboxRecord


def state(record: SandboxRecord) -> v1.PodSandboxState:
    return v1.SANDBOX_READY if record.phase is Phase.READY else v1.SANDBOX_NOTREADY


def item(record: SandboxRecord) -> v1.PodSandbox:
    """A row of ListPodSandbox."""
    return v1.PodSandbox(
        id=record.id,
        metadata=record.config.metadata,
        state=state(record),
        created_at=record.created_ns,
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.request.runtime_handler,
    )


def status(record: SandboxRecord) -> v1.PodSandboxStatus:
    """PodSandboxStatus. CRI: the addresses are empty once the network is gone."""
    answer = v1.PodSandboxStatus(
        id=record.id,
        metadata=record.config.metadata,
        state=state(record),
        created_at=record.created_ns,
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.request.runtime_handler,
    )
    if record.phase is Phase.READY:
        first, *more = record.addresses or ("",)
        answer.network.ip = first
        answer.network.additional_ips.extend(v1.PodIP(ip=each) for each in more)
    answer.linux.namespaces.options.CopyFrom(record.config.linux.security_context.namespace_options)
    return answer
