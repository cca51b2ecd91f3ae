"""One fake sandbox: its configuration, its place on the network, and the messages that tell about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cri.v1 import api_pb2 as v1
from runtimes.fake.networks import Endpoint

if TYPE_CHECKING:
    from runtimes.fake.container import Container

Key = tuple[str, str, str, int]
"""CRI: name, namespace, uid and attempt together are unique."""


def key_of(metadata: v1.PodSandboxMetadata) -> Key:
    return (metadata.namespace, metadata.name, metadata.uid, metadata.attempt)


@dataclass(eq=False, slots=True)
class Sandbox:
    """``release`` gives back what the sandbox holds of the host: its published ports and its addresses."""

    id: str
    config: v1.PodSandboxConfig
    handler: str
    created_at_ns: int
    endpoint: Endpoint
    release: Callable[[], None]
    state: v1.PodSandboxState = v1.SANDBOX_READY
    containers: dict[str, Container] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return key_of(self.config.metadata)

    @property
    def hostname(self) -> str:
        return self.config.hostname or self.config.metadata.name

    def log_path(self, log_path: str) -> Path | None:
        """Where a container with ``log_path`` writes its log; None for a container (or sandbox) without one."""
        if not (self.config.log_directory and log_path):
            return None
        return Path(self.config.log_directory) / log_path

    def shut(self) -> None:
        """The sandbox is no longer ready, and its network is gone. Safe to call twice."""
        self.state = v1.SANDBOX_NOTREADY
        self.release()

    def message(self) -> v1.PodSandbox:
        return v1.PodSandbox(
            id=self.id,
            metadata=self.config.metadata,
            state=self.state,
            created_at=self.created_at_ns,
            labels=self.config.labels,
            annotations=self.config.annotations,
            runtime_handler=self.handler,
        )

    def attributes(self) -> v1.PodSandboxAttributes:
        return v1.PodSandboxAttributes(
            id=self.id,
            metadata=self.config.metadata,
            labels=self.config.labels,
            annotations=self.config.annotations,
        )

    def status(self) -> v1.PodSandboxStatus:
        """CRI: the IP is empty once the network is gone."""
        status = v1.PodSandboxStatus(
            id=self.id,
            metadata=self.config.metadata,
            state=self.state,
            created_at=self.created_at_ns,
            labels=self.config.labels,
            annotations=self.config.annotations,
            runtime_handler=self.handler,
        )
        addresses = [str(address) for address in self.endpoint.addresses]
        status.network.ip = addresses[0] if addresses else ""
        status.network.additional_ips.extend(v1.PodIP(ip=address) for address in addresses[1:])
        status.linux.namespaces.options.CopyFrom(self.config.linux.security_context.namespace_options)
        return status

    def info(self) -> dict[str, str]:
        """What ``verbose`` adds."""
        request = self.endpoint.request
        segment = self.endpoint.segment
        return {
            "info": json.dumps(
                {
                    "network": segment.name if segment else "",
                    "names": list(self.endpoint.names),
                    "mac": request.mac,
                    "hostname": self.hostname,
                }
            )
        }
