"""WebSocket channels: what a message says, in each form, whole and in pieces."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.streaming.channels import ChannelClosed, ChannelCodec, ChannelData, ChannelError, MessagePiece
from cri.streaming.subprotocols import WEBSOCKET_COMMAND

V5, V4, V4_BASE64, V1_BASE64 = (
    WEBSOCKET_COMMAND[name]
    for name in ("v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "base64.channel.k8s.io")
)


def heard(codec: ChannelCodec, *pieces: bytes) -> list[ChannelData | ChannelClosed]:
    """One message, in ``pieces``."""
    last = len(pieces) - 1
    return [said for i, piece in enumerate(pieces) for said in codec.decode(MessagePiece(piece, i == last))]


def data_of(said: list[ChannelData | ChannelClosed]) -> bytes:
    return b"".join(each.data for each in said if isinstance(each, ChannelData))


@pytest.mark.parametrize("name", WEBSOCKET_COMMAND)
@given(channel=st.integers(0, 4), data=st.binary(min_size=1, max_size=200), cut=st.integers(0, 300))
def test_a_message_comes_back_as_it_was_encoded(name: str, channel: int, data: bytes, cut: int) -> None:
    protocol = WEBSOCKET_COMMAND[name]
    message = ChannelCodec(protocol).encode(channel, data)
    wire = message.encode() if isinstance(message, str) else message
    said = heard(ChannelCodec(protocol), wire[:cut], wire[cut:])
    assert data_of(said) == data
    assert {each.channel for each in said} == {channel}


@pytest.mark.parametrize("protocol", [V5, V4_BASE64], ids=lambda protocol: protocol.name)
def test_a_message_that_arrives_byte_by_byte_is_the_same(protocol: object) -> None:
    codec = ChannelCodec(V5 if protocol is V5 else V4_BASE64)
    message = codec.encode(1, b"some output")
    wire = message.encode() if isinstance(message, str) else message
    assert data_of(heard(codec, *(wire[i : i + 1] for i in range(len(wire))))) == b"some output"


def test_the_base64_forms_are_text() -> None:
    assert ChannelCodec(V1_BASE64).encode(2, b"\0\xff") == "2" + base64.b64encode(b"\0\xff").decode()


def test_an_empty_message_says_nothing() -> None:
    assert heard(ChannelCodec(V4), b"") == []


def test_a_message_without_data_says_nothing() -> None:
    """A greeting is one: it tells the client that the session is up."""
    assert heard(ChannelCodec(V4), b"\x01") == []


def test_the_channel_is_read_anew_from_each_message() -> None:
    codec = ChannelCodec(V4)
    assert heard(codec, b"\x00a") == [ChannelData(0, b"a")]
    assert heard(codec, b"\x04b") == [ChannelData(4, b"b")]


def test_version_5_can_close_a_channel() -> None:
    codec = ChannelCodec(V5)
    assert codec.encode_close(0) == b"\xff\x00"
    assert heard(codec, b"\xff\x00") == [ChannelClosed(0)]


def test_a_close_signal_may_come_in_pieces() -> None:
    assert heard(ChannelCodec(V5), b"\xff", b"", b"\x00", b"") == [ChannelClosed(0)]


@pytest.mark.parametrize("protocol", [V4, V4_BASE64], ids=lambda protocol: protocol.name)
def test_version_4_cannot_close_a_channel(protocol: object) -> None:
    assert ChannelCodec(V4 if protocol is V4 else V4_BASE64).encode_close(0) is None


def test_in_version_4_channel_255_is_a_channel_like_any_other() -> None:
    assert heard(ChannelCodec(V4), b"\xff\x00") == [ChannelData(255, b"\x00")]


@pytest.mark.parametrize("message", [b"\xff", b"\xff\x00\x00"], ids=["no channel", "two channels"])
def test_a_close_signal_of_another_length_is_an_error(message: bytes) -> None:
    with pytest.raises(ChannelError):
        heard(ChannelCodec(V5), message)


@pytest.mark.parametrize("text", [b"0@@@@", b"0QQ", b"0QQ==QQ", b"0=", "0é".encode()])
def test_text_that_is_no_base64_is_an_error(text: bytes) -> None:
    with pytest.raises(ChannelError):
        heard(ChannelCodec(V4_BASE64), text)


def test_a_long_base64_message_is_decoded_as_it_comes() -> None:
    codec = ChannelCodec(V4_BASE64)
    list(codec.decode(MessagePiece(b"1", ends=False)))
    for _ in range(100):
        assert data_of(list(codec.decode(MessagePiece(b"QUJD" * 100, ends=False)))) == b"ABC" * 100
    assert len(codec._carry) < 4
