"""The settings of the backend ``remote``: the section ``runtimes.remote`` of the configuration."""

from __future__ import annotations

from pydantic import Field

from cri.plugins import BackendConfig
from cri.tls import Tls


class RemoteConfig(BackendConfig):
    """Frozen. Where the endpoint is and how long to wait for it."""

    address: str
    """``unix:///path`` or ``host:port``."""

    tls: Tls | None = None
    """Certificates; required for ``host:port`` unless ``insecure``."""

    insecure: bool = False
    """Plaintext to ``host:port``; loopback only."""

    timeout: float = Field(default=120.0, gt=0)
    """Seconds for a unary call. StopContainer, ExecSync and CheckpointContainer have what they ask for on top of it;
    ExecSync without a limit and streams have no deadline."""

    pull_timeout: float | None = Field(default=None, gt=0)
    """Seconds for PullImage; absent: as long as it takes."""

    connect_timeout: float = Field(default=5.0, gt=0)
    """Seconds in which the endpoint has to say its version when it is opened or looked at."""

    reconnect_timeout: float = Field(default=5.0, ge=0)
    """Seconds that a call waits for an endpoint that went away, before it fails with Unavailable. A restart that is
    shorter is not noticed by new calls. With less than 3 a call may fail although the endpoint has just come back."""
