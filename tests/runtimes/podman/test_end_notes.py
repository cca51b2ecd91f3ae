"""Notes on ends, in a directory that is the engine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtimes.podman import end_notes

OF_THE_ENGINE = ("attach", "ctl", "winsz", "oom")
"""What Podman removes from a container's directory when it tidies up after its end."""


@pytest.fixture
def found(tmp_path: Path) -> dict[str, str]:
    return {"Id": "c", "StaticDir": str(tmp_path)}


def test_a_lack_of_memory_is_still_known_when_the_engine_has_tidied_up(found: dict[str, str]) -> None:
    end_notes.note_out_of_memory(found)
    for name in OF_THE_ENGINE:
        Path(found["StaticDir"], name).unlink(missing_ok=True)
    assert end_notes.ran_out_of_memory(found)


def test_the_note_of_the_monitor_is_one(found: dict[str, str]) -> None:
    assert not end_notes.ran_out_of_memory(found)
    Path(found["StaticDir"], "oom").touch()
    assert end_notes.ran_out_of_memory(found)
