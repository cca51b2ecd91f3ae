"""The error tree of the contract: one class for each gRPC code that a runtime may answer with.

A class owns its code and says whether trying the same call again can help, so nobody has to read a message to
decide what to do. An error keeps its class, message and details across the wire in both directions: they travel
as a ``google.rpc.Status`` with an ``ErrorInfo`` (the standard richer-error model), which Go and Java clients
read as well. Backends raise these; they translate their engine's errors once, at the edge, with ``raise … from``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import grpc

_BY_CODE: dict[grpc.StatusCode, type[CRIError]] = {}
_BY_REASON: dict[str, type[CRIError]] = {}


class CRIError(Exception):
    """What every failed call raises.

    ``message`` is for a person and names the thing, its value and the way out. ``details`` are for a program:
    flat text pairs such as ``{"container_id": "4f2a…"}``. ``reason`` is the stable upper-case word by which the
    class is found again on the other side of the wire.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN
    retryable: ClassVar[bool] = False
    reason: ClassVar[str] = "UNKNOWN"

    def __init__(self, message: str, *, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, str] = dict(details or {})

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        # A direct child is the owner of its code; deeper classes refine it and differ by reason only.
        if CRIError in cls.__bases__:
            _BY_CODE[cls.code] = cls
        if _BY_REASON.setdefault(cls.reason, cls) is not cls:
            raise TypeError(f"{cls.__name__} and {_BY_REASON[cls.reason].__name__} share the reason {cls.reason!r}")


class Cancelled(CRIError):
    """The caller gave up."""

    code = grpc.StatusCode.CANCELLED
    reason = "CANCELLED"


class Unknown(CRIError):
    """Another endpoint failed without saying how; never raised by a backend of ours."""

    code = grpc.StatusCode.UNKNOWN
    reason = "UNKNOWN_FAILURE"


class InvalidArgument(CRIError):
    """The request is wrong whatever the state of the system; the message names field, value and what is allowed."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class DeadlineExceeded(CRIError):
    """The time given was not enough; the work was stopped."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    retryable = True
    reason = "DEADLINE_EXCEEDED"


class NotFound(CRIError):
    """No such container, sandbox or image. Stop and Remove never raise it (CRI: they are idempotent)."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(CRIError):
    """The name is taken by something that is not what was asked for."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class PermissionDenied(CRIError):
    """The engine or the kernel refuses this caller."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class Unauthenticated(CRIError):
    """Credentials are missing or wrong, a registry's for instance."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class ResourceExhausted(CRIError):
    """A limit is reached: disk, addresses, outstanding streaming tokens, message size."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    retryable = True
    reason = "RESOURCE_EXHAUSTED"


class FailedPrecondition(CRIError):
    """The request is right but the state is wrong: exec in a container that does not run, for instance."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class Aborted(CRIError):
    """Another call on the same thing won the race; a fresh look and a new try may succeed."""

    code = grpc.StatusCode.ABORTED
    retryable = True
    reason = "ABORTED"


class OutOfRange(CRIError):
    """A position past the end, or before what is still kept."""

    code = grpc.StatusCode.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"


class Unimplemented(CRIError):
    """This backend, engine or host cannot do it; the message says which of them and why."""

    code = grpc.StatusCode.UNIMPLEMENTED
    reason = "UNIMPLEMENTED"


class Internal(CRIError):
    """A bug of ours or an answer of the engine that makes no sense. The server has a log line with the traceback."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"


class Unavailable(CRIError):
    """The engine or the endpoint does not answer now."""

    code = grpc.StatusCode.UNAVAILABLE
    retryable = True
    reason = "UNAVAILABLE"


class DataLoss(CRIError):
    """Stored data is damaged."""

    code = grpc.StatusCode.DATA_LOSS
    reason = "DATA_LOSS"


class PlatformMismatch(NotFound):
    """The image exists, but not for the os, architecture or variant that was asked for."""

    reason = "PLATFORM_MISMATCH"


def error_for(
    code: grpc.StatusCode, message: str, *, reason: str = "", details: Mapping[str, str] | None = None
) -> CRIError:
    """The error that stood on the other side of the wire: by ``reason`` where we know it, else by ``code``."""
    cls = _BY_REASON.get(reason)
    if cls is None or cls.code is not code:
        cls = _BY_CODE.get(code, Unknown)
    return cls(message, details=details)
