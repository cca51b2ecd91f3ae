"""The state machine of a SPDY connection between two ends that keep the rules."""

from __future__ import annotations

import pytest

from cri.streaming.spdy import (
    Connection,
    ConnectionClosing,
    GoAwayStatus,
    ResetStatus,
    Role,
    StreamClosed,
    events,
    frames,
)
from tests.cri.streaming.spdy_ends import Pair


@pytest.fixture
def pair() -> Pair:
    return Pair()


# --- a stream's life -------------------------------------------------------------------------------------------


def test_a_stream_is_opened_with_its_headers(pair: Pair) -> None:
    stream_id = pair.client.open_stream({"streamtype": "stdin"})
    assert pair.to_server() == [events.StreamOpened(stream_id, {"streamtype": "stdin"})]


def test_the_answer_to_a_stream_reaches_who_opened_it(pair: Pair) -> None:
    stream_id = pair.client.open_stream({})
    pair.to_server()
    pair.server.reply(stream_id, {"status": "200"})
    assert pair.to_client() == [events.StreamAccepted(stream_id, {"status": "200"})]


def test_the_client_opens_odd_streams_and_the_server_even_ones() -> None:
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    assert [client.open_stream({}) for _ in range(3)] == [1, 3, 5]
    assert [server.open_stream({}) for _ in range(3)] == [2, 4, 6]


