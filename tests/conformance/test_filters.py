"""What lists answer: which items, in which order, also while things come and go; the Stream* RPCs."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import RUN_LABEL, Kit


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pods(shared: Kit) -> dict[str, str]:
    """Three sandboxes: two of the application `shop`, one of them stopped."""
    made = {
        "shop": await shared.sandbox(labels={"app": "shop", "tier": "front"}),
        "blog": await shared.sandbox(labels={"app": "blog", "tier": "front"}),
        "old": await shared.sandbox(labels={"app": "shop", "tier": "back"}),
    }
    await shared.stop_sandbox(made["old"])
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def members(shared: Kit, pods: dict[str, str]) -> dict[str, str]:
    """Four containers: created, running and exited ones in two sandboxes."""
    made = {
        "created": await shared.create(pods["shop"], labels={"kind": "web", "mood": "new"}),
        "running": await shared.run(pods["shop"], labels={"kind": "web", "mood": "good"}),
        "exited": await shared.run(pods["shop"], "true", labels={"kind": "job"}),
        "elsewhere": await shared.run(pods["blog"], labels={"kind": "web", "mood": "good"}),
    }
    await shared.exited(made["exited"])
    return made


def named(known: dict[str, str], ids: list[str]) -> set[str]:
    return {next(name for name, identity in known.items() if identity == each) for each in ids}


async def sandboxes(kit: Kit, pods: dict[str, str], **fields: object) -> set[str]:
    return named(pods, [item.id for item in await kit.sandboxes(**fields) if item.id in pods.values()])


async def containers(kit: Kit, members: dict[str, str], **fields: object) -> set[str]:
    return named(members, [item.id for item in await kit.containers(**fields) if item.id in members.values()])


def ready(state: v1.PodSandboxState) -> v1.PodSandboxStateValue:
    return v1.PodSandboxStateValue(state=state)


def in_state(state: v1.ContainerState) -> v1.ContainerStateValue:
    return v1.ContainerStateValue(state=state)


async def test_sandboxes_are_found_by_id(kit: Kit, pods: dict[str, str]) -> None:
    """Ids and lists: filters: a unique id prefix."""
    assert await sandboxes(kit, pods, id=pods["shop"]) == {"shop"}


async def test_sandboxes_are_found_by_a_unique_prefix_of_the_id(kit: Kit, pods: dict[str, str]) -> None:
    """Ids and lists: filters: a unique id prefix."""
    assert await sandboxes(kit, pods, id=pods["shop"][:-1]) == {"shop"}
    assert await sandboxes(kit, pods, id=pods["shop"][:13]) == {"shop"}


async def test_sandboxes_are_found_by_label(kit: Kit, pods: dict[str, str]) -> None:
    """Ids and lists: filters: labels exact."""
    assert await sandboxes(kit, pods, label_selector={"app": "shop"}) == {"shop", "old"}
    assert await sandboxes(kit, pods, label_selector={"app": "sho"}) == set()


async def test_labels_of_sandboxes_are_anded(kit: Kit, pods: dict[str, str]) -> None:
    """Ids and lists: filters: labels ANDed."""
    assert await sandboxes(kit, pods, label_selector={"app": "shop", "tier": "front"}) == {"shop"}


async def test_sandboxes_are_found_by_state(kit: Kit, pods: dict[str, str]) -> None:
    """Ids and lists: filters: state."""
    assert await sandboxes(kit, pods, state=ready(v1.SANDBOX_NOTREADY)) == {"old"}
    assert await sandboxes(kit, pods, state=ready(v1.SANDBOX_READY)) == {"shop", "blog"}


async def test_all_parts_of_a_sandbox_filter_hold(kit: Kit, pods: dict[str, str]) -> None:
    """Ids and lists: filters: id, labels and state together."""
    fields = {"label_selector": {"app": "shop"}, "state": ready(v1.SANDBOX_READY)}
    assert await sandboxes(kit, pods, id=pods["shop"], **fields) == {"shop"}
    assert await sandboxes(kit, pods, id=pods["old"], **fields) == set()


@pytest.mark.parametrize("unknown", ["0" * 64, "no-such-thing"])
async def test_no_match_is_an_empty_list(kit: Kit, unknown: str) -> None:
    """Ids and lists: no match is an empty list."""
    assert await kit.sandboxes(id=unknown) == []
    assert await kit.containers(id=unknown) == []
    assert await kit.containers(pod_sandbox_id=unknown) == []


async def test_containers_are_found_by_id_and_by_a_unique_prefix(kit: Kit, members: dict[str, str]) -> None:
    """Ids and lists: filters: a unique id prefix."""
    for text in (members["created"], members["created"][:-1], members["created"][:13]):
        assert await containers(kit, members, id=text) == {"created"}


async def test_containers_are_found_by_sandbox(kit: Kit, members: dict[str, str], pods: dict[str, str]) -> None:
    """Ids and lists: filters: the sandbox's id, or a unique prefix of it."""
    for text in (pods["shop"], pods["shop"][:13]):
        assert await containers(kit, members, pod_sandbox_id=text) == {"created", "running", "exited"}


