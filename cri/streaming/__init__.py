"""Exec, attach and port-forward: the HTTP server behind the URLs that these RPCs answer with, and a client for them.

What may live here: the protocols (``spdy`` and ``channels`` are pure), the sessions over them, the server and the
client. No engine: a backend hands in a ``StreamHandler`` and gets byte streams, whatever the client speaks.

    protocol          exec, attach                       port-forward
    SPDY/3.1          v4, v3, v2, v1 channel.k8s.io      portforward.k8s.io
    WebSocket         v5, v4, v1, base64 of v4 and v1    v4 and its base64; SPDY/3.1+portforward.k8s.io
"""

from cri.streaming.pipes import DuplexStream, InboundStream, OutboundStream, SizeQueue, StreamIO, TerminalSize
from cri.streaming.server import StreamHandler, StreamingRequest, StreamingServer
from cri.streaming.tokens import TokenStore

__all__ = [
    "DuplexStream",
    "InboundStream",
    "OutboundStream",
    "SizeQueue",
    "StreamHandler",
    "StreamIO",
    "StreamingRequest",
    "StreamingServer",
    "TerminalSize",
    "TokenStore",
]