def test_data_goes_both_ways(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.send_data(stream_id, b"question")
    pair.server.send_data(stream_id, b"answer")
    assert pair.to_server() == [events.DataReceived(stream_id, b"question")]
    assert pair.to_client() == [events.DataReceived(stream_id, b"answer")]


def test_one_direction_ends_and_the_other_goes_on(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.send_data(stream_id, b"", fin=True)
    assert pair.to_server() == [events.StreamEnded(stream_id)]
    pair.server.send_data(stream_id, b"still here")
    assert pair.to_client() == [events.DataReceived(stream_id, b"still here")]


def test_a_stream_that_ended_both_ways_is_gone(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.send_data(stream_id, b"", fin=True)
    pair.to_server()
    pair.server.send_data(stream_id, b"", fin=True)
    pair.to_client()
    assert not pair.client.is_open(stream_id)
    assert not pair.server.is_open(stream_id)


def test_the_last_data_comes_before_the_end(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.send_data(stream_id, b"last", fin=True)
    assert pair.to_server() == [events.DataReceived(stream_id, b"last"), events.StreamEnded(stream_id)]


def test_a_stream_can_be_opened_at_its_end(pair: Pair) -> None:
    stream_id = pair.client.open_stream({}, fin=True)
    assert pair.to_server() == [events.StreamOpened(stream_id, {}), events.StreamEnded(stream_id)]


def test_more_headers_arrive_as_such(pair: Pair) -> None:
    stream_id = pair.opened()
    block = pair.client._encoder.encode({"more": "1"})
    assert list(pair.server.receive(frames.Headers(stream_id, block, fin=True).encode())) == [
        events.HeadersReceived(stream_id, {"more": "1"}),
        events.StreamEnded(stream_id),
    ]


def test_a_reset_ends_both_directions_on_both_sides(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.reset(stream_id, ResetStatus.CANCEL)
    assert pair.to_server() == [events.StreamReset(stream_id, ResetStatus.CANCEL)]
    assert not pair.client.is_open(stream_id)
    assert not pair.server.is_open(stream_id)


def test_a_reset_of_a_stream_that_is_gone_says_nothing(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.reset(stream_id)
    pair.client.data_to_send()
    pair.client.reset(stream_id)
    assert pair.client.data_to_send() == b""


def test_an_unknown_reason_for_a_reset_is_kept_as_its_number(pair: Pair) -> None:
    stream_id = pair.opened()
    assert list(pair.server.receive(frames.RstStream(stream_id, 77).encode())) == [events.StreamReset(stream_id, 77)]


def test_nothing_is_sent_after_the_own_end(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.client.send_data(stream_id, b"", fin=True)
    with pytest.raises(StreamClosed, match="already sent"):
        pair.client.send_data(stream_id, b"more")


def test_nothing_is_sent_on_a_stream_that_never_was(pair: Pair) -> None:
    with pytest.raises(StreamClosed):
        pair.client.send_data(1, b"data")


def test_a_stream_is_answered_once(pair: Pair) -> None:
    stream_id = pair.opened()
    with pytest.raises(StreamClosed):
        pair.server.reply(stream_id)


def test_who_opened_a_stream_does_not_answer_it(pair: Pair) -> None:
    stream_id = pair.client.open_stream({})
    with pytest.raises(StreamClosed):
        pair.client.reply(stream_id)


# --- flow control, which this protocol's users do without --------------------------------------------------------


def test_a_sender_waits_for_no_window(pair: Pair) -> None:
    """SPDY/3.1 begins with a window of 64 KiB; the Go library neither keeps one nor ever opens it again."""
    stream_id = pair.opened()
    for _ in range(64):
        pair.server.send_data(stream_id, bytes(32 * 1024))
    received = pair.to_client()
    assert sum(len(event.data) for event in received if isinstance(event, events.DataReceived)) == 2 * 1024 * 1024


def test_a_receiver_sends_no_window_updates(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.server.send_data(stream_id, bytes(1024 * 1024))
    pair.to_client()
    assert pair.client.data_to_send() == b""


@pytest.mark.parametrize("stream_id", [0, 1, 99])
def test_a_window_update_changes_nothing(pair: Pair, stream_id: int) -> None:
    pair.opened()
    assert list(pair.server.receive(frames.WindowUpdate(stream_id, 0x7FFFFFFF).encode())) == []
    assert pair.server.data_to_send() == b""


def test_an_initial_window_of_nothing_changes_nothing(pair: Pair) -> None:
    stream_id = pair.opened()
    initial_window_size = 7
    settings_frame = frames.Settings((frames.Setting(initial_window_size, 0),))
    assert list(pair.server.receive(settings_frame.encode())) == []
    pair.server.send_data(stream_id, b"data")
    assert pair.to_client() == [events.DataReceived(stream_id, b"data")]


# --- ping and go-away ----------------------------------------------------------------------------------------------


def test_a_ping_comes_back_to_who_sent_it(pair: Pair) -> None:
    ping_id = pair.client.ping()
    assert pair.to_server() == []
    assert pair.to_client() == [events.PingAnswered(ping_id)]


def test_an_answer_to_a_ping_is_not_answered(pair: Pair) -> None:
    pair.client.ping()
    pair.to_server()
    pair.to_client()
    assert pair.client.data_to_send() == b""


def test_pings_have_the_parity_of_their_sender() -> None:
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    assert [client.ping(), client.ping()] == [1, 3]
    assert [server.ping(), server.ping()] == [2, 4]


def test_going_away_names_the_last_stream_that_was_looked_at(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.server.go_away()
    assert pair.to_client() == [events.GoneAway(stream_id, GoAwayStatus.OK)]


def test_going_away_is_said_once(pair: Pair) -> None:
    pair.server.go_away()
    pair.server.go_away(GoAwayStatus.PROTOCOL_ERROR)
    assert pair.to_client() == [events.GoneAway(0, GoAwayStatus.OK)]


def test_open_streams_finish_after_going_away(pair: Pair) -> None:
    stream_id = pair.opened()
    pair.server.go_away()
    pair.to_client()
    pair.client.send_data(stream_id, b"rest", fin=True)
    assert pair.to_server() == [events.DataReceived(stream_id, b"rest"), events.StreamEnded(stream_id)]


@pytest.mark.parametrize("who", ["the one that said it", "the one that heard it"])
def test_no_stream_is_opened_after_going_away(pair: Pair, who: str) -> None:
    pair.server.go_away()
    pair.to_client()
    with pytest.raises(ConnectionClosing):
        (pair.server if who == "the one that said it" else pair.client).open_stream({})


def test_a_stream_that_crossed_our_going_away_is_not_looked_at(pair: Pair) -> None:
    pair.server.go_away()
    pair.client.open_stream({})
    assert pair.to_server() == []


def test_the_last_stream_id_is_the_end_of_opening(pair: Pair) -> None:
    pair.client._next_stream_id = frames.MAX_STREAM_ID
    assert pair.client.open_stream({}) == frames.MAX_STREAM_ID
    with pytest.raises(ConnectionClosing):
        pair.client.open_stream({})