async def test_containers_are_found_by_state(kit: Kit, members: dict[str, str]) -> None:
    """Ids and lists: filters: state."""
    assert await containers(kit, members, state=in_state(v1.CONTAINER_CREATED)) == {"created"}
    assert await containers(kit, members, state=in_state(v1.CONTAINER_RUNNING)) == {"running", "elsewhere"}
    assert await containers(kit, members, state=in_state(v1.CONTAINER_EXITED)) == {"exited"}


async def test_labels_of_containers_are_anded_and_exact(kit: Kit, members: dict[str, str]) -> None:
    """Ids and lists: filters: labels ANDed and exact."""
    assert await containers(kit, members, label_selector={"kind": "web"}) == {"created", "running", "elsewhere"}
    assert await containers(kit, members, label_selector={"kind": "web", "mood": "good"}) == {"running", "elsewhere"}
    assert await containers(kit, members, label_selector={"kind": "we"}) == set()


async def test_all_parts_of_a_container_filter_hold(kit: Kit, members: dict[str, str], pods: dict[str, str]) -> None:
    """Ids and lists: filters: id, sandbox, labels and state together."""
    fields = {"label_selector": {"mood": "good"}, "state": in_state(v1.CONTAINER_RUNNING)}
    assert await containers(kit, members, pod_sandbox_id=pods["blog"], **fields) == {"elsewhere"}
    assert await containers(kit, members, pod_sandbox_id=pods["blog"], id=members["running"], **fields) == set()


async def test_lists_are_sorted_newest_first(kit: Kit, members: dict[str, str], pods: dict[str, str]) -> None:
    """Ids and lists: sort results."""
    for created in (
        [item.created_at for item in await kit.sandboxes()],
        [item.created_at for item in await kit.containers()],
    ):
        assert created == sorted(created, reverse=True)


async def test_a_list_is_the_same_twice(kit: Kit, members: dict[str, str]) -> None:
    """Ids and lists: sort results."""
    assert await kit.containers() == await kit.containers()
    assert await kit.sandboxes() == await kit.sandboxes()


async def test_a_list_without_filter_has_everything(
    runtime: Runtime, members: dict[str, str], pods: dict[str, str]
) -> None:
    """Ids and lists: an absent filter selects everything, in every state."""
    listed = await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())
    assert set(pods.values()) <= {item.id for item in listed.items}
    in_all = await runtime.list_containers(v1.ListContainersRequest())
    assert set(members.values()) <= {item.id for item in in_all.containers}


async def test_things_that_vanish_while_listing_are_no_error(kit: Kit) -> None:
    """Ids and lists: one item that vanishes while listing is skipped, not an error."""
    sandbox_id = await kit.sandbox()

    async def come_and_go() -> None:
        for _ in range(4):
            await kit.remove(await kit.create(sandbox_id))
        await kit.remove_sandbox(sandbox_id)

    going = asyncio.ensure_future(come_and_go())
    while not going.done():
        await kit.containers()
        await kit.sandboxes()
        await asyncio.sleep(0)
    await going


async def test_streamed_sandboxes_are_the_listed_ones(runtime: Runtime, kit: Kit, pods: dict[str, str]) -> None:
    """gRPC: Stream* RPCs page large lists and end with EOF."""
    wanted = v1.PodSandboxFilter(label_selector={RUN_LABEL: kit.label})
    pages = [page async for page in runtime.stream_pod_sandboxes(v1.StreamPodSandboxesRequest(filter=wanted))]
    assert [item for page in pages for item in page.pod_sandboxes] == await kit.sandboxes()


async def test_streamed_containers_are_the_listed_ones(runtime: Runtime, kit: Kit, members: dict[str, str]) -> None:
    """gRPC: Stream* RPCs page large lists and end with EOF."""
    wanted = v1.ContainerFilter(label_selector={RUN_LABEL: kit.label})
    pages = [page async for page in runtime.stream_containers(v1.StreamContainersRequest(filter=wanted))]
    assert [item for page in pages for item in page.containers] == await kit.containers()


async def test_streamed_images_are_the_listed_ones(runtime: Runtime, kit: Kit) -> None:
    """gRPC: Stream* RPCs page large lists and end with EOF."""
    pages = [page async for page in runtime.stream_images(v1.StreamImagesRequest())]
    assert [item for page in pages for item in page.images] == await kit.images()


async def test_a_stream_of_nothing_ends(runtime: Runtime) -> None:
    """gRPC: Stream* RPCs end with EOF; no match is an empty list."""
    wanted = v1.ContainerFilter(id="0" * 64)
    pages = [page async for page in runtime.stream_containers(v1.StreamContainersRequest(filter=wanted))]
    assert [item for page in pages for item in page.containers] == []


async def test_a_request_may_be_larger_than_grpcs_own_limit(runtime: Runtime, kit: Kit) -> None:
    """gRPC: messages up to 16 MiB both ways (the library default is 4)."""
    spec = v1.ImageSpec(image=kit.image, annotations={"padding": "x" * (12 << 20)})
    assert (await runtime.image_status(v1.ImageStatusRequest(image=spec))).image.id
