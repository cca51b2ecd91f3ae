"""Two ends of a SPDY connection that talk, and a peer that obeys nothing."""

from __future__ import annotations

from cri.streaming.spdy import (
    Connection,
    Limits,
    Role,
    events,
    frames,
)
from cri.streaming.spdy.headers import HeaderEncoder
from cri.streaming.spdy.parser import FrameParser


class Pair:
    """A client and a server whose bytes go across when a test says so."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.client = Connection(Role.CLIENT)
        self.server = Connection(Role.SERVER, limits)

    def to_server(self) -> list[events.Event]:
        return list(self.server.receive(self.client.data_to_send()))

    def to_client(self) -> list[events.Event]:
        return list(self.client.receive(self.server.data_to_send()))

    def opened(self) -> int:
        """A stream of the client that the server has accepted."""
        stream_id = self.client.open_stream({"streamtype": "data"})
        self.to_server()
        self.server.reply(stream_id)
        self.to_client()
        return stream_id


class Peer:
    """Frames of a client that obeys nothing, as bytes."""

    def __init__(self) -> None:
        self._encoder = HeaderEncoder()

    def syn(self, stream_id: int, *, fin: bool = False, unidirectional: bool = False) -> bytes:
        block = self._encoder.encode({"streamtype": "data"})
        return frames.SynStream(stream_id, block, fin=fin, unidirectional=unidirectional).encode()

    def reply(self, stream_id: int) -> bytes:
        return frames.SynReply(stream_id, self._encoder.encode({})).encode()


def sent_frames(connection: Connection) -> list[frames.Frame]:
    return list(FrameParser(64 * 1024).feed(connection.data_to_send()))
