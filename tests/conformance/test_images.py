"""Images: pulled, told of, removed."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from collections.abc import Iterator

import pytest

from cri.errors import CRIError, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit
from tests.conformance.registry import PASSWORD, USER, Image, Registry


class Pushed:
    """An image of its own in the registry. A backend without one gets a name that nobody pushed."""

    def __init__(self, registry: Registry, image: Image, name: str) -> None:
        self.image = image
        self.name = f"{registry.host}/{name}"
        self.digest = registry.push(name, image)
        registry.push(name, image, tag="1.0")

    @property
    def ids(self) -> set[str]:
        """What an engine may call it: the digest of its config, or of its manifest."""
        return {self.image.id, self.digest}

    @property
    def tagged(self) -> str:
        return f"{self.name}:1.0"

    @property
    def digested(self) -> str:
        return f"{self.name}@{self.digest}"


@pytest.fixture
def pushed(local_registry: Registry, kit: Kit) -> Pushed:
    name = kit.fresh("conformance/image")
    return Pushed(local_registry, Image(labels={"name": name}), name)


async def test_an_image_is_pulled_by_tag(kit: Kit, pushed: Pushed) -> None:
    """Images: pull by tag, digest and name without tag."""
    image_id = await kit.pull(pushed.tagged)
    image = await kit.image_status(pushed.tagged)
    assert image.id == image_id
    assert pushed.tagged in image.repo_tags


async def test_an_image_is_pulled_by_digest(kit: Kit, pushed: Pushed) -> None:
    """Images: pull by tag, digest and name without tag."""
    image_id = await kit.pull(pushed.digested)
    image = await kit.image_status(pushed.digested)
    assert image.id == image_id
    assert pushed.digested in image.repo_digests


async def test_a_name_without_tag_is_latest(kit: Kit, pushed: Pushed) -> None:
    """Images: pull by tag, digest and name without tag."""
    await kit.pull(pushed.name)
    assert f"{pushed.name}:latest" in (await kit.image_status(pushed.name)).repo_tags


@pytest.mark.needs("registry")
async def test_one_image_has_one_id_however_it_was_pulled(kit: Kit, pushed: Pushed) -> None:
    """Images: PullImage.image_ref == Image.id, by tag, by digest, by name."""
    (image_id,) = {await kit.pull(reference) for reference in (pushed.tagged, pushed.digested, pushed.name)}
    assert image_id in pushed.ids


async def test_the_pulls_answer_is_the_images_id_everywhere(kit: Kit, sandbox: str, pushed: Pushed) -> None:
    """Images: PullImage.image_ref == Image.id == Container.image_id == ContainerStatus.image_id."""
    image_id = await kit.pull(pushed.tagged)
    container_id = await kit.create(sandbox, image=v1.ImageSpec(image=pushed.tagged))
    (item,) = await kit.containers(id=container_id)
    status = await kit.status(container_id)
    seen = [(await kit.image_status(pushed.tagged)).id, item.image_id, status.image_id]
    assert seen == [image_id] * 3
    await kit.remove(container_id)


@pytest.mark.needs("registry")
async def test_an_image_from_several_registries_is_one_image(
    kit: Kit, sandbox: str, pushed: Pushed, local_registry: Registry
) -> None:
    """Images: also when one image came from several registries."""
    other = pushed.name.replace("127.0.0.1", "localhost")
    (image_id,) = {await kit.pull(pushed.tagged), await kit.pull(f"{other}:1.0")}
    assert image_id in pushed.ids
    (image,) = [each for each in await kit.images() if each.id == image_id]
    assert {pushed.tagged, f"{other}:1.0"} <= set(image.repo_tags)
    for reference in (pushed.tagged, f"{other}:1.0"):
        container_id = await kit.create(sandbox, image=v1.ImageSpec(image=reference))
        assert (await kit.status(container_id)).image_id == image_id
        await kit.remove(container_id)


async def test_a_container_is_made_from_an_images_id(kit: Kit, sandbox: str, pushed: Pushed) -> None:
    """Images: the id names the image wherever a name does; the kubelet uses it."""
    image_id = await kit.pull(pushed.tagged)
    container_id = await kit.create(sandbox, image=v1.ImageSpec(image=image_id, user_specified_image=pushed.tagged))
    assert (await kit.status(container_id)).image_id == image_id
    await kit.remove(container_id)


async def test_an_image_is_found_by_id_tag_and_name(kit: Kit, pushed: Pushed) -> None:
    """Images: ImageStatus by whatever names the image."""
    image_id = await kit.pull(pushed.name)
    for reference in (image_id, pushed.name, f"{pushed.name}:latest"):
        assert (await kit.image_status(reference)).id == image_id, reference


async def test_an_image_has_a_size(kit: Kit) -> None:
    """Images: size > 0."""
    assert (await kit.image_status(kit.image)).size > 0


@pytest.mark.needs("registry")
@pytest.mark.parametrize(
    ("user", "uid", "username"),
    [
        ("", None, ""),
        ("1000", 1000, ""),
        ("1000:50", 1000, ""),
        ("www-data", None, "www-data"),
        ("user:50", None, "user"),
    ],
)
async def test_the_user_of_an_image_is_a_number_or_a_name(
    kit: Kit, local_registry: Registry, user: str, uid: int | None, username: str
) -> None:
    """Images: uid XOR username."""
    name = kit.fresh("conformance/user")
    local_registry.push(name, Image(user=user, labels={"name": name}))
    reference = f"{local_registry.host}/{name}"
    await kit.pull(reference)
    image = await kit.image_status(reference)
    assert image.username == username
    seen = image.uid.value if image.HasField("uid") else None
    assert seen == uid or (not user and seen == 0)  # an image without a user is root's, said or not


async def test_removing_by_one_tag_removes_all_tags_at_once(kit: Kit, pushed: Pushed) -> None:
    """Images: RemoveImage by one tag removes all tags and is visible in List at once."""
    image_id = await kit.pull(pushed.tagged)
    await kit.pull(pushed.name)
    ids = {image_id, (await kit.image_status(pushed.name)).id}
    await kit.remove_image(pushed.tagged)
    if len(ids) == 1:
        assert not (await kit.image_status(pushed.name)).id
    assert image_id not in {image.id for image in await kit.images()}


async def test_an_image_is_removed_by_id(kit: Kit, pushed: Pushed) -> None:
    """Images: RemoveImage; the kubelet names images by id."""
    image_id = await kit.pull(pushed.tagged)
    await kit.remove_image(image_id)
    assert not (await kit.image_status(pushed.tagged)).id


async def test_images_are_listed_by_name(kit: Kit, pushed: Pushed) -> None:
    """Images: the filter selects by reference; no match is an empty list."""
    image_id = await kit.pull(pushed.tagged)
    assert [image.id for image in await kit.images(pushed.tagged)] == [image_id]
    assert await kit.images("localhost/no/such:image") == []


async def test_list_and_status_agree(kit: Kit) -> None:
    """Images: what a list says of an image is what its status says."""
    status = await kit.image_status(kit.image)
    assert [image for image in await kit.images() if image.id == status.id] == [status]


async def test_verbose_status_tells_more(runtime: Runtime, kit: Kit) -> None:
    """Ids and lists: `verbose` is answered with information, and only `verbose` is."""
    spec = v1.ImageSpec(image=kit.image)
    asked = [v1.ImageStatusRequest(image=spec, verbose=verbose) for verbose in (False, True)]
    terse, verbose = [await runtime.image_status(each) for each in asked]
    assert not terse.info
    assert verbose.info


async def test_pulling_again_gives_the_same_id(kit: Kit, pushed: Pushed) -> None:
    """Idempotence: a pull of what is there succeeds."""
    assert await kit.pull(pushed.tagged) == await kit.pull(pushed.tagged)


async def test_pulls_of_one_image_at_once_all_succeed(kit: Kit, pushed: Pushed) -> None:
    """Idempotence: a retried pull joins the one in flight."""
    assert len(set(await asyncio.gather(*(kit.pull(pushed.tagged) for _ in range(3))))) == 1


@pytest.mark.needs("registry")
async def test_pulling_what_does_not_exist_is_not_found(kit: Kit, local_registry: Registry) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await kit.pull(f"{local_registry.host}/conformance/no-such:image")


@pytest.mark.parametrize("wrong", ["", "name/UPPER:x", "name:", "name@sha256:short", "http://host/name"])
async def test_a_reference_that_is_none_is_refused(kit: Kit, wrong: str) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgument):
        await kit.runtime.pull_image(v1.PullImageRequest(image=v1.ImageSpec(image=wrong)))


@pytest.fixture
def silent_registry() -> Iterator[str]:
    """Something on 127.0.0.1 that never answers: the kernel takes connections, and nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.needs("registry")
