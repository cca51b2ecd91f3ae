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

    orphan_grace: float = Field(default=300.0, ge=0)
    """How long sandboxes and containers of this instance that no known task owns are left alone, from the first look
    that found them, before they are removed; ``minicri orphans`` shows them. A restart does not begin it anew."""

    retry_backoff: float = Field(default=0.5, ge=0)
    """Wait after a call that failed but may succeed later; doubled each time."""

    retry_max: float = Field(default=10.0, ge=0)
    """The longest such wait."""

    step_timeout: float = Field(default=120.0, gt=0)
    """How long one call to the runtime may take; a stop gets its grace on top, a pull has no limit."""

    drain: float = Field(default=10.0, ge=0)
    """How long calls under way may go on after SIGTERM."""

    history: int = Field(default=100_000, ge=10_000)
    """How many lines of history are kept, of all tasks together; the oldest go."""

    collect_every: float = Field(default=60.0, gt=0)
    """How often it is looked which logs and images have become too many."""

    log_attempts: int = Field(default=5, ge=1)
    """Of how many attempts of a task the logs are kept, the newest one included."""

    log_age: float = Field(default=604800.0, ge=0)
    """How long the logs of earlier attempts are kept after their last line; 0 is for ever."""

    image_age: float = Field(default=86400.0, ge=0)
    """How long an image that was pulled for tasks is kept once nothing names or uses it; 0 is until room is short."""

    image_grace: float = Field(default=120.0, ge=0)
    """How long it is kept at least, even where room is short."""

    image_high: float = Field(default=85.0, ge=0, le=100)
    """Percent of the images' file system in use above which such images go, the longest unused first ..."""

    image_low: float = Field(default=80.0, ge=0, le=100)
    """... until no more than this is in use."""

    metrics: str = ""
    """Where Prometheus metrics of the orchestrator are read, ``host:port``; empty: nowhere. Other than loopback takes
    ``tls``."""

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


PACE = ("steps", "pulls", "relist", "orphan_grace", "retry_backoff", "retry_max", "step_timeout", "drain")
"""The settings that the control loop and its worker take as they are."""

LIMITS = ("collect_every", "log_attempts", "log_age", "image_age", "image_grace", "image_high", "image_low")
"""Those that say how long logs and images are kept."""
