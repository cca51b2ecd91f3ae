"""``Network``: which network a task is in, and what of it can be reached from outside."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from manifests import shortforms
from manifests.values import (
    HOST_RULE,
    HOSTNAME,
    Hostname,
    Model,
    address,
    any_address,
    host_entry,
    once,
    short,
    subnet,
)


class Port(Model):
    """A port of the task published on the host. In a file also ``"127.0.0.1:8080:80/tcp"``, ``"8080:80"``, ``80``.

    ``host`` 0 lets the engine choose."""

    container: int = Field(ge=1, le=65535)
    host: int = Field(default=0, ge=0, le=65535)
    host_ip: Annotated[str, AfterValidator(any_address)] = ""
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"


class Dns(Model):
    """What the task's resolv.conf says; empty: what the engine gives."""

    servers: tuple[Annotated[str, AfterValidator(any_address), Field(min_length=1)], ...] = ()
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
    subnets: tuple[Annotated[str, AfterValidator(subnet)], ...] = ()
    aliases: tuple[Hostname, ...] = ()
    ipv4: Annotated[str, address(4)] = ""
    ipv6: Annotated[str, address(6)] = ""
    mac: str = Field(
        default="",
        pattern=r"^([0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5})?$",
        description="six bytes in hex, such as 02:42:ac:11:00:10",
    )
    hostname: str = Field(default="", pattern=rf"^({HOSTNAME})?$", description=HOST_RULE)
    extra_hosts: dict[Hostname, Annotated[str, AfterValidator(host_entry)]] = {}
    dns: Dns = Dns()
    ports: Annotated[tuple[Port, ...], short(shortforms.ports, tuple[str | int | Port, ...])] = ()

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
        once("port", (f"{p.host_ip}:{p.host}/{p.protocol}" for p in self.ports if p.host), "published")
        return self
