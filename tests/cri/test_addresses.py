"""Addresses as people write them."""

import pytest

from cri.addresses import Address, TcpAddress, UnixAddress, default_address, is_address, parse
from cri.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/x.sock", UnixAddress("/run/x.sock")),
        ("unix:///run/with space/ünïcode.sock", UnixAddress("/run/with space/ünïcode.sock")),
        ("127.0.0.1:80", TcpAddress("127.0.0.1", 80)),
        ("localhost:0", TcpAddress("localhost", 0)),
        ("node-1.example.org:65535", TcpAddress("node-1.example.org", 65535)),
        ("[::1]:10010", TcpAddress("::1", 10010)),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, address: Address) -> None:
    assert parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no host or no port"),
        ("docker", "no host or no port"),
        (":80", "no host or no port"),
        ("host:", "port '' is not a number"),
        ("host:http", "port 'http' is not a number"),
        ("host:65536", "from 0 to 65535"),
        ("host:-1", "from 0 to 65535"),
        ("::1:80", "in brackets"),
        ("[::1:80", "in brackets"),
        ("[nonsense]:80", "not an IPv6 address"),
        ("a b:80", "not a host name"),
        ("tcp://host:80", "unknown scheme"),
        ("http://host:80", "unknown scheme"),
        ("/run/x.sock", "write unix:///run/x.sock"),
        ("unix:/run/x.sock", "absolute path"),
        ("unix://run/x.sock", "absolute path"),
        ("unix:///run/", "socket file"),
        ("unix:///run/x\0y", "socket file"),
        ("unix:///" + "x" * 107, "longer than 107 bytes"),
        ("unix:///" + "ü" * 60, "longer than 107 bytes"),
    ],
)
def test_what_is_no_address_is_refused_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told) as failure:
        parse(text)
    assert repr(text) in failure.value.message


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_what_says_so_itself(host: str, loopback: bool) -> None:
    assert TcpAddress(host, 1).is_loopback is loopback


@pytest.mark.parametrize(("text", "address"), [("docker", False), ("unix:///x", True), ("host:1", True), ("/x", True)])
def test_a_name_is_told_from_an_address(text: str, address: bool) -> None:
    assert is_address(text) is address


def test_the_default_address_can_be_parsed_and_is_never_below_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in (0, 1000):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        for environ in ({}, {"XDG_RUNTIME_DIR": "/run/user/1000"}):
            address = parse(default_address(environ=environ))
            assert isinstance(address, UnixAddress)
            assert not address.path.startswith("/tmp")
