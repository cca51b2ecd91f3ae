"""What the Docker backend may be told: the section ``runtimes.docker`` of the configuration."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from runtimes.shared.streaming_config import StreamingConfig


class DockerConfig(StreamingConfig):
    """Frozen. Every field has a default that fits an engine on this machine."""

    host: str = ""
    """Where the engine listens: ``unix:///path``, or ``tcp://host:port`` with the tls fields. Empty: ``DOCKER_HOST``
    (with ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``), else the system's socket, else this user's rootless one."""

    tls_ca: str = ""
    """File with the CA that signed the engine's certificate (PEM). With it, ``tcp://`` is TLS."""

    tls_cert: str = ""
    """File with the client certificate (PEM)."""

    tls_key: str = ""
    """File with the client's private key (PEM)."""

    call_timeout: float = Field(default=60.0, gt=0)
    """Seconds after which an engine call is given up as DEADLINE_EXCEEDED. Pulls and streams are not bound by it."""

    max_threads: int = Field(default=32, ge=2, le=512)
    """How many engine calls may be under way at once; more wait their turn. Streams need no thread."""

    cgroup_parent: str = ""
    """Where sandboxes go whose config names no cgroup parent. Empty: the engine's own default."""

    docker_login: bool = True
    """Whether a pull without credentials uses those that ``docker login`` stored for the user of this process."""

    @model_validator(mode="after")
    def _host_and_tls_agree(self) -> Self:
        if self.host and not self.host.startswith(("unix://", "tcp://")):
            raise ValueError(f"host: {self.host!r} is not an engine address; write unix:///path or tcp://host:port")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key belong together: set both or none")
        if self.tls_cert and not self.tls_ca:
            raise ValueError("tls_cert needs tls_ca: the engine has to prove who it is as well")
        return self
