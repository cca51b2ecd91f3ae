"""Any CRI endpoint as a backend."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator

import pytest

import cri
from cri import plugins
from cri.client import Client
from cri.errors import InvalidArgument, Unavailable
from cri.v1 import api_pb2 as v1
from runtimes.remote import RemoteConfig, backend
from tests.cri.scripted import scripted


@pytest.fixture
def address() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cri") as directory:
        yield f"unix://{directory}/x.sock"


async def version(request: object) -> v1.VersionResponse:
    return v1.VersionResponse(
        version="0.1.0", runtime_name="containerd", runtime_version="v2.1", runtime_api_version="v1"
    )


def test_it_is_installed_under_its_name() -> None:
    assert plugins.find("remote") is backend


def test_auto_never_takes_it() -> None:
    assert backend.auto_rank is None


async def test_a_probe_says_what_answers_and_where(address: str) -> None:
    async with cri.serve(scripted(version=version), address):
        probe = await backend.probe(RemoteConfig(address=address))
    assert probe.available
    assert (probe.version, probe.api) == ("v2.1", "v1")
    assert probe.detail == f"containerd v2.1 at {address}"


async def test_a_probe_of_nothing_says_why(address: str) -> None:
    probe = await backend.probe(RemoteConfig(address=address))
    assert not probe.available
    assert "No such file" in probe.detail


async def test_a_probe_of_a_wrong_address_says_why() -> None:
    probe = await backend.probe(RemoteConfig(address="/run/x.sock"))
    assert not probe.available
    assert "write unix:///run/x.sock" in probe.detail


async def test_an_endpoint_that_never_answers_is_unavailable_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(Unavailable, match=r"does not answer within 0\.2 s"):
            await backend.open(RemoteConfig(address=address, insecure=True, connect_timeout=0.2))


async def test_opening_gives_a_client_with_the_timeout_asked_for(address: str) -> None:
    async with (
        cri.serve(scripted(version=version), address),
        await backend.open(RemoteConfig(address=address, timeout=7)) as runtime,
    ):
        assert isinstance(runtime, Client)
        assert runtime.timeout == 7


async def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"runtimes\.remote\.address: is required"):
        async with cri.open("remote"):
            pass


async def test_an_endpoint_behind_an_endpoint_answers_with_the_same_errors(address: str) -> None:
    """minicri in front of another CRI endpoint: what the far one raises is what the caller catches."""

    async def missing(request: object) -> v1.ContainerStatusResponse:
        raise cri.errors.NotFound("container 'x' does not exist", details={"container_id": "x"})

    front = address.replace("x.sock", "front.sock")
    async with (
        cri.serve(scripted(version=version, container_status=missing), address),
        cri.open(address) as far,
        cri.serve(far, front),
        cri.connect(front) as client,
    ):
        with pytest.raises(cri.errors.NotFound, match=r"^container 'x' does not exist$") as failure:
            await client.container_status(v1.ContainerStatusRequest(container_id="x"))
    assert failure.value.details == {"container_id": "x"}
