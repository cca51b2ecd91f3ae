"""Who may talk over TCP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

import cri
from cri.errors import AlreadyExists, InvalidArgument, Unavailable
from cri.tls import Tls
from cri.v1 import api_pb2 as v1
from tests.cri.conftest import write_tls
from tests.cri.scripted import scripted


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
async def test_both_sides_with_certificates_talk(listen: str, tls: Tls) -> None:
    async with cri.serve(scripted(), listen, tls=tls) as server, cri.connect(server.address, tls=tls) as client:
        assert not server.address.endswith(":0")
        await client.version(v1.VersionRequest())


async def test_a_client_without_a_certificate_is_refused(tls: Tls) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=tls.ca.read_bytes())
    async with (
        cri.serve(scripted(), "127.0.0.1:0", tls=tls) as server,
        grpc.aio.secure_channel(server.address, credentials) as channel,
    ):
        ask: Any = channel.unary_unary("/runtime.v1.RuntimeService/Version")
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await ask(b"")
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_in_plaintext_is_refused(tls: Tls) -> None:
    async with (
        cri.serve(scripted(), "127.0.0.1:0", tls=tls) as server,
        cri.connect(server.address, insecure=True) as client,
    ):
        with pytest.raises(Unavailable):
            await client.version(v1.VersionRequest())


async def test_a_client_from_another_authority_is_refused(tls: Tls, authority: trustme.CA, tmp_path: Path) -> None:
    stranger = write_tls(tmp_path / "stranger", trustme.CA(), authority, "127.0.0.1")
    async with cri.serve(scripted(), "127.0.0.1:0", tls=tls) as server, cri.connect(server.address, tls=stranger) as c:
        with pytest.raises(Unavailable):
            await c.version(v1.VersionRequest())


async def test_a_server_from_another_authority_is_refused(tls: Tls, authority: trustme.CA, tmp_path: Path) -> None:
    stranger = write_tls(tmp_path / "stranger", trustme.CA(), authority, "127.0.0.1")
    async with cri.serve(scripted(), "127.0.0.1:0", tls=stranger) as server, cri.connect(server.address, tls=tls) as c:
        with pytest.raises(Unavailable):
            await c.version(v1.VersionRequest())


async def test_a_server_of_another_name_is_refused_unless_the_name_is_expected(
    tls: Tls, authority: trustme.CA, tmp_path: Path
) -> None:
    elsewhere = write_tls(tmp_path / "elsewhere", authority, authority, "node-1.example.org")
    async with cri.serve(scripted(), "127.0.0.1:0", tls=elsewhere) as server:
        async with cri.connect(server.address, tls=tls) as client:
            with pytest.raises(Unavailable):
                await client.version(v1.VersionRequest())
        expecting = tls.model_copy(update={"server_name": "node-1.example.org"})
        async with cri.connect(server.address, tls=expecting) as client:
            await client.version(v1.VersionRequest())


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
async def test_plaintext_works_on_loopback_when_asked_for(listen: str) -> None:
    async with (
        cri.serve(scripted(), listen, insecure=True) as server,
        cri.connect(server.address, insecure=True) as client,
    ):
        await client.version(v1.VersionRequest())


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "node-1.example.org:443"])
async def test_plaintext_beyond_loopback_is_refused_on_both_sides(address: str) -> None:
    with pytest.raises(InvalidArgument, match="loopback only"):
        cri.serve(scripted(), address, insecure=True)
    with pytest.raises(InvalidArgument, match="loopback only"):
        cri.connect(address, insecure=True)


async def test_tcp_with_neither_tls_nor_insecure_is_refused_on_both_sides() -> None:
    with pytest.raises(InvalidArgument, match="needs tls"):
        cri.serve(scripted(), "127.0.0.1:0")
    with pytest.raises(InvalidArgument, match="needs tls"):
        cri.connect("127.0.0.1:1")


async def test_tls_and_insecure_together_are_refused(tls: Tls) -> None:
    with pytest.raises(InvalidArgument, match="choose one"):
        cri.serve(scripted(), "127.0.0.1:0", tls=tls, insecure=True)


@pytest.mark.parametrize("name", ["cert", "key", "ca"])
def test_a_missing_file_is_named(name: str, tls: Tls) -> None:
    path = getattr(tls, name)
    path.unlink()
    with pytest.raises(InvalidArgument, match=rf"tls\.{name} '{path}' cannot be read: No such file"):
        cri.serve(scripted(), "127.0.0.1:0", tls=tls)


@pytest.mark.parametrize("name", ["cert", "key", "ca"])
def test_a_file_without_pem_is_named(name: str, tls: Tls) -> None:
    path = getattr(tls, name)
    path.write_text("nonsense")
    with pytest.raises(InvalidArgument, match=str(path)):
        cri.serve(scripted(), "127.0.0.1:0", tls=tls)


def test_a_key_of_another_certificate_is_said(tls: Tls, authority: trustme.CA) -> None:
    authority.issue_cert("other").private_key_pem.write_to_path(tls.key)
    with pytest.raises(InvalidArgument, match=str(tls.key)):
        cri.serve(scripted(), "127.0.0.1:0", tls=tls)


async def test_a_port_that_is_taken_is_refused_rather_than_shared() -> None:
    async with cri.serve(scripted(), "127.0.0.1:0", insecure=True) as server:
        with pytest.raises(AlreadyExists, match=server.address):
            await cri.serve(scripted(), server.address, insecure=True).start()
