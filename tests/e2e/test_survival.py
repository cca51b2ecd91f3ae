"""The engine goes away and comes back under a served runtime that is in use: what callers see, and what is there after.

One scenario, played for each way in which a daemon goes (an orderly stop, a kill); each test is one claim about it.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from cri.annotations import NETWORK
from cri.errors import CRIError, Unavailable
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import HOLD, Kit, eventually, shell
from tests.e2e.engines import Configured
from tests.e2e.hearing import CREATED, DELETED, STARTED, STOPPED, Kinds, listening
from tests.e2e.owners import DockerOwner, Owner, PodmanOwner
from tests.e2e.test_serve import driving, serving
from tests.host import engines, podmans
from tests.host.dockerd import PrivateDocker, private_docker
from tests.host.fixtures import missing
from tests.host.podman import PrivatePodman, private_podman

DEADLINE = 20.0
"""Seconds that a caller gives an engine which is away. None of the calls may need it."""
NETWORK_NAME = "minicri-test-survival"
LINES = 300
COUNTING = f"n=0; while [ $n -lt {LINES} ]; do echo line $n; n=$((n+1)); sleep 0.02; done; exit 7"
ENDING = "sleep 1; echo bye; exit 3"
AWAY = 1.5
"""Seconds that the engine stays away, long enough for ``ENDING`` to end meanwhile."""


@dataclass
class Seen:
    """What the scenario came to, by what the tests ask for."""

    refused: dict[str, CRIError | str] = field(default_factory=dict)
    """The answer to each call while the engine was away; a string where it was no error of the contract."""
    slowest: float = 0.0
    cut: CRIError | str = ""
    """The answer to a command that ran when the engine went."""
    known: list[object] = field(default_factory=list)
    found: list[object] = field(default_factory=list)
    """Statuses of what lasts, and the addresses, before and after."""
    lists: tuple[set[str], set[str]] = (set(), set())
    """The ids of all sandboxes and containers, before and after."""
    networks: list[str] = field(default_factory=list)
    said_after: str = ""
    counting: list[bytes] = field(default_factory=list)
    ending: tuple[list[bytes], list[bytes]] = ([], [])
    """The log of ``ENDING``, and what the engine kept of it: output that nobody took from a pipe goes with it."""
    ended: v1.ContainerStatus = field(default_factory=v1.ContainerStatus)
    kinds: dict[str, Kinds] = field(default_factory=dict)
    """The events of each container by the name that the scenario has for it."""
    stream_ended: str = ""
    left: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", params=["docker", "podman"])
def private_engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, PrivateDocker | PrivatePodman]]:
    """An engine of our own whose containers go on when it ends, with the name of its backend."""
    with missing(request, request.param), ExitStack() as stack:
        if request.param == "docker":
            docker = stack.enter_context(private_docker(live_restore=True))
            stack.enter_context(engines.busybox(docker))
            yield request.param, docker
        else:
            podman = stack.enter_context(private_podman())
            stack.enter_context(podmans.busybox(podman))
            yield request.param, podman


@pytest.fixture(scope="module", params=[signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def seen(request: pytest.FixtureRequest, private_engine: tuple[str, PrivateDocker | PrivatePodman]) -> Iterator[Seen]:
    runtime, engine = private_engine
    owner: Owner = DockerOwner(engine) if isinstance(engine, PrivateDocker) else PodmanOwner(engine)
    with tempfile.TemporaryDirectory(prefix="minicri") as folder:
        configured = Configured(Path(folder), runtime, {"host": engine.address})
        yield asyncio.run(scenario(configured, engine, owner, request.param))


async def scenario(
    configured: Configured, engine: PrivateDocker | PrivatePodman, owner: Owner, how: signal.Signals
) -> Seen:
    seen = Seen()
    with serving(configured):
        async with driving(configured) as kit, listening(kit) as heard, kit:
            ids = await made(kit)
            before = await ids_of(kit)
            lasting = (ids["lasting"], ids["idle"])
            seen.known = [await kit.sandbox_status(ids["named"]), *[await kit.status(each) for each in lasting]]
            ids["ending"] = await kit.run(ids["sandbox"], *shell(ENDING))
            running = asyncio.create_task(answer(kit.exec(ids["lasting"], "sleep", "30")))
            await eventually(lambda: heard.told(ids["ending"], STARTED), "its start was told")

            await asyncio.to_thread(engine.stop if how is signal.SIGTERM else engine.kill)
            async with asyncio.timeout(DEADLINE):
                seen.cut = await running
            await refusals(kit, ids, seen)
            await asyncio.sleep(AWAY)
            await asyncio.to_thread(engine.start)

            await eventually(lambda: heard.told(ids["ending"], STOPPED), "an end that came meanwhile was told")
            seen.ended = await kit.status(ids["ending"])
            seen.found = [await kit.sandbox_status(ids["named"]), *[await kit.status(each) for each in lasting]]
            seen.lists = ({*before, ids["ending"]}, set(await ids_of(kit)))
            seen.networks = await asyncio.to_thread(owner.networks, NETWORK_NAME)
            seen.said_after = await kit.said(ids["lasting"], "cat", "/tmp/mark")
            ids["later"] = await kit.run(ids["sandbox"])
            await kit.exited(ids["counting"])
            seen.counting = await text(kit, ids["counting"])
            seen.ending = (await text(kit, ids["ending"]), await asyncio.to_thread(owner.said, ids["ending"]))
            for sandbox_id in (ids["sandbox"], ids["named"]):
                await kit.remove_sandbox(sandbox_id)
            for container_or_sandbox in ids.values():
                await eventually(partial(heard.told, container_or_sandbox, DELETED), "its last end was told")
            seen.stream_ended = heard.ended
            seen.kinds = {name: heard.kinds(each) for name, each in ids.items()}
    seen.left = await asyncio.to_thread(owner.contents)
    return seen


async def made(kit: Kit) -> dict[str, str]:
    """Two sandboxes, one of them on a network of its own; containers that last, print, and did end."""
    sandbox, named = await kit.sandbox(), await kit.sandbox(annotations={NETWORK: NETWORK_NAME, "a": "b"})
    ids = {"sandbox": sandbox, "named": named}
    ids["lasting"] = await kit.run(sandbox)
    ids["idle"] = await kit.create(named, *HOLD)
    ids["counting"] = await kit.run(named, *shell(COUNTING))
    await kit.exec(ids["lasting"], *shell("echo kept > /tmp/mark"))
    await kit.logged(ids["counting"], b"line 10")
    return ids


async def refusals(kit: Kit, ids: dict[str, str], seen: Seen) -> None:
    """Each kind of call to an engine that is away, all at once, and how long the slowest took to be refused."""
    begun = time.monotonic()
    lasting, runtime = ids["lasting"], kit.runtime
    calls = {
        "run a sandbox": kit.sandbox(),
        "stop a sandbox": kit.stop_sandbox(ids["sandbox"]),
        "remove a sandbox": kit.remove_sandbox(ids["sandbox"]),
        "status of a sandbox": kit.sandbox_status(ids["sandbox"]),
        "list sandboxes": kit.sandboxes(),
        "create": kit.create(ids["sandbox"]),
        "start": kit.start(ids["idle"]),
        "stop": kit.stop(lasting, timeout=30),
        "remove": kit.remove(lasting),
        "status": kit.status(lasting),
        "list": kit.containers(),
        "exec": kit.exec(lasting, "true"),
        "stats": runtime.container_stats(v1.ContainerStatsRequest(container_id=lasting)),
        "list images": kit.images(),
        "pull": runtime.pull_image(v1.PullImageRequest(image=v1.ImageSpec(image="127.0.0.1:1/nothing"))),
    }
    answers = await asyncio.gather(*(answer(call) for call in calls.values()))
    seen.refused = dict(zip(calls, answers, strict=True))
    seen.slowest = time.monotonic() - begun


async def answer(call: Awaitable[object]) -> CRIError | str:
    """The error that a call ends with, or in words what it did instead."""
    try:
        async with asyncio.timeout(DEADLINE):
            return f"succeeded: {await call}"
    except CRIError as error:
        return error
    except TimeoutError:
        return "no answer"


async def ids_of(kit: Kit) -> list[str]:
    return [*(item.id for item in await kit.sandboxes()), *(item.id for item in await kit.containers())]


async def text(kit: Kit, container_id: str) -> list[bytes]:
    return [record.text for record in await kit.log(container_id)]


def test_every_call_meanwhile_is_unavailable(seen: Seen) -> None:
    others = {call: given for call, given in seen.refused.items() if not isinstance(given, Unavailable)}
    assert others == {}


def test_no_call_meanwhile_takes_long(seen: Seen) -> None:
    assert seen.slowest < DEADLINE


def test_a_command_that_ran_is_answered_with_unavailable(seen: Seen) -> None:
    assert isinstance(seen.cut, Unavailable), seen.cut


def test_the_event_stream_stays_open(seen: Seen) -> None:
    assert seen.stream_ended == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lasting", [CREATED, STARTED, STOPPED, DELETED]),
        ("counting", [CREATED, STARTED, STOPPED, DELETED]),
        ("ending", [CREATED, STARTED, STOPPED, DELETED]),
        ("later", [CREATED, STARTED, STOPPED, DELETED]),
        ("idle", [CREATED, DELETED]),
        ("sandbox", [CREATED, STARTED, STOPPED, DELETED]),
        ("named", [CREATED, STARTED, STOPPED, DELETED]),
    ],
)
def test_each_event_is_told_once(seen: Seen, name: str, expected: Kinds) -> None:
    assert seen.kinds[name] == expected


def test_what_was_there_is_what_it_was(seen: Seen) -> None:
    assert seen.found == seen.known


def test_no_sandbox_and_no_container_is_forgotten(seen: Seen) -> None:
    assert seen.lists[0] == seen.lists[1]


def test_the_network_is_still_there(seen: Seen) -> None:
    assert seen.networks == [NETWORK_NAME]


def test_a_container_that_went_on_can_be_used(seen: Seen) -> None:
    assert seen.said_after == "kept\n"


def test_an_end_that_came_meanwhile_keeps_its_code(seen: Seen) -> None:
    assert (seen.ended.state, seen.ended.exit_code) == (v1.CONTAINER_EXITED, 3)


def test_the_log_of_a_container_that_printed_all_the_time_has_each_line_once(seen: Seen) -> None:
    assert seen.counting == [b"line %d" % number for number in range(LINES)]


def test_the_log_of_a_container_that_ended_meanwhile_has_what_the_engine_kept(seen: Seen) -> None:
    assert seen.ending[0] == seen.ending[1]


def test_nothing_is_left_when_all_is_removed(seen: Seen) -> None:
    assert seen.left == []
