"""What is asked and what is answered cross the remote backend unaltered, over a Unix socket and over mutual TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import cri
from cri.errors import Unavailable, Unimplemented
from cri.rpc import RPCS, Rpc
from cri.runtime import Runtime
from cri.tls import Tls
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import scripted
from tests.runtimes.remote.conftest import foreign


@pytest.fixture(params=["unix", "mutual TLS"])
def listen(request: pytest.FixtureRequest, address: str, tls: Tls) -> dict[str, Any]:
    """Where the endpoint listens and what both sides show each other."""
    return {"address": address} if request.param == "unix" else {"address": "127.0.0.1:0", "tls": tls}


@asynccontextmanager
async def remote(runtime: Runtime, listen: dict[str, Any]) -> AsyncIterator[Runtime]:
    """``runtime`` behind an endpoint, opened by the backend."""
    async with cri.serve(runtime, **listen) as server, cri.open("remote", **listen | {"address": server.address}) as it:
        yield it


async def version(request: object) -> v1.VersionResponse:
    return v1.VersionResponse(version="0.1.0", runtime_name="any", runtime_version="1", runtime_api_version="v1")


METADATA = v1.PodSandboxMetadata(name="pod", namespace="test", uid="1")
SANDBOX = v1.PodSandboxConfig(metadata=METADATA)
IMAGE = v1.ImageSpec(image="busybox")
CONTAINER = v1.ContainerConfig(metadata=v1.ContainerMetadata(name="main"), image=IMAGE, command=["sleep", "1000"])


def request_of(rpc: Rpc) -> Any:
    """A request that may be sent; empty where nothing is required."""
    match rpc.attribute:
        case "run_pod_sandbox":
            return v1.RunPodSandboxRequest(config=SANDBOX)
        case "create_container":
            return v1.CreateContainerRequest(pod_sandbox_id="x", config=CONTAINER, sandbox_config=SANDBOX)
    return rpc.request()


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
async def test_every_rpc_goes_there_and_back(rpc: Rpc, listen: dict[str, Any]) -> None:
    asked: list[Any] = []
    answer = await version(None) if rpc.attribute == "version" else rpc.response()

    async def unary(request: Any) -> Any:
        asked.append(request)
        return answer

    async def stream(request: Any) -> AsyncIterator[Any]:
        asked.append(request)
        yield answer

    answers: dict[str, Any] = {"version": version, rpc.attribute: stream if rpc.streaming else unary}
    async with remote(scripted(**answers), listen) as runtime:
        asked.clear()
        if rpc.streaming:
            async for response in getattr(runtime, rpc.attribute)(request_of(rpc)):
                assert response == answer
                break
        else:
            assert await getattr(runtime, rpc.attribute)(request_of(rpc)) == answer
    assert asked == [request_of(rpc)]


@pytest.mark.parametrize("rpc", [rpc for rpc in RPCS if rpc.attribute != "version"], ids=lambda rpc: rpc.name)
async def test_an_rpc_that_the_endpoint_does_not_have_is_unimplemented(rpc: Rpc, address: str) -> None:
    answer = await version(None)
    async with foreign(address, version=lambda request: answer), cri.open("remote", address=address) as runtime:
        answered = getattr(runtime, rpc.attribute)(request_of(rpc))
        with pytest.raises(Unimplemented):
            await (anext(answered) if rpc.streaming else answered)


@pytest.mark.parametrize("attribute", ["exec", "attach", "port_forward"])
async def test_a_streaming_url_reaches_the_client_as_the_endpoint_wrote_it(
    attribute: str, listen: dict[str, Any]
) -> None:
    rpc = next(rpc for rpc in RPCS if rpc.attribute == attribute)
    url = "https://[fd00::7]:41234/exec/Zm9v_-%2F?x=1#fragment"

    async def answer(request: object) -> Any:
        return rpc.response(url=url)

    async with remote(scripted(version=version, **{attribute: answer}), listen) as runtime:
        assert (await getattr(runtime, attribute)(request_of(rpc))).url == url


async def test_a_pod_lives_and_dies_behind_the_endpoint(fake: Runtime, listen: dict[str, Any]) -> None:
    async with remote(fake, listen) as runtime:
        await runtime.pull_image(v1.PullImageRequest(image=IMAGE))
        sandbox = (await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=SANDBOX))).pod_sandbox_id
        request = v1.CreateContainerRequest(pod_sandbox_id=sandbox, config=CONTAINER, sandbox_config=SANDBOX)
        container_id = (await runtime.create_container(request)).container_id
        await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
        said = await runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=["echo", "hello"]))
        assert said.stdout == b"hello\n"
        await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
        assert (await runtime.list_containers(v1.ListContainersRequest())).containers == []


async def test_an_end_of_the_event_stream_that_nobody_asked_for_is_unavailable(listen: dict[str, Any]) -> None:
    """CRI: it goes on until it is cancelled. A listener that is not told takes silence for calm."""

    async def events(request: object) -> AsyncIterator[v1.ContainerEventResponse]:
        yield v1.ContainerEventResponse(container_id="last")

    async with remote(scripted(version=version, get_container_events=events), listen) as runtime:
        heard = runtime.get_container_events(v1.GetEventsRequest())
        assert (await anext(heard)).container_id == "last"
        with pytest.raises(Unavailable, match="ended the stream of events"):
            await anext(heard)


@pytest.mark.parametrize(
    "attribute", ["stop_container", "remove_container", "stop_pod_sandbox", "remove_pod_sandbox", "remove_image"]
)
async def test_stopping_and_removing_what_is_not_there_succeeds_whatever_the_endpoint_says(
    attribute: str, address: str
) -> None:
    rpc = next(rpc for rpc in RPCS if rpc.attribute == attribute)
    answer = await version(None)

    def missing(request: object) -> Any:
        raise LookupError("no such thing")

    async with (
        foreign(address, version=lambda request: answer, **{attribute: missing}),
        cri.open("remote", address=address) as runtime,
    ):
        assert await getattr(runtime, attribute)(request_of(rpc)) == rpc.response()
