"""Events from an engine that tells late what a look has shown before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.shared.container_events import ContainerEvents, Told
from runtimes.shared.life import End, Life, Look, told_end
from runtimes.shared.lifecycle import Phase

CREATED, STARTED = v1.CONTAINER_CREATED_EVENT, v1.CONTAINER_STARTED_EVENT
STOPPED, DELETED = v1.CONTAINER_STOPPED_EVENT, v1.CONTAINER_DELETED_EVENT


class Engine:
    """Shows each phase of ``looks`` once, then that the container is gone."""

    def __init__(self, *looks: Phase) -> None:
        self._looks = list(looks)
        self.asked = 0

    async def list(self) -> Sequence[Told]:
        return []

    async def look(self, life: Life) -> Look | None:
        self.asked += 1
        return Look(self._looks.pop(0), v1.ContainerStatus(id=life.container_id), 1, 2) if self._looks else None

    def is_draining(self, container_id: str) -> bool:
        return False

    async def drained(self, container_id: str) -> None:
        return


async def heard(engine: Engine, *told: Phase, number: int, end: End | None = None) -> list[v1.ContainerEventResponse]:
    """The first ``number`` events that come of what the engine tells, and whatever came along with them."""
    events = ContainerEvents(engine)
    await events.start()
    subscription = events.subscribe()
    life = Life("c", "s", v1.ContainerStatus(id="c"), 1)
    for phase in told:
        events.hear(Told("c", phase, life, end if phase is Phase.EXITED else None))
    async with asyncio.timeout(60):
        first = [await anext(subscription) for _ in range(number)]
    await events.aclose()
    return [*first, *[event async for event in subscription]]


async def kinds(engine: Engine, *told: Phase, number: int) -> list[v1.ContainerEventType]:
    return [event.container_event_type for event in await heard(engine, *told, number=number)]


async def stopped(engine: Engine, *told: Phase, number: int, end: End | None = None) -> v1.ContainerStatus:
    """The container's status in the news of its end."""
    events = await heard(engine, *told, number=number, end=end)
    (event,) = [event for event in events if event.container_event_type == STOPPED]
    (status,) = event.containers_statuses
    return status


@pytest.mark.parametrize("looks", [[Phase.EXITED], [Phase.RUNNING, Phase.EXITED], [Phase.EXITED, Phase.EXITED], []])
async def test_a_life_that_the_engine_tells_of_late_is_four_events(looks: list[Phase]) -> None:
    late = (Phase.CREATED, Phase.RUNNING, Phase.EXITED, Phase.DELETED)
    assert await kinds(Engine(*looks), *late, number=4) == [CREATED, STARTED, STOPPED, DELETED]


async def test_what_a_look_shows_running_after_its_end_was_started_again() -> None:
    engine = Engine(Phase.EXITED, Phase.RUNNING)
    assert await kinds(engine, Phase.EXITED, Phase.RUNNING, number=4) == [CREATED, STARTED, STOPPED, STARTED]


async def test_what_the_engine_told_in_full_is_not_looked_at() -> None:
    engine = Engine()
    events = ContainerEvents(engine)
    await events.start()
    subscription = events.subscribe()
    status = v1.ContainerStatus(id="c", state=v1.CONTAINER_CREATED)
    look = Look(Phase.CREATED, status, 0, 0)
    events.hear(Told("c", Phase.CREATED, Life("c", "s", v1.ContainerStatus(id="c"), 1), look=look))
    event = await asyncio.wait_for(anext(subscription), 5)
    await events.aclose()
    assert (event.container_event_type, list(event.containers_statuses), engine.asked) == (CREATED, [status], 0)


async def test_a_start_that_a_look_has_shown_is_not_looked_at_again() -> None:
    engine = Engine(Phase.RUNNING)
    assert await kinds(engine, Phase.CREATED, Phase.RUNNING, number=2) == [CREATED, STARTED]
    assert engine.asked == 1


@pytest.mark.parametrize("looks", [[], [Phase.CREATED, Phase.RUNNING]])
async def test_one_that_is_gone_before_a_look_ended_as_the_engine_told(looks: list[Phase]) -> None:
    life = (Phase.CREATED, Phase.RUNNING, Phase.EXITED, Phase.DELETED)
    status = await stopped(Engine(*looks), *life, number=4, end=End(3, 99, "Error"))
    assert (status.state, status.exit_code, status.reason) == (v1.CONTAINER_EXITED, 3, "Error")
    assert status.finished_at == 99


async def test_an_end_of_which_the_engine_told_nothing_is_unknown() -> None:
    engine = Engine(Phase.CREATED, Phase.RUNNING)
    status = await stopped(engine, Phase.CREATED, Phase.RUNNING, Phase.DELETED, number=4)
    assert (status.state, status.exit_code, status.reason) == (v1.CONTAINER_EXITED, 255, "Unknown")


@pytest.mark.parametrize(
    ("code", "known"), [("0", End(0, 5, "Completed")), ("137", End(137, 5, "Error")), ("", None), ("odd", None)]
)
def test_an_end_is_read_from_the_engines_digits(code: str, known: End | None) -> None:
    assert told_end(code, 5) == known