async def test_a_pull_with_a_deadline_stops_at_it(kit: Kit, silent_registry: str) -> None:
    """Images: a pull with a deadline stops at it."""
    request = v1.PullImageRequest(image=v1.ImageSpec(image=f"{silent_registry}/conformance/never:1"))
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await kit.runtime.pull_image(request)
    assert time.monotonic() - begun < 20


@pytest.mark.needs("registry")
@pytest.mark.parametrize(
    "auth",
    [
        v1.AuthConfig(username=USER, password=PASSWORD),
        v1.AuthConfig(auth=base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()),
    ],
    ids=["name-and-password", "auth"],
)
async def test_a_registry_that_asks_who_one_is_is_told(kit: Kit, login_registry: Registry, auth: v1.AuthConfig) -> None:
    """Images: a pull shows the credentials that it was given."""
    name = kit.fresh("conformance/secret")
    login_registry.push(name, Image(labels={"name": name}))
    assert await kit.pull(f"{login_registry.host}/{name}:latest", auth)


@pytest.mark.needs("registry")
@pytest.mark.parametrize("password", [None, "wrong"])
async def test_a_registry_refuses_who_may_not_pull(kit: Kit, login_registry: Registry, password: str | None) -> None:
    """gRPC: codes are specific, never UNKNOWN. Registries do not tell a stranger that an image exists."""
    name = kit.fresh("conformance/secret")
    login_registry.push(name, Image(labels={"name": name}))
    auth = v1.AuthConfig(username=USER, password=password) if password else None
    with pytest.raises(CRIError) as raised:
        await kit.pull(f"{login_registry.host}/{name}:latest", auth)
    assert isinstance(raised.value, Unauthenticated | PermissionDenied | NotFound)


