"""Whose a short-lived thing in an engine is, so that what a dead process left can be told from what is in use."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from runtimes.shared.claim import Claim

SWEEP_AGE = 600.0
"""Seconds after which a thing is taken for left over when nobody here can tell whether its owner lives."""


class Owner:
    """This process as an owner. ``mark`` goes on what it makes; the owner ends with the process, or by ``release``."""

    def __init__(self) -> None:
        token = uuid.uuid4().hex
        self.mark = f"{_here()}.{token}"
        self._claim = Claim.take(_name(token))

    def release(self) -> None:
        if self._claim is not None:
            self._claim.release()


def left_over(mark: str, age: float) -> bool:
    """Whether the owner that wrote ``mark`` is gone. One of another host, boot or network namespace is not seen from
    here; then ``age``, in seconds, has to tell."""
    place, _, token = mark.rpartition(".")
    if place != _here():
        return age > SWEEP_AGE
    claim = Claim.take(_name(token))
    if claim is None:
        return False
    claim.release()
    return True


def _here() -> str:
    """Where claims hold: one boot of one host, one network namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}.{os.stat('/proc/self/ns/net').st_ino}"


def _name(token: str) -> str:
    return f"owner/{token}"
