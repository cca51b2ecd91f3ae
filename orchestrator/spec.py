"""``TaskSpec``: what a user may say about a task, and nothing about how it is going.

The model is the schema: it validates, it names the field that is wrong and it prints itself as JSON Schema. Pure:
no file is read here (see ``manifest``) and no CRI message is made here (see ``pods``). Fields that have a short form
(see ``shortforms``) take it wherever the model is built, and always hold the long one.
"""

from __future__ import annotations

import ipaddress
import re
import signal
from collections.abc import Iterable
from posixpath import normpath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from orchestrator import shortforms

RESERVED = "minicri.io/"
"""Labels with this prefix are the orchestrator's own."""

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_HOST_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOSTNAME = rf"{_HOST_LABEL}(\.{_HOST_LABEL})*"


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL byte cannot be passed to a process")
    return value


def _address(version: int) -> AfterValidator:
    def check(value: str) -> str:
        kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
        return str(kind(value)) if value else value

    return AfterValidator(check)


def _any_address(value: str) -> str:
    return str(ipaddress.ip_address(value)) if value else value


def _subnet(value: str) -> str:
    return str(ipaddress.ip_network(value))


def _host_entry(value: str) -> str:
    return value if value == "host-gateway" else str(ipaddress.ip_address(value))


def _signal(value: str) -> str:
    """``TERM``, ``SIGTERM`` and ``15`` -> ``SIGTERM``."""
    if not value:
        return value
    name = value.upper()
    if name.isdigit():
        known = {int(one): one.name for one in signal.Signals}
        name = known.get(int(name), name)
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name in signal.Signals.__members__ or re.fullmatch(r"SIGRTM(IN\+|AX-)([1-9]|1[0-5])", name):
        return name
    raise ValueError("write a signal's name or number, such as SIGTERM, INT or 10")


def _inside_path(value: str) -> str:
    if not value:
        return value
    if not value.startswith("/") or ".." in value.split("/"):
        raise ValueError("write an absolute path without '..'")
    return normpath("/" + value.lstrip("/"))


def _target(value: str) -> str:
    if (path := _inside_path(value)) in ("", "/"):
        raise ValueError("a mount needs a target below /")
    return path


def _env_name(value: str) -> str:
    if not value or "=" in value:
        raise ValueError("the name of a variable is not empty and has no '='")
    return value


def _label_key(value: str) -> str:
    if not value or value.startswith(RESERVED):
        raise ValueError(f"the name of a label is not empty, and {RESERVED}… is kept for minicri itself")
    return value


def _short(convert: Any, *inputs: Any) -> BeforeValidator:
    kinds: Any = inputs[0]
    for kind in inputs[1:]:
        kinds = kinds | kind
    return BeforeValidator(convert, json_schema_input_type=kinds)


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[
    str, Field(pattern=NAME_PATTERN, description="lower-case letters, digits and '-', at most 63, no '-' at the ends")
]
_HOST_RULE = "a host name: letters, digits, '-' and '.'"
Hostname = Annotated[str, Field(pattern=rf"^{_HOSTNAME}$", description=_HOST_RULE)]
Seconds = Annotated[float, _short(shortforms.duration, str, float), Field(ge=0)]
Words = Annotated[tuple[Text, ...], BeforeValidator(shortforms.words)]


class Model(BaseModel):
    """Frozen, closed, and read from text as well as from numbers: a manifest's ``"8080"`` is the port 8080."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)


class Resources(Model):
    """Limits; an absent one is no limit. ``cpu`` in cores, ``memory`` in bytes (written ``64Mi`` or a number)."""

    cpu: Annotated[float, _short(shortforms.cpu, str, float)] | None = Field(default=None, gt=0)
    memory: Annotated[int, _short(shortforms.memory, str, int)] | None = Field(default=None, gt=0)
    pids: int | None = Field(default=None, gt=0)


class Port(Model):
    """A port of the task published on the host. In a file also ``"127.0.0.1:8080:80/tcp"``, ``"8080:80"``, ``80``.

    ``host`` 0 lets the engine choose."""

    container: int = Field(ge=1, le=65535)
    host: int = Field(default=0, ge=0, le=65535)
    host_ip: Annotated[str, AfterValidator(_any_address)] = ""
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"


class Dns(Model):
    """What the task's resolv.conf says; empty: what the engine gives."""

    servers: tuple[Annotated[str, AfterValidator(_any_address), Field(min_length=1)], ...] = ()
    searches: tuple[Hostname, ...] = ()
    options: tuple[Annotated[str, Field(pattern=r"^\S+$", description="one word")], ...] = ()


