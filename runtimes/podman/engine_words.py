"""What Podman itself writes into the output of an exec or attach, having no other way left to tell. Pure."""

from __future__ import annotations

import re

_START_FAILED = re.compile(
    rb"Error: .*(OCI runtime attempted to invoke a command that was not found|OCI permission denied|OCI runtime error"
    rb"|OCI not found)\s*\Z",
    re.DOTALL,
)

_TORN = re.compile(rb"Error: (read|write) unixpacket [^\n]*: (connection reset by peer|broken pipe)\r?\n\Z")

START_CODES = (126, 127, 255)
"""Exit codes of a command that could not be started; also of some that could."""


def may_be_ours(piece: bytes) -> bool:
    """Whether the first piece of a command's output may be the engine's words."""
    return piece.startswith(b"Error: ")


def start_failure(said: bytes) -> str:
    """Why a command could not be started, when that is what its whole output says; else empty."""
    return said.removeprefix(b"Error: ").decode("utf-8", "replace").strip() if _START_FAILED.match(said) else ""


def is_torn(piece: bytes) -> bool:
    """Whether a piece only says that the process at the other end went away, which is no output."""
    return _TORN.match(piece) is not None
