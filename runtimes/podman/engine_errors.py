"""The one place where a failure of the engine becomes an error of the contract: by status, and behind 500 by cause.

libpod answers 500 for nearly everything that has no code of its own, a name in use included. Its answer names the
error at the root of the failure (``cause``), which is a constant of libpod's; only where that is somebody else's text
(the OCI runtime, the kernel, a registry) is the message looked at, because nothing else tells them apart.
"""

from __future__ import annotations

import json
import re

import podman.errors
import requests
import urllib3

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

STATUS = "engine_status"
"""The detail of an error that holds the engine's HTTP status."""

_BY_STATUS: dict[int, type[CRIError]] = {
    304: FailedPrecondition,
    400: InvalidArgument,
    401: Unauthenticated,
    403: PermissionDenied,
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

_BEHIND_500: tuple[tuple[re.Pattern[str], type[CRIError]], ...] = (
    (re.compile(r"(container|pod|volume|network|image) already exists|already in use"), AlreadyExists),
    (re.compile(r"no such network interface"), Aborted),  # one went while the engine listed them
    (re.compile(r"(container|layer) not known"), NotFound),  # its removal was cut off when its storage had gone
    (re.compile(r"no such (container|pod|network|image|volume|exec session)"), NotFound),
    (re.compile(r"container state improper|container (is|must be|has)|pod state improper"), FailedPrecondition),
    (re.compile(r"(?i)address already in use|port is already allocated"), AlreadyExists),
    (re.compile(r"no space left on device|no free|all subnets|subnet pool"), ResourceExhausted),
    (re.compile(r"connection refused|no such host|i/o timeout|TLS handshake timeout|EOF$"), Unavailable),
    (re.compile(r"(?i)unauthorized|authentication required|no basic auth credentials"), Unauthenticated),
    (re.compile(r"context deadline exceeded"), DeadlineExceeded),
    (re.compile(r"(?i)not (yet )?(supported|implemented)|unsupported"), Unimplemented),
    (
        re.compile(r"invalid argument|(?i:OCI permission denied|OCI runtime error|OCI runtime attempted)"),
        FailedPrecondition,
    ),
)


def for_status(status: int, message: str, what: str = "") -> CRIError:
    """The error for an HTTP ``status`` of the engine with its ``message``; ``what`` says which call it was."""
    message = _plain(message)
    cls = _BY_STATUS.get(status, InvalidArgument if 400 <= status < 500 else Internal)
    if status == 500:
        cls = next((named for pattern, named in _BEHIND_500 if pattern.search(message)), cls)
    text = message.strip() or f"the engine answered {status} without a message"
    return cls(f"{what}: {text}" if what else text, details={STATUS: str(status)})


def _plain(message: str) -> str:
    """Calls on a whole pod answer with the failures of its containers instead of a message."""
    if not message.startswith("{"):
        return message
    try:
        failures = json.loads(message)["Errs"]
    except (ValueError, KeyError):
        return message
    return "; ".join(map(str, failures or ()))


def is_conflict(error: CRIError) -> bool:
    """Whether the engine answered 409: the state does not allow it, or it is under way already."""
    return error.details.get(STATUS) == "409"


def translate(error: Exception, peer: EnginePeer, seconds: float) -> CRIError:
    """The contract's error for what podman-py or its HTTP library raised. Use it as ``raise translate(…) from e``."""
    if isinstance(error, podman.errors.APIError) and error.response is not None:
        return for_status(error.response.status_code, str(error.explanation or error))
    # podman-py wraps whatever its HTTP library raised.
    seen = error.__cause__ if isinstance(error, podman.errors.APIError) and error.__cause__ is not None else error
    if isinstance(seen, requests.exceptions.ReadTimeout):
        return peer.timed_out(seconds)
    if isinstance(seen, requests.exceptions.ConnectionError):
        # requests hides a timeout while reading the body behind a plain ConnectionError.
        if any(isinstance(arg, urllib3.exceptions.ReadTimeoutError) for arg in seen.args):
            return peer.timed_out(seconds)
        return peer.unreachable(seen)
    if isinstance(seen, urllib3.exceptions.ReadTimeoutError):
        return peer.timed_out(seconds)
    if isinstance(seen, OSError | urllib3.exceptions.HTTPError):
        return peer.unreachable(seen)
    if isinstance(seen, podman.errors.PodmanError):
        return Internal(f"podman-py refused the call: {seen}")
    raise error
