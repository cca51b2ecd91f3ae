"""Looking at many tasks at once: few listings, and none that is older than the question."""

from __future__ import annotations

import asyncio
import gc

import pytest

from cri.errors import Unavailable
from cri.v1 import api_pb2 as v1
from orchestrator.observe import Looker
from orchestrator.pods import ATTEMPT, INSTANCE, TASK, UID
from orchestrator.steps import Observed
from tests.orchestrator.engine import Engine


class Slow(Engine):
    """Counts listings, and holds each until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.listed: list[dict[str, str]] = []

    async def list_containers(self, request: v1.ListContainersRequest) -> v1.ListContainersResponse:
        answer = await super().list_containers(request)
        self.listed.append(dict(request.filter.label_selector))
        await self.gate.wait()
        return answer

    def make(self, task_id: str) -> None:
        labels = {INSTANCE: "ours", TASK: task_id, UID: "u", ATTEMPT: "0"}
        self.sandboxes[task_id] = v1.PodSandbox(id=task_id, labels=labels, state=v1.SANDBOX_READY)
        self.containers[task_id] = v1.ContainerStatus(id=task_id, labels=labels, state=v1.CONTAINER_RUNNING)
        self.homes[task_id] = task_id


@pytest.fixture
def slow() -> Slow:
    return Slow()


async def begun(slow: Slow, listings: int) -> None:
    async with asyncio.timeout(60):
        while len(slow.listed) < listings:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_look_at_one_task_lists_only_that_one(slow: Slow) -> None:
    slow.gate.set()
    slow.make("a")
    seen = await Looker(slow, "ours").look("a", None)
    assert [container.id for container in seen.containers] == ["a"]
    assert slow.listed == [{INSTANCE: "ours", TASK: "a"}]


async def test_those_who_ask_at_once_share_a_listing_and_each_gets_its_own(slow: Slow) -> None:
    slow.gate.set()
    for name in "abc":
        slow.make(name)
    looker = Looker(slow, "ours")
    found = await asyncio.gather(*(looker.look(name, None) for name in "abcd"))
    assert [[box.id for box in seen.sandboxes] for seen in found] == [["a"], ["b"], ["c"], []]
    assert slow.listed == [{INSTANCE: "ours"}]


async def test_a_listing_that_had_begun_before_the_question_does_not_answer_it(slow: Slow) -> None:
    looker = Looker(slow, "ours")
    early = asyncio.create_task(looker.look("a", None))
    await begun(slow, 1)
    slow.make("a")
    late = asyncio.create_task(looker.look("a", None))
    slow.gate.set()
    assert not (await early).containers
    assert (await late).containers


async def test_who_gives_up_does_not_disturb_the_others(slow: Slow) -> None:
    slow.make("b")
    looker = Looker(slow, "ours")
    one, other = (asyncio.create_task(looker.look(name, None)) for name in "ab")
    await begun(slow, 1)
    one.cancel()
    slow.gate.set()
    assert (await other).containers


async def test_all_who_asked_hear_of_the_failure_and_the_next_look_works(slow: Slow) -> None:
    slow.gate.set()
    slow.fail_next("list_containers", Unavailable("engine is away"))
    looker = Looker(slow, "ours")
    found = await asyncio.gather(*(looker.look(name, None) for name in "ab"), return_exceptions=True)
    assert [str(error) for error in found] == ["engine is away"] * 2
    assert not (await looker.look("a", None)).containers


async def test_closing_ends_a_listing_that_nobody_waits_for(slow: Slow) -> None:
    looker = Looker(slow, "ours")
    asking = asyncio.create_task(looker.look("a", None))
    await begun(slow, 1)
    asking.cancel()
    await asyncio.wait({asking})
    await looker.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_after_a_listing_of_very_many_those_who_ask_wait_for_each_other(slow: Slow) -> None:
    slow.gate.set()
    for number in range(1000):
        slow.make(f"t{number}")
    looker = Looker(slow, "ours")
    await asyncio.gather(looker.look("t0", None), looker.look("t1", None))
    late = asyncio.create_task(looker.look("t2", None))
    await asyncio.sleep(0)
    later = asyncio.create_task(looker.look("t3", None))
    await asyncio.gather(late, later)
    assert slow.listed == [{INSTANCE: "ours"}] * 2


async def test_what_a_listing_found_is_not_kept_once_it_was_told(slow: Slow) -> None:
    slow.gate.set()
    slow.make("a")
    looker = Looker(slow, "ours")
    await looker.look("a", None)
    gc.collect()
    assert not [found for found in gc.get_referrers(Observed) if type(found) is Observed]
