"""One suite over every store: queue, claims, compare-and-set, history, and being woken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from manifests.spec import TaskSpec
from orchestrator.store import HISTORY, Conflict, HistoryTrimmed, MemoryStore, Outcome, Store, open_store
from orchestrator.task import Event, EventKind, Item, State, Task

SPEC = TaskSpec(name="web", image="busybox", env={"KEY": "value"}, labels={"tier": "front"})
NOW = 1000.0


def made(kind: str, folder: Path, history: int = HISTORY) -> AbstractAsyncContextManager[Store]:
    return MemoryStore(history=history) if kind == "memory" else open_store(folder / "state", history=history)


every_store = pytest.mark.parametrize("kind", ["memory", "sqlite"])


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with made(request.param, tmp_path) as opened:
        yield opened


def wish(task_id: str = "web", state: State | None = State.SCHEDULED, **more: object) -> Item:
    return replace(Item(task_id=task_id, wish=state, actor="test", cause="why not"), **more)  # type: ignore[arg-type]


def look(task_id: str = "web", not_before: float = 0.0) -> Item:
    return Item(task_id=task_id, not_before=not_before)


def task(task_id: str = "web", version: int = 1, **more: object) -> Task:
    return replace(Task(id=task_id, uid="u", spec=SPEC, version=version), **more)  # type: ignore[arg-type]


def event(task_id: str = "web") -> Event:
    return Event(time=NOW, task_id=task_id, uid="u", kind=EventKind.NOTE, source=State.RUNNING, exit_code=0)


async def claimed(store: Store, worker: str = "w", now: float = NOW, limit: int = 100) -> Sequence[int]:
    return [item.seq for item in await store.claim(worker, now, limit)]


async def test_items_come_back_as_they_were_in_the_order_they_were_put(store: Store) -> None:
    items = [wish(spec=SPEC), wish("db", State.COMPLETED, forget=True), wish("web", State.FAILED)]
    numbers = await store.enqueue(items)
    assert await store.claim("w", NOW, 10) == [
        replace(item, seq=number) for item, number in zip(items, numbers, strict=True)
    ]


async def test_an_item_is_claimed_once(store: Store) -> None:
    await store.enqueue([wish()])
    assert len(await claimed(store)) == 1
    assert await claimed(store) == []


async def test_no_other_worker_gets_an_item_of_a_task_that_is_worked_on(store: Store) -> None:
    await store.enqueue([wish("web")])
    await claimed(store, "one")
    [_, other] = await store.enqueue([wish("web"), wish("db")])
    assert await claimed(store, "two") == [other]


async def test_the_worker_of_a_task_gets_its_further_items(store: Store) -> None:
    await store.enqueue([wish("web")])
    await claimed(store, "one")
    further = await store.enqueue([wish("web", State.COMPLETED)])
    assert await claimed(store, "one") == further


async def test_what_a_worker_held_can_be_claimed_after_its_release(store: Store) -> None:
    numbers = await store.enqueue([wish("web"), wish("db")])
    await claimed(store, "one")
    await store.release("one")
    assert await claimed(store, "two") == numbers


async def test_a_claim_takes_no_more_than_its_limit_oldest_first(store: Store) -> None:
    numbers = await store.enqueue([wish(f"task-{number}") for number in range(5)])
    assert await claimed(store, limit=2) == numbers[:2]
    assert await claimed(store, limit=9) == numbers[2:]


async def test_an_item_is_not_claimed_before_its_time(store: Store) -> None:
    numbers = await store.enqueue([look(not_before=NOW + 5)])
    assert await claimed(store) == []
    assert await store.next_due(NOW) == NOW + 5
    assert await claimed(store, now=NOW + 5) == numbers


async def test_without_timers_nothing_is_due(store: Store) -> None:
    await store.enqueue([wish()])
    assert await store.next_due(NOW) is None


async def test_looks_at_one_task_fold_into_the_earliest(store: Store) -> None:
    first = await store.enqueue([look(not_before=NOW + 9)])
    again = await store.enqueue([look(not_before=NOW), look(not_before=NOW + 3), look("db")])
    assert again[:2] == first * 2
    assert await store.depth() == 2
    assert await claimed(store) == [first[0], again[2]]


async def test_a_look_is_not_folded_into_one_that_is_being_worked_on(store: Store) -> None:
    first = await store.enqueue([look()])
    await claimed(store)
    second = await store.enqueue([look()])
    assert second != first
    assert await claimed(store) == second


async def test_wishes_are_never_folded(store: Store) -> None:
    await store.enqueue([wish(), wish()])
    assert await store.depth() == 2


async def test_an_outcome_writes_record_history_and_queue_at_once(store: Store) -> None:
    [number] = await store.enqueue([wish()])
    await claimed(store)
    timer = look(not_before=NOW + 1)
    await store.commit(Outcome(task=task(), events=(event(), event()), done=(number,), follow=(timer,)))
    assert await store.get("web") == task()
    assert [one.seq for one in await store.history()] == [1, 2]
    assert [(i.wish, i.not_before) for i in await store.claim("w", NOW + 1, 9)] == [(None, NOW + 1)]


async def test_a_record_comes_back_as_it_was(store: Store) -> None:
    full = task(
        state=State.FAILED,
        desired=State.FAILED,
        forget=True,
        attempt=3,
        exit_code=0,
        reason="Error",
        message="line\nbreak",
        started_at=1.25,
        next_try_at=None,
    )
    await store.commit(Outcome(task=full))
    assert await store.get("web") == full


async def test_a_write_decided_on_an_older_version_is_refused_whole(store: Store) -> None:
    [number] = await store.enqueue([wish()])
    await claimed(store)
    await store.commit(Outcome(task=task(version=1)))
    await store.commit(Outcome(task=task(version=2, reason="newer")))
    stale = task(version=2, reason="stale")
    with pytest.raises(Conflict, match="version 1, found 2"):
        await store.commit(Outcome(task=stale, events=(event(),), done=(number,), follow=(look("db"),)))
    known = await store.get("web")
    assert known is not None
    assert known.reason == "newer"
    assert await store.history() == []
    assert await store.depth() == 1


async def test_a_new_record_is_refused_where_one_is(store: Store) -> None:
    await store.commit(Outcome(task=task(version=1)))
    with pytest.raises(Conflict):
        await store.commit(Outcome(task=task(version=1)))


async def test_a_refused_outcome_leaves_those_beside_it_alone(store: Store) -> None:
    await store.commit(Outcome(task=task(version=1)))
    outcomes = [Outcome(task=task("a")), Outcome(task=task(version=7)), Outcome(task=task("b"))]
    results = await asyncio.gather(*(store.commit(one) for one in outcomes), return_exceptions=True)
    assert [isinstance(result, Conflict) for result in results] == [False, True, False]
    assert [one.id for one in await store.list()] == ["a", "b", "web"]


async def test_a_forgotten_record_is_gone_and_its_history_stays(store: Store) -> None:
    await store.commit(Outcome(task=task(), events=(event(),)))
    await store.commit(Outcome(forgotten=task(), events=(event(),)))
    assert await store.get("web") is None
    assert len(await store.history(task_id="web")) == 2


async def test_forgetting_another_version_is_refused(store: Store) -> None:
    await store.commit(Outcome(task=task(version=1)))
    with pytest.raises(Conflict):
        await store.commit(Outcome(forgotten=task(version=2)))


async def test_a_rewritten_item_stays_claimed_and_comes_back_rewritten(store: Store) -> None:
    [number] = await store.enqueue([wish(spec=SPEC)])
    [item] = await store.claim("one", NOW, 1)
    await store.commit(Outcome(rewritten=(replace(item, wish=None, spec=None),)))
    assert await claimed(store, "one") == []
    await store.release("one")
    [again] = await store.claim("two", NOW, 1)
    assert (again.seq, again.wish, again.spec) == (number, None, None)


async def test_tasks_are_listed_by_label_and_state(store: Store) -> None:
    back = SPEC.model_copy(update={"labels": {"tier": "back"}})
    await store.commit(Outcome(task=task("web", state=State.RUNNING)))
    await store.commit(Outcome(task=task("db", state=State.RUNNING, spec=back)))
    await store.commit(Outcome(task=task("old", state=State.FAILED)))
    assert [one.id for one in await store.list()] == ["db", "old", "web"]
    assert [one.id for one in await store.list(labels={"tier": "front"})] == ["old", "web"]
    assert [one.id for one in await store.list(labels={"tier": "front"}, states={State.FAILED})] == ["old"]


async def test_history_is_read_from_any_line_and_from_its_end(store: Store) -> None:
    for number in range(6):
        await store.commit(Outcome(events=(event(f"task-{number % 2}"),)))
    assert [one.seq for one in await store.history(2, limit=3)] == [3, 4, 5]
    assert [one.seq for one in await store.history(task_id="task-1")] == [2, 4, 6]
    assert [one.seq for one in await store.history(limit=2, newest=True)] == [5, 6]
    assert [one.seq for one in await store.history(task_id="task-0", limit=2, newest=True)] == [3, 5]
    assert await store.last_seq() == 6
    assert await store.history(1, limit=1) == [replace(event("task-1"), seq=2)]


@every_store
async def test_the_oldest_lines_of_history_go_and_the_numbers_go_on(kind: str, tmp_path: Path) -> None:
    async with made(kind, tmp_path, history=3) as store:
        for _ in range(3):
            await store.commit(Outcome(events=(event(), event())))
        assert [one.seq for one in await store.history()] == [4, 5, 6]
        assert [one.seq for one in await store.history(3)] == [4, 5, 6]
        assert [one.seq for one in await store.history(5)] == [6]
        assert [one.seq for one in await store.history(limit=2, newest=True)] == [5, 6]
        assert await store.last_seq() == 6


@every_store
async def test_a_line_that_is_no_longer_kept_leaves_no_silent_gap(kind: str, tmp_path: Path) -> None:
    async with made(kind, tmp_path, history=3) as store:
        await store.commit(Outcome(events=(event(),) * 6))
        for task_id in (None, "web"):
            for after in (0, 2):
                with pytest.raises(HistoryTrimmed, match=f"between {after} and 4, the oldest"):
                    await store.history(after, task_id=task_id)


async def test_whoever_waits_is_woken_by_a_change(store: Store) -> None:
    queued, changed = store.queued.next(), store.changed.next()
    await store.enqueue([wish()])
    assert queued.is_set()
    assert not changed.is_set()
    await store.commit(Outcome(task=task()))
    assert changed.is_set()


async def test_a_caller_that_gave_up_waiting_leaves_the_store_in_step_with_itself(store: Store) -> None:
    committing = asyncio.create_task(store.commit(Outcome(task=task())))
    await asyncio.sleep(0)
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)
    await store.commit(Outcome(events=(event(),)))
    known = await store.get("web")
    assert known is not None
    await store.commit(Outcome(task=replace(known, version=known.version + 1)))
