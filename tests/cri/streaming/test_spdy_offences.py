"""The state machine of a SPDY connection whose peer breaks the rules."""

from __future__ import annotations

import struct

import pytest

from cri.streaming.spdy import (
    Connection,
    Limits,
    ProtocolError,
    ResetStatus,
    Role,
    events,
    frames,
)
from cri.streaming.spdy.errors import InvalidStreamId
from tests.cri.streaming.spdy_ends import Pair, Peer, sent_frames


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize("ids", [(2,), (3, 1), (1, 1)], ids=["our parity", "backwards", "twice"])
def test_a_stream_id_out_of_order_ends_the_connection(ids: tuple[int, ...]) -> None:
    peer, server = Peer(), Connection(Role.SERVER)
    with pytest.raises(InvalidStreamId):
        list(server.receive(b"".join(map(peer.syn, ids))))


def test_a_unidirectional_stream_is_refused(pair: Pair) -> None:
    assert list(pair.server.receive(Peer().syn(1, unidirectional=True))) == []
    assert sent_frames(pair.server) == [frames.RstStream(1, ResetStatus.REFUSED_STREAM)]


def test_one_stream_more_than_the_limit_is_refused_and_the_connection_goes_on() -> None:
    peer, server = Peer(), Connection(Role.SERVER, Limits(streams=2))
    opened = list(server.receive(peer.syn(1) + peer.syn(3) + peer.syn(5)))
    assert [event.stream_id for event in opened if isinstance(event, events.StreamOpened)] == [1, 3]
    assert sent_frames(server) == [frames.RstStream(5, ResetStatus.REFUSED_STREAM)]
    assert list(server.receive(frames.Data(1, b"x").encode())) == [events.DataReceived(1, b"x")]


def test_the_headers_of_a_refused_stream_still_count_for_the_next() -> None:
    peer, server = Peer(), Connection(Role.SERVER, Limits(streams=1))
    list(server.receive(peer.syn(1) + peer.syn(3) + frames.RstStream(1, 5).encode()))
    assert list(server.receive(peer.syn(5))) == [events.StreamOpened(5, {"streamtype": "data"})]


def test_data_of_a_stream_that_never_was_is_answered_with_a_reset(pair: Pair) -> None:
    assert list(pair.server.receive(frames.Data(7, b"x").encode())) == []
    assert sent_frames(pair.server) == [frames.RstStream(7, ResetStatus.INVALID_STREAM)]


def test_data_that_crossed_our_reset_is_dropped(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.send_data(stream_id, b"on its way")
    pair.server.reset(stream_id)
    pair.server.data_to_send()
    assert pair.to_server() == []
    assert pair.server.data_to_send() == b""


def test_data_after_the_end_resets_the_stream(pair: Pair) -> None:
    stream_id = pair.opened()
    late = frames.Data(stream_id, b"", fin=True).encode() + frames.Data(stream_id, b"late").encode()
    assert list(pair.server.receive(late)) == [
        events.StreamEnded(stream_id),
        events.StreamReset(stream_id, ResetStatus.STREAM_ALREADY_CLOSED),
    ]
    assert sent_frames(pair.server) == [frames.RstStream(stream_id, ResetStatus.STREAM_ALREADY_CLOSED)]


def test_an_answer_to_the_peers_own_stream_resets_it() -> None:
    peer, server = Peer(), Connection(Role.SERVER)
    assert list(server.receive(peer.syn(1) + peer.reply(1)))[-1] == events.StreamReset(1, ResetStatus.STREAM_IN_USE)


def test_a_second_answer_resets_the_stream(pair: Pair) -> None:
    stream_id = pair.opened()
    second = frames.SynReply(stream_id, pair.server._encoder.encode({})).encode()
    assert list(pair.client.receive(second)) == [events.StreamReset(stream_id, ResetStatus.STREAM_IN_USE)]


@pytest.mark.parametrize("stream_id", [3, 4], ids=["a stream of ours", "a stream of the peer"])
def test_a_reset_of_a_stream_that_never_was_changes_nothing(pair: Pair, stream_id: int) -> None:
    assert list(pair.server.receive(frames.RstStream(stream_id, 5).encode())) == []
    assert pair.server.data_to_send() == b""


def test_a_flood_of_streams_and_resets_leaves_nothing_behind() -> None:
    peer, server = Peer(), Connection(Role.SERVER)
    for stream_id in range(1, 4001, 2):
        list(server.receive(peer.syn(stream_id) + frames.RstStream(stream_id, 5).encode()))
    assert server._streams == {}


def test_every_error_of_the_peer_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        list(Connection(Role.SERVER).receive(struct.pack(">II", 0x80070001, 0)))
