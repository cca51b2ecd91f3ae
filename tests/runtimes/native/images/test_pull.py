"""Pulling from registries, through skopeo."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cri import progress
from cri.annotations import PLATFORM
from cri.errors import (
    InvalidArgument,
    NotFound,
    PlatformMismatch,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from cri.progress import Progress
from cri.v1 import api_pb2 as v1
from runtimes.native.config import ImageSettings
from runtimes.native.images.failures import BadImage
from tests.host import images
from tests.host.images import Image
from tests.host.registry import PASSWORD, USER, Registry
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Engine, Item, Layered
from tests.runtimes.native.images.scripted_registry import ScriptedRegistry, scripted_registry

BASE = kit.layer(kit.directory("etc/"), Item("etc/base", b"base"))
TOP = kit.layer(Item("etc/top", os.urandom(3 << 20)))
IMAGE = Layered(
    [BASE, TOP], [gzip.compress(BASE, mtime=0), gzip.compress(TOP, 1, mtime=0)], config={"Labels": {"of": "test_pull"}}
)


@pytest.fixture(autouse=True)
def skopeo() -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo on this host: install the package skopeo")


@pytest_asyncio.fixture
async def registry() -> AsyncIterator[ScriptedRegistry]:
    async with scripted_registry() as made:
        yield made


def asking(name: str, platform: str = "", **auth: str) -> v1.PullImageRequest:
    request = v1.PullImageRequest(image=v1.ImageSpec(image=name), auth=v1.AuthConfig(**auth) if auth else None)
    if platform:
        request.image.annotations[PLATFORM] = platform
    return request


def children() -> list[str]:
    """Programs that this process has started and that still run."""
    tasks = Path("/proc/self/task").iterdir()
    pids = [pid for task in tasks for pid in (task / "children").read_text().split()]
    return [(Path("/proc") / pid / "comm").read_text().strip() for pid in pids]


async def test_an_image_is_pulled_whole(engine: Engine, registry: ScriptedRegistry) -> None:
    digest = registry.add("x", IMAGE)
    assert await engine.images.pull(asking(f"{registry.host}/x")) == IMAGE.id
    record = engine.images.find(f"{registry.host}/x:latest")
    assert record
    assert record.digests == (f"{registry.host}/x@{digest}",)
    assert (record.layers[0] / "etc/base").read_bytes() == b"base"
    assert engine.left()["arrivals"] == []
    assert "skopeo" not in children()


async def test_an_image_is_pulled_from_a_real_registry(engine: Engine, local_registry: Registry) -> None:
    image = Image(labels={"of": "native pulls"})
    local_registry.push("native/plain", image)
    assert await engine.images.pull(asking(f"{local_registry.host}/native/plain")) == image.id


async def test_a_digest_names_no_tag(engine: Engine, registry: ScriptedRegistry) -> None:
    name = f"{registry.host}/x@{registry.add('x', IMAGE)}"
    await engine.images.pull(asking(name))
    record = engine.images.find(name)
    assert record
    assert (record.tags, record.digests) == ((), (name,))


async def test_a_tag_that_moved_is_the_new_images(engine: Engine, registry: ScriptedRegistry) -> None:
    registry.add("x", IMAGE)
    await engine.images.pull(asking(f"{registry.host}/x"))
    other = Layered([BASE])
    registry.add("x", other)
    await engine.images.pull(asking(f"{registry.host}/x"))
    now, before = engine.images.find(f"{registry.host}/x"), engine.images.find(IMAGE.id)
    assert now
    assert before
    assert (now.id, before.tags) == (other.id, ())


async def test_what_is_there_is_not_fetched_again(engine: Engine, registry: ScriptedRegistry) -> None:
    registry.add("x", Layered([BASE], IMAGE.stored[:1]))
    registry.add("y", IMAGE)
    await engine.images.pull(asking(f"{registry.host}/x"))
    await engine.images.pull(asking(f"{registry.host}/y"))
    assert registry.asked[images.digest(IMAGE.stored[0])] == 1
    assert registry.asked[images.digest(IMAGE.stored[1])] == 1


async def test_who_asks_at_once_shares_one_pull(engine: Engine, registry: ScriptedRegistry) -> None:
    registry.add("x", IMAGE)
    requests = [engine.images.pull(asking(f"{registry.host}/x")) for _ in range(3)]
    assert set(await asyncio.gather(*requests)) == {IMAGE.id}
    assert registry.asked[images.digest(IMAGE.stored[1])] == 1


async def test_two_processes_unpack_a_layer_once(engine: Engine, base: Path, registry: ScriptedRegistry) -> None:
    registry.add("x", IMAGE)
    with kit.engine(base) as other:
        both = [each.images.pull(asking(f"{registry.host}/x")) for each in (engine, other)]
        assert set(await asyncio.gather(*both)) == {IMAGE.id}
    assert registry.asked[images.digest(IMAGE.stored[1])] == 1
    assert len(engine.left()["layers"]) == 2


@pytest.mark.parametrize(("platform", "number"), [("linux/arm64", 0), ("linux/amd64", 1)])
async def test_a_platform_is_chosen_from_an_index(
    engine: Engine, registry: ScriptedRegistry, platform: str, number: int
) -> None:
    members = [Layered([BASE], architecture=each) for each in ("arm64", "amd64")]
    digest = registry.add("x", *members)
    assert await engine.images.pull(asking(f"{registry.host}/x", platform)) == members[number].id
    found = engine.images.find(f"{registry.host}/x@{digest}")
    assert found
    assert str(found.platform) == platform


async def test_the_hosts_platform_is_chosen_when_none_is_said(engine: Engine, registry: ScriptedRegistry) -> None:
    members = [Layered([BASE], architecture=each) for each in ("s390x", images.host_architecture())]
    registry.add("x", *members)
    assert await engine.images.pull(asking(f"{registry.host}/x")) == members[1].id


async def test_a_platform_that_an_image_lacks_is_named_with_those_that_it_has(
    engine: Engine, registry: ScriptedRegistry
) -> None:
    registry.add("x", *[Layered([BASE], architecture=each) for each in ("arm64", "amd64")])
    with pytest.raises(PlatformMismatch, match="not for linux/s390x; it is for linux/amd64, linux/arm64"):
        await engine.images.pull(asking(f"{registry.host}/x", "linux/s390x"))
    engine.require_empty()


async def test_the_only_image_of_a_name_must_be_for_the_platform_too(
    engine: Engine, registry: ScriptedRegistry
) -> None:
    registry.add("x", Layered([BASE], architecture="arm64"))
    with pytest.raises(PlatformMismatch, match="is for linux/arm64, not for linux/amd64"):
        await engine.images.pull(asking(f"{registry.host}/x", "linux/amd64"))
    engine.require_empty()


async def test_what_the_registry_does_not_know_is_not_found(engine: Engine, registry: ScriptedRegistry) -> None:
    with pytest.raises(NotFound, match=r"/nothing:latest cannot be pulled: .*manifest unknown"):
        await engine.images.pull(asking(f"{registry.host}/nothing"))
    engine.require_empty()


async def test_a_registry_that_does_not_answer_is_unavailable(engine: Engine) -> None:
    with pytest.raises(Unavailable, match="connection refused"):
        await engine.images.pull(asking("127.0.0.1:1/x"))


@pytest.mark.parametrize("name", ["", "UPPER", "0" * 64, "sha256:" + "0" * 64])
async def test_what_is_no_name_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await engine.images.pull(asking(name))


@pytest.mark.parametrize(
    "auth",
    [
        {"username": USER, "password": PASSWORD},
        {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()},
    ],
    ids=["name-and-password", "auth"],
)
async def test_a_registry_that_asks_who_one_is_is_told(
    engine: Engine, login_registry: Registry, auth: dict[str, str]
) -> None:
    image = Image(labels={"of": "native logins"})
    login_registry.push("native/secret", image)
    assert await engine.images.pull(asking(f"{login_registry.host}/native/secret", **auth)) == image.id


@pytest.mark.parametrize("auth", [{}, {"username": USER, "password": "wrong"}], ids=["none", "wrong"])
async def test_a_registry_refuses_who_may_not_pull(
    engine: Engine, login_registry: Registry, auth: dict[str, str]
) -> None:
    login_registry.push("native/secret", Image(labels={"of": "native logins"}))
    with pytest.raises(Unauthenticated):
        await engine.images.pull(asking(f"{login_registry.host}/native/secret", **auth))
    engine.require_empty()


async def test_a_token_that_skopeo_would_show_to_everybody_is_refused(engine: Engine) -> None:
    with pytest.raises(Unimplemented, match="registry_token"):
        await engine.images.pull(asking("127.0.0.1:1/x", registry_token="secret"))


async def test_a_mirror_is_asked_as_the_configuration_says(
    base: Path, registry: ScriptedRegistry, tmp_path: Path
) -> None:
    registry.add("mirrored/x", IMAGE)
    conf = tmp_path / "registries.conf"
    conf.write_text(
        '[[registry]]\nprefix = "registry.invalid"\nlocation = "registry.invalid"\n'
        f'[[registry.mirror]]\nlocation = "{registry.host}/mirrored"\ninsecure = true\n'
    )
    with kit.engine(base, ImageSettings(registries_conf=str(conf))) as engine:
        assert await engine.images.pull(asking("registry.invalid/x:latest")) == IMAGE.id
        (image,) = await engine.images.list(v1.ImageFilter())
        assert image.repo_tags == ["registry.invalid/x:latest"]


async def test_progress_is_told_in_bytes(engine: Engine, registry: ScriptedRegistry) -> None:
    registry.add("x", IMAGE)
    heard: list[Progress] = []
    with progress.listening(heard.append):
        await engine.images.pull(asking(f"{registry.host}/x"))
    layer = images.digest(IMAGE.stored[1]).removeprefix("sha256:")[:12]
    told = [each for each in heard if each.layer == layer and each.status == "downloading"]
    assert len(told) > 1
    assert told[-1].current == told[-1].total == len(IMAGE.stored[1])


async def test_a_pull_that_is_given_up_frees_what_it_fetched(engine: Engine, registry: ScriptedRegistry) -> None:
    registry.add("x", IMAGE)
    registry.held.add(images.digest(IMAGE.stored[1]))
    pull = asyncio.create_task(engine.images.pull(asking(f"{registry.host}/x")))
    await registry.waiting.wait()
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    engine.require_empty()
    assert "skopeo" not in children()


async def test_one_of_two_who_wait_may_go(engine: Engine, registry: ScriptedRegistry) -> None:
    registry.add("x", IMAGE)
    registry.held.add(images.digest(IMAGE.stored[1]))
    first, second = [asyncio.create_task(engine.images.pull(asking(f"{registry.host}/x"))) for _ in range(2)]
    await registry.waiting.wait()
    first.cancel()
    registry.released.set()
    assert await second == IMAGE.id


async def test_a_connection_that_breaks_leaves_nothing(engine: Engine, registry: ScriptedRegistry) -> None:
    registry.add("x", IMAGE)
    registry.cut.add(images.digest(IMAGE.stored[1]))
    with pytest.raises(Unavailable, match="cannot be pulled"):
        await engine.images.pull(asking(f"{registry.host}/x"))
    engine.require_empty()


@pytest.mark.parametrize("lie", [Layered([TOP]).manifest(), b"{}"], ids=["another", "nonsense"])
async def test_a_manifest_that_is_not_the_one_asked_for_is_refused(
    engine: Engine, registry: ScriptedRegistry, lie: bytes
) -> None:
    digest = registry.add("x", IMAGE)
    registry.serve_instead("x", digest, lie)
    with pytest.raises((BadImage, Unavailable)):
        await engine.images.pull(asking(f"{registry.host}/x@{digest}"))
    engine.require_empty()
