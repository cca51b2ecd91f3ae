"""The orchestrator's service over a socket, on the fake runtime: what a client in any language sees."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

import cri
from cri.errors import FailedPrecondition, InvalidArgument, NotFound, OutOfRange
from manifests.manifest import ManifestInvalid
from orchestrator.client import Client
from orchestrator.control import Orchestrator
from orchestrator.messages import state_of
from orchestrator.server import Service, server
from orchestrator.store import MemoryStore
from orchestrator.v1 import orchestrator_pb2 as pb

SLEEPER = "name: sleeper\nimage: busybox\ncommand: [sleep, '1000']\nlabels: {app: shop}\nstop: {grace: 1s}\n"
TALKER = "name: talker\nimage: busybox\ncommand: [sh, -c, 'echo one; echo two >&2; echo three']\n"


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[Client]:
    async with served(folder, MemoryStore()) as connection:
        yield connection


@asynccontextmanager
async def served(folder: Path, store: MemoryStore) -> AsyncIterator[Client]:
    address = f"unix://{folder}/o.sock"
    async with (
        cri.open("fake") as runtime,
        Orchestrator(runtime, store, state_dir=folder) as orchestrator,
        server(Service(orchestrator, runtime, instance=store.instance), address),
        Client.connect(address) as connection,
    ):
        yield connection
        await orchestrator.stop_all(forget=True, actor="test")


async def submit(client: Client, text: str) -> list[str]:
    answer = await client.submit(pb.SubmitRequest(manifest=text, actor="test"))
    return [pb.SubmitResponse.Change.Name(one.change).removeprefix("CHANGE_").lower() for one in answer.results]


async def reached(client: Client, name: str, *states: pb.State, attempt: int = 0) -> pb.Task:
    """Follow the history until the task is in one of ``states``, in ``attempt`` or a later one."""
    async with asyncio.timeout(60):
        async with aclosing(client.watch(pb.WatchRequest(task=name, follow=True))) as events:
            async for answer in events:
                happened = answer.event
                is_there = happened.kind == pb.Event.KIND_TRANSITION and happened.to_state in states
                if is_there and happened.attempt >= attempt:
                    return (await client.get(pb.GetRequest(name=name))).task
    raise AssertionError("the watch ended")


async def history(client: Client, after: int = 0) -> list[pb.Event]:
    return [answer.event async for answer in client.watch(pb.WatchRequest(after=after))]


async def test_the_socket_is_for_owner_and_group_only(client: Client, folder: Path) -> None:
    assert stat.S_IMODE((folder / "o.sock").stat().st_mode) == 0o660


async def test_a_submitted_task_runs_and_is_found_with_its_spec(client: Client) -> None:
    assert await submit(client, SLEEPER) == ["created"]
    task = await reached(client, "sleeper", pb.STATE_RUNNING)
    assert (task.name, state_of(task.desired), task.image) == ("sleeper", "Running", "busybox")
    assert json.loads(task.spec_json)["command"] == ["sleep", "1000"]
    assert task.started_at_ns >= task.created_at_ns > 0
    assert task.container_id
    assert not task.HasField("exit_code")


async def test_the_same_manifest_again_changes_nothing_and_another_one_does(client: Client) -> None:
    await submit(client, SLEEPER)
    assert await submit(client, SLEEPER) == ["unchanged"]
    assert await submit(client, SLEEPER.replace("1000", "2000")) == ["changed"]


async def test_a_wrong_manifest_is_refused_whole_with_every_problem(client: Client) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        await client.submit(pb.SubmitRequest(manifest=SLEEPER + "---\nname: Bad\nimag: x\n", source="shop.yaml"))
    assert len(caught.value.message.splitlines()) == 3
    assert all(line.startswith("shop.yaml:") for line in caught.value.message.splitlines())
    assert not (await client.list(pb.ListRequest())).tasks


@pytest.mark.parametrize(
    "wrong",
    [
        pb.SubmitRequest(manifest=SLEEPER, directory="here"),
        pb.SubmitRequest(manifest="#" * (4 * 2**20 + 1)),
        pb.SubmitRequest(manifest=SLEEPER, format=99),  # type: ignore[arg-type]
    ],
    ids=["relative directory", "too large", "unknown format"],
)
async def test_a_wrong_submit_names_the_field(client: Client, wrong: pb.SubmitRequest) -> None:
    with pytest.raises(InvalidArgument, match=r"directory|manifest|format"):
        await client.submit(wrong)


async def test_an_unknown_task_is_not_found(client: Client) -> None:
    for call in (
        client.get(pb.GetRequest(name="nobody")),
        client.describe(pb.DescribeRequest(name="nobody")),
        client.stop(pb.StopRequest(selector=pb.Selector(names=["nobody"]))),
        client.restart(pb.RestartRequest(selector=pb.Selector(names=["nobody"]))),
        client.export(pb.ExportRequest(selector=pb.Selector(names=["nobody"]))),
        client.exec(pb.ExecRequest(name="nobody", command=["ls"], stdout=True)),
    ):
        with pytest.raises(NotFound, match="nobody"):
            await call
    with pytest.raises(NotFound, match="nobody"):
        _ = [line async for line in client.logs(pb.LogsRequest(name="nobody"))]


async def test_deleting_an_unknown_task_succeeds(client: Client) -> None:
    assert not (await client.delete(pb.DeleteRequest(selector=pb.Selector(names=["nobody"]), wait=True))).names


async def test_an_empty_selector_changes_nothing_unless_all_is_said(client: Client) -> None:
    await submit(client, SLEEPER)
    with pytest.raises(InvalidArgument, match="selector"):
        await client.stop(pb.StopRequest())
    assert list((await client.stop(pb.StopRequest(all=True, wait=True))).names) == ["sleeper"]


async def test_list_takes_names_labels_and_states(client: Client) -> None:
    await submit(client, f"{SLEEPER}---\n{TALKER}")
    await reached(client, "talker", pb.STATE_COMPLETED)
    await reached(client, "sleeper", pb.STATE_RUNNING)

    async def found(**given: object) -> list[str]:
        return [task.name for task in (await client.list(pb.ListRequest(**given))).tasks]  # type: ignore[arg-type]

    assert await found() == ["sleeper", "talker"]
    assert await found(selector=pb.Selector(labels={"app": "shop"})) == ["sleeper"]
    assert await found(selector=pb.Selector(names=["talker"])) == ["talker"]
    assert await found(states=[pb.STATE_COMPLETED]) == ["talker"]
    assert await found(selector=pb.Selector(labels={"app": "none"})) == []


async def test_the_name_of_a_task_with_replicas_means_all_of_them(client: Client) -> None:
    await submit(client, SLEEPER + "replicas: 2\n")
    stopped = await client.stop(pb.StopRequest(selector=pb.Selector(names=["sleeper"]), wait=True))
    assert sorted(stopped.names) == ["sleeper-0", "sleeper-1"]


async def test_a_watch_resumes_after_any_event_without_gap_or_repetition(client: Client) -> None:
    await submit(client, TALKER)
    await reached(client, "talker", pb.STATE_COMPLETED)
    whole = await history(client)
    numbers = [event.sequence for event in whole]
    assert numbers == sorted(set(numbers))
    assert len(whole) >= 4
    for at, event in enumerate(whole):
        later = await history(client, event.sequence)  # the rollout may have a word after the task's end
        assert later[: len(whole) - at - 1] == whole[at + 1 :]


async def test_a_watch_from_a_listing_hears_everything_that_comes_after_it(client: Client) -> None:
    listed = await client.list(pb.ListRequest())
    await submit(client, TALKER)
    await reached(client, "talker", pb.STATE_COMPLETED)
    states = [state_of(event.to_state) for event in await history(client, listed.sequence) if event.to_state]
    assert states[0] == "Pending"
    assert states[-1] == "Completed"


async def test_a_watch_from_a_point_that_never_was_is_out_of_range(client: Client) -> None:
    with pytest.raises(OutOfRange, match="after: 99"):
        await history(client, 99)


@pytest.mark.parametrize("follow", [False, True])
async def test_a_watch_from_before_what_is_kept_is_out_of_range(folder: Path, follow: bool) -> None:
    async with served(folder, MemoryStore(history=10)) as client:
        await submit(client, SLEEPER)
        for number in range(5):
            await client.restart(pb.RestartRequest(all=True))
            await reached(client, "sleeper", pb.STATE_RUNNING, attempt=number + 1)
        with pytest.raises(OutOfRange, match="look at the tasks as they are now"):
            [answer async for answer in client.watch(pb.WatchRequest(after=1, follow=follow))]
        assert (await history(client))[-1].sequence == (await client.list(pb.ListRequest())).sequence


async def test_stop_brings_a_task_to_completed(client: Client) -> None:
    await submit(client, SLEEPER)
    await reached(client, "sleeper", pb.STATE_RUNNING)
    await client.stop(pb.StopRequest(selector=pb.Selector(names=["sleeper"]), wait=True))
    assert (await client.get(pb.GetRequest(name="sleeper"))).task.state == pb.STATE_COMPLETED


async def test_a_completed_task_cannot_be_restarted(client: Client) -> None:
    await submit(client, TALKER)
    await reached(client, "talker", pb.STATE_COMPLETED)
    with pytest.raises(FailedPrecondition, match="Completed"):
        await client.restart(pb.RestartRequest(selector=pb.Selector(names=["talker"])))


async def test_one_task_that_cannot_be_restarted_keeps_no_other_from_it(client: Client) -> None:
    others = [SLEEPER.replace("name: sleeper", f"name: {name}") for name in ("a", "z")]
    await submit(client, "---\n".join([SLEEPER, *others]))
    for name in ("a", "sleeper", "z"):
        await reached(client, name, pb.STATE_RUNNING)
    await client.stop(pb.StopRequest(selector=pb.Selector(names=["sleeper"]), wait=True))
    with pytest.raises(FailedPrecondition, match=r"(?s)'sleeper' is Completed.*restarting the others: a, z"):
        await client.restart(pb.RestartRequest(all=True))
    tasks = {task.name: task.attempt for task in (await client.list(pb.ListRequest())).tasks}
    assert tasks == {"a": 1, "sleeper": 0, "z": 1}


async def test_a_restart_is_a_new_attempt(client: Client) -> None:
    await submit(client, SLEEPER)
    before = await reached(client, "sleeper", pb.STATE_RUNNING)
    seen = (await client.list(pb.ListRequest())).sequence
    await client.restart(pb.RestartRequest(selector=pb.Selector(names=["sleeper"])))
    async with asyncio.timeout(60), aclosing(client.watch(pb.WatchRequest(after=seen, follow=True))) as events:
        async for answer in events:
            if answer.event.to_state == pb.STATE_RUNNING and answer.event.attempt > before.attempt:
                break
    after = (await client.get(pb.GetRequest(name="sleeper"))).task
    assert after.container_id != before.container_id


async def test_delete_leaves_the_history_and_nothing_else(client: Client) -> None:
    await submit(client, SLEEPER)
    await reached(client, "sleeper", pb.STATE_RUNNING)
    await client.delete(pb.DeleteRequest(selector=pb.Selector(names=["sleeper"]), wait=True))
    assert not (await client.list(pb.ListRequest())).tasks
    assert (await history(client))[-1].kind == pb.Event.KIND_FORGOTTEN


async def test_logs_come_line_by_line_with_their_streams(client: Client) -> None:
    await submit(client, TALKER)
    lines = [line async for line in client.logs(pb.LogsRequest(name="talker", follow=True))]
    stderr = pb.LogsResponse.STREAM_STDERR
    assert sorted((line.line, line.stream == stderr) for line in lines) == [
        (b"one", False),
        (b"three", False),
        (b"two", True),
    ]
    assert all(line.time_ns > 0 for line in lines)


async def test_logs_can_be_cut_to_the_last_lines(client: Client) -> None:
    await submit(client, TALKER.replace(">&2", ""))
    await reached(client, "talker", pb.STATE_COMPLETED)
    assert [line.line async for line in client.logs(pb.LogsRequest(name="talker", tail=1))] == [b"three"]
    assert [line.line async for line in client.logs(pb.LogsRequest(name="talker", tail=0))] == []


async def test_describe_says_why_and_where_it_can_be_reached(client: Client) -> None:
    await submit(client, SLEEPER)
    await reached(client, "sleeper", pb.STATE_RUNNING)
    told = await client.describe(pb.DescribeRequest(name="sleeper"))
    assert told.why
    assert pb.STATE_RUNNING in [event.to_state for event in told.events]
    assert told.addresses[0].count(".") == 3


@pytest.mark.parametrize("form", [pb.FORMAT_YAML, pb.FORMAT_JSON, pb.FORMAT_TOML])
async def test_what_export_writes_is_unchanged_when_submitted_again(client: Client, form: pb.Format) -> None:
    await submit(client, f"{SLEEPER}replicas: 2\n---\n{SLEEPER.replace('sleeper', 'other')}")
    text = (await client.export(pb.ExportRequest(format=form))).manifest
    answer = await client.submit(pb.SubmitRequest(manifest=text, format=form))
    assert {one.change for one in answer.results} == {pb.SubmitResponse.CHANGE_UNCHANGED}
    assert len(answer.results) == 3


async def test_exec_of_a_task_that_has_ended_is_refused(client: Client) -> None:
    await submit(client, TALKER)
    await reached(client, "talker", pb.STATE_COMPLETED)
    with pytest.raises(FailedPrecondition):
        await client.exec(pb.ExecRequest(name="talker", command=["ls"], stdout=True))


async def test_info_names_the_runtime_behind(client: Client) -> None:
    told = await client.info(pb.InfoRequest())
    assert told.runtime_name == "fake"
    assert told.instance
    assert told.version
