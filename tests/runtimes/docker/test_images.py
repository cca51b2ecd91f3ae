"""Images on a real engine and pulls from a real registry."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from cri import progress
from cri.annotations import PLATFORM
from cri.errors import FailedPrecondition, InvalidArgument, NotFound, PlatformMismatch, Unauthenticated
from cri.progress import Progress
from cri.v1 import api_pb2 as v1
from runtimes.docker.runtime import DockerRuntime
from tests.host.images import Image, docker_archive
from tests.host.registry import PASSWORD, USER, Registry
from tests.runtimes.docker import calls
from tests.runtimes.docker.conftest import RunSandbox

LOCAL = "minicri.test/local"

Load = Callable[..., str]


@pytest.fixture(autouse=True)
def no_image_is_left(engine_client: docker.DockerClient) -> Iterator[None]:
    """What a test loads or pulls goes with it, names of an image that was there before too."""
    before = names_and_ids(engine_client)
    yield
    for added in sorted(names_and_ids(engine_client) - before, reverse=True):  # ids ("sha256:…") come before names
        with contextlib.suppress(docker.errors.ImageNotFound):
            engine_client.images.remove(added, force=True)


def names_and_ids(client: docker.DockerClient) -> set[str]:
    images = client.images.list()
    return {str(image.id) for image in images} | {
        name for image in images for name in (*image.tags, *image.attrs["RepoDigests"]) if "<none>" not in name
    }


@pytest.fixture
def load(engine_client: docker.DockerClient) -> Load:
    """``load(image, *names)`` puts an image into the engine; its id."""

    def run(image: Image, *names: str) -> str:
        engine_client.images.load(io.BytesIO(docker_archive(*names, image=image)))
        return str(engine_client.images.get(names[0]).id)

    return run


def spec(name: str, platform: str = "") -> v1.ImageSpec:
    return v1.ImageSpec(image=name, annotations={PLATFORM: platform} if platform else {})


async def status(runtime: DockerRuntime, name: str, platform: str = "") -> v1.Image | None:
    answer = await runtime.image_status(v1.ImageStatusRequest(image=spec(name, platform)))
    return answer.image if answer.HasField("image") else None


async def pull(runtime: DockerRuntime, name: str, platform: str = "", **auth: str) -> str:
    request = v1.PullImageRequest(image=spec(name, platform), auth=v1.AuthConfig(**auth))
    return (await runtime.pull_image(request)).image_ref


async def test_an_image_is_found_by_every_name_and_by_its_id(runtime: DockerRuntime, load: Load) -> None:
    image_id = load(Image(user="1002:50"), f"{LOCAL}:1", f"{LOCAL}:2")
    for name in (f"{LOCAL}:1", f"{LOCAL}:2", image_id, image_id.removeprefix("sha256:"), image_id[7:19]):
        found = await status(runtime, name)
        assert found is not None
        assert (found.id, found.uid.value) == (image_id, 1002)
        assert set(found.repo_tags) == {f"{LOCAL}:1", f"{LOCAL}:2"}


async def test_list_and_status_say_the_same_of_an_image(runtime: DockerRuntime, load: Load) -> None:
    image_id = load(Image(user="www-data"), f"{LOCAL}:1")
    listed = {image.id: image for image in (await runtime.list_images(v1.ListImagesRequest())).images}
    assert listed[image_id] == await status(runtime, image_id)
    assert listed[image_id].username == "www-data"


async def test_a_missing_image_has_no_status_and_can_be_removed(runtime: DockerRuntime) -> None:
    assert await status(runtime, "minicri.test/no-such-image") is None
    await runtime.remove_image(v1.RemoveImageRequest(image=spec("minicri.test/no-such-image")))


async def test_removing_one_name_removes_the_image_at_once(runtime: DockerRuntime, load: Load) -> None:
    image_id = load(Image(labels={"for": "removal"}), f"{LOCAL}:1", f"{LOCAL}:2")
    await runtime.remove_image(v1.RemoveImageRequest(image=spec(f"{LOCAL}:2")))
    assert image_id not in {image.id for image in (await runtime.list_images(v1.ListImagesRequest())).images}


async def test_an_image_may_be_removed_by_several_at_once(runtime: DockerRuntime, load: Load) -> None:
    for attempt in range(5):
        image_id = load(Image(labels={"race": str(attempt)}), f"{LOCAL}:race")
        request = v1.RemoveImageRequest(image=spec(image_id))

        async def remove(request: v1.RemoveImageRequest = request, image_id: str = image_id) -> v1.Image | None:
            await runtime.remove_image(request)
            return await status(runtime, image_id)

        assert await asyncio.gather(*(remove() for _ in range(5))) == [None] * 5


async def test_an_image_that_runs_cannot_be_removed(
    runtime: DockerRuntime, run_sandbox: RunSandbox, busybox_image: str
) -> None:
    await calls.start(runtime, await run_sandbox(), "sleep", "600")
    with pytest.raises(FailedPrecondition):
        await runtime.remove_image(v1.RemoveImageRequest(image=spec(busybox_image)))
    assert await status(runtime, busybox_image) is not None


async def test_an_image_that_others_were_built_on_loses_its_names(
    runtime: DockerRuntime, load: Load, engine_client: docker.DockerClient
) -> None:
    base = load(Image(labels={"for": "base"}), f"{LOCAL}:base")
    container = engine_client.containers.create(f"{LOCAL}:base")
    container.commit(repository=LOCAL, tag="child")
    container.remove()
    await runtime.remove_image(v1.RemoveImageRequest(image=spec(f"{LOCAL}:base")))
    assert await status(runtime, f"{LOCAL}:base") is None
    assert base not in {image.id for image in (await runtime.list_images(v1.ListImagesRequest())).images}


async def test_image_space_is_told_for_the_engines_own_directory(
    runtime: DockerRuntime, engine_client: docker.DockerClient, busybox_image: str
) -> None:
    answer = await runtime.image_fs_info(v1.ImageFsInfoRequest())
    for usage in (*answer.image_filesystems, *answer.container_filesystems):
        assert usage.fs_id.mountpoint == engine_client.info()["DockerRootDir"]
        assert usage.timestamp > 0
    assert answer.image_filesystems[0].used_bytes.value >= engine_client.images.get(busybox_image).attrs["Size"]


@pytest.mark.parametrize("form", ["{host}/{name}", "{host}/{name}:v1", "{host}/{name}@{digest}"])
async def test_a_pull_by_name_tag_or_digest_answers_the_images_id(
    runtime: DockerRuntime, local_registry: Registry, form: str
) -> None:
    image = Image(labels={"for": "pulling"})
    local_registry.push("pulled", image)
    digest = local_registry.push("pulled", image, tag="v1")
    name = form.format(host=local_registry.host, name="pulled", digest=digest)
    image_ref = await pull(runtime, name)
    found = await status(runtime, name)
    assert found is not None
    assert image_ref == found.id
    assert image_ref in (image.id, digest)
    assert f"{local_registry.host}/pulled@{digest}" in found.repo_digests


async def test_a_pull_tells_how_it_goes(runtime: DockerRuntime, local_registry: Registry) -> None:
    local_registry.push("watched", Image(files={"big": b"x" * 100_000}))
    seen: list[Progress] = []
    with progress.listening(seen.append):
        await pull(runtime, f"{local_registry.host}/watched")
    assert {each.image for each in seen} == {f"{local_registry.host}/watched:latest"}
    assert {"Download complete", "Pull complete"} <= {each.status for each in seen if each.layer}
    assert all(each.current <= each.total for each in seen)


async def test_an_image_that_the_registry_has_not_is_not_found(
    runtime: DockerRuntime, local_registry: Registry
) -> None:
    local_registry.push("there")
    for name in ("there:other-tag", "not-there"):
        with pytest.raises(NotFound, match=name):
            await pull(runtime, f"{local_registry.host}/{name}")


async def test_a_platform_of_several_is_pulled_as_asked(runtime: DockerRuntime, local_registry: Registry) -> None:
    local_registry.push("several", Image(architecture="amd64"), Image(architecture="arm64", variant="v8"))
    for platform in ("linux/arm64", "linux/amd64"):
        pulled = await pull(runtime, f"{local_registry.host}/several", platform)
        found = await status(runtime, f"{local_registry.host}/several", platform)
        assert found is not None
        assert (found.id, found.spec.annotations[PLATFORM]) == (pulled, platform)


async def test_an_image_is_not_there_for_a_platform_that_was_not_pulled(
    runtime: DockerRuntime, local_registry: Registry
) -> None:
    images = [Image(architecture=each, labels={"for": "absence"}) for each in ("amd64", "arm64", "riscv64")]
    local_registry.push("three", *images)
    name = f"{local_registry.host}/three"
    await pull(runtime, name, "linux/arm64")
    found = await status(runtime, name)
    assert found is not None
    assert found.spec.annotations[PLATFORM] == "linux/arm64"
    assert await status(runtime, name, "linux/arm64") == found
    assert await status(runtime, name, "linux/amd64") is None


@pytest.mark.parametrize("variants", [("amd64",), ("amd64", "arm64")], ids=["single", "index"])
async def test_a_platform_that_the_image_has_not_is_a_mismatch(
    runtime: DockerRuntime, local_registry: Registry, variants: tuple[str, ...]
) -> None:
    name = f"lacking-{len(variants)}"
    local_registry.push(name, *(Image(architecture=each) for each in variants))
    with pytest.raises(PlatformMismatch, match=f"{name}.*linux/s390x"):
        await pull(runtime, f"{local_registry.host}/{name}", "linux/s390x")


async def test_a_container_for_another_platform_than_the_local_image_is_a_mismatch(
    runtime: DockerRuntime, run_sandbox: RunSandbox, load: Load
) -> None:
    load(Image(architecture="arm64"), f"{LOCAL}:arm64")
    sandbox_id = await run_sandbox(annotations={PLATFORM: "linux/amd64"})
    config = v1.ContainerConfig(metadata=v1.ContainerMetadata(name="c"), image=spec(f"{LOCAL}:arm64"))
    with pytest.raises(PlatformMismatch, match="linux/amd64"):
        await runtime.create_container(v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config))


async def test_a_login_is_asked_for_and_taken_in_both_forms(runtime: DockerRuntime, login_registry: Registry) -> None:
    image = Image(labels={"for": "login"})
    ids = {image.id, login_registry.push("secret", image)}
    name = f"{login_registry.host}/secret"
    with pytest.raises(Unauthenticated, match="secret"):
        await pull(runtime, name)
    with pytest.raises(Unauthenticated, match="secret"):
        await pull(runtime, name, username=USER, password="wrong")
    assert await pull(runtime, name, username=USER, password=PASSWORD) in ids
    assert await pull(runtime, name, auth=base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()) in ids


async def test_what_docker_login_stored_is_used_where_nothing_was_given(
    runtime: DockerRuntime, login_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image(labels={"for": "docker login"})
    ids = {image.id, login_registry.push("stored", image)}
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {login_registry.host: {"auth": word}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert await pull(runtime, f"{login_registry.host}/stored") in ids


async def test_an_id_cannot_be_pulled(runtime: DockerRuntime) -> None:
    with pytest.raises(InvalidArgument, match="image id"):
        await pull(runtime, "sha256:" + "0" * 64)


@contextlib.asynccontextmanager
async def stalled_registry() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """A registry that takes requests and never answers; its host, and when one came and when it was given up."""
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        given_up.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked, given_up


async def test_a_pull_that_is_cancelled_stops_in_the_engine_too(runtime: DockerRuntime) -> None:
    async with stalled_registry() as (host, asked, given_up):
        pulling = asyncio.ensure_future(pull(runtime, f"{host}/never"))
        await asyncio.wait_for(asked.wait(), 20)
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
        await asyncio.wait_for(given_up.wait(), 20)