class Network(Model):
    """``mode`` bridge joins ``name`` (or the engine's default network); host and none need no name.

    A named network is created when it is missing, with ``subnets`` where given. In a file also just its name, or
    ``host``, ``none``, ``bridge``."""

    mode: Literal["bridge", "host", "none"] = "bridge"
    name: str = Field(
        default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]*)?$", description="letters, digits, '_', '.' and '-'"
    )
    subnets: tuple[Annotated[str, AfterValidator(_subnet)], ...] = ()
    aliases: tuple[Hostname, ...] = ()
    ipv4: Annotated[str, _address(4)] = ""
    ipv6: Annotated[str, _address(6)] = ""
    mac: str = Field(
        default="",
        pattern=r"^([0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5})?$",
        description="six bytes in hex, such as 02:42:ac:11:00:10",
    )
    hostname: str = Field(default="", pattern=rf"^({_HOSTNAME})?$", description=_HOST_RULE)
    extra_hosts: dict[Hostname, Annotated[str, AfterValidator(_host_entry)]] = {}
    dns: Dns = Dns()
    ports: Annotated[tuple[Port, ...], _short(shortforms.ports, tuple[str | int | Port, ...])] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.mode != "bridge":
            only_bridge = ("name", "subnets", "aliases", "ipv4", "ipv6", "mac", "ports")
            for given in (field for field in only_bridge if getattr(self, field)):
                raise ValueError(f"{given} needs mode bridge, not {self.mode}")
        if self.mode == "host" and self.hostname:
            raise ValueError("hostname needs a network of its own: mode bridge or none, not host")
        for given in (field for field in ("subnets", "aliases", "ipv4", "ipv6") if getattr(self, field)):
            if not self.name:
                raise ValueError(f"{given} needs the name of a network: add name")
        _once("port", (f"{p.host_ip}:{p.host}/{p.protocol}" for p in self.ports if p.host), "published")
        return self


class Mount(Model):
    """A host path seen inside the task. In a file also ``"/source:/target"`` and ``"/source:/target:ro"``; a source
    that starts with ``./`` is taken from the file's own folder."""

    source: Annotated[str, AfterValidator(_inside_path), Field(min_length=1)]
    target: Annotated[str, AfterValidator(_target)]
    readonly: bool = False


class Stop(Model):
    """How a task is stopped: ``signal`` (the image's own when empty), then SIGKILL after ``grace`` seconds."""

    signal: Annotated[str, AfterValidator(_signal)] = ""
    grace: Seconds = 10.0


class Restart(Model):
    """When an attempt that ended is followed by another. Backoff in seconds, doubled up to ``max_backoff`` and
    forgotten after an attempt ran for ``reset_after``; ``attempts`` 0 is without limit. In a file also just the
    policy."""

    policy: Literal["never", "on-failure", "always"] = "never"
    backoff: Seconds = 10.0
    max_backoff: Seconds = 300.0
    reset_after: Seconds = 600.0
    attempts: int = Field(default=0, ge=0)


def _once(what: str, values: Iterable[str], verb: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is {verb} twice")
        seen.add(value)


class TaskSpec(Model):
    """One task as declared. ``replicas`` absent: one task of this name; given: ``name-0``, ``name-1``, …"""

    name: Name
    image: str = Field(pattern=r"^[^\s-]\S*$", description="a reference such as busybox:1.36 or registry/name@sha256:…")
    command: Words = ()
    args: Words = ()
    env: dict[Annotated[Text, AfterValidator(_env_name)], Text] = {}
    workdir: Annotated[Text, AfterValidator(_inside_path)] = ""
    user: str = Field(
        default="", pattern=r"^(\w[\w.-]*(:\w[\w.-]*)?)?$", description="name, uid, name:group or uid:gid"
    )
    resources: Resources = Resources()
    restart: Annotated[Restart, _short(shortforms.restart, Literal["never", "on-failure", "always"], Restart)] = (
        Restart()
    )
    network: Annotated[Network, _short(shortforms.network, str, Network)] = Network()
    platform: str = Field(
        default="",
        pattern=r"^([a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?)?$",
        description="os/arch or os/arch/variant, such as linux/arm64/v8",
    )
    mounts: tuple[Annotated[Mount, _short(shortforms.mount, str, Mount)], ...] = ()
    stop: Stop = Stop()
    labels: dict[Annotated[Text, AfterValidator(_label_key)], Text] = {}
    replicas: int | None = Field(default=None, ge=0, le=10000)
    pull: Literal["missing", "always", "never"] = "missing"
    tty: bool = False

    @field_validator("mounts")
    @classmethod
    def _one_mount_a_target(cls, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        _once("target", (mount.target for mount in mounts), "mounted")
        return mounts

    @model_validator(mode="after")
    def _replicas_can_live_side_by_side(self) -> Self:
        if self.replicas is None:
            return self
        if len(self.name) + len(str(max(self.replicas - 1, 0))) + 1 > 63:
            raise ValueError("with replicas the name must leave room for -0, -1, … within 63 characters")
        if self.replicas > 1:
            for port in (port for port in self.network.ports if port.host):
                raise ValueError(f"{self.replicas} replicas cannot share host port {port.host}: give host port 0")
            for given in (field for field in ("ipv4", "ipv6", "mac") if getattr(self.network, field)):
                raise ValueError(f"{self.replicas} replicas cannot share one {given}: leave network.{given} out")
        return self
