"""The kinds of value that a spec is made of: text, names, addresses, paths, durations, and their model. Pure."""

from __future__ import annotations

import ipaddress
import re
import signal
from collections.abc import Iterable
from posixpath import normpath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from manifests import shortforms

RESERVED = "minicri.io/"
"""Labels with this prefix are the orchestrator's own."""

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_HOST_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
HOSTNAME = rf"{_HOST_LABEL}(\.{_HOST_LABEL})*"


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL byte cannot be passed to a process")
    return value


def address(version: int) -> AfterValidator:
    def check(value: str) -> str:
        kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
        return str(kind(value)) if value else value

    return AfterValidator(check)


def any_address(value: str) -> str:
    return str(ipaddress.ip_address(value)) if value else value


def subnet(value: str) -> str:
    return str(ipaddress.ip_network(value))


def host_entry(value: str) -> str:
    return value if value == "host-gateway" else str(ipaddress.ip_address(value))


def signal_name(value: str) -> str:
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


def inside_path(value: str) -> str:
    if not value:
        return value
    if not value.startswith("/") or ".." in value.split("/"):
        raise ValueError("write an absolute path without '..'")
    return normpath("/" + value.lstrip("/"))


def env_name(value: str) -> str:
    if not value or "=" in value:
        raise ValueError("the name of a variable is not empty and has no '='")
    return value


def label_key(value: str) -> str:
    if not value or value.startswith(RESERVED):
        raise ValueError(f"the name of a label is not empty, and {RESERVED}… is kept for minicri itself")
    return value


def short(convert: Any, *inputs: Any) -> BeforeValidator:
    kinds: Any = inputs[0]
    for kind in inputs[1:]:
        kinds = kinds | kind
    return BeforeValidator(convert, json_schema_input_type=kinds)


def once(what: str, values: Iterable[str], verb: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is {verb} twice")
        seen.add(value)


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[
    str, Field(pattern=NAME_PATTERN, description="lower-case letters, digits and '-', at most 63, no '-' at the ends")
]
HOST_RULE = "a host name: letters, digits, '-' and '.'"
Hostname = Annotated[str, Field(pattern=rf"^{HOSTNAME}$", description=HOST_RULE)]
Seconds = Annotated[float, short(shortforms.duration, str, float), Field(ge=0)]
Words = Annotated[tuple[Text, ...], BeforeValidator(shortforms.words)]


class Model(BaseModel):
    """Frozen, closed, and read from text as well as from numbers: a manifest's ``"8080"`` is the port 8080."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)
