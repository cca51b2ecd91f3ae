"""Images on a real Podman and pulls from a real registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from cri import progress
from cri.annotations import PLATFORM
from cri.errors import FailedPrecondition, InvalidArgument, NotFound, PlatformMismatch, Unauthenticated
from cri.progress import Progress
from cri.v1 import api_pb2 as v1
from runtimes.podman.runtime import PodmanRuntime
from tests.host.errors import EngineError
from tests.host.images import Image, docker_archive
from tests.host.podmans import PodmanEngine, call, load
from tests.host.registry import PASSWORD, USER, Registry
from tests.runtimes.behaviour.hand import RunSandbox

LOCAL = "minicri.test/local:latest"


@pytest.fixture(autouse=True)
def no_image_is_left(podman_engine: PodmanEngine) -> Iterator[None]:
    """What a test loads or pulls goes with it."""
    before = ids(podman_engine)
    yield
    for added in ids(podman_engine) - before:
        with contextlib.suppress(EngineError):
            call(podman_engine.address, "DELETE", f"/images/{added}", {"force": "true"})


def ids(engine: PodmanEngine) -> set[str]:
    return {each["Id"] for each in call(engine.address, "GET", "/images/json")}


async def status(runtime: PodmanRuntime, name: str) -> v1.Image:
    return (await runtime.image_status(v1.ImageStatusRequest(image=v1.ImageSpec(image=name)))).image


async def pull(runtime: PodmanRuntime, name: str, platform: str = "", auth: v1.AuthConfig | None = None) -> str:
    spec = v1.ImageSpec(image=name, annotations={PLATFORM: platform} if platform else {})
    return (await runtime.pull_image(v1.PullImageRequest(image=spec, auth=auth))).image_ref


async def remove(runtime: PodmanRuntime, name: str) -> None:
    await runtime.remove_image(v1.RemoveImageRequest(image=v1.ImageSpec(image=name)))


async def test_an_id_is_that_of_the_images_config_in_the_form_of_every_runtime(
    runtime: PodmanRuntime, podman_engine: PodmanEngine
) -> None:
    image = Image(user="33")
    load(podman_engine.address, docker_archive(LOCAL, image=image))
    found = await status(runtime, LOCAL)
    assert (found.id, found.uid.value, list(found.repo_tags)) == (image.id, 33, [LOCAL])
    assert (await status(runtime, image.id)).id == (await status(runtime, image.id.removeprefix("sha256:"))).id


async def test_a_pull_is_told_in_steps(runtime: PodmanRuntime, local_registry: Registry) -> None:
    local_registry.push("steps")
    seen: list[Progress] = []
    with progress.listening(seen.append):
        await pull(runtime, f"{local_registry.host}/steps")
    assert any(step.layer for step in seen)


async def test_the_asked_platform_is_pulled(runtime: PodmanRuntime, local_registry: Registry) -> None:
    arm, amd = Image(architecture="arm64", labels={"n": "1"}), Image(architecture="amd64", labels={"n": "2"})
    local_registry.push("both", arm, amd)
    name = f"{local_registry.host}/both"
    assert await pull(runtime, name, "linux/arm64") == arm.id
    assert await pull(runtime, name, "linux/amd64") == amd.id


async def test_a_platform_that_an_image_has_not_is_refused(runtime: PodmanRuntime, local_registry: Registry) -> None:
    local_registry.push("list", Image(architecture="arm64"), Image(architecture="amd64"))
    local_registry.push("single", Image(architecture="amd64"))
    for name in ("list", "single"):
        with pytest.raises(PlatformMismatch, match="s390x"):
            await pull(runtime, f"{local_registry.host}/{name}", "linux/s390x")


async def test_a_registry_with_a_login_wants_the_right_one(runtime: PodmanRuntime, login_registry: Registry) -> None:
    login_registry.push("secret")
    name = f"{login_registry.host}/secret"
    for auth in (None, v1.AuthConfig(username=USER, password="wrong")):
        with pytest.raises(Unauthenticated, match="secret"):
            await pull(runtime, name, auth=auth)
    assert await pull(runtime, name, auth=v1.AuthConfig(username=USER, password=PASSWORD))


async def test_a_missing_image_is_not_found(runtime: PodmanRuntime, local_registry: Registry) -> None:
    with pytest.raises(NotFound, match="nothing"):
        await pull(runtime, f"{local_registry.host}/nothing")


async def test_an_id_cannot_be_pulled(runtime: PodmanRuntime) -> None:
    with pytest.raises(InvalidArgument, match="image id"):
        await pull(runtime, "sha256:" + "a" * 64)


async def test_an_image_in_use_stays_and_so_does_its_container(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine
) -> None:
    load(podman_engine.address, docker_archive(LOCAL, image=Image(labels={"in": "use"})))
    config = v1.ContainerConfig(metadata=v1.ContainerMetadata(name="c"), image=v1.ImageSpec(image=LOCAL))
    request = v1.CreateContainerRequest(pod_sandbox_id=await run_sandbox(), config=config)
    container_id = (await runtime.create_container(request)).container_id
    with pytest.raises(FailedPrecondition, match=container_id):
        await remove(runtime, LOCAL)
    assert (await status(runtime, LOCAL)).id
    await runtime.remove_container(v1.RemoveContainerRequest(container_id=container_id))
    await remove(runtime, LOCAL)
    assert not (await status(runtime, LOCAL)).id


async def test_all_names_go_with_one(runtime: PodmanRuntime, podman_engine: PodmanEngine) -> None:
    names = [LOCAL, "minicri.test/other:2"]
    load(podman_engine.address, docker_archive(*names, image=Image(labels={"two": "names"})))
    await remove(runtime, names[1])
    assert [(await status(runtime, name)).id for name in names] == ["", ""]


async def test_the_space_of_images_is_told_of_the_engines_directory(runtime: PodmanRuntime) -> None:
    (found,) = (await runtime.image_fs_info(v1.ImageFsInfoRequest())).image_filesystems
    assert found.fs_id.mountpoint.startswith("/")
    assert found.used_bytes.value > 0
    assert found.timestamp > 0


async def test_a_mounted_image_is_named_by_its_id_in_the_status(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine
) -> None:
    image = Image(labels={"mounted": "yes"})
    load(podman_engine.address, docker_archive(LOCAL, image=image))
    sandbox_id = await run_sandbox()

    async def create(name: str) -> str:
        mount = v1.Mount(container_path="/i", image=v1.ImageSpec(image=name), readonly=True)
        config = v1.ContainerConfig(
            metadata=v1.ContainerMetadata(name="c"), image=v1.ImageSpec(image="busybox"), mounts=[mount]
        )
        request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config)
        return (await runtime.create_container(request)).container_id

    with pytest.raises(NotFound, match="pull it first"):
        await create("minicri.test/missing")
    found = await runtime.container_status(v1.ContainerStatusRequest(container_id=await create(LOCAL)))
    assert found.status.mounts[0].image.image_ref == image.id


async def test_an_image_can_be_removed_by_many_at_once(runtime: PodmanRuntime, podman_engine: PodmanEngine) -> None:
    load(podman_engine.address, docker_archive(LOCAL, image=Image(labels={"removed": "by many"})))
    request = v1.RemoveImageRequest(image=v1.ImageSpec(image=LOCAL))
    await asyncio.gather(*(runtime.remove_image(request) for _ in range(10)))
    assert not (await status(runtime, LOCAL)).id
