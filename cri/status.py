"""How an error crosses the wire: a ``CRIError`` to a gRPC status and back.

The status carries the code and the message that every client understands, and a ``google.rpc.Status`` with an
``ErrorInfo`` in the trailer ``grpc-status-details-bin`` (the standard richer-error model): ``reason`` names our class,
``metadata`` holds the details. A server that is not ours sends less; its errors become the class of their code.
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from cri.errors import CRIError, error_for

DOMAIN = "minicri.io"
"""Whose reasons these are: a reason of another domain is somebody else's word and chooses no class of ours."""

DETAILS_TRAILER = "grpc-status-details-bin"

MESSAGE_LIMIT = 1400
VALUE_LIMIT = 200
DETAILS_LIMIT = 800
"""Bytes of UTF-8 for the message, for one detail and for all of them. The message travels twice, once with three
bytes for each that is not ASCII, and gRPC peers refuse headers beyond 8 KiB by default: a longer message would turn
into a meaningless RESOURCE_EXHAUSTED."""

CLIENT_METADATA_LIMIT = 64 * 1024
"""What our client accepts in headers; others' servers may be more talkative than ours."""


def _cut(text: str, limit: int) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[:limit].decode("utf-8", "ignore") + "…"


def _cut_details(details: dict[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = DETAILS_LIMIT
    for key, value in details.items():
        shown = _cut(str(value), VALUE_LIMIT)
        room -= len(key.encode("utf-8", "replace")) + len(shown.encode())
        if room < 0:
            break
        kept[_cut(key, VALUE_LIMIT)] = shown
    return kept


def to_status(error: CRIError) -> grpc.Status:
    """The gRPC status that says ``error``, details included."""
    rich = status_pb2.Status(code=error.code.value[0], message=_cut(error.message, MESSAGE_LIMIT))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_cut_details(error.details))
    rich.details.add().Pack(info)
    status: grpc.Status = rpc_status.to_status(rich)
    return status


def from_rpc_error(error: grpc.aio.AioRpcError) -> CRIError:
    """The error that the other side raised. Never fails, whatever the trailers hold."""
    code = error.code()
    message = error.details() or code.name.lower().replace("_", " ")
    info = _error_info(error)
    if info is None:
        return error_for(code, message)
    reason = info.reason if info.domain == DOMAIN else ""
    return error_for(code, message, reason=reason, details=dict(info.metadata))


def is_ours(error: grpc.aio.AioRpcError) -> bool:
    """Whether a server of ours raised it. An error that was made on this side, a lost connection, says nothing."""
    info = _error_info(error)
    return info is not None and info.domain == DOMAIN


def _error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_TRAILER:
            continue
        try:
            rich = status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
            for detail in rich.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info
        except DecodeError:
            return None  # another server's broken trailer: its code and message still stand
    return None
