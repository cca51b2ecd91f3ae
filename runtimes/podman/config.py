"""What the Podman backend may be told: the section ``runtimes.podman`` of the configuration."""

from __future__ import annotations

from pydantic import Field, field_validator

from runtimes.shared.streaming_config import StreamingConfig


class PodmanConfig(StreamingConfig):
    """Frozen. Every field has a default that fits an engine on this machine."""

    host: str = ""
    """Where ``podman system service`` listens: ``unix:///path``, or ``tcp://host:port``. Empty: ``CONTAINER_HOST``,
    else this user's socket, which for root is the system's."""

    call_timeout: float = Field(default=60.0, gt=0)
    """Seconds after which an engine call is given up as DEADLINE_EXCEEDED. Pulls and streams are not bound by it."""

    max_threads: int = Field(default=32, ge=2, le=512)
    """How many engine calls may be under way at once; more wait their turn. Streams need no thread."""

    cgroup_parent: str = ""
    """Where sandboxes go whose config names no cgroup parent. Empty: the engine's own default."""

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value and not value.startswith(("unix://", "tcp://")):
            raise ValueError(f"{value!r} is not an engine address; write unix:///path or tcp://host:port")
        return value
