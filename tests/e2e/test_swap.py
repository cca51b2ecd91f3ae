"""One program on every engine, swapped by configuration alone: all see the same, or what is listed as different."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cri
from tests.conformance.kit import Kit
from tests.e2e.engines import ENGINES, Configured
from tests.e2e.swap_record import DIFFERENCES, EXPECTED, expected
from tests.e2e.swap_scenario import Record, play
from tests.orchestrator.commands import started


@asynccontextmanager
async def served(engine: Configured) -> AsyncIterator[cri.Runtime]:
    """The runtime that the configuration names, behind a ``minicri serve`` of its own."""
    address = f"unix://{engine.folder}/cri.sock"
    command = ("serve", "--config", str(engine.file), "--listen", address)
    with started(engine.folder, *command, ready=address, env=engine.variables):
        async with cri.connect(address) as client:
            yield client


async def seen(runtime: cri.Runtime, engine: Configured) -> Record:
    async with Kit(runtime, "busybox", engine.folder) as kit:
        await kit.have_image()
        return await play(kit)


async def test_the_imported_runtime_is_seen_to_do_what_every_other_does(engine: Configured) -> None:
    async with engine.opened() as runtime:
        assert await seen(runtime, engine) == expected(engine.runtime)


async def test_the_served_runtime_is_seen_to_do_what_every_other_does(engine: Configured) -> None:
    async with served(engine) as runtime:
        assert await seen(runtime, engine) == expected(engine.runtime)


def test_a_difference_differs() -> None:
    listed = [(each, sentence, value) for each in DIFFERENCES for sentence, value in each.seen.items()]
    assert [(each.engine, sentence) for each, sentence, value in listed if EXPECTED[sentence] == value] == []


def test_a_difference_is_listed_once_and_of_an_engine_that_there_is() -> None:
    listed = [(each.engine, sentence) for each in DIFFERENCES for sentence in each.seen]
    assert len(listed) == len(set(listed))
    assert {engine for engine, _ in listed} <= set(ENGINES)
