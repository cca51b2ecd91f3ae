"""Where a backend's streaming server listens and what it puts into its URLs: a part of its configuration."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from cri.addresses import TcpAddress
from cri.plugins import BackendConfig
from cri.streaming import StreamHandler, StreamingServer
from cri.tls import Tls, server_context


class StreamingConfig(BackendConfig):
    """Taken in by the configuration of every backend that serves exec, attach and port-forward itself."""

    streaming_host: str = "127.0.0.1"
    """Address that the exec, attach and port-forward server listens on. Beyond loopback it needs ``streaming_tls``."""

    streaming_port: int = Field(default=0, ge=0, le=65535)
    """Port of that server; 0 takes a free one."""

    streaming_tls: Tls | None = None
    """Mutual TLS for that server: its URLs are https, and whoever uses one shows a certificate."""

    streaming_advertise: str = ""
    """The host in the URLs where it is not the one to listen on: a name in the certificate, the way in from outside."""

    @model_validator(mode="after")
    def _is_safe_and_can_be_reached(self) -> Self:
        if self.streaming_tls is None and not TcpAddress(self.streaming_host, self.streaming_port).is_loopback:
            raise ValueError(
                f"streaming_host: {self.streaming_host!r} is beyond loopback, where a URL is all that a client needs; "
                "give streaming_tls (cert, key, ca), or use 127.0.0.1"
            )
        if self.streaming_host in ("0.0.0.0", "::") and not self.streaming_advertise:  # noqa: S104 - of clients' URLs
            raise ValueError(
                f"streaming_host: {self.streaming_host!r} is everywhere and leads nowhere in a URL; give "
                "streaming_advertise, the name or address that clients are to use"
            )
        return self


def streaming_server(handler: StreamHandler, config: StreamingConfig) -> StreamingServer:
    """Raises InvalidArgument for certificates that cannot be used."""
    return StreamingServer(
        handler,
        host=config.streaming_host,
        port=config.streaming_port,
        tls=server_context(config.streaming_tls) if config.streaming_tls else None,
        advertise=config.streaming_advertise or None,
    )
