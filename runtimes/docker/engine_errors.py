"""The one place where a failure of the engine becomes an error of the contract: by status code, not by text.

Docker answers 500 for a few things that are nobody's bug (a taken host port, a full disk); only there the message is
looked at, because nothing else tells them apart.
"""

from __future__ import annotations

import re

import requests
import urllib3
from docker.errors import APIError, DockerException

from cri.errors import (
    Aborted,
    AlreadyExists,
    CRIError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from runtimes.shared.engine_peer import EnginePeer

_BY_STATUS: dict[int, type[CRIError]] = {
    304: FailedPrecondition,
    400: InvalidArgument,
    401: Unauthenticated,
    403: FailedPrecondition,  # Docker's for what the state of a network forbids; _DENIED is the real thing
    404: NotFound,
    405: Unimplemented,
    408: DeadlineExceeded,
    409: FailedPrecondition,
    412: FailedPrecondition,
    413: ResourceExhausted,
    423: Aborted,
    429: ResourceExhausted,
    500: Internal,
    501: Unimplemented,
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}

_CONTAINERD_GONE = re.compile(r"transport is closing|ttrpc: closed|: unavailable$")

_BEHIND_500: tuple[tuple[re.Pattern[str], type[CRIError]], ...] = (
    (_CONTAINERD_GONE, Unavailable),
    (re.compile(r"port is already allocated|address already in use"), AlreadyExists),
    (re.compile(r"no space left on device|no available IPv4 addresses|could not find an available"), ResourceExhausted),
    (re.compile(r"connection refused|no such host|i/o timeout|TLS handshake timeout|EOF$"), Unavailable),
    (re.compile(r"(?i)unauthorized|authentication required|no basic auth credentials"), Unauthenticated),
    (re.compile(r"context deadline exceeded"), DeadlineExceeded),
    (re.compile(r"protocol not supported"), Unimplemented),
    (re.compile(r"OCI runtime create failed|failed to create (shim )?task"), FailedPrecondition),
)

_DENIED = re.compile(r"authorization denied by plugin")

_NOT_A_PROGRAM = re.compile(
    r'exec(?:: "[^"]*"| /\S+): .*(?:not found|no such file|permission denied|not a directory|format error)'
    r"|executable file \S+ not found"
)
"""What runc, or crun, says of a command that cannot be run, rather than of a start that went wrong; the status and the
exit code are the same for both."""


def for_status(status: int, message: str, what: str = "") -> CRIError:
    """The error for an HTTP ``status`` of the engine with its ``message``; ``what`` says which call it was."""
    cls = _BY_STATUS.get(status, InvalidArgument if 400 <= status < 500 else Internal)
    if status == 403 and _DENIED.search(message):
        cls = PermissionDenied
    if status == 500:
        cls = next((named for pattern, named in _BEHIND_500 if pattern.search(message)), cls)
    text = message.strip() or f"the engine answered {status} without a message"
    return cls(f"{what}: {text}" if what else text, details={"engine_status": str(status)})


def for_failed_command(words: str) -> CRIError:
    """The error for a command that the engine could not start in a container that runs, of which it says ``words`` in
    place of the output. Its containerd may have gone first, on its way down."""
    cls: type[CRIError] = InvalidArgument if _NOT_A_PROGRAM.search(words) else FailedPrecondition
    if _CONTAINERD_GONE.search(words):
        cls = Unavailable
    return cls(f"the command cannot be started: {words}")


_SANDBOX_LOST = re.compile(r"non-shareable IPC|/proc/\d+/ns/(?:ipc|net)\b")
"""These two namespaces are always the pause container's; that of processes may be a neighbour's, which may just end."""


def sandbox_is_lost(error: CRIError) -> bool:
    """Whether a container could not start because what the pause container gives away is no longer there, though the
    engine takes it for running: so it will be with every start."""
    return _SANDBOX_LOST.search(error.message) is not None


def is_conflict(error: CRIError) -> bool:
    """Whether the engine answered 409: the name is taken, or a removal is under way already."""
    return error.details.get("engine_status") == "409"


def translate(error: Exception, peer: EnginePeer, seconds: float) -> CRIError:
    """The contract's error for what the SDK or its HTTP library raised. Use it as ``raise translate(e, …) from e``."""
    if isinstance(error, APIError):
        return for_status(error.status_code or 500, str(error.explanation or error))
    if isinstance(error, requests.exceptions.ReadTimeout):
        return peer.timed_out(seconds)
    if isinstance(error, requests.exceptions.ConnectionError):
        # requests hides a timeout while reading the body behind a plain ConnectionError.
        if any(isinstance(arg, urllib3.exceptions.ReadTimeoutError) for arg in error.args):
            return peer.timed_out(seconds)
        return peer.unreachable(error)
    if isinstance(error, requests.exceptions.RequestException | OSError):
        return peer.unreachable(error)
    if isinstance(error, DockerException):
        return Internal(f"the docker SDK refused the call: {error}")
    raise error
