"""SPDY/3.1 without I/O: what crictl and the kubelet speak by default, and no kept Python library does.

What may live here: frames, header compression, the connection's state machine. Bytes go in and come out; sockets,
clocks and asyncio stay outside. Only what CRI's clients use is complete: no server push, no credentials, no flow
control (see ``connection`` for why that one must be missing).
"""

from cri.streaming.spdy import events
from cri.streaming.spdy.connection import Connection, Limits, Role
from cri.streaming.spdy.errors import ConnectionClosing, ProtocolError, SpdyError, StreamClosed
from cri.streaming.spdy.frames import GoAwayStatus, ResetStatus

__all__ = [
    "Connection",
    "ConnectionClosing",
    "GoAwayStatus",
    "Limits",
    "ProtocolError",
    "ResetStatus",
    "Role",
    "SpdyError",
    "StreamClosed",
    "events",
]
