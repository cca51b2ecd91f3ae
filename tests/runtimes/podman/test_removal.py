"""Removing what Podman says that it cannot remove just now."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import Internal, NotFound
from runtimes.podman import removal
from runtimes.podman.removal import Removal


class BusyEngine:
    """Answers deletions with ``answers``, one after the other, and then succeeds."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def delete(self, path: str, *, params: Any) -> None:
        self.asked += 1
        if self.answers:
            raise self.answers.pop(0)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "DELETE_PAUSE", 0.0)


async def delete(engine: BusyEngine) -> None:
    await Removal(engine).delete("/pods/p", {"force": True})  # type: ignore[arg-type]


async def test_a_removal_that_podman_gave_up_half_way_is_asked_for_again() -> None:
    engine = BusyEngine(Internal("unlinkat shm: device or resource busy"), Internal("the same"))
    await delete(engine)
    assert engine.asked == 3


async def test_what_is_gone_meanwhile_is_fine() -> None:
    await delete(BusyEngine(Internal("unlinkat shm: device or resource busy"), NotFound("no such pod")))


async def test_a_removal_that_never_succeeds_says_why() -> None:
    engine = BusyEngine(*(Internal(f"busy {number}") for number in range(removal.DELETE_TRIES)))
    with pytest.raises(Internal, match=f"busy {removal.DELETE_TRIES - 1}"):
        await delete(engine)
