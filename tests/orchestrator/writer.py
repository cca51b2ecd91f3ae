"""A process that puts tasks through queue and Db of a SQLite store and says what was answered; made to be killed.

``python -m tests.orchestrator.writer FOLDER``
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

from orchestrator.heuristic import accept
from orchestrator.store import Outcome, Store, open_store
from orchestrator.task import Item, State
from tests.orchestrator.driving import spec

NOW = 1.0


async def main(folder: Path) -> None:
    async with open_store(folder) as store:
        await judge_all(store)  # what the one before us left
        for number in count(len(await store.list())):
            name = f"task-{number}"
            await store.enqueue([Item(task_id=name, wish=State.SCHEDULED, spec=spec(name), actor="test")])
            print("queued", name, flush=True)
            await judge_all(store)


async def judge_all(store: Store) -> None:
    for item in await store.claim("writer", NOW, 100):
        verdict = accept(item, await store.get(item.task_id), now=NOW, uid=item.task_id)
        assert verdict.task is not None
        task = replace(verdict.task, version=verdict.task.version + 1)
        await store.commit(Outcome(task=task, events=verdict.events, done=(item.seq,)))
        print("written", item.task_id, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