async def test_a_removed_image_is_not_run(kit: Kit, sandbox: str, pushed: Pushed) -> None:
    """Images: RemoveImage is visible at once."""
    await kit.pull(pushed.tagged)
    await kit.remove_image(pushed.tagged)
    with pytest.raises(NotFound):
        await kit.create(sandbox, image=v1.ImageSpec(image=pushed.tagged))


async def test_an_image_in_use_is_removed_or_the_refusal_is_clear(kit: Kit, sandbox: str, pushed: Pushed) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION. The container goes on either way."""
    await kit.pull(pushed.tagged)
    container_id = await kit.run(sandbox, image=v1.ImageSpec(image=pushed.tagged))
    try:
        await kit.remove_image(pushed.tagged)
    except FailedPrecondition as error:
        assert error.message  # noqa: PT017 - removing it is fine as well
    assert (await kit.status(container_id)).state == v1.CONTAINER_RUNNING
    await kit.remove(container_id)


async def test_where_images_are_and_how_much_they_use_is_told(runtime: Runtime, kit: Kit) -> None:
    """Stats: timestamps > 0; ImageFsInfo names the file system and what it uses."""
    await kit.have_image()
    answer = await runtime.image_fs_info(v1.ImageFsInfoRequest())
    assert answer.image_filesystems
    for usage in answer.image_filesystems:
        assert usage.timestamp > 0
        assert usage.fs_id.mountpoint
        assert usage.used_bytes.value > 0
