"""What minicri's annotations mean where the endpoint may not know them."""

from __future__ import annotations

from typing import Any

import pytest

import cri
from cri import annotations as names
from cri import platforms
from cri.errors import InvalidArgument, NotFound, Unavailable, Unimplemented
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.remote import RemoteConfig, backend
from runtimes.remote.foreign import check, needed, unheeded
from tests.cri.scripted import scripted
from tests.runtimes.remote.conftest import foreign

HERE = platforms.parse("linux/amd64")
ELSEWHERE = "linux/arm64"


def run(**said: str) -> v1.RunPodSandboxRequest:
    metadata = v1.PodSandboxMetadata(name="pod", namespace="test", uid="1")
    return v1.RunPodSandboxRequest(config=v1.PodSandboxConfig(metadata=metadata, annotations=said))


def network(name: str, **more: str) -> v1.RunPodSandboxRequest:
    return run(**{names.NETWORK: name, **more})


# --- which annotations matter (pure) ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (names.NETWORK, "front"),
        (names.NETWORK, "none"),
        (names.MAC_ADDRESS, "02:42:ac:11:00:10"),
        (names.EXTRA_HOSTS, "db=10.0.0.1"),
        (names.PLATFORM, ELSEWHERE),
    ],
)
def test_a_sandbox_that_would_be_another_one_without_the_annotation(key: str, value: str) -> None:
    assert unheeded(run(**{key: value}), HERE) == {key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (names.NETWORK_ALIASES, "db"),
        (names.IPV4, "10.77.0.10"),
        (names.IPV6, "fd00:77::10"),
        (names.NETWORK_SUBNETS, "10.77.0.0/24"),
    ],
)
def test_what_goes_with_a_named_network_is_named_with_it(key: str, value: str) -> None:
    assert unheeded(network("front", **{key: value}), HERE) == {names.NETWORK: "front", key: value}


def test_other_annotations_are_the_callers_own() -> None:
    assert unheeded(run(**{"example.com/x": "y", "minicri.io/note": "z", names.NETWORK: ""}), HERE) == {}


def test_asking_for_the_platform_that_it_has_is_asking_for_nothing() -> None:
    assert unheeded(run(**{names.PLATFORM: "linux/x86_64"}), HERE) == {}


def test_a_platform_is_heeded_by_nobody_whose_platform_is_not_known() -> None:
    assert unheeded(run(**{names.PLATFORM: "linux/amd64"}), None) == {names.PLATFORM: "linux/amd64"}


@pytest.mark.parametrize(
    "request_",
    [
        v1.PullImageRequest(image=v1.ImageSpec(annotations={names.PLATFORM: ELSEWHERE})),
        v1.PullImageRequest(sandbox_config=v1.PodSandboxConfig(annotations={names.PLATFORM: ELSEWHERE})),
        v1.CreateContainerRequest(config=v1.ContainerConfig(annotations={names.PLATFORM: ELSEWHERE})),
        v1.CreateContainerRequest(sandbox_config=v1.PodSandboxConfig(annotations={names.PLATFORM: ELSEWHERE})),
    ],
)
def test_a_platform_is_looked_for_wherever_it_may_be_said(request_: Any) -> None:
    assert unheeded(request_, HERE) == {names.PLATFORM: ELSEWHERE}


def test_the_most_specific_place_says_which_platform() -> None:
    image = v1.ImageSpec(annotations={names.PLATFORM: "linux/amd64"})
    sandbox = v1.PodSandboxConfig(annotations={names.PLATFORM: ELSEWHERE})
    assert unheeded(v1.PullImageRequest(image=image, sandbox_config=sandbox), HERE) == {}


def test_a_value_that_is_wrong_everywhere_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidArgument, match=r"minicri\.io/ipv4: '10\.77' is not an IPv4 address"):
        check(network("front", **{names.IPV4: "10.77"}))


# --- which features have to be announced (pure) -------------------------------------------------------------------

USERS = v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.POD))
HOST_USERS = v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.NODE))


def sandbox_with(**security: Any) -> v1.RunPodSandboxRequest:
    context = v1.LinuxSandboxSecurityContext(**security)
    return v1.RunPodSandboxRequest(config=v1.PodSandboxConfig(linux=v1.LinuxPodSandboxConfig(security_context=context)))


def container_with(*mounts: v1.Mount, **security: Any) -> v1.CreateContainerRequest:
    linux = v1.LinuxContainerConfig(security_context=v1.LinuxContainerSecurityContext(**security))
    return v1.CreateContainerRequest(config=v1.ContainerConfig(linux=linux, mounts=mounts))


@pytest.mark.parametrize("make", [sandbox_with, container_with])
@pytest.mark.parametrize(
    ("security", "features"),
    [
        ({}, set()),
        ({"supplemental_groups_policy": v1.Merge}, set()),
        ({"supplemental_groups_policy": v1.Strict}, {"supplemental_groups_policy"}),
        ({"namespace_options": USERS}, {"user_namespaces"}),
        ({"namespace_options": HOST_USERS}, set()),
    ],
)
def test_a_promise_of_isolation_needs_an_endpoint_that_announces_it(
    make: Any, security: dict[str, Any], features: set[str]
) -> None:
    assert needed(make(**security)) == features


def test_a_recursive_readonly_mount_needs_an_endpoint_that_announces_it() -> None:
    assert needed(container_with(v1.Mount(readonly=True))) == set()
    assert needed(container_with(v1.Mount(readonly=True, recursive_read_only=True))) == {"recursive_read_only_mounts"}


