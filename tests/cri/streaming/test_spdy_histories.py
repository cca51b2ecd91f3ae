"""Any history of two SPDY ends that talk to each other."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cri.streaming.spdy import Connection, Role, StreamClosed, events


class Histories(RuleBasedStateMachine):
    """Two ends do what they like, their bytes cross in pieces: neither ever breaks the protocol, and once all bytes
    have arrived both agree which streams are open."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = {Role.CLIENT: Connection(Role.CLIENT), Role.SERVER: Connection(Role.SERVER)}
        self.wire = {Role.CLIENT: bytearray(), Role.SERVER: bytearray()}
        self.known: list[int] = []
        self.sent: dict[tuple[Role, int], bytearray] = {}
        self.seen: dict[tuple[Role, int], bytearray] = {}
        self.reset: set[int] = set()
        self.counter = itertools.count()

    def peer(self, role: Role) -> Role:
        return Role.SERVER if role is Role.CLIENT else Role.CLIENT

    def flush(self, role: Role) -> None:
        self.wire[role] += self.ends[role].data_to_send()

    def deliver(self, sender: Role, size: int) -> None:
        piece = bytes(self.wire[sender][:size])
        del self.wire[sender][:size]
        receiver = self.peer(sender)
        for event in self.ends[receiver].receive(piece):
            if isinstance(event, events.StreamOpened):
                self.ends[receiver].reply(event.stream_id)
            elif isinstance(event, events.DataReceived):
                self.seen.setdefault((receiver, event.stream_id), bytearray()).extend(event.data)
            elif isinstance(event, events.StreamReset):
                self.reset.add(event.stream_id)
        self.flush(receiver)

    @rule(role=st.sampled_from(Role), fin=st.booleans())
    def open(self, role: Role, fin: bool) -> None:
        self.known.append(self.ends[role].open_stream({"n": str(next(self.counter))}, fin=fin))
        self.flush(role)

    @precondition(lambda self: self.known)
    @rule(role=st.sampled_from(Role), pick=st.integers(0, 10**6), data=st.binary(max_size=40), fin=st.booleans())
    def send(self, role: Role, pick: int, data: bytes, fin: bool) -> None:
        stream_id = self.known[pick % len(self.known)]
        try:
            self.ends[role].send_data(stream_id, data, fin=fin)
        except StreamClosed:
            return
        self.sent.setdefault((self.peer(role), stream_id), bytearray()).extend(data)
        self.flush(role)

    @precondition(lambda self: self.known)
    @rule(role=st.sampled_from(Role), pick=st.integers(0, 10**6))
    def abort(self, role: Role, pick: int) -> None:
        stream_id = self.known[pick % len(self.known)]
        if self.ends[role].is_open(stream_id):
            self.reset.add(stream_id)
            self.ends[role].reset(stream_id)
            self.flush(role)

    @rule(role=st.sampled_from(Role), size=st.integers(1, 60))
    def carry(self, role: Role, size: int) -> None:
        self.deliver(role, size)

    @rule(role=st.sampled_from(Role))
    def ping(self, role: Role) -> None:
        self.ends[role].ping()
        self.flush(role)

    @invariant()
    def what_arrives_is_a_beginning_of_what_was_sent(self) -> None:
        for key, data in self.seen.items():
            assert bytes(self.sent[key]).startswith(bytes(data))

    def teardown(self) -> None:
        while any(self.wire.values()):
            for role in Role:
                self.deliver(role, len(self.wire[role]))
        assert self.ends[Role.CLIENT]._streams.keys() == self.ends[Role.SERVER]._streams.keys()
        for key, data in self.sent.items():
            if key[1] not in self.reset:
                assert self.seen.get(key, b"") == data


TestHistories = settings(max_examples=60, stateful_step_count=40, deadline=None)(Histories).TestCase
