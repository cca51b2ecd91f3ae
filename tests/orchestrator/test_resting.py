"""What an orchestrator does while nothing happens."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from cri.runtime import Runtime
from orchestrator.store import MemoryStore, Store
from orchestrator.task import State
from orchestrator.worker import Settings
from tests.orchestrator.driving import eventually, orchestrating, reach, spec
from tests.orchestrator.engine import Engine

RELIST = ["list_containers", "list_pod_sandbox", "list", "busy"]
"""What is there, what is known, and who is at it."""
QUIET = 20
"""Relists in a row, for what comes now and then."""


def noted(one: object, kind: type, calls: list[str]) -> None:
    """From now on, put down the name of each method of ``kind`` that ``one`` is called by."""

    def listening(name: str, method: Any) -> Any:
        def called(*args: Any, **named: Any) -> Any:
            calls.append(name)
            return method(*args, **named)

        return called

    for name, _ in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_"):
            setattr(one, name, listening(name, getattr(one, name)))


async def test_while_nothing_happens_it_relists_and_asks_for_nothing_else(engine: Engine, tmp_path: Path) -> None:
    store, calls = MemoryStore(), list[str]()
    async with orchestrating(engine, tmp_path, store=store, settings=Settings(relist=0.001)) as orchestrator:
        await orchestrator.submit([spec(replicas=3)], actor="test")
        for number in range(3):
            await reach(orchestrator, f"web-{number}", State.RUNNING)
        noted(engine, Runtime, calls)
        noted(store, Store, calls)
        await eventually(lambda: calls[-QUIET * len(RELIST) :] == RELIST * QUIET)
