"""/etc/hosts and /etc/resolv.conf of a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.network import files
from runtimes.native.network.attachment import Attachment

BRIDGED = Attachment(Path("/ns/net"), "10.1.2.3", ("fd00::3",), extra_hosts=(("db", "10.1.2.4"),))
ON_HOST = Attachment(None)


@pytest.fixture
def host_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the host, in a directory."""
    for name, there in (("hosts", "_HOSTS"), ("resolv.conf", "_RESOLV_CONF"), ("stub.conf", "_BEHIND_STUB")):
        monkeypatch.setattr(files, there, tmp_path / name)
    return tmp_path


def test_a_sandbox_knows_itself_by_each_address() -> None:
    lines = [line.split() for line in files.hosts(v1.PodSandboxConfig(), BRIDGED, "web").splitlines()]
    assert ["10.1.2.3", "web"] in lines
    assert ["fd00::3", "web"] in lines


def test_extra_hosts_are_lines_of_their_own() -> None:
    assert files.hosts(v1.PodSandboxConfig(), BRIDGED, "web").endswith("10.1.2.4\tdb\n")


def test_localhost_is_loopback() -> None:
    assert files.hosts(v1.PodSandboxConfig(), BRIDGED, "web").startswith("127.0.0.1\tlocalhost\n")


def test_without_an_address_a_sandbox_finds_itself_on_loopback() -> None:
    assert "127.0.0.1\tweb\n" in files.hosts(v1.PodSandboxConfig(), Attachment(Path("/ns/net")), "web")


def test_on_the_hosts_network_the_hosts_names_are_known(host_says: Path) -> None:
    (host_says / "hosts").write_text("10.9.9.9 printer")
    attachment = Attachment(None, extra_hosts=(("db", "10.1.2.4"),))
    assert files.hosts(v1.PodSandboxConfig(), attachment, "web") == "10.9.9.9 printer\n10.1.2.4\tdb\n"


def config(**dns: list[str]) -> v1.PodSandboxConfig:
    return v1.PodSandboxConfig(dns_config=v1.DNSConfig(**dns))


def test_what_the_config_says_is_all_there_is(host_says: Path) -> None:
    (host_says / "resolv.conf").write_text("nameserver 9.9.9.9\nsearch host.example\noptions rotate\n")
    given = config(servers=["10.0.0.10", "10.0.0.11"])
    assert files.resolv_conf(given, BRIDGED) == "nameserver 10.0.0.10\nnameserver 10.0.0.11\n"


def test_searches_and_options_are_one_line_each() -> None:
    given = config(servers=["10.0.0.10"], searches=["a.example", "b.example"], options=["ndots:5", "timeout:1"])
    expected = "nameserver 10.0.0.10\nsearch a.example b.example\noptions ndots:5 timeout:1\n"
    assert files.resolv_conf(given, BRIDGED) == expected


def test_without_servers_the_hosts_are_asked(host_says: Path) -> None:
    (host_says / "resolv.conf").write_text("# made by hand\nnameserver 9.9.9.9\nsearch host.example\n")
    assert files.resolv_conf(config(), BRIDGED) == "nameserver 9.9.9.9\nsearch host.example\n"
    assert files.resolv_conf(config(searches=["a.example"]), BRIDGED) == "nameserver 9.9.9.9\nsearch a.example\n"


def test_a_server_on_the_hosts_loopback_is_no_server_of_a_sandbox(host_says: Path) -> None:
    (host_says / "resolv.conf").write_text("nameserver 127.0.0.1\nnameserver 9.9.9.9\nnameserver ::1\n")
    assert files.resolv_conf(config(), BRIDGED) == "nameserver 9.9.9.9\n"


def test_behind_the_stub_of_systemd_are_the_real_servers(host_says: Path) -> None:
    (host_says / "resolv.conf").write_text("nameserver 127.0.0.53\noptions edns0\n")
    (host_says / "stub.conf").write_text("nameserver 9.9.9.9\n")
    assert files.resolv_conf(config(), BRIDGED) == "nameserver 9.9.9.9\n"


def test_on_the_hosts_network_its_loopback_is_reached(host_says: Path) -> None:
    (host_says / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    assert files.resolv_conf(config(), ON_HOST) == "nameserver 127.0.0.53\n"


def test_a_network_with_names_of_its_own_is_asked_instead() -> None:
    attachment = Attachment(Path("/ns/net"), "10.1.2.3", dns=("10.1.2.1",))
    given = config(servers=["10.0.0.10"], options=["timeout:1"])
    assert files.resolv_conf(given, attachment) == "nameserver 10.1.2.1\noptions timeout:1\n"


def test_a_host_without_resolv_conf_has_no_server(host_says: Path) -> None:
    assert files.resolv_conf(config(), BRIDGED) == ""
