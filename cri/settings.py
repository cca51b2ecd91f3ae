"""What a CRI endpoint may be told: the settings of ``minicri serve``. Loaded by ``cri.config``."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator

from cri import plugins
from cri.addresses import TcpAddress, default_address, is_address, parse
from cri.errors import InvalidArgument
from cri.fields import Sections
from cri.opening import AUTO
from cri.plugins import BackendConfig
from cri.tls import Tls


class Settings(BaseModel):
    """The ground of every settings model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(Settings):
    """How the server speaks of itself, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    """``json`` is one object a line, for a collector."""


def _config_of(name: str) -> type[BackendConfig]:
    return plugins.find(name).config


class ServerSettings(Settings):
    """A CRI endpoint over one engine. ``runtime = "docker"`` to ``"podman"`` is the whole swap."""

    runtime: str = AUTO
    """``auto``, the name of an installed backend, or the address of another CRI endpoint."""

    listen: str = Field(default_factory=default_address)
    """Where to listen: ``unix:///path`` (mode 0660) or ``host:port`` (with ``tls``)."""

    tls: Tls | None = None
    """Certificates for ``host:port``: both sides have to show one."""

    insecure: bool = False
    """Plaintext on ``host:port``; loopback only."""

    metrics: str = ""
    """``host:port`` where Prometheus metrics are served over HTTP; empty: nowhere. Beyond loopback it needs ``tls``."""

    grace: float = Field(default=30.0, ge=0)
    """Seconds that calls in flight get to finish after SIGTERM."""

    log: LogSettings = LogSettings()

    runtimes: Annotated[
        dict[str, SerializeAsAny[BackendConfig]], Sections(names=plugins.names, model_for=_config_of)
    ] = {}
    """A section for each backend, as its own config says; those of backends that are not used may stay."""

    @field_validator("runtime")
    @classmethod
    def _installed(cls, runtime: str) -> str:
        if is_address(runtime):
            return _checked(runtime)
        known = [AUTO, *plugins.names()]
        if runtime not in known:
            near = get_close_matches(runtime, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no such runtime{hint} Allowed: {', '.join(known)}, or an address")
        return runtime

    @field_validator("listen")
    @classmethod
    def _an_address(cls, listen: str) -> str:
        return _checked(listen)

    @field_validator("metrics")
    @classmethod
    def _a_tcp_address(cls, metrics: str) -> str:
        if metrics and not isinstance(parse(_checked(metrics)), TcpAddress):
            raise ValueError("metrics are served at host:port only")
        return metrics


def _checked(address: str) -> str:
    try:
        parse(address)
    except InvalidArgument as error:
        raise ValueError(error.message) from error
    return address
