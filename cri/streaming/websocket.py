"""A WebSocket over asyncio: wsproto does the protocol, this moves the bytes and keeps their number small."""

from __future__ import annotations

from collections import deque

from wsproto import WSConnection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from cri.streaming.channels import MessagePiece
from cri.streaming.transport import Transport

_NOT_FOR_THE_WIRE = (CloseReason.NO_STATUS_RCVD, CloseReason.ABNORMAL_CLOSURE)
_GOOD_ENDS = (CloseReason.NORMAL_CLOSURE, CloseReason.NO_STATUS_RCVD)
_MAX_REASON = 100


class WebSocket:
    """Either end of a WebSocket, after its handshake."""

    def __init__(self, connection: WSConnection, transport: Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._events: deque[Event] = deque(connection.events())
        self._closed = False
        self.ended_well = False
        """The peer said goodbye, and that nothing had gone wrong."""

    async def receive(self) -> MessagePiece | None:
        """The next piece of a message; None once the peer closed the connection, cleanly or not."""
        while not self._closed:
            if self._events:
                if (piece := self._handle(self._events.popleft())) is not None:
                    return piece
                continue
            try:
                # Answers to pings wait in the transport: a peer that does not read them is not read either.
                await self._transport.drain()
            except ConnectionError:
                break
            data = await self._transport.receive()
            if not data:
                break
            self._feed(data)
        self._closed = True
        return None

    def _feed(self, data: bytes) -> None:
        try:
            self._connection.receive_data(data)
            self._events.extend(self._connection.events())
        except RemoteProtocolError as error:
            self.close(CloseReason.PROTOCOL_ERROR, str(error))
            self._closed = True
        except LocalProtocolError:
            self._closed = True  # wsproto's word for bytes that follow a close

    def _handle(self, event: Event) -> MessagePiece | None:
        match event:
            case BytesMessage(data=data, message_finished=ends):
                return MessagePiece(bytes(data), ends)
            case TextMessage(data=text, message_finished=ends):
                return MessagePiece(text.encode(), ends)
            case Ping():
                self._write(event.response())
            case CloseConnection(code=code):
                # A malformed frame comes as one of these, too, with the code to tell the peer.
                self.ended_well = code in _GOOD_ENDS
                self.close(code)
                self._closed = True
        return None

    def write(self, message: bytes | str) -> None:
        """One whole message; nothing happens once the WebSocket is closed, which ``receive`` reports."""
        if isinstance(message, str):
            self._write(TextMessage(data=message))
        else:
            self._write(BytesMessage(data=message))

    async def send(self, message: bytes | str) -> None:
        """One whole message, then wait while the peer is slow. ConnectionError when the WebSocket is closed."""
        if self._closed:
            raise BrokenPipeError("the WebSocket is closed")
        self.write(message)
        await self._transport.drain()

    async def ping(self) -> None:
        self._write(Ping())
        await self._transport.drain()

    async def flush(self) -> None:
        """Wait until everything written has left this process."""
        await self._transport.flush()

    def close(self, code: int = CloseReason.NORMAL_CLOSURE, reason: str = "") -> None:
        """Say goodbye; ``receive`` then goes on until the peer has answered."""
        # 1005 and 1006 stand for "no code was sent" and are not to be sent themselves.
        sendable = CloseReason.NORMAL_CLOSURE if code in _NOT_FOR_THE_WIRE else code
        self._write(CloseConnection(code=sendable, reason=reason[:_MAX_REASON]))

    def _write(self, event: Event) -> None:
        if self._closed:
            return
        try:
            self._transport.write(self._connection.send(event))
        except LocalProtocolError:
            # Closing has begun on this side or the other: what is said now would not be heard.
            return


class WebSocketTunnel:
    """A Transport made of a WebSocket: binary messages as a byte stream. Each write is one message."""

    def __init__(self, socket: WebSocket, transport: Transport) -> None:
        self._socket = socket
        self._transport = transport

    async def receive(self) -> bytes:
        while (piece := await self._socket.receive()) is not None:
            if piece.data:
                return piece.data
        return b""

    def write(self, data: bytes) -> None:
        self._socket.write(data)

    async def drain(self) -> None:
        await self._transport.drain()

    async def flush(self) -> None:
        await self._transport.flush()
