"""The short ways to write a value in a manifest: ``64Mi``, ``500m``, ``1m30s``, ``8080:80``, ``/src:/dst:ro``.

Pure text in, plain value out. A wrong value is a ValueError whose message says what is allowed; the caller adds
file and field. What is not text (or not a number written as text) passes through, for the model to judge.
"""

from __future__ import annotations

import re
import shlex
from decimal import Decimal
from typing import Any

_MEMORY_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_DURATION_PART = re.compile(_NUMBER + r"(ms|s|m|h)")
_PORTS = re.compile(
    r"^(?:(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<host>\d+(?:-\d+)?)?:)?"
    r"(?P<container>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?$"
)


def cpu(value: Any) -> Any:
    """``0.5``, ``2`` or millicores, ``500m`` -> cores."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(_NUMBER + r"(m?)", value.strip())
    if match is None:
        raise ValueError("write cores such as 0.5 or 2, or millicores such as 500m")
    return float(Decimal(match[1]) / (1000 if match[2] else 1))


def memory(value: Any) -> Any:
    """``64Mi``, ``1G``, ``512k`` or bytes -> bytes. Units with an i are powers of 1024, the others of 1000."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(_NUMBER + r"\s*([kmgt]?i?)b?", value.strip().lower())
    if match is None or match[2] not in _MEMORY_UNITS:
        raise ValueError("write bytes, or a number with k, M, G, T (1000) or Ki, Mi, Gi, Ti (1024), such as 64Mi")
    return int(Decimal(match[1]) * _MEMORY_UNITS[match[2]])


def format_memory(size: int) -> str | int:
    """The shortest exact way to write ``size``: ``64Mi``, or the plain number."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size and size % _MEMORY_UNITS[unit.lower()] == 0:
            return f"{size // _MEMORY_UNITS[unit.lower()]}{unit}"
    return size


def duration(value: Any) -> Any:
    """``10``, ``10s``, ``1m30s``, ``500ms``, ``2h`` -> seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(_NUMBER + r"(?:[eE][-+]?\d+)?", text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("write seconds such as 10 or 2.5, or a duration such as 10s, 500ms, 1m30s or 2h")
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in parts))


def _span(text: str, what: str) -> range:
    first, _, last = text.partition("-")
    span = range(int(first), int(last or first) + 1)
    if not span or span[0] < 1 or span[-1] > 65535:
        raise ValueError(f"{what} {text} is not a port from 1 to 65535, or a range that goes up")
    return span


def ports(value: Any) -> Any:
    """Every item of a list of ports as a mapping; a range such as ``8000-8002:80-82`` becomes one item a port."""
    if not isinstance(value, list | tuple):
        return value
    return [one for item in value for one in (_port(str(item)) if isinstance(item, str | int) else [item])]


def _port(text: str) -> list[dict[str, Any]]:
    match = _PORTS.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: write 80, 8080:80, 127.0.0.1:8080:80, [::1]:8080:80 or 53:53/udp")
    inside = _span(match["container"], "container port")
    outside = _span(match["host"], "host port") if match["host"] not in (None, "0") else None
    if outside is not None and len(outside) != len(inside):
        raise ValueError(f"{text!r}: the ranges have {len(outside)} and {len(inside)} ports; they must be equally long")
    rest = {"host_ip": (match["ip"] or "").strip("[]"), "protocol": (match["protocol"] or "tcp").lower()}
    return [{"container": port, "host": outside[at] if outside else 0, **rest} for at, port in enumerate(inside)]


def mount(value: Any) -> Any:
    """``/src:/dst`` or ``/src:/dst:ro`` -> mapping."""
    if not isinstance(value, str):
        return value
    source, _, rest = value.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target or mode not in ("", "ro", "rw"):
        raise ValueError("write /source:/target, /source:/target:ro or a mapping with source, target and readonly")
    return {"source": source, "target": target, "readonly": mode == "ro"}


def restart(value: Any) -> Any:
    """``on-failure`` -> mapping."""
    return {"policy": value} if isinstance(value, str) else value


def network(value: Any) -> Any:
    """``host``, ``none``, ``bridge``, or the name of a network -> mapping."""
    if not isinstance(value, str):
        return value
    return {"mode": value} if value in ("host", "none", "bridge") else {"name": value}


def depends_on(value: Any) -> Any:
    """``[db, cache]`` -> mapping: they have to be started."""
    return dict.fromkeys(value, "started") if isinstance(value, list | tuple) else value


def words(value: Any) -> Any:
    """A command is a list of words. A line is refused, because no shell would split it; the message splits it."""
    if not isinstance(value, str):
        return value
    try:
        split = shlex.split(value)
    except ValueError:
        split = [value]
    raise ValueError(f"write a list of words: {split!r}; for a shell, ['sh', '-c', …]")
