"""Where streams are served: on loopback by default, elsewhere by mutual TLS alone."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

import cri
from cri.errors import InvalidArgument, Unavailable
from cri.runtime import Runtime
from cri.streaming.client import run_command
from cri.tls import Tls, client_context
from cri.v1 import api_pb2 as v1
from runtimes.docker.config import DockerConfig
from runtimes.fake.config import FakeConfig
from runtimes.native.config import NativeConfig
from runtimes.podman.config import PodmanConfig
from runtimes.shared.streaming_config import StreamingConfig
from tests.cri.conftest import write_tls


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    authority = trustme.CA()
    return write_tls(tmp_path / "tls", authority, authority, "127.0.0.1", "localhost")


@pytest.mark.parametrize("config", [DockerConfig, FakeConfig, NativeConfig, PodmanConfig])
def test_every_backend_with_streams_of_its_own_takes_these_settings(config: type[StreamingConfig], tls: Tls) -> None:
    told = config(streaming_host="0.0.0.0", streaming_port=10010, streaming_tls=tls, streaming_advertise="box.example")
    assert told.streaming_tls == tls


def test_an_address_beyond_loopback_needs_tls() -> None:
    with pytest.raises(ValidationError, match=r"streaming_host: '192\.0\.2\.1' is beyond loopback.* streaming_tls"):
        StreamingConfig(streaming_host="192.0.2.1")


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_an_address_that_is_everywhere_needs_one_for_the_urls(everywhere: str, tls: Tls) -> None:
    with pytest.raises(ValidationError, match="give streaming_advertise"):
        StreamingConfig(streaming_host=everywhere, streaming_tls=tls)


async def test_certificates_that_cannot_be_used_are_an_error_at_the_opening(tmp_path: Path) -> None:
    missing = {name: str(tmp_path / name) for name in ("cert", "key", "ca")}
    with pytest.raises(InvalidArgument, match=r"tls\.cert .* cannot be read"):
        async with cri.open("fake", streaming_tls=missing):
            pass


async def test_a_client_with_a_certificate_is_served_at_the_advertised_name(tls: Tls) -> None:
    async with cri.open("fake", streaming_tls=tls, streaming_advertise="localhost") as runtime:
        url = await _command(runtime)
        assert url.startswith("https://localhost:")
        said: list[bytes] = []

        async def hear(piece: bytes) -> None:
            said.append(piece)

        assert await run_command(url, stdout=hear, tls=client_context(tls)) == 0
        assert b"".join(said) == b"hello\n"


async def test_a_client_without_a_certificate_is_refused(tls: Tls) -> None:
    async with cri.open("fake", streaming_tls=tls) as runtime:
        with pytest.raises(Unavailable):
            await run_command(await _command(runtime), tls=ssl.create_default_context(cafile=tls.ca))


async def _command(runtime: Runtime) -> str:
    """The URL of ``echo hello`` in a new container."""
    metadata = v1.PodSandboxMetadata(name="pod", namespace="tests", uid="pod")
    sandbox = v1.PodSandboxConfig(metadata=metadata)
    made = await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=sandbox))
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="c"), image=v1.ImageSpec(image="busybox"), command=["sleep", "600"]
    )
    await runtime.pull_image(v1.PullImageRequest(image=config.image))
    asked = v1.CreateContainerRequest(pod_sandbox_id=made.pod_sandbox_id, config=config, sandbox_config=sandbox)
    container_id = (await runtime.create_container(asked)).container_id
    await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    command = v1.ExecRequest(container_id=container_id, cmd=["echo", "hello"], stdout=True)
    return (await runtime.exec(command)).url
