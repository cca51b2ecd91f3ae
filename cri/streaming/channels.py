"""Channels inside WebSocket messages: the codec that cuts messages into channel data. Pure.

A message is one byte for the channel and then data, or, in the base64 forms, a digit and base64 text. Messages may
be of any length and come in pieces, so nothing here waits for a whole one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from cri.streaming.subprotocols import CLOSE_SIGNAL, WebSocketProtocol

_ZERO = ord("0")


class ChannelError(Exception):
    """The peer sent a message that the subprotocol does not allow."""


@dataclass(frozen=True, slots=True)
class MessagePiece:
    """Some bytes of a WebSocket message. ``ends`` is true for the last piece of each."""

    data: bytes
    ends: bool = True


@dataclass(frozen=True, slots=True)
class ChannelData:
    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The peer sends nothing more on this channel."""

    channel: int


class ChannelCodec:
    """One connection's messages, both ways."""

    def __init__(self, protocol: WebSocketProtocol) -> None:
        self._protocol = protocol
        self._channel: int | None = None  # None between messages
        self._carry = b""

    def encode(self, channel: int, data: bytes) -> bytes | str:
        """A whole message: text in the base64 forms, binary in the others."""
        if self._protocol.base64:
            return chr(_ZERO + channel) + base64.b64encode(data).decode("ascii")
        return bytes((channel,)) + data

    def encode_close(self, channel: int) -> bytes | None:
        """The half-close of a channel; None where the protocol has no such thing."""
        return bytes((CLOSE_SIGNAL, channel)) if self._protocol.close_signal else None

    def decode(self, piece: MessagePiece) -> Iterator[ChannelData | ChannelClosed]:
        """What one piece of a message says. An empty message says nothing."""
        data = piece.data
        if self._channel is None and data:
            self._channel = data[0] - (_ZERO if self._protocol.base64 else 0)
            data = data[1:]
        if self._channel is None:
            return
        if self._protocol.close_signal and self._channel == CLOSE_SIGNAL:
            yield from self._decode_close(data, piece.ends)
        else:
            plain = self._decode_base64(data, piece.ends) if self._protocol.base64 else data
            if plain:
                yield ChannelData(self._channel, plain)
        if piece.ends:
            self._channel = None

    def _decode_close(self, data: bytes, ends: bool) -> Iterator[ChannelClosed]:
        self._carry += data
        if len(self._carry) > 1 or (ends and not self._carry):
            raise ChannelError("a close signal is one channel's number and nothing else")
        if ends:
            channel, self._carry = self._carry[0], b""
            yield ChannelClosed(channel)

    def _decode_base64(self, data: bytes, ends: bool) -> bytes:
        text = self._carry + data
        whole = len(text) if ends else len(text) // 4 * 4
        self._carry = text[whole:]
        try:
            return binascii.a2b_base64(text[:whole], strict_mode=True)
        except binascii.Error as error:
            raise ChannelError(f"channel {self._channel}: the message is no base64: {error}") from error
