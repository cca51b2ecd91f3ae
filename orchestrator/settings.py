"""What ``minicri`` may be told: the CRI endpoint's settings, and a section ``orchestrator`` beside them.

One file serves every command, so the line ``runtime = "docker"`` is the swap for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, field_validator

from cri.addresses import parse
from cri.config import ServerSettings
from cri.errors import InvalidArgument
from cri.settings import Settings
from cri.tls import Tls
from orchestrator.client import address


def default_state(environ: Mapping[str, str] = os.environ) -> Path:
    """``/var/lib/minicri`` for root, else ``$XDG_STATE_HOME/minicri`` (``~/.local/state`` without the variable)."""
    if os.geteuid() == 0:
        return Path("/var/lib/minicri")
    return Path(environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "minicri"


class OrchestratorSettings(Settings):
    """``minicri up``, and how the commands find it. Times in seconds."""

    listen: str = Field(default_factory=address)
    """Where the orchestrator's service listens: ``unix:///path`` (mode 0660) or ``host:port`` (with ``tls``)."""

    tls: Tls | None = None
    """Certificates for ``host:port``; the commands show the same ones."""

    insecure: bool = False
    """Plaintext on ``host:port``; loopback only."""

    state: Path = Field(default_factory=default_state)
    """The folder with queue, Db, history and logs. One orchestrator at a time owns it."""

    steps: int = Field(default=16, ge=1)
    """How many calls to the runtime are under way at once, pulls apart."""

    pulls: int = Field(default=4, ge=1)
    """How many images are pulled at once."""

    relist: float = Field(default=10.0, gt=0)
    """How often everything is looked at again, events or not."""

    retry_backoff: float = Field(default=0.5, ge=0)
    """Wait after a call that failed but may succeed later; doubled each time."""

    retry_max: float = Field(default=10.0, ge=0)
    """The longest such wait."""

    step_timeout: float = Field(default=120.0, gt=0)
    """How long one call to the runtime may take; a stop gets its grace on top, a pull has no limit."""

    drain: float = Field(default=10.0, ge=0)
    """How long calls under way may go on after SIGTERM."""

    @field_validator("listen")
    @classmethod
    def _an_address(cls, listen: str) -> str:
        try:
            parse(listen)
        except InvalidArgument as error:
            raise ValueError(error.message) from error
        return listen


class MinicriSettings(ServerSettings):
    """All of ``minicri.toml``."""

    orchestrator: OrchestratorSettings = OrchestratorSettings()


PACE = ("steps", "pulls", "relist", "retry_backoff", "retry_max", "step_timeout", "drain")
"""The settings that the control loop and its worker take as they are."""