# --- who is asked -------------------------------------------------------------------------------------------------


def version(request: object) -> v1.VersionResponse:
    return v1.VersionResponse(version="0.1.0", runtime_name="other", runtime_version="1", runtime_api_version="v1")


def missing(request: v1.ContainerStatusRequest) -> v1.ContainerStatusResponse:
    raise LookupError(f"container {request.container_id} not found")


async def test_a_foreign_endpoint_never_hears_of_a_sandbox_that_it_would_make_wrong(address: str) -> None:
    heard: list[Any] = []

    def make(request: Any) -> v1.RunPodSandboxResponse:
        heard.append(request)
        return v1.RunPodSandboxResponse(pod_sandbox_id="wrong")

    async with (
        foreign(address, version=version, container_status=missing, run_pod_sandbox=make),
        cri.open(address) as runtime,
    ):
        with pytest.raises(Unimplemented, match=r"is no minicri and would ignore minicri\.io/network='front'") as said:
            await runtime.run_pod_sandbox(network("front"))
        assert said.value.details == {names.NETWORK: "front"}
        await runtime.run_pod_sandbox(run())
    assert heard == [run()]


CONTAINER = v1.ContainerConfig(
    metadata=v1.ContainerMetadata(name="main"), image=v1.ImageSpec(image="busybox"), command=["sleep", "1000"]
)


async def test_a_container_without_its_sandboxs_config_is_kept_from_a_foreign_endpoint(address: str) -> None:
    """containerd 1.6 dies of it."""
    request = v1.CreateContainerRequest(pod_sandbox_id="x", config=CONTAINER)
    async with (
        foreign(address, version=version, container_status=missing),
        cri.open(address) as runtime,
    ):
        with pytest.raises(InvalidArgument, match=r"sandbox_config\.metadata is required"):
            await runtime.create_container(request)


async def test_a_minicri_finds_the_sandboxs_config_by_itself(fake: Runtime, address: str) -> None:
    async with cri.serve(fake, address), cri.open(address) as runtime:
        sandbox_id = (await runtime.run_pod_sandbox(run())).pod_sandbox_id
        await runtime.pull_image(v1.PullImageRequest(image=CONTAINER.image))
        request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=CONTAINER)
        assert (await runtime.create_container(request)).container_id


async def test_an_endpoint_that_would_ignore_a_promise_of_isolation_is_not_asked_for_it(address: str) -> None:
    request = run()
    request.config.linux.security_context.supplemental_groups_policy = v1.Strict
    async with (
        foreign(address, version=version, status=lambda request: v1.StatusResponse()),
        cri.open(address) as runtime,
    ):
        with pytest.raises(Unimplemented, match="does not announce supplemental_groups_policy in its Status"):
            await runtime.run_pod_sandbox(request)


async def test_an_endpoint_that_announces_it_gets_it(fake: Runtime, address: str) -> None:
    request = run()
    request.config.linux.security_context.supplemental_groups_policy = v1.Strict
    async with cri.serve(fake, address), cri.open(address) as runtime:
        assert (await runtime.run_pod_sandbox(request)).pod_sandbox_id


async def test_the_refusal_is_the_same_through_a_minicri_in_front(address: str) -> None:
    front = address.replace("x.sock", "front.sock")
    async with (
        foreign(address, version=version, container_status=missing),
        cri.open(address) as far,
        cri.serve(far, front),
        cri.open(front) as runtime,
    ):
        with pytest.raises(Unimplemented, match="is no minicri"):
            await runtime.run_pod_sandbox(network("front"))


async def test_a_minicri_gets_the_annotations_and_decides(fake: Runtime, address: str) -> None:
    async with cri.serve(fake, address), cri.open(address) as runtime:
        made = await runtime.run_pod_sandbox(network("front", **{names.NETWORK_SUBNETS: "10.77.0.0/24"}))
        request = v1.PodSandboxStatusRequest(pod_sandbox_id=made.pod_sandbox_id)
        status = (await runtime.pod_sandbox_status(request)).status
    assert status.network.ip.startswith("10.77.0.")


async def test_who_the_endpoint_is_is_asked_anew_each_time(fake: Runtime, address: str) -> None:
    """Another program may listen there after a restart."""
    async with cri.serve(fake, address):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=10))
        assert await runtime.is_minicri()
    async with runtime, foreign(address, version=version, container_status=missing):
        assert not await runtime.is_minicri()


async def test_an_endpoint_that_is_away_is_not_taken_for_a_foreign_one(address: str) -> None:
    async with foreign(address, version=version, container_status=missing):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=0))
    async with runtime:
        with pytest.raises(Unavailable):
            await runtime.run_pod_sandbox(network("front"))


async def test_an_engine_that_is_down_behind_a_minicri_does_not_make_it_a_foreign_one(address: str) -> None:
    async def answer(request: object) -> v1.VersionResponse:
        return version(request)

    async def down(request: object) -> v1.ContainerStatusResponse:
        raise Unavailable("the engine does not answer")

    async with (
        cri.serve(scripted(version=answer, container_status=down), address),
        await backend.open(RemoteConfig(address=address)) as runtime,
    ):
        assert await runtime.is_minicri()


async def test_a_foreign_endpoints_plain_errors_become_the_class_of_their_code(address: str) -> None:
    async with foreign(address, version=version, container_status=missing), cri.open(address) as runtime:
        with pytest.raises(NotFound, match="container x not found"):
            await runtime.container_status(v1.ContainerStatusRequest(container_id="x"))
