"""Looks at images that serve for more containers than one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtimes.shared import seen
from runtimes.shared.seen import SeenImages


class Store:
    """Has one image, whose id can be changed; ``looks`` counts the looks at it."""

    def __init__(self) -> None:
        self.image: dict[str, Any] | None = {"Id": "first"}
        self.looks = 0

    async def find(self, text: str) -> dict[str, Any] | None:
        found = self.image
        self.looks += 1
        await asyncio.sleep(0)
        return found


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(seen, "LASTS", 600.0)
    return Store()


async def test_one_look_serves_for_many(store: Store) -> None:
    images = SeenImages(store.find)
    for _ in range(3):
        assert await images.seen("name") == {"Id": "first"}
    assert store.looks == 1


async def test_what_was_not_there_is_looked_for_again(store: Store) -> None:
    images = SeenImages(store.find)
    store.image = None
    assert await images.seen("name") is None
    store.image = {"Id": "second"}
    assert await images.seen("name") == {"Id": "second"}


async def test_a_look_serves_for_a_moment_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    images = SeenImages(store.find)
    await images.seen("name")
    monkeypatch.setattr(seen, "LASTS", 0.0)
    store.image = {"Id": "second"}
    assert await images.seen("name") == {"Id": "second"}


async def test_after_a_change_a_look_that_began_before_serves_nobody_else(store: Store) -> None:
    images = SeenImages(store.find)
    before = asyncio.create_task(images.seen("name"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    store.image = {"Id": "second"}
    images.look_again()
    assert await images.seen("name") == {"Id": "second"}
    await before
    assert await images.seen("name") == {"Id": "second"}
