"""``TaskSpec``: what a user may say about a task, and nothing about how it is going.

The model is the schema: it validates, it names the field that is wrong and it prints itself as JSON Schema. Pure:
no file is read here (see ``manifest``) and no CRI message is made here (see ``pods``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resources(_Model):
    """Limits; an absent one is no limit. ``cpu`` in cores, ``memory`` in bytes (written ``64Mi`` or a number)."""

    cpu: float | None = Field(default=None, gt=0)
    memory: int | None = Field(default=None, gt=0)
    pids: int | None = Field(default=None, gt=0)


class Port(_Model):
    """A port of the task published on the host. In a file also ``"127.0.0.1:8080:80/tcp"``, ``"8080:80"``, ``80``."""

    container: int = Field(ge=1, le=65535)
    host: int = Field(default=0, ge=0, le=65535)
    host_ip: str = ""
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"


class Dns(_Model):
    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Network(_Model):
    """``mode`` bridge joins ``name`` (or the engine's default network); host and none need no name."""

    mode: Literal["bridge", "host", "none"] = "bridge"
    name: str = ""
    subnets: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    hostname: str = ""
    extra_hosts: dict[str, str] = {}
    dns: Dns = Dns()
    ports: tuple[Port, ...] = ()


class Mount(_Model):
    """A host path seen inside the task."""

    source: str = Field(pattern=r"^/")
    target: str = Field(pattern=r"^/")
    readonly: bool = False


class Stop(_Model):
    """How a task is stopped: ``signal`` (the image's own when empty), then SIGKILL after ``grace`` seconds."""

    signal: str = ""
    grace: float = Field(default=10.0, ge=0)


class Restart(_Model):
    """When an attempt that ended is followed by another. Backoff in seconds, doubled up to ``max_backoff`` and
    forgotten after an attempt ran for ``reset_after``; ``attempts`` 0 is without limit."""

    policy: Literal["never", "on-failure", "always"] = "never"
    backoff: float = Field(default=10.0, ge=0)
    max_backoff: float = Field(default=300.0, ge=0)
    reset_after: float = Field(default=600.0, ge=0)
    attempts: int = Field(default=0, ge=0)


class TaskSpec(_Model):
    """One task as declared. ``replicas`` absent: one task of this name; given: ``name-0``, ``name-1``, …"""

    name: Name
    image: str = Field(min_length=1)
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    workdir: str = ""
    user: str = ""
    resources: Resources = Resources()
    restart: Restart = Restart()
    network: Network = Network()
    platform: str = ""
    mounts: tuple[Mount, ...] = ()
    stop: Stop = Stop()
    labels: dict[str, str] = {}
    replicas: int | None = Field(default=None, ge=0)
    pull: Literal["missing", "always", "never"] = "missing"
    tty: bool = False
