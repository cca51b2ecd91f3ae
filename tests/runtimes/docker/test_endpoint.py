"""Where the engine is looked for, and the way to one behind mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from cri.errors import InvalidArgument, NotFound, Unavailable
from runtimes.docker import endpoint
from runtimes.docker.config import DockerConfig
from runtimes.docker.endpoint import Endpoint
from runtimes.docker.engine import Engine
from tests.host.engines import DockerEngine
from tests.runtimes.listening import none_beside


def test_the_configured_address_wins_over_the_environment() -> None:
    found = endpoint.find(DockerConfig(host="unix:///a.sock"), {"DOCKER_HOST": "unix:///b.sock"})
    assert found == Endpoint("unix:///a.sock")


def test_the_environment_brings_its_certificates() -> None:
    environment = {"DOCKER_HOST": "tcp://far", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}
    found = endpoint.find(DockerConfig(), environment)
    assert found == Endpoint("tcp://far", "/c/ca.pem", "/c/cert.pem", "/c/key.pem")
    assert found.host_and_port == ("far", 2376)


def test_without_tls_the_port_is_the_plain_one() -> None:
    assert endpoint.find(DockerConfig(host="tcp://far")).host_and_port == ("far", 2375)


def test_the_rootless_socket_is_used_where_it_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker.sock").touch()
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    monkeypatch.setattr(endpoint, "SYSTEM_SOCKET", str(tmp_path / "none"))
    assert endpoint.find(DockerConfig(), environment).address == f"unix://{tmp_path}/docker.sock"
    monkeypatch.setattr(endpoint, "SYSTEM_SOCKET", __file__)
    assert endpoint.find(DockerConfig(), environment).address == f"unix://{__file__}"


def test_an_address_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"DOCKER_HOST.*ssh://far"):
        endpoint.find(DockerConfig(), {"DOCKER_HOST": "ssh://far"})
    with pytest.raises(ValidationError, match="ssh://far"):
        DockerConfig(host="ssh://far")


@pytest.mark.parametrize("half", [{"tls_cert": "/c"}, {"tls_key": "/k"}, {"tls_cert": "/c", "tls_key": "/k"}])
def test_half_of_a_tls_setup_is_refused(half: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="tls_cert"):
        DockerConfig.model_validate({"host": "tcp://far", **half})


def test_certificates_that_cannot_be_read_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"tls_ca '/none/ca\.pem'"):
        Engine(DockerConfig(host="tcp://far", tls_ca="/none/ca.pem"))


@contextlib.asynccontextmanager
async def behind_tls(engine: DockerEngine, authority: trustme.CA) -> AsyncIterator[str]:
    """The address of a TLS door to the engine, which opens to certificates of ``authority`` only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_engine = await asyncio.open_unix_connection(engine.address.removeprefix("unix://"))
        await asyncio.gather(pump(reader, to_engine[1]), pump(to_engine[0], writer))

    before = asyncio.all_tasks()
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await none_beside(before)


def client_files(directory: Path, issuer: trustme.CA, trusted: trustme.CA) -> dict[str, str]:
    """The tls fields of a config, as files."""
    files = {name: str(directory / f"{name}.pem") for name in ("tls_ca", "tls_cert", "tls_key")}
    issued = issuer.issue_cert("client")
    trusted.cert_pem.write_to_path(files["tls_ca"])
    issued.cert_chain_pems[0].write_to_path(files["tls_cert"])
    issued.private_key_pem.write_to_path(files["tls_key"])
    return files


async def test_calls_and_streams_go_through_mutual_tls(docker_engine: DockerEngine, tmp_path: Path) -> None:
    authority = trustme.CA()
    async with behind_tls(docker_engine, authority) as address:
        engine = Engine(DockerConfig.model_validate({"host": address, **client_files(tmp_path, authority, authority)}))
        try:
            assert (await engine.facts()).engine_version
            with pytest.raises(NotFound):
                async with engine.stream("GET", "/containers/no-such/logs", params={"stdout": "1"}):
                    pass
        finally:
            await engine.aclose()


@pytest.mark.parametrize("wrong", ["client", "engine"])
async def test_a_certificate_of_a_stranger_opens_nothing(
    docker_engine: DockerEngine, tmp_path: Path, wrong: str
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    async with behind_tls(docker_engine, authority) as address:
        issuer, trusted = (stranger, authority) if wrong == "client" else (authority, stranger)
        engine = Engine(DockerConfig.model_validate({"host": address, **client_files(tmp_path, issuer, trusted)}))
        try:
            with pytest.raises(Unavailable):
                await engine.facts()
            with pytest.raises(Unavailable):
                async with engine.stream("GET", "/events"):
                    pass
        finally:
            await engine.aclose()
