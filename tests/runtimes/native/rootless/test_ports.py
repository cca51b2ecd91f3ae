"""Ports of the host as slirp4netns is asked for them; a server that keeps a list stands for it here."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from cri.errors import AlreadyExists, FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.network import reach, slirp
from runtimes.native.network.plan import Port
from runtimes.native.network.rules import Published
from tests.conformance.kit import free_port
from tests.runtimes.listening import listening

ANY = ip_address("0.0.0.0")
TARGET = ip_address("10.1.0.2")


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slirp, "_socket", [])


@asynccontextmanager
async def forwarding(tmp_path: Path, refuses: str = "") -> AsyncIterator[list[dict[str, Any]]]:
    """Its list of open ports."""
    entries: list[dict[str, Any]] = []

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        told = asked["arguments"]
        if refuses:
            return {"error": {"desc": refuses}}
        if asked["execute"] == "add_hostfwd":
            entries.append({"id": len(entries) + 1, **told})
        elif asked["execute"] == "remove_hostfwd":
            entries[:] = [each for each in entries if each["id"] != told["id"]]
        else:
            return {"entries": entries}
        return {"return": {}}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(answer(json.loads(await reader.read()))).encode())

    async with listening(tmp_path / "ports.sock", serve):
        slirp.answers_at(tmp_path / "ports.sock")
        yield entries


def published(port: int, protocol: str = "tcp") -> Published:
    return Published(protocol, ANY, port, TARGET, 80)


async def test_a_port_is_opened_where_it_was_asked_for_and_closed(tmp_path: Path) -> None:
    port = free_port()
    async with forwarding(tmp_path) as entries:
        await slirp.publish([Port("tcp", "127.0.0.1", port, 80), Port("udp", "", port, 53)])
        assert [(each["proto"], each["host_addr"], each["host_port"]) for each in entries] == [
            ("tcp", "127.0.0.1", port),
            ("udp", "0.0.0.0", port),
        ]
        await slirp.unpublish([published(port)])
        assert [each["proto"] for each in entries] == ["udp"]


async def test_what_nobody_has_any_more_is_closed(tmp_path: Path) -> None:
    one, other = free_port(), free_port()
    async with forwarding(tmp_path) as entries:
        await slirp.publish([Port("tcp", "", one, 80), Port("tcp", "", other, 80)])
        await slirp.keep([published(other)])
        assert [each["host_port"] for each in entries] == [other]


async def test_a_port_that_a_program_listens_on_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with forwarding(tmp_path) as entries:
            with pytest.raises(AlreadyExists, match="taken by a program"):
                await slirp.publish([Port("tcp", "", taken.getsockname()[1], 80)])
            assert entries == []


async def test_a_refusal_is_told_in_its_own_words(tmp_path: Path) -> None:
    async with forwarding(tmp_path, refuses="no more"):
        with pytest.raises(FailedPrecondition, match="no more"):
            await slirp.publish([Port("tcp", "", free_port(), 80)])


async def test_nothing_is_open_where_nobody_answers(tmp_path: Path) -> None:
    async with forwarding(tmp_path):
        pass
    await slirp.unpublish([published(80)])
    await slirp.keep([])


def test_inside_all_addresses_of_the_host_are_one() -> None:
    asked = [
        Published("tcp", ip_address("127.0.0.1"), 80, TARGET, 8080),
        Published("tcp", ip_address("192.0.2.1"), 80, TARGET, 8080),
        Published("tcp", ip_address("::"), 80, ip_address("fd00::2"), 8080),
    ]
    assert slirp.inside(asked) == [Published("tcp", ANY, 80, TARGET, 8080)]


@pytest.mark.parametrize(
    "port",
    [
        v1.PortMapping(host_port=80, container_port=80, protocol=v1.SCTP),
        v1.PortMapping(host_port=80, container_port=80, host_ip="::1"),
    ],
)
def test_other_protocols_take_root(port: v1.PortMapping) -> None:
    with pytest.raises(Unimplemented, match="port_mappings"):
        reach.check(v1.PodSandboxConfig(port_mappings=[port]))


def test_what_an_older_version_began_has_no_ports() -> None:
    config = v1.PodSandboxConfig(port_mappings=[v1.PortMapping(host_port=80, container_port=80)])
    with pytest.raises(FailedPrecondition, match="remove all sandboxes"):
        reach.check(config)
    slirp.answers_at(Path("/somewhere"))
    reach.check(config)
