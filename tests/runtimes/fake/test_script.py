"""The fake misbehaves as it is told, and only so."""

from __future__ import annotations

import asyncio

import pytest

from cri.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from cri.v1 import api_pb2 as v1
from runtimes.fake.clock import ManualClock
from runtimes.fake.rules import CallRule
from runtimes.fake.runtime import FakeRuntime
from tests.runtimes.fake.calls import Calls

VERSION = v1.VersionRequest()


async def test_an_image_fails_to_pull_as_often_as_the_script_says(calls: Calls) -> None:
    calls.runtime.script.on_pull("bad:*", Unavailable("registry down"), times=2)
    for _ in range(2):
        with pytest.raises(Unavailable, match="registry down"):
            await calls.pull("bad:1")
    assert await calls.pull("bad:1")


async def test_other_images_are_not_touched_by_a_rule_for_one(calls: Calls) -> None:
    calls.runtime.script.on_pull("bad", NotFound("no such image"))
    assert await calls.pull("good")


async def test_a_call_of_one_name_fails_and_those_of_others_do_not(calls: Calls) -> None:
    calls.runtime.script.fail("RunPodSandbox", ResourceExhausted("no memory"), name="big-*")
    with pytest.raises(ResourceExhausted):
        await calls.sandbox("big-1")
    assert await calls.sandbox("small")


async def test_a_failure_afterwards_leaves_the_work_done(calls: Calls) -> None:
    calls.runtime.script.fail("RunPodSandbox", Unavailable("connection lost"), after=True, times=1)
    with pytest.raises(Unavailable):
        await calls.sandbox("web")
    with pytest.raises(AlreadyExists):
        await calls.sandbox("web")


async def test_a_rule_for_every_call_meets_every_call(runtime: FakeRuntime) -> None:
    runtime.script.fail("*", Unavailable("all down"))
    with pytest.raises(Unavailable):
        await runtime.version(VERSION)
    with pytest.raises(Unavailable):
        _ = [page async for page in runtime.stream_images(v1.StreamImagesRequest())]


async def test_a_streaming_call_is_one_call(runtime: FakeRuntime) -> None:
    _ = [page async for page in runtime.stream_images(v1.StreamImagesRequest())]
    assert (len(runtime.script.calls("StreamImages")), len(runtime.script.calls("ListImages"))) == (1, 0)


async def test_a_bug_of_a_backend_escapes_as_what_it_is(runtime: FakeRuntime) -> None:
    runtime.script.add(CallRule(call="Version", error="CRASH", message="boom"))
    with pytest.raises(RuntimeError, match="boom"):
        await runtime.version(VERSION)


async def test_a_delay_takes_the_clocks_time(runtime: FakeRuntime, clock: ManualClock) -> None:
    runtime.script.delay("Version", 3600)
    asking = asyncio.ensure_future(runtime.version(VERSION))
    await clock.advance(3599)
    assert not asking.done()
    await clock.advance(1)
    assert (await asking).runtime_name == "fake"


async def test_a_held_call_waits_until_it_is_let_go(runtime: FakeRuntime) -> None:
    async with runtime.script.hold("Version") as held:
        asking = asyncio.ensure_future(runtime.version(VERSION))
        await held.reached()
        assert not asking.done()
    assert await asking


async def test_an_engine_that_is_down_answers_only_status(calls: Calls) -> None:
    runtime = calls.runtime
    container = await calls.run("sleep", "1000")
    runtime.script.engine_down("dockerd is gone")
    with pytest.raises(Unavailable, match="dockerd is gone"):
        await runtime.version(VERSION)
    conditions = (await runtime.status(v1.StatusRequest())).status.conditions
    assert {(each.type, each.status) for each in conditions} == {("RuntimeReady", False), ("NetworkReady", False)}
    assert conditions[0].message == "dockerd is gone"
    runtime.script.engine_up()
    assert container.running


async def test_calls_are_recorded_with_failed_ones_as_they_were_made(calls: Calls) -> None:
    calls.runtime.script.on_pull("bad", Unavailable("no"))
    request = v1.PullImageRequest(image=v1.ImageSpec(image="bad"))
    with pytest.raises(Unavailable):
        await calls.runtime.pull_image(request)
    request.image.image = "changed"
    seen = [
        each.image.image for each in calls.runtime.script.calls("PullImage") if isinstance(each, v1.PullImageRequest)
    ]
    assert seen == ["busybox", "bad"]


