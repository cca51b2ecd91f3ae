"""Signals by CRI's names, and by the numbers and names that images and engines write. Pure."""

from __future__ import annotations

import signal
from typing import Any

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1

_PREFIX = "SIGNAL_"
_NONE = "SIGNAL_RUNTIME_DEFAULT"
_RTMIN, _RTMAX = 34, 64
"""As glibc counts them, which CRI's names follow; Python's own may differ on another libc."""


def number(wanted: v1.Signal) -> int:
    """``SIGNAL_SIGTERM`` -> 15, ``SIGNAL_SIGRTMINPLUS2`` -> 36."""
    return _NUMBERS[wanted]


def cri_signal(found: Any) -> v1.Signal | str:
    """CRI's signal for a StopSignal: a name, or (before Podman 5) a number.
    SIGNAL_RUNTIME_DEFAULT where CRI has no word for it."""
    if isinstance(found, int):
        return next((v1.Signal.Name(each) for each, known in _NUMBERS.items() if known == found), _NONE)
    text = str(found or "").upper().replace("+", "PLUS").replace("-", "MINUS")
    name = _PREFIX + (text if text.startswith("SIG") else f"SIG{text}")
    return name if name in tuple(v1.Signal.keys()) else _NONE


def number_of(text: str) -> int:
    """The number of a signal as an image or a record spells it: ``SIGTERM``, ``TERM``, ``15``, ``SIGRTMIN+2``; empty is
    SIGTERM. Raises InvalidArgument for what is no signal."""
    if text.isdecimal() and 0 < int(text) <= _RTMAX:
        return int(text)
    found = cri_signal(text or "SIGTERM")
    if found == _NONE or not isinstance(found, str):
        raise InvalidArgument(f"{text!r} is no signal; write a name such as SIGTERM")
    return _NUMBERS[v1.Signal.Value(found)]


def engine_signal(found: Any) -> str:
    """What libpod's kill takes, from the StopSignal of an inspected container; empty for none."""
    return str(found or "")


def _number(name: str) -> int:
    word = name.removeprefix(_PREFIX)
    for start, base, sign in (("SIGRTMINPLUS", _RTMIN, 1), ("SIGRTMAXMINUS", _RTMAX, -1)):
        if word.startswith(start):
            return base + sign * int(word.removeprefix(start))
    if word in ("SIGRTMIN", "SIGRTMAX"):
        return _RTMIN if word == "SIGRTMIN" else _RTMAX
    return int(signal.Signals[word])


_NUMBERS = {value: _number(name) for name, value in v1.Signal.items() if value != v1.SIGNAL_RUNTIME_DEFAULT}
