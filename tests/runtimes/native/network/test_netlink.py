"""The netlink codec, and names asked of a server."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address

import pytest

from runtimes.native.network import dns_query, links, netlink
from runtimes.native.network.netlink import Netlink, NetlinkError

pytestmark = pytest.mark.usefixtures("private_host")


def test_attributes_are_read_back() -> None:
    written = (
        netlink.attribute(3, "eth0") + netlink.attribute(4, 1500) + netlink.nested(18, netlink.attribute(1, "veth"))
    )
    read = netlink.attributes(written)
    assert netlink.text(read[3]) == "eth0"
    assert read[4] == struct.pack("=I", 1500)
    assert netlink.text(netlink.attributes(read[18])[1]) == "veth"


def test_half_an_attribute_ends_the_reading() -> None:
    assert netlink.attributes(netlink.attribute(3, "eth0") + b"\0\0\0\0") == {3: b"eth0\0"}


def test_a_batch_is_done_in_order() -> None:
    with Netlink() as opened:
        opened.run(links.bridge("br0", "02:00:00:00:00:01", 7), links.alias("br0", "mine"), links.up("br0"))
        found = links.link(opened.get(links.get("br0")) or b"")
    assert (found.name, found.alias, found.group, found.mac) == ("br0", "mine", 7, "02:00:00:00:00:01")


def test_a_failure_says_what_failed_and_where_in_the_batch() -> None:
    with Netlink() as opened, pytest.raises(NetlinkError, match="setting nobody up") as raised:
        opened.run(links.up("lo"), links.up("nobody"))
    assert (raised.value.errno, raised.value.index) == (errno.ENODEV, 1)


def test_after_a_failure_the_socket_is_in_step() -> None:
    with Netlink() as opened:
        assert [error.index for error in opened.attempt(links.up("a"), links.up("lo"), links.up("b"))] == [0, 2]
        assert links.link(opened.get(links.get("lo")) or b"").name == "lo"


def test_what_is_not_there_is_none() -> None:
    with Netlink() as opened:
        assert opened.get(links.get("nobody")) is None


def test_all_links_are_listed() -> None:
    with Netlink() as opened:
        opened.run(links.bridge("br0", "02:00:00:00:00:01", 7))
        assert {links.link(body).name for body in opened.dump(links.every())} == {"lo", "br0"}


def test_a_group_is_removed_together_and_nothing_else() -> None:
    with Netlink() as opened:
        opened.run(*(links.bridge(name, "02:00:00:00:00:01", 7) for name in ("br0", "br1", "br2")))
        opened.run(links.move("br0", links.LEAVING), links.move("br2", links.LEAVING))
        opened.run(links.delete_group(links.LEAVING))
        assert {links.link(body).name for body in opened.dump(links.every())} == {"lo", "br1"}


def test_an_answer_to_another_question_is_not_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", dns_query.PORT))
        assert dns_query.ask(ip_address("127.0.0.1"), "db", version=4, patience=0.01) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0" * 11,
        struct.pack("!6H", 1, 0x8000, 1, 1, 0, 0),
        struct.pack("!6H", 1, 0x8003, 1, 0, 0, 0),
        struct.pack("!6H", 1, 0x8000, 1, 1, 0, 0) + b"\2db\0\0\1\0\1" + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\xff\1",
    ],
    ids=["empty", "short", "no-records", "unknown-name", "long-record"],
)
def test_a_malformed_answer_has_no_address(answer: bytes) -> None:
    assert dns_query._addresses(answer, 1, len(b"\2db\0\0\1\0\1")) == []


def test_nobody_listening_is_no_answer() -> None:
    assert dns_query.ask(ip_address("127.0.0.1"), "db", version=4, patience=1.0) == []
