"""CRI's ``Signal`` enum, signal names and signal numbers. Pure."""

from __future__ import annotations

import re
import signal
from typing import cast

from cri.v1 import api_pb2 as v1

_REAL_TIME = re.compile(r"RT(MIN|MAX)(?:(PLUS|MINUS|\+|-)(\d+))?")


def number(name: str) -> int:
    """``SIGTERM``, ``TERM``, ``SIGRTMIN+3`` or ``15`` -> the number on this host. Raises ValueError."""
    if name.isdecimal() and 0 < int(name) < signal.NSIG:
        return int(name)
    bare = name.upper().removeprefix("SIG")
    real_time = _REAL_TIME.fullmatch(bare)
    if real_time:
        base = signal.SIGRTMIN if real_time.group(1) == "MIN" else signal.SIGRTMAX
        offset = int(real_time.group(3) or 0)
        return base + (offset if real_time.group(2) in ("PLUS", "+") else -offset)
    alias = {"CLD": "CHLD", "IOT": "ABRT", "POLL": "IO"}.get(bare, bare)
    try:
        return signal.Signals["SIG" + alias]
    except KeyError:
        raise ValueError(f"{name!r} is not a signal") from None


def of_container(config: v1.ContainerConfig, image_signal: str) -> v1.Signal:
    """The stop signal: the config's, else the image's, else SIGTERM."""
    if config.stop_signal != v1.SIGNAL_RUNTIME_DEFAULT:
        return config.stop_signal
    if not image_signal:
        return v1.SIGNAL_SIGTERM
    wanted = number(image_signal)
    signals = map(v1.Signal.Name, range(v1.SIGNAL_SIGABRT, v1.SIGNAL_SIGRTMAX + 1))
    return cast("v1.Signal", v1.Signal.Value(next(name for name in signals if number(name[7:]) == wanted)))


def to_number(value: v1.Signal) -> int:
    """The number that ``value`` has on this host."""
    return number(v1.Signal.Name(value).removeprefix("SIGNAL_"))