async def test_a_cleared_script_does_nothing_and_lets_held_calls_go(runtime: FakeRuntime) -> None:
    runtime.script.hold("Version")
    asking = asyncio.ensure_future(runtime.version(VERSION))
    await asyncio.sleep(0)
    runtime.script.clear()
    assert await asking
    assert not runtime.script.calls("Version")


async def test_a_container_exits_with_its_code_at_its_time(calls: Calls, clock: ManualClock) -> None:
    calls.runtime.script.on_container(name="job", exit_code=3, after=2.0, output="working\n", errors="oh\n")
    container = await calls.run("whatever", name="job")
    await clock.advance(1.9)
    assert container.running
    await clock.advance(0.1)
    assert (container.exit_code, container.reason) == (3, "Error")
    assert [(each.stream, each.text) for each in calls.log(container)] == [("stdout", b"working"), ("stderr", b"oh")]


async def test_a_rule_by_image_finds_a_container_that_names_it_by_id(calls: Calls) -> None:
    calls.runtime.script.on_container(image="busybox", exit_code=7)
    assert (await calls.done("sleep", "1000", image=await calls.pull("busybox"))).exit_code == 7


async def test_a_rule_is_used_up(calls: Calls) -> None:
    calls.runtime.script.on_container(exit_code=1, times=1)
    assert (await calls.done("true")).exit_code == 1
    assert (await calls.done("true")).exit_code == 0


async def test_a_container_is_killed_for_memory(calls: Calls) -> None:
    calls.runtime.script.on_container(oom=True)
    container = await calls.done("sleep", "1000")
    assert (container.exit_code, container.reason) == (137, "OOMKilled")


async def test_a_container_that_vanishes_is_255_unknown(calls: Calls) -> None:
    calls.runtime.script.on_container(vanish=True)
    container = await calls.done("sleep", "1000")
    assert (container.exit_code, container.reason) == (255, "Unknown")


async def test_a_container_that_ignores_signals_is_killed_after_the_grace(calls: Calls, clock: ManualClock) -> None:
    calls.runtime.script.on_container(ignores_signals=True)
    container = await calls.run("sleep", "1000")
    stopping = asyncio.ensure_future(calls.stop(container, 10))
    await clock.advance(9)
    assert container.running
    await clock.advance(1)
    await stopping
    assert container.exit_code == 137


async def test_a_scripted_container_without_a_code_runs_until_it_is_stopped(calls: Calls) -> None:
    calls.runtime.script.on_container(output="up\n")
    container = await calls.run("no-such-program")
    await calls.stop(container, 10)
    assert container.reason == "Completed"


async def test_a_container_that_cannot_start_says_why(calls: Calls) -> None:
    calls.runtime.script.on_container(start_error="no such device")
    container_id = await calls.create(await calls.sandbox(), "true")
    with pytest.raises(FailedPrecondition, match="no such device"):
        await calls.start(container_id)
    status = calls.runtime.world.container(container_id).status()
    assert (status.reason, status.message) == ("StartError", "no such device")


async def test_the_same_sandbox_again_joins_the_one_in_flight(calls: Calls) -> None:
    async with calls.runtime.script.hold("RunPodSandbox") as held:
        both = asyncio.gather(calls.sandbox("web"), calls.sandbox("web"))
        await held.reached()
    one, other = await both
    assert one == other


async def test_another_sandbox_of_the_same_name_in_flight_is_told(calls: Calls) -> None:
    async with calls.runtime.script.hold("RunPodSandbox") as held:
        first = asyncio.ensure_future(calls.sandbox("web"))
        await held.reached()
        with pytest.raises(Aborted):
            await calls.sandbox("web", hostname="other")
    assert await first


async def test_a_create_that_failed_leaves_its_name_free(calls: Calls) -> None:
    sandbox = await calls.sandbox()
    calls.runtime.script.fail("CreateContainer", Unavailable("busy"), times=1)
    with pytest.raises(Unavailable):
        await calls.create(sandbox, "true", name="web")
    assert await calls.create(sandbox, "true", name="web")


async def test_a_cancelled_call_does_no_work(calls: Calls) -> None:
    async with calls.runtime.script.hold("RunPodSandbox") as held:
        asking = asyncio.ensure_future(calls.sandbox("web"))
        await held.reached()
        asking.cancel()
        await asyncio.wait({asking})
    assert not calls.runtime.world.sandboxes
